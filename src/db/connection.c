/*
 * connection.c -- see connection.h.
 *
 *            dial ok                    PQconnectPoll ok
 *   DOWN ---------------> CONNECTING ---------------------> READY
 *    ^                        |                               |
 *    +--- retry timer <-------+--------- any failure ---------+
 *
 * In flight, a FIFO of tickets, one for each result that libpq will hand out:
 *
 *      tail                                             head
 *   -> [sync][call commit_lsn] | [sync][call submit] | [sync][prepare]  -> PQgetResult
 *                     group 7  |            group 7  |
 *
 * D1  A ticket is settled by exactly one result, by its deadline or by the connection's death.
 * D2  A prepare has a sync of its own: an error in a caller's transaction can't undo it.
 * D3  A group's done runs after its last ticket, so a result never outlives the call that reports it.
 */
#include "db/connection.h"

#include <ev.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/magic.h"

enum { RETRY_FIRST_MS = 20, DEADLINE_SLACK_MS = 1000, TICK_MS = 100, HURRY_MS = 50 };

enum { CONNECTION_MAGIC = 0x6462636e };

enum state { STATE_DOWN, STATE_CONNECTING, STATE_READY };

struct group {
    db_done_fn *done;
    void *context;
    int64_t deadline_us;
    struct db_outcome outcome;
    int tickets; /* not settled yet */
    int calls;
};

enum ticket_kind { TICKET_CALL, TICKET_PREPARE, TICKET_SYNC };

struct ticket {
    struct ticket *next;
    struct group *group; /* owned by its last ticket */
    enum ticket_kind kind;
    enum statement statement;
    int call;
    bool has_result; /* its NULL is due */
    bool is_refused; /* a sync whose commit was refused: a NULL comes before it */
};

struct db_connection {
    unsigned magic;
    struct db_connection_settings settings; /* borrowed strings */
    struct ev_loop *loop;
    PGconn *pg; /* owned; NULL while down */
    enum state state;
    ev_io readable;
    ev_io writable;
    ev_timer retry;
    ev_timer tick; /* deadlines */
    int64_t connect_deadline_us;
    int64_t dialled_us; /* when the last try began */
    int64_t failed_us;  /* when the last one that failed began */
    int failures;       /* in a row */
    int pending;        /* groups */
    struct ticket *head;
    struct ticket **tail;
    bool is_prepared[STATEMENT_COUNT];
    bool is_breaking; /* inside connection_break */
    bool is_doomed;   /* a send failed: it will be broken, from the loop */
    bool is_closing;  /* for good, by us */
};

static void connection_break(struct db_connection *c, const char *because);
static void connection_dial(struct db_connection *c);

/* The arrows of the drawing above; down again, too, when an attempt fails before there is a socket. */
static void state_set(struct db_connection *c, enum state state)
{
    static const unsigned next[] = {
        [STATE_DOWN] = 1u << STATE_CONNECTING | 1u << STATE_DOWN,
        [STATE_CONNECTING] = 1u << STATE_READY | 1u << STATE_DOWN,
        [STATE_READY] = 1u << STATE_DOWN,
    };

    ASSERT(next[c->state] >> state & 1);
    c->state = state;
}

/* ---- tickets ---- */

static void ticket_push(struct db_connection *c, struct group *group, enum ticket_kind kind, enum statement statement,
                        int call)
{
    struct ticket *ticket = calloc(1, sizeof(*ticket));

    ASSERT(ticket != NULL);
    ticket->group = group;
    ticket->kind = kind;
    ticket->statement = statement;
    ticket->call = call;
    *c->tail = ticket;
    c->tail = &ticket->next;
    if (group)
        group->tickets++;
}

static void group_finish(struct db_connection *c, struct group *group)
{
    c->pending--;
    group->done(group->context, &group->outcome);
    for (int i = 0; i < group->calls; i++)
        PQclear(group->outcome.rows[i].result);
    free(group);
}

/* Takes the head off and reports its group if it was the last of it. */
static void ticket_settle(struct db_connection *c)
{
    struct ticket *ticket = c->head;
    struct group *group = ticket->group;

    c->head = ticket->next;
    if (!c->head)
        c->tail = &c->head;
    free(ticket);
    if (group && --group->tickets == 0)
        group_finish(c, group);
}

