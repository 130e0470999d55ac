/*
 * kv.c -- see kv.h.
 *
 *   DOWN --dial--> CONNECTING --connected--> PREPARING (auth, select, library, run id) --> UP
 *    ^                  |                              |                                   |
 *    +---- retry timer -+---------- any failure -------+-----------------------------------+
 *
 * hiredis frees its context itself after a failed connect and after a disconnect, so `context` is set to NULL in those
 * callbacks and nowhere is it freed from inside one. A command timeout frees it from the tick timer, which runs every
 * callback that is in flight with NULL.
 */
#include "kv/kv.h"

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
#include "base/put.h"
#include "base/text.h"
#include "kv/cluster.h"
#include "kv/keys.h"
#include "kv/reader.h"
#include "kv/scripts.h"
#include "kv/sentinel.h"
#include "kv/slots.h"
#include "kv/url.h"

enum { RETRY_FIRST_MS = 20, TICK_MS = 20, CONNECT_TIMEOUT_MS = 1000, READY_TRUSTED_MS = 500, READY_UNTRUSTED_MS = 50 };
enum { RUN_ID_MAX = 64, REPLY_BYTES_MAX = 256 << 20 };
enum { PATIENCE = 4 }; /* how many times the timeout a call waits while others are answered */

enum state { STATE_DOWN, STATE_CONNECTING, STATE_PREPARING, STATE_UP };

struct call {
    struct kv *kv;
    kv_done_fn *done;
    void *context;
    int64_t deadline_us; /* of its own; the connection's is kv->answered_us */
    TAILQ_ENTRY(call) link;
};

struct kv {
    struct cluster *cluster;   /* it stands for one: then nothing else here is used. NULL: a connection */
    struct cluster *owner;     /* it is a node of one */
    struct sentinel *sentinel; /* says where it is to be; NULL: the URL does */
    bool is_elsewhere;         /* it said another place, or the server is no primary: the tick ends the connection */
    unsigned place;            /* counts them */
    struct ev_loop *loop;
    struct kv_settings settings;
    struct kv_url url;
    redisAsyncContext *context; /* hiredis's; NULL while down */
    enum state state;
    ev_timer retry;
    ev_timer tick;
    int64_t listened_us; /* the clock of deadlines: see kv_listened */
    int64_t ticked_us;
    int64_t answered_us; /* by that clock: the last reply, or the first call of those in flight */
    int64_t connect_deadline_us;
    int64_t next_ready_us;
    bool is_asking_ready;
    int64_t up_since_us;
    int failures;
    int epoch;
    bool is_trusted;
    char run_id[RUN_ID_MAX];
    int64_t beat, beat_us; /* the tail's last sign of life there, and when we saw it; with sentinels */
    size_t pending;
    TAILQ_HEAD(, call) calls; /* in flight, oldest first */
    bool is_closing;
    struct arena replies; /* the one that is being read or used */
};

static void kv_dial(struct kv *kv);

/* A loop that was busy elsewhere has not sent what waits to be sent, nor read what has come: that time does not
 * count. */
static int64_t kv_listened(const struct kv *kv, int64_t now_us)
{
    enum { MOST_US = 2000 * TICK_MS };
    int64_t since_us = now_us - kv->ticked_us;

    return kv->listened_us + (since_us < MOST_US ? since_us : MOST_US);
}

static void call_unlink(struct call *call)
{
    struct kv *kv = call->kv;

    TAILQ_REMOVE(&kv->calls, call, link);
    kv->pending--;
}

static void on_reply(redisAsyncContext *context, void *reply, void *data)
{
    struct call *call = data;
    struct kv *kv = call->kv;

    (void)context;
    kv->answered_us = kv_listened(kv, clock_monotonic_us());
    call_unlink(call);
    if (kv->owner && kv_reply_is_error(reply) && kv_error_is_elsewhere(kv_reply_text(reply))) {
        cluster_elsewhere(kv->owner);
        reply = NULL;
    }
    if (call->done)
        call->done(call->context, reply);
    free(call);
}

/* Replies come in the order of the calls: each one shows that Redis is at work, and how long the others still wait only
 * says how many they are. So the connection is lost when none comes, and a call ends by itself when it waits too long. */
