#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/put.h"

enum { FIRST_BYTES = 256 };

void buf_init(struct buf *buf, size_t bytes_max)
{
    *buf = (struct buf){.bytes_max = bytes_max};
}

void buf_init_within(struct buf *buf, char *room, size_t size)
{
    *buf = (struct buf){.data = room, .capacity = size, .bytes_max = size - 1};
    room[0] = 0;
}

void buf_done(struct buf *buf)
{
    free(buf->data);
    buf_init(buf, buf->bytes_max);
}

void buf_reset(struct buf *buf)
{
    buf->size = 0;
    buf->is_overflown = buf->is_short = false;
    if (buf->data)
        buf->data[0] = 0;
}

char *buf_grow(struct buf *buf, size_t size)
{
    if (buf->is_overflown || size > buf->bytes_max || buf->size > buf->bytes_max - size) {
        buf->is_overflown = true;
        return NULL;
    }
    size_t needed = buf->size + size + 1;
    if (needed > buf->capacity) {
        size_t capacity = buf->capacity ? buf->capacity * 2 : FIRST_BYTES;
        if (capacity < needed)
            capacity = needed;
        if (capacity > buf->bytes_max + 1)
            capacity = buf->bytes_max + 1;
        char *data = MEMORY_HANDLED(realloc(buf->data, capacity));
        if (!data) {
            buf->is_overflown = buf->is_short = true;
            return NULL;
        }
        buf->data = data;
        buf->capacity = capacity;
    }
    return buf->data + buf->size;
}

void buf_append(struct buf *buf, const void *bytes, size_t size)
{
    char *at = buf_reserve(buf, size);

    if (!at)
        return;
    if (size)
        memcpy(at, bytes, size);
    buf->size += size;
    buf->data[buf->size] = 0;
}

void buf_append_slice(struct buf *buf, struct slice bytes)
{
    buf_append(buf, bytes.data, bytes.size);
}

void buf_append_text(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_append_byte(struct buf *buf, char byte)
{
    buf_append(buf, &byte, 1);
}

void buf_append_int64(struct buf *buf, int64_t value)
{
    char digits[PUT_INTEGER_MAX];

    buf_append(buf, digits, (size_t)(put_int64(digits, value) - digits));
}

void buf_append_uint64(struct buf *buf, uint64_t value)
{
    char digits[PUT_INTEGER_MAX];

    buf_append(buf, digits, (size_t)(put_uint64(digits, value) - digits));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list arguments, again;

    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *at = size < 0 ? NULL : buf_reserve(buf, (size_t)size);
    if (at) {
        vsnprintf(at, (size_t)size + 1, format, again);
        buf->size += (size_t)size;
    }
    va_end(again);
}

struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){buf->data, buf->size};
}

char *buf_take(struct buf *buf)
{
    char *data = buf->data;

    buf_init(buf, buf->bytes_max);
    return data;
}
