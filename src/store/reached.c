/*
 * reached.c -- up to when Redis has everything, by shard: for tokens of writes that it did not have when they were
 * answered.
 *
 * The worker's tail brings such a write to Redis. The shard's cursor lies behind its data: "<epoch> <at_us> ...", at_us
 * being the primary's clock when the tail's snapshot was begun. A snapshot begun after a commit contains it. So a write
 * committed before at_us is in every standing of the shard that Redis holds, and of those that it does not hold, it says
 * so.
 *
 * What was once reached stays reached: a Redis that loses data afterwards is not trusted (kv.h) until the tail has
 * replayed what it lacks, and a standing that is gone is loaded anew from PostgreSQL.
 *
 * One table for the whole process. A request never waits for Redis here: it reads from PostgreSQL, and the next one
 * finds what Redis has said meanwhile.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/fault.h"
#include "kv/keys.h"
#include "kv/scripts.h"
#include "store/changes.h"
#include "store/private.h"

struct reached {
    int64_t epoch;
    int64_t at_us;
    int64_t version; /* every change made to get there has at most this one */
    bool is_asking;  /* some loop asks for the cursor */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct reached shards[KV_SHARDS]; /* under the mutex */

struct asking {
    int shard;
};

static void on_cursor(void *context, const struct redisReply *reply)
{
    struct asking *asking = context;
    struct slice cursor = kv_reply_text(kv_reply_item(reply, 0));
    int64_t at_us = kv_cursor_at(cursor), epoch = kv_cursor_epoch(cursor);

    pthread_mutex_lock(&mutex);
    struct reached *reached = &shards[asking->shard];
    reached->is_asking = false;
    if (at_us > 0 && (epoch > reached->epoch || (epoch == reached->epoch && at_us > reached->at_us))) {
        reached->epoch = epoch;
        reached->at_us = at_us;
        reached->version = kv_reply_int(kv_reply_item(reply, 1));
        changes_seen(reached->version); /* so the loops wait until they have heard of it */
    }
    pthread_mutex_unlock(&mutex);
    free(asking);
}

static void cursor_ask(struct store *store, int shard)
{
    struct asking *asking = malloc(sizeof(*asking));
    char key[KV_KEY_MAX];

    ASSERT(asking != NULL);
    asking->shard = shard;
    const struct slice ask[] = {SLICE("FCALL_RO"), SLICE(KV_FUNCTION("reached")), SLICE("1"),
                                kv_cursor_key(shard, key)};
    if (!kv_call(store->kv, ARRAY_SIZE(ask), ask, on_cursor, asking))
        on_cursor(asking, NULL);
}

bool reached_has(struct store *store, int64_t standing, int epoch, int64_t committed_us, int64_t *version)
{
    int shard = (int)(standing % KV_SHARDS);
    struct reached *reached = &shards[shard];

    if (committed_us == 0 || !kv_trusts(store->kv, standing))
        return false;
    pthread_mutex_lock(&mutex);
    bool has_it = (reached->epoch == epoch && reached->at_us > committed_us) || fault_is("reached");
    bool must_ask = !has_it && !reached->is_asking;
    if (must_ask)
        reached->is_asking = true;
    if (has_it && reached->version > *version)
        *version = reached->version;
    pthread_mutex_unlock(&mutex);
    if (must_ask)
        cursor_ask(store, shard);
    return has_it;
}
