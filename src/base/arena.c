#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

enum { BLOCK_BYTES = 4096, KEPT_BYTES_MAX = 65536, ALIGNMENT = 16 };

struct arena_block {
    struct arena_block *next; /* older */
    size_t size;              /* of bytes */
    size_t used;
    _Alignas(ALIGNMENT) char bytes[];
};

void arena_init(struct arena *arena, size_t bytes_max)
{
    *arena = (struct arena){.bytes_max = bytes_max};
}

static void free_from(struct arena_block *block)
{
    while (block) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_done(struct arena *arena)
{
    free_from(arena->head);
    *arena = (struct arena){.bytes_max = arena->bytes_max};
}

void arena_reset(struct arena *arena)
{
    struct arena_block *newest = arena->head;
    size_t bytes_max = arena->bytes_max;

    if (newest && newest->size <= KEPT_BYTES_MAX) {
        free_from(newest->next);
        newest->next = NULL;
        newest->used = 0;
    } else {
        free_from(newest);
        newest = NULL;
    }
    *arena = (struct arena){.head = newest, .bytes_max = bytes_max};
}

struct arena_block *arena_mark(const struct arena *arena)
{
    return arena->head;
}

void arena_release(struct arena *arena, struct arena_block *mark)
{
    while (arena->head != mark) {
        struct arena_block *newest = arena->head;
        arena->head = newest->next;
        arena->used_bytes -= newest->used;
        free(newest);
    }
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > arena->bytes_max) {
        arena->is_exhausted = true;
        return NULL;
    }
    size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (rounded == 0)
        rounded = ALIGNMENT;
    if (arena->used_bytes + rounded > arena->bytes_max) {
        arena->is_exhausted = true;
        return NULL;
    }
    if (!arena->head || arena->head->size - arena->head->used < rounded) {
        /* Each twice the last, which is kept: so an arena that is used again soon needs no more of them. */
        size_t block_size = arena->head ? 2 * arena->head->size : BLOCK_BYTES;
        if (block_size > KEPT_BYTES_MAX)
            block_size = KEPT_BYTES_MAX;
        if (block_size < rounded)
            block_size = rounded;
        size_t whole = sizeof(struct arena_block) + block_size;
        struct arena_block *block = arena->is_vital ? malloc(whole) : MEMORY_HANDLED(malloc(whole));
        if (!block) {
            arena->is_exhausted = arena->is_short = true;
            return NULL;
        }
        *block = (struct arena_block){.next = arena->head, .size = block_size};
        arena->head = block;
    }
    void *memory = arena->head->bytes + arena->head->used;
    arena->head->used += rounded;
    arena->used_bytes += rounded;
    return memory;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        arena->is_exhausted = true;
        return NULL;
    }
    void *memory = arena_alloc(arena, bytes);
    return memory ? memset(memory, 0, bytes) : NULL;
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
    char *copy = arena_alloc(arena, bytes.size + 1);

    if (!copy)
        return (struct slice){NULL, 0};
    if (bytes.size)
        memcpy(copy, bytes.data, bytes.size);
    copy[bytes.size] = 0;
    return (struct slice){copy, bytes.size};
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return (char *)arena_copy(arena, slice_of(text)).data;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;

    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = size < 0 ? NULL : arena_alloc(arena, (size_t)size + 1);
    if (text)
        vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    return text;
}
