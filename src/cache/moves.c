#include "cache/moves.h"

#include "base/assert.h"
#include "base/fault.h"

void moves_init(struct moves *moves, int64_t version)
{
    moves->base = moves->last = moves->ring_from = version;
    moves->opened = version;
    moves->ring_count = moves->ring_next = moves->stack_count = 0;
}

static void ring_add(struct moves *moves, int64_t version, const struct move *item)
{
    if (moves->ring_count == MOVES_RING)
        moves->ring_from = moves->ring[moves->ring_next].version; /* the rest of that version may be gone too */
    else
        moves->ring_count++;
    moves->ring[moves->ring_next].version = version;
    moves->ring[moves->ring_next].low = (uint32_t)item->low;
    moves->ring[moves->ring_next].high = item->high >= UINT32_MAX ? UINT32_MAX : (uint32_t)item->high;
    moves->ring_next = (moves->ring_next + 1) % MOVES_RING;
}

static void stack_add(struct moves *moves, int64_t version, int64_t low)
{
    while (moves->stack_count > 0 && moves->stack[moves->stack_count - 1].low >= low)
        moves->stack_count--;
    if (moves->stack_count == MOVES_STACK) {
        /* The two oldest become one that says no less than both. */
        moves->stack[1].low = moves->stack[0].low;
        for (int i = 1; i < MOVES_STACK; i++)
            moves->stack[i - 1] = moves->stack[i];
        moves->stack_count--;
    }
    moves->stack[moves->stack_count].version = version;
    moves->stack[moves->stack_count].low = low;
    moves->stack_count++;
}

void moves_add(struct moves *moves, int64_t version, int64_t before, const struct move *items, size_t count)
{
    if (version <= moves->last)
        return;
    if (count == 0 || (before > moves->last && !fault_is("gap"))) {
        moves_init(moves, version);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        ASSERT(items[i].low >= 0 && items[i].low <= items[i].high);
        ring_add(moves, version, &items[i]);
        stack_add(moves, version, items[i].low);
        if (items[i].high == MOVES_END)
            moves->opened = version;
    }
    moves->last = version;
}

/* The lowest rank touched after a version. */
static int64_t lowest_after(const struct moves *moves, int64_t version)
{
    int from = 0, to = moves->stack_count;

    if (fault_is("stack"))
        return MOVES_END;
    while (from < to) {
        int middle = (from + to) / 2;
        if (moves->stack[middle].version > version)
            to = middle;
        else
            from = middle + 1;
    }
    return from < moves->stack_count ? moves->stack[from].low : MOVES_END;
}

static bool ring_touches(const struct moves *moves, const struct span *span, int64_t version)
{
    for (int i = 1; i <= moves->ring_count; i++) {
        int at = (moves->ring_next - i + MOVES_RING) % MOVES_RING;
        if (moves->ring[at].version <= version)
            return false;
        if (moves->ring[at].low <= span->high &&
            (moves->ring[at].high == UINT32_MAX || moves->ring[at].high >= span->low))
            return true;
    }
    return false;
}

bool moves_touch(const struct moves *moves, const struct span *span, int64_t version)
{
    if (version >= moves->last)
        return false;
    if (version < moves->base && !fault_is("base"))
        return true;
    /* A total that came back to what it was is touched all the same: whoever saw it meanwhile has another copy, of a
     * later date. */
    if (moves->opened > version &&
        ((span->is_of_absence && !fault_is("absence")) || (span->is_of_total && !fault_is("total"))))
        return true;
    if (span->low > span->high || lowest_after(moves, version) > span->high)
        return false;
    return (version < moves->ring_from && !fault_is("past-ring")) ||
           (ring_touches(moves, span, version) && !fault_is("ring"));
}
