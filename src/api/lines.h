/*
 * lines.h -- splits the bytes of a stream into lines, whatever pieces they come in.
 *
 *     input:  {"a":1}\n \n {"b":2}\n {"c
 *             |taken             |    |searched: no newline before it
 *
 * Each byte is looked at once. A line ends with LF or CR LF, the last one with the end of the stream. Empty lines are
 * counted and skipped. A line of more than `bytes_max` bytes is reported once, and its bytes are dropped as they come;
 * so are more than `bytes_max` bytes of empty lines in a row. One thread.
 */
#ifndef API_LINES_H
#define API_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct lines {
    struct buf input;
    size_t taken, searched; /* of input */
    size_t bytes_max;
    int64_t number; /* of the line handed out last, counted from 1 */
    size_t empty_bytes;
    bool is_skipping; /* in the middle of a line that is too long */
};

enum lines_next { LINES_NONE, LINES_LINE, LINES_TOO_LONG };

void lines_init(struct lines *lines, size_t bytes_max);
void lines_done(struct lines *lines);
/* false: out of memory. */
bool lines_add(struct lines *lines, struct slice bytes);
size_t lines_memory(const struct lines *lines);  /* that they take */
size_t lines_waiting(const struct lines *lines); /* bytes that were added and not handed out */
/* *ret_line: without its end, valid until the next call of any function. is_ended: nothing will be added. */
enum lines_next lines_next(struct lines *lines, bool is_ended, struct slice *ret_line);
/* Whether there is a byte of a further line. */
bool lines_has_more(struct lines *lines);

#endif
