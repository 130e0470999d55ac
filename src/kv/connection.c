/*
 * connection.c -- see connection.h.
 *
 *   DOWN --dial--> CONNECTING --connected--> PREPARING (auth, select, role, library, run id) --> UP
 *    ^                  |                              |                                         |
 *    +---- retry timer -+---------- any failure -------+-----------------------------------------+
 *
 * hiredis frees its context itself after a failed connect and after a disconnect, so `context` is set to NULL in those
 * callbacks and nowhere is it freed from inside one. A command timeout frees it from the tick timer, which runs every
 * callback that is in flight with NULL.
 */
#include "kv/connection.h"

#include <ev.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include <hiredis/adapters/libev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/magic.h"
#include "base/put.h"
#include "kv/reader.h"
#include "kv/scripts.h"
#include "kv/slots.h"

enum { RETRY_FIRST_MS = 20, CONNECT_TIMEOUT_MS = 1000 };
enum { RUN_ID_MAX = 64, REPLY_BYTES_MAX = 256 << 20 };
enum { PATIENCE = 4 }; /* how many times the timeout a call waits while others are answered */
enum { CONNECTION_MAGIC = 0x6b76636e, CALL_MAGIC = 0x6b766361 };

enum state { STATE_DOWN, STATE_CONNECTING, STATE_PREPARING, STATE_UP };

struct call {
    unsigned magic;
    struct kv_connection *connection;
    kv_done_fn *done;
    void *context;
    int64_t deadline_us; /* of its own; the connection's is answered_us */
    TAILQ_ENTRY(call) link;
};

struct kv_connection {
    unsigned magic;
    struct ev_loop *loop;
    struct kv_connection_settings settings;
    struct kv_connection_listener listener;
    struct kv_url url;
    redisAsyncContext *context; /* hiredis's; NULL while down */
    enum state state;
    const char *leave_because; /* the tick ends the link; NULL: it does not */
    ev_timer retry;
    ev_timer tick;
    int64_t listened_us; /* the clock of deadlines: see listened_at */
    int64_t ticked_us;
    int64_t answered_us; /* by that clock: the last reply, or the first call of those in flight */
    int64_t connect_deadline_us;
    int64_t up_since_us;
    int failures;
    char run_id[RUN_ID_MAX];
    size_t pending;
    TAILQ_HEAD(, call) calls; /* in flight, oldest first */
    bool is_closing;
    struct arena replies; /* the one that is being read or used */
};

static void connection_dial(struct kv_connection *connection);

/* The arrows of the drawing above; down again, too, when an attempt fails before there is a link. */
static void state_set(struct kv_connection *connection, enum state state)
{
    static const unsigned next[] = {
        [STATE_DOWN] = 1u << STATE_CONNECTING | 1u << STATE_DOWN,
        [STATE_CONNECTING] = 1u << STATE_PREPARING | 1u << STATE_DOWN,
        [STATE_PREPARING] = 1u << STATE_UP | 1u << STATE_DOWN,
        [STATE_UP] = 1u << STATE_DOWN,
    };

    ASSERT(next[connection->state] >> state & 1);
    connection->state = state;
}

/* A loop that was busy elsewhere has not sent what waits to be sent, nor read what has come: that time does not
 * count. */
static int64_t listened_at(const struct kv_connection *connection, int64_t now_us)
{
    enum { MOST_US = 2000 * KV_CONNECTION_TICK_MS };
    int64_t since_us = now_us - connection->ticked_us;

    return connection->listened_us + (since_us < MOST_US ? since_us : MOST_US);
}

static void call_unlink(struct call *call)
{
    struct kv_connection *connection = call->connection;

    TAILQ_REMOVE(&connection->calls, call, link);
    connection->pending--;
}

static void on_reply(redisAsyncContext *context, void *reply, void *data)
{
    struct call *call = data;
    ASSERT_MAGIC(call, CALL_MAGIC);
    struct kv_connection *connection = call->connection;

    (void)context;
    connection->answered_us = listened_at(connection, clock_monotonic_us());
    call_unlink(call);
    if (connection->listener.redirected && kv_reply_is_error(reply) && kv_error_is_elsewhere(kv_reply_text(reply))) {
        connection->listener.redirected(connection->listener.context);
        reply = NULL;
    }
    if (call->done)
        call->done(call->context, reply);
    call->magic = 0;
    free(call);
}

/* Replies come in the order of the calls: each one shows that Redis is at work, and how long the others still wait only
 * says how many they are. So the connection is lost when none comes, and a call ends by itself when it waits too long. */
