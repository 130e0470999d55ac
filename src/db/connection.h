/*
 * connection.h -- one PostgreSQL connection on an event loop: never blocks, many calls in flight.
 *
 * libpq answers in the order it was asked, so a FIFO of groups is all the bookkeeping there is. A group is the calls of
 * one caller, sent together; its `done` is called exactly once, on the loop, never from inside db_connection_send:
 * with the results of all its calls, or with an error. A group that was sent when the connection broke gets
 * ERROR_WRITE_UNCERTAIN: its transaction may or may not have committed.
 *
 * The connection dials by itself, again after every loss with a jittered, growing pause, and tells its owner when it
 * became ready or was lost. Statements are prepared on first use, on each connection.
 */
#ifndef DB_CONNECTION_H
#define DB_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "db/statements.h"

struct ev_loop;
struct db_connection;
struct pg_result;

enum { DB_PARAMETERS_MAX = 21, DB_CALLS_MAX = 4 };

enum db_format { DB_TEXT = 0, DB_BINARY = 1 };

struct db_parameter {
    const char *data; /* borrowed until db_connection_send returns; NULL is SQL's null */
    int size;         /* bytes; not used by DB_TEXT, which is NUL-terminated */
    enum db_format format;
};

struct db_call {
    enum statement statement;
    int parameter_count;
    bool is_last_of_transaction; /* a sync follows: what came since the last one commits here */
    struct db_parameter parameters[DB_PARAMETERS_MAX];
};

/* Rows of one call, borrowed until `done` returns. */
struct db_rows {
    struct pg_result *result;
};

struct db_outcome {
    struct error error; /* code ERROR_NONE: all calls succeeded */
    char sqlstate[6];   /* "" unless PostgreSQL refused a call */
    int failed_call;    /* index of that call; of a commit that was refused, of the last one of its transaction */
    int count;
    bool is_behind;                    /* a read: it lacks what only a server that is gone had (db.h) */
    struct db_rows rows[DB_CALLS_MAX]; /* of the calls before the failed one */
};

typedef void db_done_fn(void *context, const struct db_outcome *outcome);

struct db_connection_settings {
    const char *conninfo;           /* borrowed until it is redirected; NULL: none yet, it waits for one */
    const char *name;               /* for logs: "primary", "replica-1"; borrowed the same */
    const char *synchronous_commit; /* NULL or "": as the server has it; borrowed */
    int connect_timeout_ms;
    int statement_timeout_ms;
    int answer_timeout_ms;   /* until the connection is given up; 0: a little more than the statement's */
    int tcp_user_timeout_ms; /* until the kernel gives up what is not acknowledged; 0: the system's */
    /* A pooler in transaction mode is in between: no prepared statements, no settings at the start. Binary arrays need
     * their types then: the statements cast each parameter. */
    bool is_pooled;
    int reconnect_max_ms;
    /* The connection was made (true) or lost (false). May be NULL. */
    void (*changed)(void *context, struct db_connection *connection, bool is_ready);
    void *changed_context;
};

struct db_connection *db_connection_new(struct ev_loop *loop, const struct db_connection_settings *settings);
/* Fails what is in flight with ERROR_UNAVAILABLE. */
void db_connection_free(struct db_connection **connection);

/* Leaves for another server (NULL: for none, until the next call); what is in flight fails as when a connection is
 * lost. */
void db_connection_redirect(struct db_connection *connection, const char *conninfo, const char *name, bool is_pooled);
/* Somebody needs it: if it waits before it dials again, it dials now, but not twenty times a second. */
void db_connection_hurry(struct db_connection *connection);
bool db_connection_is_dialling(const struct db_connection *connection); /* and did not fail before */

/* When the last try to make it that failed began (monotonic); 0: none. */
int64_t db_connection_failed_us(const struct db_connection *connection);

bool db_connection_is_ready(const struct db_connection *connection);
/* What the server said at its last message: a standby. */
bool db_connection_is_standby(const struct db_connection *connection);
int db_connection_pending(const struct db_connection *connection); /* groups in flight */

/* false: not ready; nothing was sent and done will not be called. 1 <= count <= DB_CALLS_MAX. */
bool db_connection_send(struct db_connection *connection, const struct db_call *calls, int count, db_done_fn *done,
                        void *context);

/* Reading rows. Text format; no row or column out of range. */
int db_row_count(struct db_rows rows);
bool db_is_null(struct db_rows rows, int row, int column);
const char *db_text(struct db_rows rows, int row, int column);
int db_size(struct db_rows rows, int row, int column);
int64_t db_int64(struct db_rows rows, int row, int column); /* null: 0 */
bool db_bool(struct db_rows rows, int row, int column);
/* bytea in hex form, decoded into out (at most out_max bytes); returns its size. */
size_t db_bytes(struct db_rows rows, int row, int column, void *out, size_t out_max);

#endif
