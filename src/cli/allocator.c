/*
 * allocator.c -- malloc, calloc and realloc of the whole program, libraries included: the C library's own, tried again
 * when the reserve of base/memory.h makes room. (The manual of the GNU C library, "Replacing malloc", allows a program
 * to have its own.)
 *
 * A build with -Dfaults=true lets a test make them fail: LADDER_FAULT_MEMORY names a file of `struct injected`, which
 * both sides map. Sanitizers bring their own allocator: nothing of this is in their builds.
 */
#include <stdlib.h>

#include "base/memory.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define IS_SANITIZED 1
#endif
#endif

#if !defined(IS_SANITIZED) && defined(__GLIBC__)

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

#ifdef LADDER_WITH_FAULTS
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

struct injected {
    _Atomic int64_t countdown; /* the allocation that brings it to 0 fails, once; 0: none */
    _Atomic int64_t size_min;  /* only those of so many bytes count */
    _Atomic int64_t failed;    /* how many have */
    _Atomic int64_t counted;   /* how many were of that size */
    _Atomic int64_t blocks;    /* in use */
    _Atomic int64_t renews;    /* not 0: the reserve is back at once, so that a test need not wait for it */
    _Atomic int64_t is_bare;   /* not 0: no reserve; only what MEMORY_HANDLED has counts, and is not tried again */
};

static struct injected nobody;
static struct injected *injected = &nobody;

__attribute__((constructor)) static void injected_map(void)
{
    const char *path = getenv("LADDER_FAULT_MEMORY");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    void *shared = mmap(NULL, sizeof(struct injected), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared != MAP_FAILED)
        injected = shared;
}

static bool is_bare(void)
{
    return atomic_load_explicit(&injected->is_bare, memory_order_relaxed) != 0;
}

static bool is_to_fail(size_t size)
{
    if ((int64_t)size < atomic_load_explicit(&injected->size_min, memory_order_relaxed) ||
        (is_bare() && memory_handled == 0))
        return false;
    atomic_fetch_add_explicit(&injected->counted, 1, memory_order_relaxed);
    if (atomic_load_explicit(&injected->countdown, memory_order_relaxed) <= 0 ||
        atomic_fetch_sub(&injected->countdown, 1) != 1)
        return false;
    atomic_fetch_add(&injected->failed, 1);
    return true;
}

static void *counted(void *memory)
{
    if (memory)
        atomic_fetch_add_explicit(&injected->blocks, 1, memory_order_relaxed);
    return memory;
}

static void renew(void)
{
    if (atomic_load_explicit(&injected->renews, memory_order_relaxed))
        memory_reserve();
}

void free(void *memory)
{
    if (memory)
        atomic_fetch_sub_explicit(&injected->blocks, 1, memory_order_relaxed);
    __libc_free(memory);
}
#else
#define is_to_fail(size) false
#define counted(memory) (memory)
#define is_bare() false
#define renew() ((void)0)
#endif

static void *refuse(void)
{
    errno = ENOMEM;
    return NULL;
}

/* Another thread may have given the reserve back a moment ago: then this one counts on that. */
static bool is_worth_another(size_t size)
{
    if (is_bare())
        return false;
    return memory_relieve(size) || (size <= MEMORY_SMALL_MAX && memory_is_short());
}

/* `attempt` again, where it failed and that may help. */
#define TRY_TWICE(size, attempt)                                                                                       \
    void *memory = is_to_fail(size) ? NULL : (attempt);                                                                \
    if (__builtin_expect(!memory, 0)) {                                                                                \
        memory = is_worth_another(size) ? (attempt) : refuse();                                                        \
        renew();                                                                                                       \
    }

void *malloc(size_t size)
{
    TRY_TWICE(size, __libc_malloc(size))
    return counted(memory);
}

void *calloc(size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        return refuse();
    TRY_TWICE(bytes, __libc_calloc(count, size))
    return counted(memory);
}

void *realloc(void *old, size_t size)
{
    if (!old)
        return malloc(size);
    if (size == 0) {
        free(old);
        return NULL;
    }
    TRY_TWICE(size, __libc_realloc(old, size))
    return memory;
}

#else
typedef int allocator_nothing; /* an empty file is no C */
#endif
