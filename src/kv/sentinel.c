#include "kv/sentinel.h"

#include <ev.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include <hiredis/adapters/libev.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "kv/kv.h"

enum { TICK_MS = 20, ASK_MS = 200, TIMEOUT_MS = 1000 };

struct sentinel {
    struct ev_loop *loop;
    struct kv_url url;
    sentinel_named_fn *named;
    void *context;
    redisAsyncContext *redis; /* to one of them; NULL: to none */
    ev_timer tick;
    size_t turn;
    bool is_connected, is_asked, is_useless;
    int64_t ask_at_us, deadline_us; /* monotonic */
};

static void sentinel_lost(struct sentinel *sentinel)
{
    sentinel->redis = NULL;
    sentinel->is_connected = sentinel->is_asked = sentinel->is_useless = false;
}

/* Not from inside one of its callbacks. */
static void sentinel_drop(struct sentinel *sentinel)
{
    redisAsyncContext *redis = sentinel->redis;

    if (!redis)
        return;
    sentinel_lost(sentinel);
    redis->data = NULL;
    redisAsyncFree(redis);
}

static void on_disconnect(const redisAsyncContext *redis, int status)
{
    (void)status;
    if (redis->data)
        sentinel_lost(redis->data);
}

static void on_connect(const redisAsyncContext *redis, int status)
{
    struct sentinel *sentinel = redis->data;

    if (!sentinel)
        return;
    if (status != REDIS_OK)
        sentinel_lost(sentinel); /* hiredis frees the context */
    else
        sentinel->is_connected = true;
}

/* [host, port]; nothing: it doesn't know the name. */
static void on_named(redisAsyncContext *redis, void *data, void *unused)
{
    struct sentinel *sentinel = redis->data;
    const struct redisReply *reply = data;
    char host[KV_URL_HOST_MAX];

    (void)unused;
    if (!sentinel)
        return;
    struct slice name = kv_reply_text(kv_reply_item(reply, 0));
    int port = atoi(kv_reply_text(kv_reply_item(reply, 1)).data);
    sentinel->is_asked = false;
    sentinel->ask_at_us = clock_monotonic_us() + ASK_MS * 1000LL;
    sentinel->is_useless = name.size == 0 || name.size >= sizeof(host) || port < 1 || port > 65535;
    if (sentinel->is_useless)
        return;
    memcpy(host, name.data, name.size);
    host[name.size] = 0;
    sentinel->named(sentinel->context, host, port);
}

static void sentinel_dial(struct sentinel *sentinel)
{
    const struct kv_seed *seed = &sentinel->url.seeds[sentinel->turn++ % sentinel->url.seed_count];
    redisAsyncContext *redis = redisAsyncConnect(seed->host, seed->port);

    sentinel->deadline_us = clock_monotonic_us() + TIMEOUT_MS * 1000LL;
    if (!redis || redis->err) {
        if (redis)
            redisAsyncFree(redis);
        return;
    }
    sentinel->redis = redis;
    redis->data = sentinel;
    redisLibevAttach(sentinel->loop, redis);
    redisAsyncSetConnectCallback(redis, on_connect);
    redisAsyncSetDisconnectCallback(redis, on_disconnect);
}

static void on_tick(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct sentinel *sentinel = watcher->data;
    const char *ask[] = {"SENTINEL", "get-master-addr-by-name", sentinel->url.primary};
    int64_t now_us = clock_monotonic_us();

    (void)loop;
    (void)events;
    if (sentinel->redis &&
        (sentinel->is_useless || ((!sentinel->is_connected || sentinel->is_asked) && now_us > sentinel->deadline_us)))
        sentinel_drop(sentinel);
    if (!sentinel->redis) {
        sentinel_dial(sentinel);
    } else if (sentinel->is_connected && !sentinel->is_asked && now_us >= sentinel->ask_at_us) {
        sentinel->is_asked = true;
        sentinel->deadline_us = now_us + TIMEOUT_MS * 1000LL;
        redisAsyncCommandArgv(sentinel->redis, on_named, NULL, (int)ARRAY_SIZE(ask), ask, NULL);
    }
}

struct sentinel *sentinel_new(struct ev_loop *loop, const struct kv_url *url, sentinel_named_fn *named, void *context)
{
    struct sentinel *sentinel = calloc(1, sizeof(*sentinel));

    ASSERT(sentinel != NULL);
    sentinel->loop = loop;
    sentinel->url = *url;
    sentinel->named = named;
    sentinel->context = context;
    ev_timer_init(&sentinel->tick, on_tick, 0.0, TICK_MS / 1000.0);
    sentinel->tick.data = sentinel;
    ev_timer_start(loop, &sentinel->tick);
    return sentinel;
}

void sentinel_free(struct sentinel **psentinel)
{
    struct sentinel *sentinel = *psentinel;

    if (!sentinel)
        return;
    sentinel_drop(sentinel);
    ev_timer_stop(sentinel->loop, &sentinel->tick);
    free(sentinel);
    *psentinel = NULL;
}
