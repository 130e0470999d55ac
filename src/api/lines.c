#include "api/lines.h"

#include <string.h>

void lines_init(struct lines *lines, size_t bytes_max)
{
    enum { READ_MAX = 4 << 20 }; /* what may come at once beside a line that is not whole */

    *lines = (struct lines){.bytes_max = bytes_max};
    buf_init(&lines->input, 2 * bytes_max + READ_MAX);
}

void lines_done(struct lines *lines)
{
    buf_done(&lines->input);
}

static void lines_compact(struct lines *lines)
{
    struct buf *input = &lines->input;

    if (lines->taken == 0)
        return;
    memmove(input->data, input->data + lines->taken, input->size - lines->taken);
    input->size -= lines->taken;
    lines->searched -= lines->taken;
    lines->taken = 0;
}

/* Drops the line that was begun and is too long. */
static void line_drop(struct lines *lines)
{
    lines->input.size = 0;
    lines->taken = lines->searched = 0;
    lines->is_skipping = true;
}

bool lines_add(struct lines *lines, struct slice bytes)
{
    if (lines->is_skipping) {
        const char *end = memchr(bytes.data, '\n', bytes.size);
        if (!end)
            return true;
        lines->is_skipping = false;
        size_t skipped = (size_t)(end - bytes.data) + 1;
        bytes = (struct slice){bytes.data + skipped, bytes.size - skipped};
    }
    if (2 * lines->taken >= lines->input.size)
        lines_compact(lines);
    buf_append_slice(&lines->input, bytes);
    return !lines->input.is_overflown;
}

size_t lines_memory(const struct lines *lines)
{
    return lines->input.capacity;
}

size_t lines_waiting(const struct lines *lines)
{
    return lines->input.size - lines->taken;
}

/* A line with its end, or without one, once the stream has ended. data NULL: it is not whole. */
static struct slice line_cut(struct lines *lines, bool is_ended)
{
    char *data = lines->input.data;
    size_t size = lines->input.size, start = lines->taken;
    const char *end = size > lines->searched ? memchr(data + lines->searched, '\n', size - lines->searched) : NULL;

    lines->searched = end ? (size_t)(end - data) + 1 : size;
    if (!end && (!is_ended || size == start))
        return (struct slice){NULL, 0};
    lines->taken = lines->searched;
    size_t line_size = end ? (size_t)(end - data) - start : size - start;
    if (line_size && data[start + line_size - 1] == '\r')
        line_size--;
    return (struct slice){data + start, line_size};
}

enum lines_next lines_next(struct lines *lines, bool is_ended, struct slice *ret_line)
{
    for (;;) {
        size_t before = lines->taken;
        struct slice line = line_cut(lines, is_ended);
        if (!line.data) {
            if (lines_waiting(lines) <= lines->bytes_max)
                return LINES_NONE;
            line_drop(lines);
            lines->number++;
            return LINES_TOO_LONG;
        }
        lines->number++;
        *ret_line = line;
        if (line.size > lines->bytes_max)
            return LINES_TOO_LONG;
        lines->empty_bytes = line.size ? 0 : lines->empty_bytes + (lines->taken - before);
        if (line.size)
            return LINES_LINE;
        if (lines->empty_bytes > lines->bytes_max) {
            lines->empty_bytes = 0;
            return LINES_TOO_LONG;
        }
    }
}

bool lines_has_more(struct lines *lines)
{
    for (size_t i = lines->taken; i < lines->input.size; i++)
        if (lines->input.data[i] != '\n' && lines->input.data[i] != '\r')
            return true;
    return false;
}