static void group_fail(struct group *group, int call, PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (group->outcome.error.code != ERROR_NONE)
        return;
    /* libpq's own: what came was no answer, and the connection is broken next. */
    if (!state && PQresultStatus(result) == PGRES_FATAL_ERROR) {
        error_set(&group->outcome.error, ERROR_WRITE_UNCERTAIN, "the connection to the database was lost");
        return;
    }
    group->outcome.failed_call = call;
    snprintf(group->outcome.sqlstate, sizeof(group->outcome.sqlstate), "%s", state ? state : "XX000");
    error_set(&group->outcome.error, ERROR_INTERNAL, "%s", message ? message : "the database refused a statement");
}

/*
 * In place of a sync: the commit itself was refused, by a deferred constraint for example, and the transaction is undone. Of
 * an error of the severity ERROR this is certain: after the commit record PostgreSQL raises none. What ends the session
 * (FATAL, PANIC) leaves it open.
 */
static bool is_undone_by(const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

    return PQresultStatus(result) == PGRES_FATAL_ERROR && severity && strcmp(severity, "ERROR") == 0;
}

static void ticket_result(struct db_connection *c, PGresult *result)
{
    struct ticket *ticket = c->head;
    ExecStatusType status = PQresultStatus(result);

    ASSERT(ticket != NULL); /* D1 */
    if (ticket->kind == TICKET_SYNC && ticket->call >= 0 && is_undone_by(result)) {
        group_fail(ticket->group, ticket->call, result);
        ticket->is_refused = true;
        PQclear(result);
        return; /* a NULL follows, and the sync itself */
    }
    if ((status == PGRES_PIPELINE_SYNC) != (ticket->kind == TICKET_SYNC)) {
        /* A server that ends says so wherever it is, in place of a sync too. */
        struct error because;
        error_set(&because, ERROR_UNAVAILABLE, "%s",
                  status == PGRES_PIPELINE_SYNC ? "out of step" : PQresultErrorMessage(result));
        PQclear(result);
        connection_break(c, because.message);
        return;
    }
    if (ticket->kind == TICKET_SYNC) {
        PQclear(result);
        ticket_settle(c);
        return;
    }
    ticket->has_result = true;
    bool is_ok = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    if (ticket->kind == TICKET_PREPARE) {
        if (!is_ok) {
            c->is_prepared[ticket->statement] = false;
            log_error("database-prepare-failed", LOG_TEXT("server", c->settings.name),
                      LOG_TEXT("statement", statement_name(ticket->statement)),
                      LOG_TEXT("message", PQresultErrorMessage(result)));
        }
        PQclear(result);
    } else if (is_ok && ticket->group->outcome.error.code == ERROR_NONE) {
        ticket->group->outcome.rows[ticket->call].result = result;
        ticket->group->outcome.count = ticket->call + 1;
    } else {
        if (!is_ok)
            group_fail(ticket->group, ticket->call, result);
        /* 26000: the statement is unknown over there: prepare it again next time. */
        if (strcmp(ticket->group->outcome.sqlstate, "26000") == 0)
            c->is_prepared[ticket->statement] = false;
        PQclear(result);
    }
    /* The result is followed by a NULL, which ends the ticket. */
}

/* ---- reading and writing ---- */

static void connection_flush(struct db_connection *c)
{
    int left = PQflush(c->pg);

    if (left < 0)
        connection_break(c, PQerrorMessage(c->pg));
    else if (left > 0)
        ev_io_start(c->loop, &c->writable);
    else
        ev_io_stop(c->loop, &c->writable);
}

static void connection_consume(struct db_connection *c)
{
    if (!PQconsumeInput(c->pg)) {
        connection_break(c, PQerrorMessage(c->pg));
        return;
    }
    while (c->state == STATE_READY && c->head && !PQisBusy(c->pg)) {
        PGresult *result = PQgetResult(c->pg);
        if (result)
            ticket_result(c, result);
        else if (c->head->has_result)
            ticket_settle(c);
        else if (c->head->is_refused)
            c->head->is_refused = false;
        else
            break;
        /* A done function may have broken or used the connection: the loop looks again. */
    }
    if (c->state == STATE_READY && !c->head && PQstatus(c->pg) == CONNECTION_BAD)
        connection_break(c, PQerrorMessage(c->pg));
}

