/*
 * unsure.c -- standings in which Redis may lack a change of ours.
 *
 * A commit whose apply failed (Redis hung, went away, or answered COLD) is applied by the worker's tail soon after.
 * Until then our own clients would read the past from Redis. The shard's cursor says how far the tail is: "<epoch>
 * <at_us> …", at_us being the database's clock when the tail's snapshot was begun. A snapshot begun after our commit
 * contains it.
 *
 * When it is sure again, that does not mean that every loop has heard of the change: what the tail brought counts as
 * seen.
 *
 * One table for the whole process, because a client's next request may come to another loop. It is empty as long as all
 * goes well, and then costs a look at a counter; only otherwise is its mutex taken, for a few instructions.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "base/text.h"
#include "kv/keys.h"
#include "kv/scripts.h"
#include "store/changes.h"
#include "store/private.h"

struct unsure {
    int64_t standing;
    int64_t committed_us; /* the newest commit that may be missing */
    bool is_asking;       /* some loop asks for the cursor */
    UT_hash_handle hh;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct unsure *table;     /* under the mutex */
static atomic_size_t table_size; /* changed under it, read without */

static struct unsure *find(int64_t standing)
{
    struct unsure *unsure;

    HASH_FIND(hh, table, &standing, sizeof(standing), unsure);
    return unsure;
}

void store_standing_changed(int64_t standing, int64_t committed_us)
{
    unsure_add(standing, committed_us);
}

void unsure_add(int64_t standing, int64_t committed_us)
{
    pthread_mutex_lock(&mutex);
    struct unsure *unsure = find(standing);
    if (!unsure) {
        unsure = calloc(1, sizeof(*unsure));
        ASSERT(unsure != NULL);
        unsure->standing = standing;
        HASH_ADD(hh, table, standing, sizeof(unsure->standing), unsure);
        table_size++;
    }
    if (committed_us > unsure->committed_us)
        unsure->committed_us = committed_us;
    pthread_mutex_unlock(&mutex);
}

struct asking {
    int64_t standing;
};

static void on_cursor(void *context, const struct redisReply *reply)
{
    struct asking *asking = context;
    int64_t at_us = kv_cursor_at(kv_reply_text(kv_reply_item(reply, 0)));

    pthread_mutex_lock(&mutex);
    struct unsure *unsure = find(asking->standing);
    if (unsure)
        unsure->is_asking = false;
    if (unsure && at_us > unsure->committed_us) {
        changes_seen(fault_is("sure-again") ? 0 : kv_reply_int(kv_reply_item(reply, 1)));
        HASH_DEL(table, unsure);
        free(unsure);
        table_size--;
    }
    pthread_mutex_unlock(&mutex);
    free(asking);
}

bool unsure_has(struct store *store, int64_t standing)
{
    char key[KV_KEY_MAX];

    if (table_size == 0 || fault_is("unsure"))
        return false;
    pthread_mutex_lock(&mutex);
    struct unsure *unsure = find(standing);
    bool must_ask = unsure && !unsure->is_asking && kv_trusts(store->kv, standing);
    if (must_ask)
        unsure->is_asking = true;
    pthread_mutex_unlock(&mutex);
    if (!must_ask)
        return unsure != NULL;
    struct asking *asking = malloc(sizeof(*asking));
    ASSERT(asking != NULL);
    asking->standing = standing;
    const struct slice ask[] = {SLICE("FCALL_RO"), SLICE(KV_FUNCTION("reached")), SLICE("1"),
                                kv_cursor_key((int)(standing % KV_SHARDS), key)};
    if (!kv_call(store->kv, ARRAY_SIZE(ask), ask, on_cursor, asking))
        on_cursor(asking, NULL);
    return true;
}

void unsure_free(void)
{
    struct unsure *unsure, *next;

    pthread_mutex_lock(&mutex);
    HASH_ITER(hh, table, unsure, next) {
        HASH_DEL(table, unsure);
        free(unsure);
    }
    table_size = 0;
    pthread_mutex_unlock(&mutex);
}
