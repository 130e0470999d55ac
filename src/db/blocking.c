#include "db/blocking.h"

#include <errno.h>
#include <libpq-fe.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "db/line.h"

struct dbb {
    PGconn *pg;
    char sqlstate[6];
    int silence_ms; /* as dbb_patience has it */
    bool was_silent;
    const atomic_bool *stop; /* as dbb_stop_with has it; NULL: none */
    bool was_stopped;        /* a statement was cancelled for it */
    int64_t sent_us;         /* the statement that runs, or the last request to cancel it */
    int timeline;            /* as dbb_timeline has it */
};

enum { STOP_LOOK_MS = 50, STOP_GRACE_MS = 1000, TIMELINE_MS = 3000 };

struct dbb_result {
    PGresult *pg;
};

static bool fail(struct dbb *db, const PGresult *result, struct error *error)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *message = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;

    snprintf(db->sqlstate, sizeof(db->sqlstate), "%s", state ? state : "");
    if (db->was_silent)
        return error_set(error, ERROR_UNAVAILABLE, "the database said nothing for %d ms", db->silence_ms);
    if (PQstatus(db->pg) == CONNECTION_BAD)
        return error_set(error, ERROR_UNAVAILABLE, "the database connection is gone: %.150s", PQerrorMessage(db->pg));
    return error_set(error, ERROR_INTERNAL, "%.180s (SQLSTATE %s)", message ? message : PQerrorMessage(db->pg),
                     state ? state : "?");
}

/* PostgreSQL warns of a rollback without a transaction: after a failure we roll back whether there is one or not. */
static bool is_idle_rollback(const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    return state && strcmp(state, "25P01") == 0;
}

static void on_notice(void *context, const PGresult *result)
{
    (void)context;
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (severity && strcmp(severity, "WARNING") == 0 && !is_idle_rollback(result))
        log_warn("database-warning", LOG_TEXT("message", message));
    else
        log_debug("database-notice", LOG_TEXT("message", message));
}

static struct dbb *connect_to(const char *conninfo, const char *application_name, int statement_timeout_ms,
                              struct error *error)
{
    char options[192];
    struct dbb *db = calloc(1, sizeof(*db));

    ASSERT(db != NULL);
    /* The server notices within a second when we are gone, even in the middle of a statement: our locks go to the
     * next. */
    snprintf(options, sizeof(options),
             "-c statement_timeout=%d -c plan_cache_mode=force_custom_plan -c jit=off -c "
             "client_connection_check_interval=1000",
             statement_timeout_ms);
    const char *keywords[] = {
        "dbname",          "application_name",    "options",          "client_encoding", "connect_timeout",
        "keepalives_idle", "keepalives_interval", "tcp_user_timeout", "gssencmode",      NULL};
    const char *values[] = {conninfo, application_name, options, "UTF8", "3", "5", "2", "5000", "disable", NULL};
    db->pg = PQconnectdbParams(keywords, values, 1);
    if (PQstatus(db->pg) != CONNECTION_OK) {
        error_set(error, ERROR_UNAVAILABLE, "cannot connect to the database: %.180s", PQerrorMessage(db->pg));
        dbb_close(&db);
        return NULL;
    }
    PQsetNoticeReceiver(db->pg, on_notice, NULL);
    return db;
}

/* 0: a standby, or a server that accepts connections and answers nothing. */
static int timeline_of(struct dbb *db)
{
    struct dbb_result *result;
    struct error error;
    int timeline = 0;

    db->silence_ms = TIMELINE_MS;
    if (dbb_query(db,
                  "select case when pg_is_in_recovery() then 0 else ('x' || "
                  "substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::int end",
                  0, NULL, &result, &error)) {
        timeline = (int)dbb_int64(result, 0, 0);
        dbb_result_free(&result);
    }
    db->silence_ms = 0;
    return timeline;
}