static void connection_ready(struct db_connection *c)
{
    if (!PQenterPipelineMode(c->pg) || PQsetnonblocking(c->pg, 1) != 0) {
        connection_break(c, PQerrorMessage(c->pg));
        return;
    }
    state_set(c, STATE_READY);
    c->failures = 0;
    memset(c->is_prepared, 0, sizeof(c->is_prepared));
    ev_io_set(&c->readable, PQsocket(c->pg), EV_READ);
    ev_io_set(&c->writable, PQsocket(c->pg), EV_WRITE);
    ev_io_start(c->loop, &c->readable);
    log_info("database-connected", LOG_TEXT("server", c->settings.name), LOG_INT("pid", PQbackendPID(c->pg)));
    if (c->settings.changed)
        c->settings.changed(c->settings.changed_context, c, true);
}

/* The socket may be another one under the same number after every step: watch it anew each time. */
static void connection_poll(struct db_connection *c)
{
    PostgresPollingStatusType status = PQconnectPoll(c->pg);

    ev_io_stop(c->loop, &c->readable);
    ev_io_stop(c->loop, &c->writable);
    if (status == PGRES_POLLING_OK) {
        connection_ready(c);
    } else if (status == PGRES_POLLING_FAILED) {
        connection_break(c, PQerrorMessage(c->pg));
    } else {
        ev_io *watcher = status == PGRES_POLLING_READING ? &c->readable : &c->writable;
        ev_io_set(watcher, PQsocket(c->pg), status == PGRES_POLLING_READING ? EV_READ : EV_WRITE);
        ev_io_start(c->loop, watcher);
    }
}

static void on_io(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct db_connection *c = watcher->data;

    (void)loop;
    ASSERT_MAGIC(c, CONNECTION_MAGIC);
    if (c->is_doomed) {
        connection_break(c, PQerrorMessage(c->pg));
        return;
    }
    if (c->state == STATE_CONNECTING) {
        connection_poll(c);
        return;
    }
    if (c->state == STATE_READY && events & EV_READ)
        connection_consume(c);
    if (c->state == STATE_READY)
        connection_flush(c);
}

static void on_retry(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct db_connection *c = watcher->data;

    (void)loop;
    (void)events;
    ASSERT_MAGIC(c, CONNECTION_MAGIC);
    connection_dial(c);
}

static void on_tick(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct db_connection *c = watcher->data;
    int64_t now_us = clock_monotonic_us();

    (void)loop;
    (void)events;
    ASSERT_MAGIC(c, CONNECTION_MAGIC);
    if (c->state == STATE_CONNECTING && now_us > c->connect_deadline_us)
        connection_break(c, "the connection was not made in time");
    else if (c->state == STATE_READY && c->head && c->head->group && now_us > c->head->group->deadline_us)
        connection_break(c, "an answer did not come in time");
}

static void on_notice(void *context, const PGresult *result)
{
    struct db_connection *c = context;

    ASSERT_MAGIC(c, CONNECTION_MAGIC);
    log_debug("database-notice", LOG_TEXT("server", c->settings.name),
              LOG_TEXT("message", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)));
}

/* ---- life ---- */

static void retry_later(struct db_connection *c)
{
    int64_t pause_ms = RETRY_FIRST_MS;
    uint32_t jitter;

    for (int i = 0; i < c->failures && pause_ms < c->settings.reconnect_max_ms; i++)
        pause_ms *= 2;
    if (pause_ms > c->settings.reconnect_max_ms)
        pause_ms = c->settings.reconnect_max_ms;
    crypto_random(&jitter, sizeof(jitter));
    pause_ms = pause_ms / 2 + jitter % (pause_ms / 2 + 1);
    c->failures++;
    ev_timer_stop(c->loop, &c->retry);
    ev_timer_set(&c->retry, (double)pause_ms / 1000.0, 0.0);
    ev_timer_start(c->loop, &c->retry);
}