static bool is_silent(const struct kv_connection *connection)
{
    if (TAILQ_EMPTY(&connection->calls))
        return false;
    int64_t since_us = fault_is("slow-is-lost") ? TAILQ_FIRST(&connection->calls)->deadline_us -
                                                      PATIENCE * connection->settings.command_timeout_ms * 1000LL
                                                : connection->answered_us;
    return connection->listened_us - since_us > connection->settings.command_timeout_ms * 1000LL;
}

/* Its reply, when it comes, is dropped. */
static void calls_give_up(struct kv_connection *connection)
{
    for (struct call *call = TAILQ_FIRST(&connection->calls); call && connection->listened_us > call->deadline_us;
         call = TAILQ_NEXT(call, link)) {
        kv_done_fn *done = call->done;
        call->done = NULL;
        if (done)
            done(call->context, NULL);
    }
}

/* As Redis reads it. hiredis would spell it too, by a printf of its own: more than half of what a call costs. */
static bool command_send(struct kv_connection *connection, size_t count, const struct slice *arguments,
                         redisCallbackFn *done, void *context)
{
    enum { ON_STACK = 1024, HEAD_MAX = PUT_INTEGER_MAX + 5 };
    char small[ON_STACK], *text = small;
    size_t size_max = HEAD_MAX;

    for (size_t i = 0; i < count; i++)
        size_max += HEAD_MAX + arguments[i].size;
    if (size_max > ON_STACK)
        text = malloc(size_max);
    ASSERT(text != NULL);
    char *at = put_literal(put_uint64(put_byte(text, '*'), count), "\r\n");
    for (size_t i = 0; i < count; i++) {
        at = put_literal(put_uint64(put_byte(at, '$'), arguments[i].size), "\r\n");
        at = put_literal(put_bytes(at, arguments[i].size ? arguments[i].data : "", arguments[i].size), "\r\n");
    }
    *at = '\0'; /* hiredis looks at the byte behind a command's first argument */
    bool is_sent =
        redisAsyncFormattedCommand(connection->context, done, context, text, (size_t)(at - text)) == REDIS_OK;
    if (text != small)
        free(text);
    return is_sent;
}

static bool call_send(struct kv_connection *connection, size_t count, const struct slice *arguments, kv_done_fn *done,
                      void *context)
{
    struct call *call = malloc(sizeof(*call));

    int64_t now_us = listened_at(connection, clock_monotonic_us());
    ASSERT(call != NULL);
    *call = (struct call){.magic = CALL_MAGIC,
                          .connection = connection,
                          .done = done,
                          .context = context,
                          .deadline_us = now_us + PATIENCE * connection->settings.command_timeout_ms * 1000LL};
    if (TAILQ_EMPTY(&connection->calls))
        connection->answered_us = now_us;
    if (!command_send(connection, count, arguments, on_reply, call)) {
        free(call);
        return false;
    }
    TAILQ_INSERT_TAIL(&connection->calls, call, link);
    connection->pending++;
    return true;
}

static bool may_call(const struct kv_connection *connection)
{
    return connection->state == STATE_UP && connection->pending < (size_t)connection->settings.pending_max;
}

bool kv_connection_call_all(struct kv_connection *connection, size_t count, const struct kv_command *commands,
                            kv_done_fn *done, void *context)
{
    const struct slice multi = SLICE("MULTI"), exec = SLICE("EXEC");

    if (!may_call(connection))
        return false;
    bool is_sent = command_send(connection, 1, &multi, NULL, NULL);
    for (size_t i = 0; i < count; i++)
        is_sent = is_sent && command_send(connection, commands[i].count, commands[i].arguments, NULL, NULL);
    return is_sent && call_send(connection, 1, &exec, done, context);
}

bool kv_connection_call(struct kv_connection *connection, size_t count, const struct slice *arguments, kv_done_fn *done,
                        void *context)
{
    return may_call(connection) && call_send(connection, count, arguments, done, context);
}

bool kv_connection_call_urgent(struct kv_connection *connection, size_t count, const struct slice *arguments,
                               kv_done_fn *done, void *context)
{
    return connection->state == STATE_UP && call_send(connection, count, arguments, done, context);
}

/* ---- going down ---- */

static void connection_lost(struct kv_connection *connection, const char *because)
{
    int64_t pause_ms = RETRY_FIRST_MS;
    uint32_t jitter;

    if (!connection->is_closing && !connection->settings.is_replica &&
        (connection->state == STATE_UP || connection->failures == 0))
        log_warn("redis-lost", LOG_TEXT("because", because));
    connection->context = NULL;
    state_set(connection, STATE_DOWN);
    if (connection->is_closing)
        return;
    if (connection->listener.lost)
        connection->listener.lost(connection->listener.context);
    for (int i = 0; i < connection->failures && pause_ms < connection->settings.reconnect_max_ms; i++)
        pause_ms *= 2;
    if (pause_ms > connection->settings.reconnect_max_ms)
        pause_ms = connection->settings.reconnect_max_ms;
    crypto_random(&jitter, sizeof(jitter));
    pause_ms = pause_ms / 2 + jitter % (pause_ms / 2 + 1);
    connection->failures++;
    ev_timer_stop(connection->loop, &connection->retry);
    ev_timer_set(&connection->retry, (double)pause_ms / 1000.0, 0.0);
    ev_timer_start(connection->loop, &connection->retry);
}

