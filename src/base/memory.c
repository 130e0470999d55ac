#include "base/memory.h"

#include <stdatomic.h>
#include <sys/mman.h>

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
