/*
 * dense.h -- has Redis keep the different pairs of score and subscore of a standing, which dense ranks are read from.
 *
 * Redis has them only for standings of which dense ranks are read (ladder.lua: dense_open), because they cost memory and time of each
 * submission. A read that finds them missing is answered by PostgreSQL and calls dense_want: this loop then has them made, a piece in
 * each call, with a pause as long as the call took: so no command waits longer than for one piece, and half of Redis's time is left.
 * Of several loops that want the same, one makes the pieces. What a day nobody reads, Redis lets go.
 *
 * Where Redis has nothing to do with it (a standing that it lacks, a closed period, Redis is down), PostgreSQL answers: the worker then
 * makes a ladder of pairs there (sql/functions/77_dense.sql), if somebody says that it is wanted.
 *
 * One thread: its loop's.
 */
#ifndef STORE_DENSE_H
#define STORE_DENSE_H

#include <stdint.h>

struct store;

void dense_want(struct store *store, int64_t standing); /* they are missing: have them made, unless somebody is at it */
void dense_read(struct store *store, int64_t standing); /* they were read: Redis keeps them for another day */
void dense_ask(struct store *store, int64_t standing);  /* PostgreSQL is asked instead, and for more than a moment */

#endif