static bool is_silent(const struct kv *kv)
{
    if (TAILQ_EMPTY(&kv->calls))
        return false;
    int64_t since_us = fault_is("slow-is-lost")
                           ? TAILQ_FIRST(&kv->calls)->deadline_us - PATIENCE * kv->settings.command_timeout_ms * 1000LL
                           : kv->answered_us;
    return kv->listened_us - since_us > kv->settings.command_timeout_ms * 1000LL;
}

/* Its reply, when it comes, is dropped. */
static void calls_give_up(struct kv *kv)
{
    for (struct call *call = TAILQ_FIRST(&kv->calls); call && kv->listened_us > call->deadline_us;
         call = TAILQ_NEXT(call, link)) {
        kv_done_fn *done = call->done;
        call->done = NULL;
        if (done)
            done(call->context, NULL);
    }
}

/* As Redis reads it. hiredis would spell it too, by a printf of its own: more than half of what a call costs. */
static bool command_send(struct kv *kv, size_t count, const struct slice *arguments, redisCallbackFn *done,
                         void *context)
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
    bool is_sent = redisAsyncFormattedCommand(kv->context, done, context, text, (size_t)(at - text)) == REDIS_OK;
    if (text != small)
        free(text);
    return is_sent;
}

static bool call_send(struct kv *kv, size_t count, const struct slice *arguments, kv_done_fn *done, void *context)
{
    struct call *call = malloc(sizeof(*call));

    int64_t now_us = kv_listened(kv, clock_monotonic_us());
    ASSERT(call != NULL);
    *call = (struct call){.kv = kv,
                          .done = done,
                          .context = context,
                          .deadline_us = now_us + PATIENCE * kv->settings.command_timeout_ms * 1000LL};
    if (TAILQ_EMPTY(&kv->calls))
        kv->answered_us = now_us;
    if (!command_send(kv, count, arguments, on_reply, call)) {
        free(call);
        return false;
    }
    TAILQ_INSERT_TAIL(&kv->calls, call, link);
    kv->pending++;
    return true;
}

bool kv_call_all(struct kv *kv, size_t count, const struct kv_command *commands, kv_done_fn *done, void *context)
{
    const struct slice multi = SLICE("MULTI"), exec = SLICE("EXEC");

    if (kv->cluster && !(kv = cluster_node(kv->cluster, commands[0].count, commands[0].arguments)))
        return false;
    if (kv->state != STATE_UP || kv->pending >= (size_t)kv->settings.pending_max)
        return false;
    bool is_sent = command_send(kv, 1, &multi, NULL, NULL);
    for (size_t i = 0; i < count; i++)
        is_sent = is_sent && command_send(kv, commands[i].count, commands[i].arguments, NULL, NULL);
    return is_sent && call_send(kv, 1, &exec, done, context);
}

bool kv_call(struct kv *kv, size_t count, const struct slice *arguments, kv_done_fn *done, void *context)
{
    if (kv->cluster && !(kv = cluster_node(kv->cluster, count, arguments)))
        return false;
    if (kv->state != STATE_UP || kv->pending >= (size_t)kv->settings.pending_max)
        return false;
    return call_send(kv, count, arguments, done, context);
}

/* ---- going down ---- */

static void kv_lost(struct kv *kv, const char *because)
{
    int64_t pause_ms = RETRY_FIRST_MS;
    uint32_t jitter;

    if (!kv->is_closing && !kv->settings.is_replica && (kv->state == STATE_UP || kv->failures == 0))
        log_warn("redis-lost", LOG_TEXT("because", because));
    kv->context = NULL;
    kv->state = STATE_DOWN;
    kv->is_trusted = false;
    kv->is_asking_ready = false;
    kv->beat = kv->beat_us = 0;
    if (kv->is_closing)
        return;
    if (kv->owner)
        cluster_lost(kv->owner, kv);
    for (int i = 0; i < kv->failures && pause_ms < kv->settings.reconnect_max_ms; i++)
        pause_ms *= 2;
    if (pause_ms > kv->settings.reconnect_max_ms)
        pause_ms = kv->settings.reconnect_max_ms;
    crypto_random(&jitter, sizeof(jitter));
    pause_ms = pause_ms / 2 + jitter % (pause_ms / 2 + 1);
    kv->failures++;
    ev_timer_stop(kv->loop, &kv->retry);
    ev_timer_set(&kv->retry, (double)pause_ms / 1000.0, 0.0);
    ev_timer_start(kv->loop, &kv->retry);
}

