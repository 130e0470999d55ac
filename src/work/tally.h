/*
 * tally.h -- adding up events, for statistics (sql/functions/70_tally.sql has the idea).
 *
 * Blocking. One runner at a time, elected by the lock of the job `tally`; each call is one transaction, exactly once.
 */
#ifndef WORK_TALLY_H
#define WORK_TALLY_H

#include "work/link.h"

/* Adds up what is new since the last call, whoever made it. ret_is_done: false when nothing was, since another runner
 * is at it or the erasure of a player came in between: the next call may. */
bool tally_run(struct link *link, bool *ret_is_done, struct error *error);

#endif
