/*
 * history.h -- what all loops of the process know of the database's past: how far its commits were acknowledged, and
 * the highest timeline that was seen.
 *
 * A client's next request may come to another loop: what one has acknowledged, all must show. Positions are counted for
 * each epoch apart, because another history issues them again. Any thread; reading and raising take no lock.
 */
#ifndef DB_HISTORY_H
#define DB_HISTORY_H

#include <stdint.h>

#include "db/leader.h"

/* An epoch was seen on a primary: if no loop saw it before, its positions begin at 0. */
void history_enter(int epoch);
int64_t history_lsn(int epoch);
void history_raise(int epoch, int64_t lsn);

/* leader_elect with the history that the loops share. */
int history_elect(const struct leader_candidate *candidates, int count, int current, enum leader_fault *faults);

#endif
