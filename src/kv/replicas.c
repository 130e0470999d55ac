#include "kv/replicas.h"

#include <ev.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/magic.h"
#include "base/text.h"
#include "kv/connection.h"
#include "kv/keys.h"
#include "kv/replica_tally.h"
#include "kv/sentinel.h"

/* One that is behind by a hair is behind for one answer; one that lags, for all. */
enum { TICK_MS = 20, PAUSE_MS = 50, PAUSE_MAX_MS = 1000, BEHIND_MAX = 3 };

enum { REPLICAS_MAGIC = 0x6b767273, CALL_MAGIC = 0x6b767263 };

struct replica {
    struct kv_replicas *replicas;
    struct kv_seed place;
    struct kv_connection *connection;
    struct replica_tally *tally;
    bool is_used;
    bool is_probed; /* the answer has not come yet */
    int64_t probe_at_us;
    int pause_ms;
    int behind; /* answers in a row */
    size_t in_flight;
};

struct kv_replicas {
    unsigned magic;
    struct ev_loop *loop;
    struct kv_connection_settings settings;
    struct kv_url url; /* the primary's: a replica has the same password and database */
    struct kv *kv;
    struct sentinel *sentinel; /* NULL: those that are named are all */
    int64_t needed;            /* the most that any caller did */
    size_t turn;
    size_t count;
    struct replica *items[KV_URL_SEEDS_MAX];
    ev_timer tick; /* while there are some */
    ev_async replaced;
    int version;                  /* of what is wanted, that it has */
    LIST_ENTRY(kv_replicas) link; /* under the mutex */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, kv_replicas) all = LIST_HEAD_INITIALIZER(all); /* under the mutex, as is the rest */
static struct kv_replicas_settings plan;
static int plan_version; /* 0: the loops have what they were made with */

struct call {
    unsigned magic;
    struct replica *replica;
    int64_t need;
    size_t commands;
    kv_replica_done_fn *done; /* NULL: a probe */
    void *context;
};

/* ---- what an answer is worth ---- */

/* Cuts off the word before the first space. */
static struct slice word_cut(struct slice *text)
{
    const char *space = text->size ? memchr(text->data, ' ', text->size) : NULL;
    size_t size = space ? (size_t)(space - text->data) : text->size;
    struct slice word = {text->data, size};

    *text = (struct slice){text->data + size + (space != NULL), text->size - size - (space != NULL)};
    return word;
}

/* [version, ready]: up to which version what comes with them has all changes of the primary that is believed in; 0: of
 * none. */
static int64_t version_of(const struct kv_replicas *replicas, const struct redisReply *keys)
{
    struct slice version = kv_reply_text(kv_reply_item(keys, 0)), ready = kv_reply_text(kv_reply_item(keys, 1));
    struct slice its_process = word_cut(&version), its_epoch = word_cut(&ready), vouched = word_cut(&ready);
    int64_t number, epoch;

    if (!text_parse_int64(version, &number) || !text_parse_int64(its_epoch, &epoch))
        return 0;
    bool is_ours = kv_believes(replicas->kv, its_process, epoch) && kv_believes(replicas->kv, vouched, epoch);
    return is_ours || fault_is("replica-strange") ? number : 0;
}

/* ---- using one, or not ---- */

static void use_set(struct replica *replica, bool is_used, const char *because)
{
    if (replica->is_used == is_used)
        return;
    replica->is_used = is_used;
    replica->behind = 0;
    replica_tally_use(replica->tally, is_used);
    if (is_used)
        log_info("redis-replica-used", LOG_TEXT("host", replica->place.host), LOG_INT("port", replica->place.port));
    else
        log_warn("redis-replica-left", LOG_TEXT("host", replica->place.host), LOG_INT("port", replica->place.port),
                 LOG_TEXT("because", because));
}

static void replica_leave(struct replica *replica, const char *because)
{
    replica->probe_at_us = clock_monotonic_us() + replica->pause_ms * 1000LL;
    replica->pause_ms = replica->pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : replica->pause_ms * 2;
    use_set(replica, false, because);
}

