/*
 * pool.h -- a loop's connections to one server, apart from those for submissions.
 *
 * Between `min` and `max` of them are open. Each takes up to `depth` calls at a time (they travel in a pipeline, so
 * depth costs no round trip, but a slow one holds up those behind it); when all that are open have something to do,
 * another is dialled. One that was not needed for a while, or is old, is closed when it has nothing in flight; ages are
 * spread, so that not all go at once. One thread: its loop's. Connections are closed in pool_tick only, never inside a
 * callback of theirs.
 */
#ifndef DB_POOL_H
#define DB_POOL_H

#include "db/connection.h"

struct db_pool;

enum { DB_POOL_MAX = 64 };

struct db_pool_settings {
    struct db_connection_settings connection; /* `changed` is called for each */
    int min, max;
    int depth;
    int idle_ms;     /* 0: for ever */
    int lifetime_ms; /* 0: for ever */
};

struct db_pool_counts {
    int open;      /* ready connections */
    int busy;      /* with something in flight */
    int in_flight; /* calls */
    int behind;    /* of those, how many wait behind another one */
};

struct db_pool *db_pool_new(struct ev_loop *loop, const struct db_pool_settings *settings);
void db_pool_free(struct db_pool **pool);
/* Other sizes and times from now on; the connection's settings stay. */
void db_pool_resize(struct db_pool *pool, const struct db_pool_settings *settings);

/* The one with the fewest calls in flight that has room (with is_urgent: any ready one); NULL if there is none now.
 * Dials another if it is worth it. */
struct db_connection *db_pool_pick(struct db_pool *pool, bool is_urgent);
bool db_pool_is_ready(const struct db_pool *pool); /* at least one connection is */
/* Closes idle and old ones; from a timer, every 100 ms or so. */
void db_pool_tick(struct db_pool *pool, int64_t now_us);
/* Sends something over each connection, so that what the server says of itself there (db_connection_is_standby) is of
 * now. */
void db_pool_refresh(struct db_pool *pool);
/* What waits before it dials again, dials now. */
void db_pool_hurry(struct db_pool *pool);
int64_t db_pool_failed_us(const struct db_pool *pool); /* db_connection_failed_us, the latest */
struct db_pool_counts db_pool_count(const struct db_pool *pool);

#endif