/* The one way down: everything in flight is failed, then the retry timer runs. */
static void connection_break(struct db_connection *c, const char *because)
{
    bool was_ready = c->state == STATE_READY;

    if (c->is_breaking)
        return;
    if (!was_ready)
        c->failed_us = c->dialled_us;
    c->is_breaking = true;
    if (!c->is_closing && (was_ready || c->failures == 0)) {
        struct error line; /* libpq's has several */
        error_set(&line, ERROR_UNAVAILABLE, "%s", because);
        log_warn("database-lost", LOG_TEXT("server", c->settings.name), LOG_TEXT("because", line.message));
    }
    ev_io_stop(c->loop, &c->readable);
    ev_io_stop(c->loop, &c->writable);
    state_set(c, STATE_DOWN);
    c->is_doomed = false;
    struct ticket *ticket = c->head;
    c->head = NULL;
    c->tail = &c->head;
    PQfinish(c->pg);
    c->pg = NULL;
    if (was_ready && c->settings.changed)
        c->settings.changed(c->settings.changed_context, c, false);
    while (ticket) {
        struct ticket *next = ticket->next;
        struct group *group = ticket->group;
        free(ticket);
        if (group && --group->tickets == 0) {
            if (group->outcome.error.code == ERROR_NONE)
                error_set(&group->outcome.error, ERROR_WRITE_UNCERTAIN, "the connection to the database was lost");
            group_finish(c, group);
        }
        ticket = next;
    }
    c->is_breaking = false;
    retry_later(c);
}

static void connection_dial(struct db_connection *c)
{
    char options[256], patience_ms[16];
    int size;

    if (!c->settings.conninfo)
        return;
    size = snprintf(options, sizeof(options), "-c statement_timeout=%d -c plan_cache_mode=force_custom_plan -c jit=off",
                    c->settings.statement_timeout_ms);
    if (c->settings.synchronous_commit && c->settings.synchronous_commit[0])
        snprintf(options + size, sizeof(options) - (size_t)size, " -c synchronous_commit=%s",
                 c->settings.synchronous_commit);
    snprintf(patience_ms, sizeof(patience_ms), "%d", c->settings.tcp_user_timeout_ms);
    /* The last one is left out where a pooler takes the connection: it would refuse it. */
    const char *keywords[] = {"dbname",
                              "application_name",
                              "client_encoding",
                              "gssencmode",
                              "keepalives",
                              "keepalives_idle",
                              "keepalives_interval",
                              "keepalives_count",
                              "tcp_user_timeout",
                              c->settings.is_pooled ? NULL : "options",
                              NULL};
    const char *values[] = {c->settings.conninfo, "ladder serve", "UTF8", "disable", "1", "5", "2", "3",
                            patience_ms,          options,        NULL};

    c->dialled_us = clock_monotonic_us();
    c->pg = PQconnectStartParams(keywords, values, 1);
    ASSERT(c->pg != NULL);
    if (PQstatus(c->pg) == CONNECTION_BAD) {
        connection_break(c, PQerrorMessage(c->pg));
        return;
    }
    PQsetNoticeReceiver(c->pg, on_notice, c);
    state_set(c, STATE_CONNECTING);
    c->connect_deadline_us = clock_monotonic_us() + c->settings.connect_timeout_ms * 1000LL;
    ev_io_set(&c->writable, PQsocket(c->pg), EV_WRITE);
    ev_io_start(c->loop, &c->writable);
}

struct db_connection *db_connection_new(struct ev_loop *loop, const struct db_connection_settings *settings)
{
    struct db_connection *c = calloc(1, sizeof(*c));

    ASSERT(c != NULL);
    c->magic = CONNECTION_MAGIC;
    c->settings = *settings;
    c->loop = loop;
    c->tail = &c->head;
    ev_io_init(&c->readable, on_io, -1, EV_READ);
    ev_io_init(&c->writable, on_io, -1, EV_WRITE);
    ev_timer_init(&c->retry, on_retry, 0.0, 0.0);
    ev_timer_init(&c->tick, on_tick, TICK_MS / 1000.0, TICK_MS / 1000.0);
    c->readable.data = c->writable.data = c->retry.data = c->tick.data = c;
    ev_timer_start(loop, &c->tick);
    connection_dial(c);
    return c;
}

void db_connection_free(struct db_connection **connection)
{
    struct db_connection *c = *connection;

    if (!c)
        return;
    c->is_closing = true;
    if (c->pg)
        connection_break(c, "closed");
    ev_timer_stop(c->loop, &c->retry);
    ev_timer_stop(c->loop, &c->tick);
    c->magic = 0;
    free(c);
    *connection = NULL;
}

void db_connection_redirect(struct db_connection *c, const char *conninfo, const char *name, bool is_pooled)
{
    c->settings.is_pooled = is_pooled;
    c->settings.conninfo = conninfo;
    if (name)
        c->settings.name = name;
    c->failures = 0;
    if (c->pg)
        connection_break(c, "another server is asked from now on");
    else
        retry_later(c);
}

