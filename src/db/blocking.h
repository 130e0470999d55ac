/*
 * blocking.h -- one PostgreSQL connection, used one call at a time: for the commands and the worker.
 *
 * Never on an event loop. One thread per connection. Parameters are text; results are read as text. Every call either
 * succeeds or fills *error: ERROR_UNAVAILABLE when the connection is gone (the caller may open another), otherwise
 * ERROR_INTERNAL with PostgreSQL's primary message and SQLSTATE in the message.
 */
#ifndef DB_BLOCKING_H
#define DB_BLOCKING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct dbb;        /* a connection */
struct dbb_result; /* rows of one statement */

enum { DBB_PARAMETERS_MAX = 16 };

/* url: a server's line (line.h). Sets client_encoding, application_name, keepalives, statement_timeout (0: none). */
struct dbb *dbb_open(const char *url, const char *application_name, int statement_timeout_ms, struct error *error);
/* The same, to whichever of these takes writes; of two, to the one of the newer timeline. With one line only, whatever
 * it is. */
struct dbb *dbb_open_primary(const char *url, const char *const *others, int count, const char *application_name,
                             int statement_timeout_ms, struct error *error);
/* The timeline of the server that dbb_open_primary chose, when it was opened; 0: there was no choice. */
int dbb_timeline(const struct dbb *db);
/*
 * How long the calls from now on wait for a server that says nothing (default, and 0: for ever): then the connection
 * counts as gone. Keepalives find a machine that is gone; not a server that hangs, nor a pooler whose own link was
 * lost.
 */
void dbb_patience(struct dbb *db, int silence_ms);
void dbb_close(struct dbb **db);
bool dbb_is_broken(const struct dbb *db);
/* From when *stop is true, the statement that runs then (dbb_query) is cancelled: it fails with SQLSTATE 57014, what it
 * did is undone, and the connection stays good. Those after it have a second each, to note how it ended. stop:
 * borrowed, set by any thread. */
void dbb_stop_with(struct dbb *db, const atomic_bool *stop);
/* It is, because it said nothing for so long. */
bool dbb_was_silent(const struct dbb *db);

/* sql: text, or a statement's text from db/statements.h. NULL parameter = SQL null. The result may be NULL-pointer'd
 * (ret_result == NULL) when only success counts. */
bool dbb_query(struct dbb *db, const char *sql, size_t count, const char *const *parameters,
               struct dbb_result **ret_result, struct error *error);
/* Several statements in one string, no parameters (migrations). */
bool dbb_script(struct dbb *db, const char *sql, struct error *error);
bool dbb_begin(struct dbb *db, bool is_repeatable_read, struct error *error);
bool dbb_commit(struct dbb *db, struct error *error);
void dbb_rollback(struct dbb *db);

size_t dbb_rows(const struct dbb_result *result);
bool dbb_is_null(const struct dbb_result *result, size_t row, size_t column);
const char *dbb_text(const struct dbb_result *result, size_t row, size_t column); /* "" for null; NUL-terminated */
size_t dbb_size(const struct dbb_result *result, size_t row, size_t column);
int64_t dbb_int64(const struct dbb_result *result, size_t row, size_t column); /* 0 for null */
bool dbb_bool(const struct dbb_result *result, size_t row, size_t column);
int64_t dbb_touched(const struct dbb_result *result); /* rows that an insert, update or delete touched */
void dbb_result_free(struct dbb_result **result);

/* COPY (query) TO STDOUT (FORMAT binary): each row's fields are borrowed until the row function returns; returning
 * false stops the copy (and fails it with the row function's error). Field size -1 = null. */
struct dbb_field {
    const char *data;
    int32_t size;
};
typedef bool dbb_row_fn(void *context, const struct dbb_field *fields, size_t count, struct error *error);
bool dbb_copy_out(struct dbb *db, const char *query, dbb_row_fn *row, void *context, struct error *error);
int64_t dbb_field_int64(const struct dbb_field *field); /* binary int8, int4 or int2 */

/* SQLSTATE of the last failure, "" if none: "40001", "55P03", … */
const char *dbb_sqlstate(const struct dbb *db);

#endif