struct dbb *dbb_open_primary(const char *url, const char *const *others, int count, const char *application_name,
                             int statement_timeout_ms, struct error *error)
{
    struct db_line lines[DB_SERVERS_MAX];
    struct dbb *best = NULL;
    int line_count = 0, best_timeline = 0;
    bool is_one_there = false;
    struct error why;

    if (!db_line_parse(url, "primary", lines, &line_count, error))
        return NULL;
    for (int i = 0; i < count; i++) {
        char name[DB_NAME_MAX];
        snprintf(name, sizeof(name), "replica-%d", i + 1);
        if (!db_line_parse(others[i], name, lines, &line_count, error))
            return NULL;
    }
    if (line_count == 1)
        return connect_to(lines[0].conninfo, application_name, statement_timeout_ms, error);
    for (int i = 0; i < line_count; i++) {
        struct dbb *db =
            connect_to(lines[i].conninfo, application_name, statement_timeout_ms, is_one_there || i > 0 ? &why : error);
        if (!db)
            continue;
        is_one_there = true;
        int timeline = timeline_of(db);
        if (timeline > best_timeline) {
            dbb_close(&best);
            best = db;
            best->timeline = best_timeline = timeline;
        } else {
            dbb_close(&db);
        }
    }
    if (!best && is_one_there)
        error_set(error, ERROR_UNAVAILABLE, "cannot connect to the database: none of the servers takes writes");
    return best;
}

struct dbb *dbb_open(const char *url, const char *application_name, int statement_timeout_ms, struct error *error)
{
    return dbb_open_primary(url, NULL, 0, application_name, statement_timeout_ms, error);
}

int dbb_timeline(const struct dbb *db)
{
    return db->timeline;
}

void dbb_patience(struct dbb *db, int silence_ms)
{
    db->silence_ms = silence_ms;
}

void dbb_stop_with(struct dbb *db, const atomic_bool *stop)
{
    db->stop = stop;
}

static void cancel_if_stopped(struct dbb *db)
{
    char why[256];

    if (!db->stop || !*db->stop || (db->was_stopped && clock_monotonic_us() - db->sent_us < STOP_GRACE_MS * 1000LL))
        return;
    PGcancel *request = PQgetCancel(db->pg);
    if (request)
        PQcancel(request, why, sizeof(why)); /* PostgreSQL ignores it before it has begun the statement: sent again */
    PQfreeCancel(request);
    db->was_stopped = true;
    db->sent_us = clock_monotonic_us();
}

/* Waits for bytes, but not for ever: after too long a silence the socket is shut, which libpq finds as the connection's
 * end. */
static void bytes_await(struct dbb *db)
{
    struct pollfd socket = {.fd = PQsocket(db->pg), .events = POLLIN};
    int left_ms = db->silence_ms > 0 ? db->silence_ms : INT_MAX;
    int ready;

    do {
        int step_ms = db->stop && left_ms > STOP_LOOK_MS ? STOP_LOOK_MS : left_ms;
        ready = poll(&socket, 1, step_ms);
        if (ready != 0)
            continue;
        cancel_if_stopped(db);
        left_ms -= db->silence_ms > 0 ? step_ms : 0;
    } while (left_ms > 0 && (ready == 0 || (ready < 0 && errno == EINTR)));
    if (ready == 0) {
        db->was_silent = true;
        shutdown(socket.fd, SHUT_RDWR);
    }
    PQconsumeInput(db->pg); /* a failure is that of the next result */
}

/* The next result of what was sent; NULL: there is no more. */
static PGresult *result_next(struct dbb *db)
{
    while (PQstatus(db->pg) == CONNECTION_OK && PQisBusy(db->pg))
        bytes_await(db);
    return PQgetResult(db->pg);
}