void db_connection_hurry(struct db_connection *c)
{
    if (c->state == STATE_DOWN && !c->is_breaking && !c->is_closing && ev_is_active(&c->retry) &&
        clock_monotonic_us() - c->dialled_us > HURRY_MS * 1000LL) {
        ev_timer_stop(c->loop, &c->retry);
        ev_timer_set(&c->retry, 0.0, 0.0);
        ev_timer_start(c->loop, &c->retry);
    }
}

bool db_connection_is_dialling(const struct db_connection *c)
{
    return c->state == STATE_CONNECTING || (c->state == STATE_DOWN && c->failures == 0);
}

int64_t db_connection_failed_us(const struct db_connection *c)
{
    return c->failed_us;
}

bool db_connection_is_ready(const struct db_connection *c)
{
    return c->state == STATE_READY && !c->is_breaking && !c->is_doomed;
}

bool db_connection_is_standby(const struct db_connection *c)
{
    const char *answer = c->pg ? PQparameterStatus(c->pg, "in_hot_standby") : NULL;

    return answer && strcmp(answer, "on") == 0;
}

int db_connection_pending(const struct db_connection *c)
{
    return c->pending;
}

static bool call_send(struct db_connection *c, const struct db_call *call)
{
    const char *values[DB_PARAMETERS_MAX];
    int sizes[DB_PARAMETERS_MAX];
    int formats[DB_PARAMETERS_MAX];

    ASSERT(call->parameter_count <= DB_PARAMETERS_MAX);
    for (int i = 0; i < call->parameter_count; i++) {
        values[i] = call->parameters[i].data;
        sizes[i] = call->parameters[i].size;
        formats[i] = call->parameters[i].format;
    }
    if (c->settings.is_pooled)
        return PQsendQueryParams(c->pg, statement_text(call->statement), call->parameter_count, NULL, values, sizes,
                                 formats, 0);
    return PQsendQueryPrepared(c->pg, statement_name(call->statement), call->parameter_count, values, sizes, formats,
                               0);
}

bool db_connection_send(struct db_connection *c, const struct db_call *calls, int count, db_done_fn *done,
                        void *context)
{
    ASSERT(count >= 1 && count <= DB_CALLS_MAX && calls[count - 1].is_last_of_transaction);
    if (!db_connection_is_ready(c))
        return false;
    struct group *group = calloc(1, sizeof(*group));
    ASSERT(group != NULL);
    group->done = done;
    group->context = context;
    group->calls = count;
    group->deadline_us =
        clock_monotonic_us() + (c->settings.answer_timeout_ms ? c->settings.answer_timeout_ms
                                                              : c->settings.statement_timeout_ms + DEADLINE_SLACK_MS) *
                                   1000LL;
    c->pending++;
    bool is_sent = true;
    for (int i = 0; i < count && is_sent; i++) {
        enum statement statement = calls[i].statement;
        if (c->is_prepared[statement] || c->settings.is_pooled)
            continue;
        is_sent = PQsendPrepare(c->pg, statement_name(statement), statement_text(statement), 0, NULL);
        ticket_push(c, group, TICKET_PREPARE, statement, -1);
        is_sent = is_sent && PQpipelineSync(c->pg); /* D2 */
        ticket_push(c, group, TICKET_SYNC, statement, -1);
        c->is_prepared[statement] = true;
    }
    for (int i = 0; i < count && is_sent; i++) {
        is_sent = call_send(c, &calls[i]);
        ticket_push(c, group, TICKET_CALL, calls[i].statement, i);
        if (calls[i].is_last_of_transaction) {
            is_sent = is_sent && PQpipelineSync(c->pg);
            ticket_push(c, group, TICKET_SYNC, calls[i].statement, i);
        }
    }
    if (!is_sent) {
        log_error("database-send-failed", LOG_TEXT("server", c->settings.name),
                  LOG_TEXT("message", PQerrorMessage(c->pg)));
        /* Settled from the loop, not from here. libpq may have closed its socket: nobody may wait for that any more. */
        c->is_doomed = true;
        ev_io_stop(c->loop, &c->readable);
        ev_io_stop(c->loop, &c->writable);
        ev_feed_event(c->loop, &c->readable, EV_READ);
        return true;
    }
    ev_io_start(c->loop, &c->writable);
    return true;
}