static void on_reply(void *context, const struct redisReply *reply)
{
    struct call *call = context;
    ASSERT_MAGIC(call, CALL_MAGIC);
    struct replica *replica = call->replica;
    bool has_come = kv_reply_count(reply) == call->commands + 1;
    int64_t version = version_of(replica->replicas, kv_reply_item(reply, call->commands));
    bool counts = has_come && version > 0 && (version >= call->need || fault_is("replica-behind"));

    replica->in_flight--;
    if (counts) {
        replica->behind = 0;
        replica->pause_ms = PAUSE_MS;
        if (!call->done)
            use_set(replica, true, NULL);
    } else if (!has_come || !call->done || ++replica->behind >= BEHIND_MAX) {
        replica_leave(replica, !has_come ? "it did not answer" : "it lacks what the primary has");
    }
    if (call->done) {
        replica_tally_count(replica->tally, counts ? REPLICA_READ : has_come ? REPLICA_BEHIND : REPLICA_LOST);
        call->done(call->context, counts ? reply : NULL, version);
    } else {
        replica->is_probed = false;
    }
    call->magic = 0;
    free(call);
}

static bool call_send(struct replica *replica, int64_t need, size_t count, const struct kv_command *commands,
                      kv_replica_done_fn *done, void *context)
{
    const struct slice get[] = {SLICE("MGET"), SLICE(KV_VERSION), SLICE(KV_READY)};
    struct kv_command sent[KV_REPLICA_COMMANDS_MAX + 1];
    struct call *call = malloc(sizeof(*call));

    ASSERT(call != NULL && count <= KV_REPLICA_COMMANDS_MAX);
    if (count)
        memcpy(sent, commands, count * sizeof(*sent));
    sent[count] = (struct kv_command){get, ARRAY_SIZE(get)};
    *call = (struct call){CALL_MAGIC, replica, need, count, done, context};
    if (!kv_connection_call_all(replica->connection, count + 1, sent, on_reply, call)) {
        free(call);
        return false;
    }
    replica->in_flight++;
    return true;
}

bool kv_replicas_call(struct kv_replicas *replicas, int64_t need, size_t count, const struct kv_command *commands,
                      kv_replica_done_fn *done, void *context)
{
    struct replica *best = NULL;

    if (need > replicas->needed)
        replicas->needed = need;
    replicas->turn++;
    for (size_t i = 0; i < replicas->count; i++) {
        struct replica *replica = replicas->items[(replicas->turn + i) % replicas->count];
        if (replica->is_used && kv_connection_is_up(replica->connection) &&
            (!best || replica->in_flight < best->in_flight))
            best = replica;
    }
    return best && call_send(best, need, count, commands, done, context);
}

bool kv_replicas_are_there(const struct kv_replicas *replicas)
{
    return replicas->count > 0;
}

bool kv_replicas_are_used(const struct kv_replicas *replicas)
{
    for (size_t i = 0; i < replicas->count; i++)
        if (replicas->items[i]->is_used)
            return true;
    return false;
}

static void on_tick(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct kv_replicas *replicas = watcher->data;
    int64_t now_us = clock_monotonic_us();

    (void)loop;
    (void)events;
    ASSERT_MAGIC(replicas, REPLICAS_MAGIC);
    for (size_t i = 0; i < replicas->count; i++) {
        struct replica *replica = replicas->items[i];
        if (replica->is_used && !kv_connection_is_up(replica->connection))
            replica_leave(replica, "the connection was lost");
        if (!replica->is_used && !replica->is_probed && now_us >= replica->probe_at_us && kv_is_trusted(replicas->kv))
            replica->is_probed = call_send(replica, replicas->needed, 0, NULL, NULL, NULL);
    }
}

/* ---- which there are ---- */

static void replica_add(struct kv_replicas *replicas, const struct kv_seed *place)
{
    struct replica *replica = calloc(1, sizeof(*replica));
    struct kv_url url = replicas->url;

    ASSERT(replica != NULL && replicas->count < ARRAY_SIZE(replicas->items));
    replica->replicas = replicas;
    replica->place = *place;
    replica->pause_ms = PAUSE_MS;
    replica->tally = replica_tally_join(place);
    url.kind = KV_URL_SERVER;
    url.path[0] = 0;
    memcpy(url.host, place->host, sizeof(url.host));
    url.port = place->port;
    replica->connection =
        kv_connection_new(replicas->loop, &replicas->settings, &url, &(struct kv_connection_listener){.context = NULL});
    replicas->items[replicas->count++] = replica;
}

/* Not from a callback of its connection. */
static void replica_drop(struct kv_replicas *replicas, size_t at)
{
    struct replica *replica = replicas->items[at];

    replicas->items[at] = replicas->items[--replicas->count];
    kv_connection_free(&replica->connection); /* calls back what is in flight */
    replica_tally_leave(replica->tally, replica->is_used);
    free(replica);
}