/* From the timer or kv_close only, never from inside a hiredis callback. */
static void kv_abandon(struct kv *kv, const char *because)
{
    redisAsyncContext *context = kv->context;

    if (!context)
        return;
    /* First: what is in flight is called back with NULL, and must find the connection gone. */
    context->data = NULL;
    kv_lost(kv, because);
    redisAsyncFree(context);
}

static void on_disconnect(const redisAsyncContext *context, int status)
{
    struct kv *kv = context->data;

    if (kv)
        kv_lost(kv, status == REDIS_OK ? "closed" : context->errstr);
}

/* ---- coming up ---- */

/*
 * " number" behind the word, one higher each second: a primary that was cut off from the sentinels, and from the
 * worker, serves on without knowing that there is another; its word is worth nothing soon after. By our own clock only.
 */
static bool is_beating(struct kv *kv, struct slice *word)
{
    const char *space = memrchr(word->data, ' ', word->size);
    int64_t beat, now_us = clock_monotonic_us();

    if (!space || !text_parse_int64((struct slice){space + 1, word->size - (size_t)(space + 1 - word->data)}, &beat))
        return false;
    word->size = (size_t)(space - word->data);
    if (kv->beat != beat)
        kv->beat_us = kv->beat ? now_us : 0; /* the first one may be old */
    kv->beat = beat;
    return kv->beat_us != 0 && now_us - kv->beat_us < KV_BEAT_LIVE_MS * 1000LL;
}

static void on_ready(void *data, const struct redisReply *reply)
{
    struct kv *kv = data;
    struct slice word = kv_reply_text(reply);
    char expected[RUN_ID_MAX + 24];

    kv->is_asking_ready = false;
    bool is_alive = !kv->sentinel || is_beating(kv, &word);
    snprintf(expected, sizeof(expected), "%d %s", kv->epoch, kv->run_id);
    bool is_trusted = kv->state == STATE_UP && !kv->is_elsewhere && kv->epoch > 0 && reply &&
                      reply->type == REDIS_REPLY_STRING && is_alive && slice_is(word, expected);
    if (is_trusted != kv->is_trusted)
        log_info("redis-trust", LOG_TEXT("trusted", is_trusted ? "yes" : "no"), LOG_INT("epoch", kv->epoch));
    kv->is_trusted = is_trusted;
    kv->next_ready_us = clock_monotonic_us() + (is_trusted ? READY_TRUSTED_MS : READY_UNTRUSTED_MS) * 1000LL;
}

static void ask_ready(struct kv *kv)
{
    const struct slice get[] = {SLICE("GET"), SLICE(KV_READY)};

    if (!kv->is_asking_ready && !kv->settings.is_plain && !kv->settings.is_replica)
        kv->is_asking_ready = call_send(kv, ARRAY_SIZE(get), get, on_ready, kv);
}

static void on_info(void *data, const struct redisReply *reply)
{
    struct kv *kv = data;
    const char *at = reply && reply->type == REDIS_REPLY_STRING ? strstr(reply->str, "run_id:") : NULL;

    if (!at || kv->is_elsewhere)
        return; /* the tick ends this attempt */
    size_t size = strcspn(at + 7, "\r\n");
    if (size >= sizeof(kv->run_id))
        return;
    memcpy(kv->run_id, at + 7, size);
    kv->run_id[size] = 0;
    kv->state = STATE_UP;
    kv->up_since_us = clock_monotonic_us();
    kv->failures = 0;
    if (!kv->settings.is_replica)
        log_info("redis-connected", LOG_TEXT("run_id", kv->run_id));
    ask_ready(kv);
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
    struct kv *kv = data;

    if (reply && !kv_reply_is_text(kv_reply_item(reply, 0), "master"))
        kv->is_elsewhere = true;
}

