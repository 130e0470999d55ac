/*
 * tally.h -- adding up events, for statistics and ranks (sql/functions/70_tally.sql has the idea).
 *
 * Blocking. One runner at a time, elected by the lock of the job `tally`; each call is one transaction, exactly once.
 */
#ifndef WORK_TALLY_H
#define WORK_TALLY_H

#include "work/link.h"

enum tally_outcome {
    TALLY_DONE,     /* everything that was committed before the call is in */
    TALLY_HAS_MORE, /* a piece of a backlog is in: the next call adds another one */
    TALLY_ELSEWHERE /* another runner has the lock, or a player was erased meanwhile: the next call may add something */
};

/* Adds up the next piece of the events since the last call, no matter who made it. */
bool tally_run(struct link *link, enum tally_outcome *ret_outcome, struct error *error);

/*
 * For a writer of many rows (`ladder import`): waits while more than TALLY_BEHIND_MAX events are not added up, and adds
 * them up itself if no other runner does. So reads of the board by SQL, which have to read those events, stay fast.
 * Not in a transaction; at most TALLY_PACE_MAX_MS. retention_days: worker.event_retention_days. Any thread, with a
 * connection of its own.
 */
enum { TALLY_BEHIND_MAX = 10000, TALLY_PACE_MAX_MS = 60000 };
bool tally_pace(struct dbb *db, int64_t retention_days, struct error *error);

#endif