/* Not from a callback of a replica's connection. */
static void on_listed(void *context, size_t count, const struct kv_seed *places)
{
    struct kv_replicas *replicas = context;

    ASSERT_MAGIC(replicas, REPLICAS_MAGIC);
    for (size_t i = 0; i < replicas->count;) {
        size_t n = 0;
        while (n < count && !kv_seed_equal(&replicas->items[i]->place, &places[n]))
            n++;
        if (n < count)
            i++;
        else
            replica_drop(replicas, i);
    }
    for (size_t n = 0; n < count; n++) {
        size_t i = 0;
        while (i < replicas->count && !kv_seed_equal(&replicas->items[i]->place, &places[n]))
            i++;
        if (i == replicas->count)
            replica_add(replicas, &places[n]);
    }
    if (replicas->count)
        ev_timer_start(replicas->loop, &replicas->tick);
    else
        ev_timer_stop(replicas->loop, &replicas->tick);
}

static void replicas_set(struct kv_replicas *replicas, const struct kv_replicas_settings *wanted)
{
    if (!wanted->is_listed_by_sentinel || replicas->url.kind != KV_URL_SENTINEL) {
        sentinel_free(&replicas->sentinel);
        on_listed(replicas, wanted->count, wanted->places);
    } else if (!replicas->sentinel) {
        replicas->sentinel = sentinel_new(replicas->loop, &replicas->url, NULL, on_listed, replicas);
    }
}

static void on_replaced(struct ev_loop *loop, ev_async *watcher, int events)
{
    struct kv_replicas *replicas = watcher->data;
    struct kv_replicas_settings wanted;
    bool is_new;

    (void)loop;
    (void)events;
    ASSERT_MAGIC(replicas, REPLICAS_MAGIC);
    pthread_mutex_lock(&mutex);
    is_new = replicas->version != plan_version;
    replicas->version = plan_version;
    wanted = plan;
    pthread_mutex_unlock(&mutex);
    if (is_new)
        replicas_set(replicas, &wanted);
}

void kv_replicas_replace(const struct kv_replicas_settings *wanted)
{
    struct kv_replicas *replicas;

    pthread_mutex_lock(&mutex);
    plan = *wanted;
    plan_version++;
    LIST_FOREACH(replicas, &all, link)
        ev_async_send(replicas->loop, &replicas->replaced);
    pthread_mutex_unlock(&mutex);
}

struct kv_replicas *kv_replicas_new(struct ev_loop *loop, const struct kv_settings *settings,
                                    const struct kv_replicas_settings *wanted, struct kv *kv)
{
    struct kv_url url;
    struct error error;

    if (kv_is_cluster(kv))
        return NULL;
    struct kv_replicas *replicas = calloc(1, sizeof(*replicas));
    ASSERT(replicas != NULL && kv_url_parse(settings->url, &url, &error)); /* checked with the settings */
    replicas->magic = REPLICAS_MAGIC;
    replicas->loop = loop;
    replicas->settings = (struct kv_connection_settings){.command_timeout_ms = settings->command_timeout_ms,
                                                         .pending_max = settings->pending_max,
                                                         .reconnect_max_ms = settings->reconnect_max_ms,
                                                         .is_replica = true};
    replicas->url = url;
    replicas->kv = kv;
    ev_timer_init(&replicas->tick, on_tick, TICK_MS / 1000.0, TICK_MS / 1000.0);
    replicas->tick.data = replicas;
    replicas_set(replicas, wanted);
    ev_async_init(&replicas->replaced, on_replaced);
    replicas->replaced.data = replicas;
    ev_async_start(loop, &replicas->replaced);
    pthread_mutex_lock(&mutex);
    LIST_INSERT_HEAD(&all, replicas, link);
    if (plan_version)
        ev_async_send(loop, &replicas->replaced);
    pthread_mutex_unlock(&mutex);
    return replicas;
}

void kv_replicas_free(struct kv_replicas **preplicas)
{
    struct kv_replicas *replicas = *preplicas;

    if (!replicas)
        return;
    *preplicas = NULL;
    pthread_mutex_lock(&mutex);
    LIST_REMOVE(replicas, link);
    pthread_mutex_unlock(&mutex);
    ev_async_stop(replicas->loop, &replicas->replaced);
    sentinel_free(&replicas->sentinel);
    ev_timer_stop(replicas->loop, &replicas->tick);
    while (replicas->count)
        replica_drop(replicas, replicas->count - 1);
    replicas->magic = 0;
    free(replicas);
}