/* From a callback of the sentinel's connection. */
static void on_named(void *context, const char *host, int port)
{
    struct kv *kv = context;

    if (kv->url.port == port && strcmp(kv->url.host, host) == 0)
        return;
    memcpy(kv->url.host, host, strlen(host) + 1); /* no longer than KV_URL_HOST_MAX: sentinel.c */
    kv->url.port = port;
    kv->place++;
    kv->is_elsewhere = kv->context != NULL;
    kv->is_trusted = false;
    log_info("redis-primary", LOG_TEXT("host", host), LOG_INT("port", port));
    if (kv->context)
        return;
    ev_timer_stop(kv->loop, &kv->retry);
    ev_timer_set(&kv->retry, 0.0, 0.0);
    ev_timer_start(kv->loop, &kv->retry);
}

static void on_connect(const redisAsyncContext *context, int status)
{
    struct kv *kv = context->data;
    char database[16];

    if (!kv)
        return;
    if (status != REDIS_OK) {
        kv_lost(kv, context->errstr); /* hiredis frees the context */
        return;
    }
    kv->context->c.reader->maxbuf = 0; /* keep the buffer of large pages */
    kv->state = STATE_PREPARING;
    const struct slice auth[] = {SLICE("AUTH"), slice_of(kv->url.password)};
    if (kv->url.password[0])
        call_send(kv, ARRAY_SIZE(auth), auth, on_prepared, kv);
    snprintf(database, sizeof(database), "%d", kv->url.database);
    const struct slice select[] = {SLICE("SELECT"), slice_of(database)};
    call_send(kv, ARRAY_SIZE(select), select, on_prepared, kv);
    const struct slice role[] = {SLICE("ROLE")};
    if (kv->sentinel)
        call_send(kv, ARRAY_SIZE(role), role, on_role, kv);
    const struct slice library[] = {SLICE("FUNCTION"), SLICE("LOAD"), slice_of(kv_library_text)};
    if (!kv->settings.is_replica)
        call_send(kv, ARRAY_SIZE(library), library, on_prepared, kv);
    const struct slice info[] = {SLICE("INFO"), SLICE("server")};
    call_send(kv, ARRAY_SIZE(info), info, on_info, kv);
}

static void kv_dial(struct kv *kv)
{
    if (kv->sentinel && !kv->url.port)
        return; /* on_named does it */
    redisAsyncContext *context =
        kv->url.path[0] ? redisAsyncConnectUnix(kv->url.path) : redisAsyncConnect(kv->url.host, kv->url.port);

    if (!context || context->err) {
        const char *because = context ? context->errstr : "out of memory";
        kv_lost(kv, because);
        if (context)
            redisAsyncFree(context);
        return;
    }
    kv->context = context;
    kv->is_elsewhere = false;
    context->data = kv;
    kv_reader_use(context->c.reader, &kv->replies);
    kv->state = STATE_CONNECTING;
    kv->connect_deadline_us = clock_monotonic_us() + CONNECT_TIMEOUT_MS * 1000LL;
    redisLibevAttach(kv->loop, context);
    redisAsyncSetConnectCallback(context, on_connect);
    redisAsyncSetDisconnectCallback(context, on_disconnect);
}

/* ---- timers ---- */

static void on_retry(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    kv_dial(watcher->data);
}

static void on_tick(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct kv *kv = watcher->data;
    int64_t now_us = clock_monotonic_us();

    (void)loop;
    (void)events;
    kv->listened_us = kv_listened(kv, now_us);
    kv->ticked_us = now_us;
    if (kv->is_elsewhere && kv->context)
        kv_abandon(kv, "another server is the primary");
    else if ((kv->state == STATE_CONNECTING || kv->state == STATE_PREPARING) && now_us > kv->connect_deadline_us)
        kv_abandon(kv, "the connection was not made in time");
    else if (is_silent(kv))
        kv_abandon(kv, "an answer did not come in time");
    else if (kv->state == STATE_UP && now_us > kv->next_ready_us)
        ask_ready(kv);
    calls_give_up(kv);
}

static struct kv *connection_new(struct ev_loop *loop, const struct kv_settings *settings, const struct kv_url *url,
                                 struct cluster *owner)
{
    struct kv *kv = calloc(1, sizeof(*kv));

