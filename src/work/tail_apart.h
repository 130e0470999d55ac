/*
 * tail_apart.h -- changes of some boards cannot be read: the tail goes on with those of the others.
 *
 * The tail reads the changes of all boards by one statement. Where that raises an error of the data, the boards at fault
 * are found, and the others are read without them. The standings of a board at fault leave Redis before the cursors move
 * on: PostgreSQL answers for them until a reader asks for them and they are rebuilt. If the board's periods cannot be read, the
 * standings that its events name leave Redis. If its events cannot be read either, all standings leave that Redis holds and
 * whose period does not name another board, and the caches forget everything.
 */
#ifndef WORK_TAIL_APART_H
#define WORK_TAIL_APART_H

#include "base/buf.h"
#include "base/clock.h"
#include "work/l2_tail.h"

struct tail_apart {
    struct buf boards;    /* those that can be read: an array's text */
    size_t count;         /* of those that can not */
    const char *snapshot; /* what was asked for: the caller's */
    char since[CLOCK_TEXT_MAX];
    struct tail_apart_board *failed;
};

/* In the tail's transaction, whose later statements go by indexes then. parameters: those of tail_changes; the first one
 * must outlive *apart. Finds the boards whose changes raise an error. false: the server is at fault. The caller frees with
 * tail_apart_done, whatever it returned. */
bool tail_apart_find(struct tail_apart *apart, struct link *link, const char *const parameters[static 2],
                     struct error *error);
/* After that transaction: notes each (work/alone.h), tells the edges that keep it, takes its standings out of Redis. */
bool tail_apart_leave(struct tail_apart *apart, struct link *link, struct l2_tail *l2, struct error *error);
void tail_apart_done(struct tail_apart *apart);

#endif
