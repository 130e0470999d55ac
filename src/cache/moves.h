/*
 * moves.h -- the recent changes of one standing, and which cached answers they leave true.
 *
 * A move from rank a to rank b changes the ranks between the two and no other; an insertion at b all from b on; a
 * removal at a all from a on. So an answer made at version v from the ranks [low, high] holds as long as no change
 * after v touched one of them. Two structures of fixed size answer that:
 *
 *   ring    the last MOVES_RING intervals, to be looked through: exact, for the recent past
 *   stack   for every version v, the lowest rank touched after v: the suffix minima, kept as a monotonic stack. A page at
 *           the top stays valid through millions of changes below it, however long ago it was made.
 *
 *      version   7    9   12   20         lowest rank touched after 8: 3 (first on the stack above 8)
 *      lowest    1    3   40   95         after 12: 95           a new change at 10 pops 95 and 40
 *
 * What the two no longer know counts as touched. Ranks are 0-based. Pure memory, one thread.
 */
#ifndef CACHE_MOVES_H
#define CACHE_MOVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MOVES_RING = 128, MOVES_STACK = 64 };

#define MOVES_END INT64_MAX /* high: to the end of the standing, however long */

/* What an answer was made from. */
struct span {
    int64_t low, high;  /* ranks; low > high: none */
    bool is_of_total;   /* it depends on how many entries there are */
    bool is_of_absence; /* it says that somebody has no entry */
};

struct move {
    int64_t low, high;
};

struct moves {
    int64_t base;      /* all changes after this version are known */
    int64_t last;      /* the newest change */
    int64_t opened;    /* the newest version at which an entry came or went */
    int64_t ring_from; /* all changes after this version are in the ring */
    int ring_count, ring_next;
    int stack_count;
    struct {
        int64_t version;
        uint32_t low, high; /* UINT32_MAX: to the end */
    } ring[MOVES_RING];
    struct {
        int64_t version;
        int64_t low;
    } stack[MOVES_STACK];
};

/* version: everything after it will be told. */
void moves_init(struct moves *moves, int64_t version);

/*
 * A change: its version, that of the change before it in this standing (unless that one is known, everything before is
 * forgotten), and the intervals that it touched (none: all). A version that is known already is ignored.
 */
void moves_add(struct moves *moves, int64_t version, int64_t before, const struct move *items, size_t count);

/* May an answer that was true at `version` be untrue now? */
bool moves_touch(const struct moves *moves, const struct span *span, int64_t version);

#endif
