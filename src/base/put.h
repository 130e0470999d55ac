/*
 * put.h -- spells values at a place that has room for them, and returns the place behind.
 *
 * For what is written hundreds of times an answer: the room is asked for once (buf_reserve, with the most that it can
 * take), and then each piece goes to its place. Nothing is terminated. Pure functions: any thread.
 */
#ifndef BASE_PUT_H
#define BASE_PUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/slice.h"

enum { PUT_INTEGER_MAX = 20 };

#define PUT_JSON_MAX(size) (6 * (size) + 2)

#define put_literal(at, literal) put_bytes(at, "" literal "", sizeof(literal) - 1)

static inline char *put_bytes(char *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

static inline char *put_byte(char *at, char byte)
{
    *at = byte;
    return at + 1;
}

extern const char put_pairs[200]; /* "00" to "99" */

static inline char *put_two_digits(char *at, int value) /* 0 to 99 */
{
    return put_bytes(at, put_pairs + 2 * value, 2);
}

char *put_int64(char *at, int64_t value); /* decimal: at most PUT_INTEGER_MAX bytes */
char *put_uint64(char *at, uint64_t value);

/* A JSON string with its quotes, escaped per RFC 8259: at most PUT_JSON_MAX(text.size) bytes. text: valid UTF-8. */
char *put_json_string(char *at, struct slice text);
size_t put_json_size(struct slice text); /* how many bytes exactly */

#endif
