/*
 * dense.h -- has Redis keep the different pairs of score and subscore of a standing, which dense ranks are read from.
 *
 * Redis has them only for standings of which dense ranks are read (ladder.lua: dense_open), because they cost memory and
 * time of each submission. A read that finds them missing waits: this loop has them made, a piece in each call, with a
 * pause as long as the call took, five milliseconds at most. So no command waits longer than for one piece, and about
 * half of Redis's time is left. Of several loops that want the same, one makes the pieces. A read that has waited for a
 * second goes on to PostgreSQL. Redis drops them a day after their last read.
 *
 * Of a closed period, of a standing that Redis lacks, and while Redis is down, PostgreSQL answers: there the worker makes
 * a ladder of pairs (sql/functions/77_dense.sql) for standings that a server has noted.
 *
 * One thread: its loop's.
 */
#ifndef STORE_DENSE_H
#define STORE_DENSE_H

#include <stdbool.h>
#include <stdint.h>

struct store;

/* Part of what waits; `done` is called once, from the loop. is_made: Redis has them now. Whoever fills it in sets `done`. */
struct dense_waiter {
    void (*done)(struct dense_waiter *waiter, bool is_made);
    int64_t until_us;
    struct dense_waiter *next;
};

/* They are missing. false: they can't be waited for now; done will not be called. */
bool dense_wait(struct store *store, int64_t standing, struct dense_waiter *waiter);
void dense_read(struct store *store, int64_t standing); /* they were read: Redis keeps them for another day */
void dense_ask(struct store *store, int64_t standing);  /* PostgreSQL is asked instead, and for more than a moment */

#endif
