/*
 * kv.c -- see kv.h: what the program asks of Redis, and whether Redis may be believed.
 *
 *   connection.c   one link            <- cluster.c   one a node, and who has which slot   <- kv.c
 *
 * A kv has a connection or a cluster. A connection's trust is decided here, a cluster's for each node there.
 */
#include "kv/kv.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/magic.h"
#include "base/text.h"
#include "kv/cluster.h"
#include "kv/connection.h"
#include "kv/keys.h"
#include "kv/sentinel.h"

enum { READY_TRUSTED_MS = 500, READY_UNTRUSTED_MS = 50, READY_MAX = 88 };
enum { KV_MAGIC = 0x6b766b76 };

struct kv {
    unsigned magic;
    struct cluster *cluster;          /* NULL: it is not one, or it is closed; then nothing below is used */
    struct kv_connection *connection; /* NULL: it is a cluster */
    struct sentinel *sentinel;        /* says where the connection is to be; NULL: the URL does */
    unsigned place;                   /* counts how often it said another */
    bool has_trust;                   /* it holds standings: whether it does, is asked */
    int64_t next_ready_us;
    bool is_asking_ready;
    int epoch;
    bool is_trusted;
    int64_t beat, beat_us; /* the tail's last sign of life there, and when we saw it; with sentinels */
    bool is_closing;
};

/* ---- calls ---- */

/* The connection for a command; NULL: none is up that may have it. */
static struct kv_connection *connection_for(struct kv *kv, size_t count, const struct slice *arguments)
{
    return kv->cluster ? cluster_connection(kv->cluster, count, arguments) : kv->connection;
}

bool kv_call(struct kv *kv, size_t count, const struct slice *arguments, kv_done_fn *done, void *context)
{
    struct kv_connection *connection = connection_for(kv, count, arguments);

    return connection && kv_connection_call(connection, count, arguments, done, context);
}

bool kv_call_all(struct kv *kv, size_t count, const struct kv_command *commands, kv_done_fn *done, void *context)
{
    struct kv_connection *connection = connection_for(kv, commands[0].count, commands[0].arguments);

    return connection && kv_connection_call_all(connection, count, commands, done, context);
}

/* ---- trust ---- */

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
    char expected[READY_MAX];

    ASSERT_MAGIC(kv, KV_MAGIC);
    kv->is_asking_ready = false;
    bool is_alive = !kv->sentinel || is_beating(kv, &word);
    snprintf(expected, sizeof(expected), "%d %s", kv->epoch, kv_run_id(kv).data);
    bool is_trusted = kv_connection_is_up(kv->connection) && !kv_connection_is_leaving(kv->connection) &&
                      kv->epoch > 0 && reply && reply->type == REDIS_REPLY_STRING && is_alive &&
                      slice_is(word, expected);
    if (is_trusted != kv->is_trusted)
        log_info("redis-trust", LOG_TEXT("trusted", is_trusted ? "yes" : "no"), LOG_INT("epoch", kv->epoch));
    kv->is_trusted = is_trusted;
    kv->next_ready_us = clock_monotonic_us() + (is_trusted ? READY_TRUSTED_MS : READY_UNTRUSTED_MS) * 1000LL;
}

/* ---- what the connection, and the sentinels, say ---- */

static void connection_ready(void *context)
{
    const struct slice get[] = {SLICE("GET"), SLICE(KV_READY)};
    struct kv *kv = context;

    ASSERT_MAGIC(kv, KV_MAGIC);
    if (!kv->is_asking_ready && kv->has_trust)
        kv->is_asking_ready = kv_connection_call_urgent(kv->connection, ARRAY_SIZE(get), get, on_ready, kv);
}

static void connection_ticked(void *context, int64_t now_us)
{
    struct kv *kv = context;

    ASSERT_MAGIC(kv, KV_MAGIC);
    if (now_us > kv->next_ready_us)
        connection_ready(kv);
}

static void connection_lost(void *context)
{
    struct kv *kv = context;

    ASSERT_MAGIC(kv, KV_MAGIC);
    kv->is_trusted = false;
    kv->is_asking_ready = false;
    kv->beat = kv->beat_us = 0;
}

/* From a callback of the sentinel's connection. */
static void on_named(void *context, const char *host, int port)
{
    struct kv *kv = context;

    ASSERT_MAGIC(kv, KV_MAGIC);
    if (!kv_connection_move(kv->connection, host, port))
        return;
    kv->place++;
    kv->is_trusted = false;
    log_info("redis-primary", LOG_TEXT("host", host), LOG_INT("port", port));
}

/* ---- life ---- */

struct kv *kv_new(struct ev_loop *loop, const struct kv_settings *settings)
{
    struct kv_url url;
    struct error error;
    struct kv *kv = calloc(1, sizeof(*kv));

    ASSERT(kv != NULL && kv_url_parse(settings->url, &url, &error)); /* checked with the settings */
    kv->magic = KV_MAGIC;
    kv->has_trust = !settings->is_plain;
    struct kv_connection_settings link = {
        .command_timeout_ms = settings->command_timeout_ms,
        .pending_max = settings->pending_max,
        .reconnect_max_ms = settings->reconnect_max_ms,
        .must_be_primary = url.kind == KV_URL_SENTINEL,
    };
    if (url.kind == KV_URL_CLUSTER) {
        kv->cluster = cluster_new(loop, &link, &url);
        return kv;
    }
    const struct kv_connection_listener listener = {
        .context = kv, .ready = connection_ready, .lost = connection_lost, .ticked = connection_ticked};
    kv->connection = kv_connection_new(loop, &link, &url, &listener);
    if (url.kind == KV_URL_SENTINEL)
        kv->sentinel = sentinel_new(loop, &url, on_named, NULL, kv);
    return kv;
}

void kv_close(struct kv *kv)
{
    if (kv->is_closing)
        return;
    kv->is_closing = true;
    kv->is_trusted = false;
    if (kv->cluster) {
        cluster_free(&kv->cluster);
        return;
    }
    sentinel_free(&kv->sentinel);
    kv_connection_close(kv->connection);
}

void kv_free(struct kv **pkv)
{
    struct kv *kv = *pkv;

    if (!kv)
        return;
    kv_close(kv);
    kv_connection_free(&kv->connection);
    kv->magic = 0;
    free(kv);
    *pkv = NULL;
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
    return kv->cluster ? cluster_is_up(kv->cluster) : kv->connection && kv_connection_is_up(kv->connection);
}

unsigned kv_place(const struct kv *kv, const char **ret_host, int *ret_port)
{
    *ret_host = kv->connection ? kv_connection_host(kv->connection) : "";
    *ret_port = kv->connection ? kv_connection_port(kv->connection) : 0;
    return kv->place;
}

struct slice kv_run_id(const struct kv *kv)
{
    return kv->connection ? kv_connection_run_id(kv->connection) : slice_of("");
}

bool kv_believes(const struct kv *kv, struct slice run_id, int64_t epoch)
{
    return kv->is_trusted && epoch == kv->epoch && slice_equal(run_id, kv_run_id(kv));
}

bool kv_is_cluster(const struct kv *kv)
{
    return kv->connection == NULL;
}

bool kv_is_trusted(const struct kv *kv)
{
    return kv->cluster ? cluster_is_trusted(kv->cluster) : kv->is_trusted;
}

bool kv_trusts(const struct kv *kv, int64_t standing)
{
    return kv->cluster ? cluster_trusts(kv->cluster, (int)(standing % KV_SHARDS)) : kv->is_trusted;
}