/* As PQexec and PQexecParams: the last result, or the first that fails or copies. NULL: it could not be sent. */
static PGresult *execute(struct dbb *db, const char *sql, size_t count, const char *const *parameters)
{
    PGresult *last = NULL, *next;

    while ((next = result_next(db)))
        PQclear(next); /* of a call that was given up */
    int is_sent = parameters ? PQsendQueryParams(db->pg, sql, (int)count, NULL, parameters, NULL, NULL, 0)
                             : PQsendQuery(db->pg, sql);
    if (!is_sent)
        return NULL;
    db->sent_us = clock_monotonic_us();
    while ((next = result_next(db))) {
        if (last && PQresultStatus(last) == PGRES_FATAL_ERROR) {
            PQclear(next);
            continue;
        }
        PQclear(last);
        last = next;
        if (PQresultStatus(last) == PGRES_COPY_OUT)
            break;
    }
    return last;
}

void dbb_close(struct dbb **db)
{
    if (!*db)
        return;
    PQfinish((*db)->pg);
    free(*db);
    *db = NULL;
}

bool dbb_is_broken(const struct dbb *db)
{
    return PQstatus(db->pg) == CONNECTION_BAD;
}

bool dbb_was_silent(const struct dbb *db)
{
    return db->was_silent;
}

static bool take(struct dbb *db, PGresult *pg, struct dbb_result **ret_result, struct error *error)
{
    ExecStatusType status = PQresultStatus(pg);

    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        fail(db, pg, error);
        PQclear(pg);
        return false;
    }
    db->sqlstate[0] = 0;
    if (!ret_result) {
        PQclear(pg);
        return true;
    }
    *ret_result = malloc(sizeof(**ret_result));
    ASSERT(*ret_result != NULL);
    (*ret_result)->pg = pg;
    return true;
}

bool dbb_query(struct dbb *db, const char *sql, size_t count, const char *const *parameters,
               struct dbb_result **ret_result, struct error *error)
{
    ASSERT(count <= DBB_PARAMETERS_MAX);
    static const char *const none[1];
    return take(db, execute(db, sql, count, parameters ? parameters : none), ret_result, error);
}

bool dbb_script(struct dbb *db, const char *sql, struct error *error)
{
    return take(db, execute(db, sql, 0, NULL), NULL, error);
}

bool dbb_begin(struct dbb *db, bool is_repeatable_read, struct error *error)
{
    return dbb_script(db, is_repeatable_read ? "begin isolation level repeatable read read only" : "begin", error);
}

bool dbb_commit(struct dbb *db, struct error *error)
{
    PGresult *result = execute(db, "commit", 0, NULL);

    /* A failed transaction "commits" by rolling back, and says so. */
    if (PQresultStatus(result) == PGRES_COMMAND_OK && strcmp(PQcmdStatus(result), "COMMIT") == 0) {
        PQclear(result);
        return true;
    }
    if (PQresultStatus(result) == PGRES_COMMAND_OK)
        error_set(error, ERROR_INTERNAL, "the transaction was rolled back");
    else
        fail(db, result, error);
    PQclear(result);
    return false;
}

void dbb_rollback(struct dbb *db)
{
    PQclear(execute(db, "rollback", 0, NULL));
}

size_t dbb_rows(const struct dbb_result *result)
{
    return (size_t)PQntuples(result->pg);
}

bool dbb_is_null(const struct dbb_result *result, size_t row, size_t column)
{
    return PQgetisnull(result->pg, (int)row, (int)column);
}

const char *dbb_text(const struct dbb_result *result, size_t row, size_t column)
{
    return PQgetvalue(result->pg, (int)row, (int)column);
}

size_t dbb_size(const struct dbb_result *result, size_t row, size_t column)
{
    return (size_t)PQgetlength(result->pg, (int)row, (int)column);
}

int64_t dbb_int64(const struct dbb_result *result, size_t row, size_t column)
{
    int64_t value = 0;

    if (!dbb_is_null(result, row, column))
        ASSERT(text_parse_int64(slice_of(dbb_text(result, row, column)), &value));
    return value;
}

