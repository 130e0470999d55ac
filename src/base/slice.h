/*
 * slice.h -- a borrowed run of bytes: not terminated, not owned.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *data; /* borrowed; may be NULL only when size is 0 */
    size_t size;
};

#define SLICE(literal) ((struct slice){.data = (literal), .size = sizeof(literal) - 1})

static inline struct slice slice_of(const char *text)
{
    return (struct slice){.data = text, .size = text ? strlen(text) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_is(struct slice a, const char *text)
{
    return slice_equal(a, slice_of(text));
}

#endif
