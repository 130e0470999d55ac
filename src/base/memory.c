#include "base/memory.h"

#include <malloc.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "base/quota.h"

#ifdef LADDER_WITH_FAULTS
_Thread_local int memory_handled;
#endif

static _Atomic(void *) reserve;
static atomic_bool is_short;

bool memory_reserve(void)
{
    void *none = NULL;

    if (atomic_load_explicit(&reserve, memory_order_relaxed))
        return true;
    /* Never touched, so it costs no page; but the machine has promised it, and giving it back makes room below any
     * limit. */
    void *memory = mmap(NULL, MEMORY_RESERVE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    if (!atomic_compare_exchange_strong(&reserve, &none, memory))
        munmap(memory, MEMORY_RESERVE_BYTES); /* another thread was faster */
    atomic_store(&is_short, false);
    return true;
}

bool memory_relieve(size_t size)
{
    if (size > MEMORY_SMALL_MAX)
        return false;
    void *memory = atomic_exchange(&reserve, NULL);
    if (!memory)
        return false;
    atomic_store(&is_short, true);
    munmap(memory, MEMORY_RESERVE_BYTES);
    return true;
}

bool memory_is_short(void)
{
    return atomic_load_explicit(&is_short, memory_order_relaxed);
}

/*
 * malloc_trim leaves the free end ("top") of a thread's heap as it is. free gives the end back where what it frees has at least
 * 64 KB together with its free neighbours (FASTBIN_CONSOLIDATION_THRESHOLD of the C library), but a small block that was freed
 * last joins the end in malloc_trim, and nothing gives that back.
 */
static void heap_end_trim(void)
{
    enum { BYTES = 96 << 10 }; /* more than that, and less than what has pages of its own */
    void *volatile block = malloc(BYTES);

    free(block);
}

void memory_trim_look(struct quota *requests, struct quota *connections, int64_t now_us)
{
    static _Atomic int64_t next_us;
    static _Atomic unsigned trims;
    static atomic_bool was_falling;
    static _Thread_local unsigned trims_seen;
    int64_t due_us = atomic_load_explicit(&next_us, memory_order_relaxed);

    if (now_us >= due_us && atomic_compare_exchange_strong(&next_us, &due_us, now_us + MEMORY_TRIM_MS * 1000LL)) {
        bool is_less = quota_has_fallen(requests, MEMORY_FALL_BYTES);
        bool are_fewer = quota_has_fallen(connections, MEMORY_FALL_CONNECTIONS);
        bool is_falling = is_less || are_fewer;
        if (atomic_exchange(&was_falling, is_falling) || is_falling) {
            malloc_trim(0);
            atomic_fetch_add(&trims, 1);
        }
    }
    unsigned done = atomic_load(&trims);
    if (trims_seen != done) {
        trims_seen = done;
        heap_end_trim();
    }
}
