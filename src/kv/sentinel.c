#include "kv/sentinel.h"

#include <ev.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include <hiredis/adapters/libev.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/magic.h"
#include "kv/kv.h"

enum { SENTINEL_MAGIC = 0x6b767365 };
enum { TICK_MS = 20, ASK_MS = 200, ASK_LIST_MS = 1000, TIMEOUT_MS = 1000 };

struct sentinel {
    unsigned magic;
    struct ev_loop *loop;
    struct kv_url url;
    sentinel_named_fn *named;
    sentinel_listed_fn *listed;
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
    struct sentinel *sentinel = redis->data;

    (void)status;
    if (!sentinel)
        return; /* dropped */
    ASSERT_MAGIC(sentinel, SENTINEL_MAGIC);
    sentinel_lost(sentinel);
}

static void on_connect(const redisAsyncContext *redis, int status)
{
    struct sentinel *sentinel = redis->data;

    if (!sentinel)
        return;
    ASSERT_MAGIC(sentinel, SENTINEL_MAGIC);
    if (status != REDIS_OK) {
        sentinel_lost(sentinel); /* hiredis frees the context */
        return;
    }
    sentinel->is_connected = true;
    const char *auth[KV_URL_AUTH_MAX];
    int count = kv_url_sentinel_auth(&sentinel->url, auth);
    if (count)
        redisAsyncCommandArgv(sentinel->redis, NULL, NULL, count, auth, NULL); /* refused: so is what is asked */
}

static bool place_read(struct slice host, struct slice port, struct kv_seed *ret_place)
{
    ret_place->port = atoi(port.data);
    if (host.size == 0 || host.size >= sizeof(ret_place->host) || ret_place->port < 1 || ret_place->port > 65535)
        return false;
    memcpy(ret_place->host, host.data, host.size);
    ret_place->host[host.size] = 0;
    return true;
}

/* [host, port]; nothing: it doesn't know the name. */
static bool named_read(struct sentinel *sentinel, const struct redisReply *reply)
{
    struct kv_seed place;

    if (!place_read(kv_reply_text(kv_reply_item(reply, 0)), kv_reply_text(kv_reply_item(reply, 1)), &place))
        return false;
    sentinel->named(sentinel->context, place.host, place.port);
    return true;
}

/* A list of [field, value, field, value…]; an error: it doesn't know the name. */
static bool listed_read(struct sentinel *sentinel, const struct redisReply *reply)
{
    struct kv_seed places[KV_URL_SEEDS_MAX];
    size_t count = 0;

    if (!reply || reply->type != REDIS_REPLY_ARRAY)
        return false;
    for (size_t i = 0; i < kv_reply_count(reply) && count < KV_URL_SEEDS_MAX; i++) {
        const struct redisReply *fields = kv_reply_item(reply, i);
        struct slice host = {"", 0}, port = {"", 0};
        for (size_t f = 0; f + 1 < kv_reply_count(fields); f += 2) {
            if (kv_reply_is_text(kv_reply_item(fields, f), "ip"))
                host = kv_reply_text(kv_reply_item(fields, f + 1));
            else if (kv_reply_is_text(kv_reply_item(fields, f), "port"))
                port = kv_reply_text(kv_reply_item(fields, f + 1));
        }
        count += place_read(host, port, &places[count]);
    }
    sentinel->listed(sentinel->context, count, places);
    return true;
}

static void on_told(redisAsyncContext *redis, void *data, void *unused)
{
    struct sentinel *sentinel = redis->data;

    (void)unused;
    if (!sentinel)
        return;
    ASSERT_MAGIC(sentinel, SENTINEL_MAGIC);
    sentinel->is_asked = false;
    sentinel->ask_at_us = clock_monotonic_us() + (sentinel->listed ? ASK_LIST_MS : ASK_MS) * 1000LL;
    sentinel->is_useless = sentinel->listed ? !listed_read(sentinel, data) : !named_read(sentinel, data);
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
    ASSERT_MAGIC(sentinel, SENTINEL_MAGIC);
    const char *ask[] = {"SENTINEL", sentinel->listed ? "replicas" : "get-master-addr-by-name", sentinel->url.primary};
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
        redisAsyncCommandArgv(sentinel->redis, on_told, NULL, (int)ARRAY_SIZE(ask), ask, NULL);
    }
}

struct sentinel *sentinel_new(struct ev_loop *loop, const struct kv_url *url, sentinel_named_fn *named,
                              sentinel_listed_fn *listed, void *context)
{
    struct sentinel *sentinel = calloc(1, sizeof(*sentinel));

    ASSERT(sentinel != NULL);
    sentinel->magic = SENTINEL_MAGIC;
    sentinel->loop = loop;
    sentinel->url = *url;
    sentinel->named = named;
    sentinel->listed = listed;
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
    sentinel->magic = 0;
    free(sentinel);
    *psentinel = NULL;
}
