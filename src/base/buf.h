/*
 * buf.h -- growable bytes with a mandatory maximum (the idea is curl's dynbuf).
 *
 * Appends never crash: past the maximum, or out of memory, the append does nothing and
 * `is_overflown` stays true. `data` is always NUL-terminated when not NULL; the NUL is not in `size`.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct buf {
    char *data; /* owned; NULL while nothing was appended */
    size_t size;
    size_t capacity; /* at most bytes_max, and the NUL */
    size_t bytes_max;
    bool is_overflown; /* sticky until buf_reset */
    bool is_short;     /* as is_overflown: and realloc had failed */
};

void buf_init(struct buf *buf, size_t bytes_max);
/* In the caller's memory: needs no other, and no buf_done. size: of `room`, the NUL included; at least 1. */
void buf_init_within(struct buf *buf, char *room, size_t size);
void buf_done(struct buf *buf);  /* frees; the buf is empty and usable again */
void buf_reset(struct buf *buf); /* size 0, keeps the memory, clears is_overflown */

/* Room for `size` more bytes at the end: NULL on overflow. Follow with buf.size += what was written, or buf_written. */
static inline char *buf_reserve(struct buf *buf, size_t size);
/* Everything up to `end`, in the room that was reserved, is part of it now. */
static inline void buf_written(struct buf *buf, char *end);

void buf_append(struct buf *buf, const void *bytes, size_t size);
void buf_append_slice(struct buf *buf, struct slice bytes);
void buf_append_text(struct buf *buf, const char *text);
void buf_append_byte(struct buf *buf, char byte);
void buf_append_int64(struct buf *buf, int64_t value); /* decimal, no locale, no printf */
void buf_append_uint64(struct buf *buf, uint64_t value);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct slice buf_slice(const struct buf *buf);
/* The memory changes hands: the caller frees it with free(). The buf is empty afterwards. */
char *buf_take(struct buf *buf);

char *buf_grow(struct buf *buf, size_t size); /* buf_reserve's long way */

static inline char *buf_reserve(struct buf *buf, size_t size)
{
    return !buf->is_overflown && size < buf->capacity - buf->size ? buf->data + buf->size : buf_grow(buf, size);
}

static inline void buf_written(struct buf *buf, char *end)
{
    buf->size = (size_t)(end - buf->data);
    *end = 0;
}

#endif