/* From the timer or kv_connection_close only, never from inside a hiredis callback. */
static void connection_abandon(struct kv_connection *connection, const char *because)
{
    redisAsyncContext *context = connection->context;

    if (!context)
        return;
    /* First: what is in flight is called back with NULL, and must find the connection gone. */
    context->data = NULL;
    connection_lost(connection, because);
    redisAsyncFree(context);
}

static void on_disconnect(const redisAsyncContext *context, int status)
{
    struct kv_connection *connection = context->data;

    if (!connection)
        return; /* abandoned */
    ASSERT_MAGIC(connection, CONNECTION_MAGIC);
    connection_lost(connection, status == REDIS_OK ? "closed" : context->errstr);
}

/* ---- coming up ---- */

static void on_info(void *data, const struct redisReply *reply)
{
    struct kv_connection *connection = data;

    ASSERT_MAGIC(connection, CONNECTION_MAGIC);
    const char *at = reply && reply->type == REDIS_REPLY_STRING ? strstr(reply->str, "run_id:") : NULL;

    if (!at || connection->leave_because)
        return; /* the tick ends this attempt */
    size_t size = strcspn(at + 7, "\r\n");
    if (size >= sizeof(connection->run_id))
        return;
    memcpy(connection->run_id, at + 7, size);
    connection->run_id[size] = 0;
    state_set(connection, STATE_UP);
    connection->up_since_us = clock_monotonic_us();
    connection->failures = 0;
    if (!connection->settings.is_replica)
        log_info("redis-connected", LOG_TEXT("run_id", connection->run_id));
    if (connection->listener.ready)
        connection->listener.ready(connection->listener.context);
}

static void on_prepared(void *data, const struct redisReply *reply)
{
    (void)data;
    /* "Library already exists" is how it should be; a replica, which a cluster's seed may be, gets it from its
     * primary. */
    if (reply && reply->type == REDIS_REPLY_ERROR && !strstr(reply->str, "already exists"))
        log_error("redis-refused", LOG_TEXT("message", reply->str));
}

/* A sentinel may not have heard yet that it was demoted. */
static void on_role(void *data, const struct redisReply *reply)
{
    struct kv_connection *connection = data;

    ASSERT_MAGIC(connection, CONNECTION_MAGIC);
    if (reply && !kv_reply_is_text(kv_reply_item(reply, 0), "master"))
        connection->leave_because = "another server is the primary";
}

static void on_connect(const redisAsyncContext *context, int status)
{
    struct kv_connection *connection = context->data;
    char database[16];

    if (!connection)
        return;
    ASSERT_MAGIC(connection, CONNECTION_MAGIC);
    if (status != REDIS_OK) {
        connection_lost(connection, context->errstr); /* hiredis frees the context */
        return;
    }
    connection->context->c.reader->maxbuf = 0; /* keep the buffer of large pages */
    state_set(connection, STATE_PREPARING);
    const struct slice auth[] = {SLICE("AUTH"), slice_of(connection->url.password)};
    if (connection->url.password[0])
        call_send(connection, ARRAY_SIZE(auth), auth, on_prepared, connection);
    snprintf(database, sizeof(database), "%d", connection->url.database);
    const struct slice select[] = {SLICE("SELECT"), slice_of(database)};
    call_send(connection, ARRAY_SIZE(select), select, on_prepared, connection);
    const struct slice role[] = {SLICE("ROLE")};
    if (connection->settings.must_be_primary)
        call_send(connection, ARRAY_SIZE(role), role, on_role, connection);
    const struct slice library[] = {SLICE("FUNCTION"), SLICE("LOAD"), slice_of(kv_library_text)};
    if (!connection->settings.is_replica)
        call_send(connection, ARRAY_SIZE(library), library, on_prepared, connection);
    const struct slice info[] = {SLICE("INFO"), SLICE("server")};
    call_send(connection, ARRAY_SIZE(info), info, on_info, connection);
}

