/*
 * standing_replica.c -- a standing's answer from a replica of Redis, where it is as good as the primary's would be.
 *
 * The primary's answer has every change up to the moment when it is made. Nobody could tell a replica's from it who
 * gets every change that somebody may know of when he asks:
 *
 *   shown   what his token covers
 *   seen    what this process acknowledged or showed, to anybody
 *   heard   what this loop was told of by the stream of changes; so what memory holds, it may hold of a replica's, too
 *   floor   where the primary was when this loop began to be told: what came before, nobody told it
 *
 * All are readings of the one clock (ladder.lua), and kv/replicas.c passes on an answer only if it has all changes up to
 * the largest of them. Without a stream that is current nobody knows what there is to be missed: then the primary
 * answers.
 *
 * A version may be needed that no change ever had: a reading of the clock between two. Therefore the primary is asked
 * for its mark, which replicas come past, when there is no floor yet, and while no replica is good enough.
 */
#include <ev.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "kv/keys.h"
#include "kv/scripts.h"
#include "store/answers.h"
#include "store/private.h"
#include "store/standing_private.h"

enum { TICK_MS = 50, MARK_MS = 500 };

struct replicas {
    struct kv_replicas *kv;
    int64_t floor;
    uint64_t floor_era; /* of the stream; 0: none */
    uint64_t asked_era;
    bool is_asking;
    int64_t mark_at_us;
    ev_timer tick;
};

static void on_mark(void *context, const struct redisReply *reply)
{
    struct replicas *replicas = context;
    int64_t version = kv_reply_int(reply);

    replicas->is_asking = false;
    if (version <= 0)
        return;
    replicas->floor_era = replicas->asked_era;
    if (version > replicas->floor)
        replicas->floor = version;
}

static void on_tick(struct ev_loop *loop, ev_timer *watcher, int events)
{
    const struct slice mark[] = {SLICE("FCALL"), SLICE(KV_FUNCTION("mark")), SLICE("0")};
    struct store *store = watcher->data;
    struct replicas *replicas = store->replicas;
    int64_t now_us = clock_monotonic_us(), unused;
    uint64_t era;

    (void)loop;
    (void)events;
    if (!kv_replicas_are_there(replicas->kv) || replicas->is_asking || !kv_is_trusted(store->kv) ||
        !answers_heard(store, &unused, &era) ||
        (replicas->floor_era == era && (now_us < replicas->mark_at_us || kv_replicas_are_used(replicas->kv))))
        return;
    replicas->mark_at_us = now_us + MARK_MS * 1000LL;
    replicas->asked_era = era;
    replicas->is_asking = kv_call(store->kv, ARRAY_SIZE(mark), mark, on_mark, replicas);
}

void replicas_open(struct store *store)
{
    struct kv_replicas *kv = kv_replicas_new(store->loop, &store->settings.kv, &store->settings.replicas, store->kv);

    if (!kv)
        return;
    store->replicas = calloc(1, sizeof(*store->replicas));
    ASSERT(store->replicas != NULL);
    store->replicas->kv = kv;
    ev_timer_init(&store->replicas->tick, on_tick, TICK_MS / 1000.0, TICK_MS / 1000.0);
    store->replicas->tick.data = store;
    ev_timer_start(store->loop, &store->replicas->tick);
}

void replicas_close(struct store *store)
{
    if (!store->replicas)
        return;
    ev_timer_stop(store->loop, &store->replicas->tick);
    kv_replicas_free(&store->replicas->kv);
}

bool standing_replica_send(struct standing_read *read, size_t count, const struct kv_command *commands,
                           kv_replica_done_fn *done)
{
    struct replicas *replicas = read->store->replicas;
    int64_t need;
    uint64_t era;

    if (!replicas || !replicas->kv || !kv_replicas_are_there(replicas->kv) || read->is_past_replicas)
        return false;
    read->is_past_replicas = true;
    if (!answers_heard(read->store, &need, &era))
        return false;
    if (read->query.freshness.version > need)
        need = read->query.freshness.version;
    if (replicas->floor > need && !fault_is("replica-floor"))
        need = replicas->floor;
    return (replicas->floor_era == era || fault_is("replica-floor")) &&
           kv_replicas_call(replicas->kv, need, count, commands, done, read);
}
