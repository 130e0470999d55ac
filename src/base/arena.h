/*
 * arena.h -- memory that lives as long as one request and is freed at once.
 *
 * Bump allocation from a chain of blocks. The arena has a cap: past it, or when malloc fails,
 * arena_alloc returns NULL and `is_exhausted` stays true, so a caller may check once at the end.
 * One thread at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *head; /* owned: newest block first */
    size_t used_bytes;        /* given out, over all blocks */
    size_t bytes_max;
    bool is_exhausted; /* sticky */
    bool is_short;     /* sticky: and malloc had failed */
    bool is_vital;     /* set after arena_init: whoever allocates from it cannot do without (decision 0113) */
};

void arena_init(struct arena *arena, size_t bytes_max);
void arena_done(struct arena *arena);  /* frees all; the arena may be initialised again */
void arena_reset(struct arena *arena); /* frees all but one block, if it is not a large one */

/* All that is allocated from here on goes with arena_release; some of that may be left. The mark is good until the arena is
 * reset. */
struct arena_block *arena_mark(const struct arena *arena);
void arena_release(struct arena *arena, struct arena_block *mark);

/* 16-byte aligned, not zeroed. NULL when exhausted. size 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((malloc));
void *arena_calloc(struct arena *arena, size_t count, size_t size);
char *arena_strdup(struct arena *arena, const char *text);
/* A copy that is also NUL-terminated (the NUL is not counted in size). data is NULL when exhausted. */
struct slice arena_copy(struct arena *arena, struct slice bytes);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
