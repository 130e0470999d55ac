/*
 * db.h -- the PostgreSQL servers as one loop sees them: which connection a call goes to.
 *
 * Every call is declared a read or a write. A write goes to the primary. A read goes to a replica that has replayed what
 * the reader must see: the check travels in front of the read, on the same connection, so it can't be about another
 * server; if it says no, the primary is asked. With no replica up the primary serves reads, with no primary up the
 * replicas do. One thread: its loop's.
 */
#ifndef DB_DB_H
#define DB_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "db/connection.h"

struct db;

enum { DB_REPLICAS_MAX = 16 };

struct db_settings {
    const char *primary;
    int replica_count;
    const char *replicas[DB_REPLICAS_MAX];
    int write_connections;
    int read_connections; /* to each server */
    int connect_timeout_ms;
    int statement_timeout_ms;
    int reconnect_max_ms;
    /* A connection for submissions became free or ready: send more. May be NULL. */
    void (*writer_ready)(void *context);
    void *writer_context;
};

enum db_source { DB_NOWHERE, DB_PRIMARY, DB_REPLICA };

struct db *db_new(struct ev_loop *loop, const struct db_settings *settings);
void db_free(struct db **db);

/* What history the primary is of; 0 until it was reached once. Kept while it is down. */
int db_epoch(const struct db *db);
int db_timeline(const struct db *db);
bool db_can_write(const struct db *db);
bool db_can_read(const struct db *db);
int db_replicas_ready(const struct db *db);
int db_replica_count(const struct db *db);

/* The largest commit position that this process has acknowledged, by any loop: what its reads must see at least. */
void db_saw_lsn(struct db *db, int64_t lsn);
int64_t db_lsn(const struct db *db);

/* The index-th connection for submissions, NULL while it is not usable. */
struct db_connection *db_writer(struct db *db, int index);
int db_writer_count(const struct db *db);

/* A transaction on the primary, apart from the submissions. false: no primary; done is not called. */
bool db_write(struct db *db, const struct db_call *calls, int count, db_done_fn *done, void *context);

/*
 * A read that sees at least everything up to `lsn` (0: whatever a replica has). The parameters' data must live until done.
 * done's outcome has the rows of this one call in rows[0]. false: no server at all; done is not called.
 */
typedef void db_read_fn(void *context, const struct db_outcome *outcome, enum db_source source);
bool db_read(struct db *db, const struct db_call *call, int64_t lsn, db_read_fn *done, void *context);
/* The same, from the primary as long as there is one: what must not be old, like keys and definitions. */
bool db_read_primary(struct db *db, const struct db_call *call, db_read_fn *done, void *context);

#endif
