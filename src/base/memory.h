/*
 * memory.h -- what happens when the machine has no more memory.
 *
 * A reserve is set aside at the start. The first allocation that fails gives it back to the machine and is tried again
 * (src/cli/allocator.c does that for every library too): so what is under way can end, while nothing new is let in
 * (503) and caches are dropped, until the reserve can be set aside again. What is large is not tried again: whoever
 * asks for more than MEMORY_SMALL_MAX handles NULL. docs/decisions/0060-memory.md says why. Any thread.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct quota;

/*
 * Around a call that allocates, and whose failure for want of memory the caller handles: MEMORY_HANDLED(malloc(size)). In a
 * build with -Dfaults=true a test can let such calls fail that are not tried again (decision 0113); else it is the call.
 */
#ifdef LADDER_WITH_FAULTS
extern _Thread_local int memory_handled;
#define MEMORY_HANDLED(call)                                                                                           \
    __extension__({                                                                                                    \
        memory_handled++;                                                                                              \
        __typeof__(call) value_ = (call);                                                                              \
        memory_handled--;                                                                                              \
        value_;                                                                                                        \
    })
#else
#define MEMORY_HANDLED(call) (call)
#endif

enum {
    MEMORY_SMALL_MAX = 1 << 20,
    MEMORY_RESERVE_BYTES = 32 << 20,
    MEMORY_FALL_BYTES = 16 << 20,
    MEMORY_FALL_CONNECTIONS = 256,
    MEMORY_TRIM_MS = 5000
};

/* Sets the reserve aside, or again. false: the machine does not have it now. */
bool memory_reserve(void);
/* An allocation of this size has failed: is it worth trying again? Gives the reserve back, if it was there. */
bool memory_relieve(size_t size);
/* The reserve is gone: let nothing in that can wait. */
bool memory_is_short(void);
/*
 * Has the C library give free memory back to the machine after requests used MEMORY_FALL_BYTES more, or after
 * MEMORY_FALL_CONNECTIONS more connections were open. Every MEMORY_TRIM_MS at most, and once more the next time, because a crowd
 * may be half gone at the first. Every loop calls it from time to time: each gives back the end of its own thread's heap.
 */
void memory_trim_look(struct quota *requests, struct quota *connections, int64_t now_us);

#endif