bool dbb_bool(const struct dbb_result *result, size_t row, size_t column)
{
    return dbb_text(result, row, column)[0] == 't';
}

int64_t dbb_touched(const struct dbb_result *result)
{
    int64_t touched = 0;

    text_parse_int64(slice_of(PQcmdTuples(result->pg)), &touched);
    return touched;
}

void dbb_result_free(struct dbb_result **result)
{
    if (!*result)
        return;
    PQclear((*result)->pg);
    free(*result);
    *result = NULL;
}

const char *dbb_sqlstate(const struct dbb *db)
{
    return db->sqlstate;
}

/* ---- COPY … (FORMAT binary) ----
 *
 * "PGCOPY\n\377\r\n\0", int32 flags, int32 extension size; then for each row int16 field count and for each field
 * int32 size (-1: null) and bytes; at the end int16 -1. libpq hands out one row a time; the header comes with the first.
 */

enum { COPY_HEADER_SIZE = 19, COPY_FIELDS_MAX = 16 };

static uint32_t get_be(const char *bytes, int size)
{
    uint32_t value = 0;

    for (int i = 0; i < size; i++)
        value = value << 8 | (uint8_t)bytes[i];
    return value;
}

int64_t dbb_field_int64(const struct dbb_field *field)
{
    uint64_t value = field->size > 0 && (field->data[0] & 0x80) ? UINT64_MAX : 0;

    for (int32_t i = 0; i < field->size; i++)
        value = value << 8 | (uint8_t)field->data[i];
    return (int64_t)value;
}

static bool copy_row(const char *data, int size, bool is_first, dbb_row_fn *row, void *context, bool *ret_is_end,
                     struct error *error)
{
    struct dbb_field fields[COPY_FIELDS_MAX];
    const char *end = data + size;

    if (is_first) {
        if (size < COPY_HEADER_SIZE + 2)
            return error_set(error, ERROR_INTERNAL, "the copy has no header");
        data += COPY_HEADER_SIZE + get_be(data + COPY_HEADER_SIZE - 4, 4);
    }
    int16_t count = (int16_t)get_be(data, 2);
    data += 2;
    *ret_is_end = count < 0;
    if (count < 0)
        return true;
    ASSERT(count <= COPY_FIELDS_MAX);
    for (int i = 0; i < count; i++) {
        ASSERT(end - data >= 4);
        fields[i].size = (int32_t)get_be(data, 4);
        fields[i].data = data += 4;
        if (fields[i].size > 0)
            data += fields[i].size;
    }
    ASSERT(data <= end);
    return row(context, fields, (size_t)count, error);
}

bool dbb_copy_out(struct dbb *db, const char *query, dbb_row_fn *row, void *context, struct error *error)
{
    size_t size = strlen(query) + 64;
    char *sql = malloc(size);
    bool is_ok = true, is_first = true, is_end = false;
    char *data;
    int length;

    ASSERT(sql != NULL);
    snprintf(sql, size, "copy (%s) to stdout (format binary)", query);
    PGresult *result = execute(db, sql, 0, NULL);
    free(sql);
    if (PQresultStatus(result) != PGRES_COPY_OUT) {
        fail(db, result, error);
        PQclear(result);
        return false;
    }
    PQclear(result);
    while ((length = PQgetCopyData(db->pg, &data, 1)) >= 0) {
        if (length == 0) {
            /* On a connection that is gone, libpq says "nothing yet" for ever. */
            if (PQstatus(db->pg) != CONNECTION_OK)
                break;
            bytes_await(db);
            continue;
        }
        /* After a refusal the rest is read and dropped: the protocol leaves no other way but closing the connection. */
        if (is_ok && !is_end)
            is_ok = copy_row(data, length, is_first, row, context, &is_end, error);
        is_first = false;
        PQfreemem(data);
    }
    while ((result = result_next(db))) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK && is_ok)
            is_ok = fail(db, result, error);
        PQclear(result);
    }
    return is_ok;
}