static void connection_dial(struct kv_connection *connection)
{
    if (!connection->url.path[0] && !connection->url.port)
        return; /* kv_connection_move does it */
    redisAsyncContext *context = connection->url.path[0]
                                     ? redisAsyncConnectUnix(connection->url.path)
                                     : redisAsyncConnect(connection->url.host, connection->url.port);

    if (!context || context->err) {
        const char *because = context ? context->errstr : "out of memory";
        connection_lost(connection, because);
        if (context)
            redisAsyncFree(context);
        return;
    }
    connection->context = context;
    connection->leave_because = NULL;
    context->data = connection;
    kv_reader_use(context->c.reader, &connection->replies);
    state_set(connection, STATE_CONNECTING);
    connection->connect_deadline_us = clock_monotonic_us() + CONNECT_TIMEOUT_MS * 1000LL;
    redisLibevAttach(connection->loop, context);
    redisAsyncSetConnectCallback(context, on_connect);
    redisAsyncSetDisconnectCallback(context, on_disconnect);
}

/* ---- timers ---- */

static void on_retry(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct kv_connection *connection = watcher->data;

    (void)loop;
    (void)events;
    ASSERT_MAGIC(connection, CONNECTION_MAGIC);
    connection_dial(connection);
}

static void on_tick(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct kv_connection *connection = watcher->data;
    int64_t now_us = clock_monotonic_us();

    (void)loop;
    (void)events;
    ASSERT_MAGIC(connection, CONNECTION_MAGIC);
    connection->listened_us = listened_at(connection, now_us);
    connection->ticked_us = now_us;
    bool is_coming_up = connection->state == STATE_CONNECTING || connection->state == STATE_PREPARING;
    if (connection->leave_because && connection->context)
        connection_abandon(connection, connection->leave_because);
    else if (is_coming_up && now_us > connection->connect_deadline_us)
        connection_abandon(connection, "the connection was not made in time");
    else if (is_silent(connection))
        connection_abandon(connection, "an answer did not come in time");
    else if (connection->state == STATE_UP && connection->listener.ticked)
        connection->listener.ticked(connection->listener.context, now_us);
    calls_give_up(connection);
}

/* ---- life ---- */

struct kv_connection *kv_connection_new(struct ev_loop *loop, const struct kv_connection_settings *settings,
                                        const struct kv_url *url, const struct kv_connection_listener *listener)
{
    struct kv_connection *connection = calloc(1, sizeof(*connection));

    ASSERT(connection != NULL);
    connection->magic = CONNECTION_MAGIC;
    connection->loop = loop;
    connection->settings = *settings;
    connection->listener = *listener;
    connection->url = *url;
    TAILQ_INIT(&connection->calls);
    connection->ticked_us = clock_monotonic_us();
    arena_init(&connection->replies, REPLY_BYTES_MAX);
    ev_timer_init(&connection->retry, on_retry, 0.0, 0.0);
    ev_timer_init(&connection->tick, on_tick, KV_CONNECTION_TICK_MS / 1000.0, KV_CONNECTION_TICK_MS / 1000.0);
    connection->retry.data = connection->tick.data = connection;
    ev_timer_start(loop, &connection->tick);
    connection_dial(connection);
    return connection;
}

void kv_connection_close(struct kv_connection *connection)
{
    if (connection->is_closing)
        return;
    connection->is_closing = true;
    connection_abandon(connection, "shutting down");
    ev_timer_stop(connection->loop, &connection->retry);
    ev_timer_stop(connection->loop, &connection->tick);
    arena_done(&connection->replies);
}

void kv_connection_free(struct kv_connection **pconnection)
{
    struct kv_connection *connection = *pconnection;

    if (!connection)
        return;
    kv_connection_close(connection);
    connection->magic = 0;
    free(connection);
    *pconnection = NULL;
}

bool kv_connection_move(struct kv_connection *connection, const char *host, int port)
{
    if (connection->url.port == port && strcmp(connection->url.host, host) == 0)
        return false;
    ASSERT(strlen(host) < sizeof(connection->url.host));
    memcpy(connection->url.host, host, strlen(host) + 1);
    connection->url.port = port;
    if (connection->context) {
        connection->leave_because = "another server is the primary";
    } else {
        ev_timer_stop(connection->loop, &connection->retry);
        ev_timer_set(&connection->retry, 0.0, 0.0);
        ev_timer_start(connection->loop, &connection->retry);
    }
    return true;
}

/* ---- asking ---- */

bool kv_connection_is_up(const struct kv_connection *connection)
{
    return connection->state == STATE_UP;
}

bool kv_connection_is_leaving(const struct kv_connection *connection)
{
    return connection->leave_because != NULL;
}

int64_t kv_connection_up_since_us(const struct kv_connection *connection)
{
    return connection->state == STATE_UP ? connection->up_since_us : 0;
}

struct slice kv_connection_run_id(const struct kv_connection *connection)
{
    return slice_of(connection->run_id);
}

const char *kv_connection_host(const struct kv_connection *connection)
{
    return connection->url.host;
}

int kv_connection_port(const struct kv_connection *connection)
{
    return connection->url.port;
}