    ASSERT(kv != NULL);
    kv->loop = loop;
    kv->settings = *settings;
    kv->url = *url;
    kv->owner = owner;
    TAILQ_INIT(&kv->calls);
    kv->ticked_us = clock_monotonic_us();
    arena_init(&kv->replies, REPLY_BYTES_MAX);
    ev_timer_init(&kv->retry, on_retry, 0.0, 0.0);
    ev_timer_init(&kv->tick, on_tick, TICK_MS / 1000.0, TICK_MS / 1000.0);
    kv->retry.data = kv->tick.data = kv;
    ev_timer_start(loop, &kv->tick);
    if (url->kind == KV_URL_SENTINEL)
        kv->sentinel = sentinel_new(loop, url, on_named, NULL, kv);
    kv_dial(kv);
    return kv;
}

struct kv *kv_new(struct ev_loop *loop, const struct kv_settings *settings)
{
    struct kv_url url;
    struct error error;

    ASSERT(kv_url_parse(settings->url, &url, &error)); /* checked with the settings */
    if (url.kind != KV_URL_CLUSTER)
        return connection_new(loop, settings, &url, NULL);
    struct kv *kv = calloc(1, sizeof(*kv));
    ASSERT(kv != NULL);
    kv->cluster = cluster_new(loop, settings, &url);
    return kv;
}

void kv_close(struct kv *kv)
{
    if (kv->is_closing)
        return;
    kv->is_closing = true;
    if (kv->cluster) {
        cluster_free(&kv->cluster);
        return;
    }
    sentinel_free(&kv->sentinel);
    kv_abandon(kv, "shutting down");
    ev_timer_stop(kv->loop, &kv->retry);
    ev_timer_stop(kv->loop, &kv->tick);
    arena_done(&kv->replies);
}

void kv_free(struct kv **pkv)
{
    struct kv *kv = *pkv;

    if (!kv)
        return;
    kv_close(kv);
    free(kv);
    *pkv = NULL;
}

/* ---- as a node of a cluster ---- */

struct kv *kv_node_new(struct ev_loop *loop, const struct kv_settings *settings, const struct kv_url *url,
                       struct cluster *cluster)
{
    return connection_new(loop, settings, url, cluster);
}

int64_t kv_node_up_since_us(const struct kv *node)
{
    return node->state == STATE_UP ? node->up_since_us : 0;
}

bool kv_node_is_at(const struct kv *node, const char *host, int port)
{
    return node->url.port == port && strcmp(node->url.host, host) == 0;
}

const char *kv_node_host(const struct kv *node)
{
    return node->url.host;
}

/* ---- what it is worth ---- */

bool kv_set_epoch(struct kv *kv, int epoch)
{
    if (epoch == kv->epoch)
        return false;
    kv->epoch = epoch;
    kv->is_trusted = false;
    kv->next_ready_us = 0;
    if (kv->cluster)
        cluster_set_epoch(kv->cluster, epoch);
    return true;
}

bool kv_is_up(const struct kv *kv)
{
    return kv->cluster ? cluster_is_up(kv->cluster) : kv->state == STATE_UP;
}

unsigned kv_place(const struct kv *kv, const char **ret_host, int *ret_port)
{
    *ret_host = kv->url.host;
    *ret_port = kv->url.port;
    return kv->place;
}

struct slice kv_run_id(const struct kv *kv)
{
    return slice_of(kv->run_id);
}

bool kv_believes(const struct kv *kv, struct slice run_id, int64_t epoch)
{
    return !kv->cluster && kv->is_trusted && epoch == kv->epoch && slice_is(run_id, kv->run_id);
}

bool kv_is_cluster(const struct kv *kv)
{
    return kv->cluster != NULL;
}

bool kv_is_trusted(const struct kv *kv)
{
    return kv->cluster ? cluster_is_trusted(kv->cluster) : kv->is_trusted;
}

bool kv_trusts(const struct kv *kv, int64_t standing)
{
    return kv->cluster ? cluster_trusts(kv->cluster, (int)(standing % KV_SHARDS)) : kv->is_trusted;
}
