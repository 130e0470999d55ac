/*
 * unsure.c -- standings in which Redis may lack a change of ours.
 *
 * A commit whose apply failed (Redis hung, went away, or answered COLD) is applied by the worker's tail soon after. Until
 * then our own clients would read the past from Redis. The shard's cursor says how far the tail is: "<epoch> <at_us> …",
 * at_us being the database's clock when the tail's snapshot was begun. A snapshot begun after our commit contains it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "kv/keys.h"
#include "store/private.h"

struct unsure {
    int64_t standing;
    int64_t committed_us; /* the newest commit that may be missing */
    bool is_asking;
    struct store *store;
    UT_hash_handle hh;
};

void unsure_add(struct store *store, int64_t standing, int64_t committed_us)
{
    struct unsure *unsure;

    HASH_FIND(hh, store->unsure, &standing, sizeof(standing), unsure);
    if (!unsure) {
        unsure = calloc(1, sizeof(*unsure));
        ASSERT(unsure != NULL);
        unsure->standing = standing;
        unsure->store = store;
        HASH_ADD(hh, store->unsure, standing, sizeof(unsure->standing), unsure);
    }
    if (committed_us > unsure->committed_us)
        unsure->committed_us = committed_us;
}

static void on_cursor(void *context, const struct redisReply *reply)
{
    struct unsure *unsure = context;
    struct slice text = kv_reply_text(reply);
    const char *space = text.size ? memchr(text.data, ' ', text.size) : NULL;
    int64_t at_us;

    unsure->is_asking = false;
    if (!space)
        return;
    struct slice rest = {space + 1, text.size - (size_t)(space + 1 - text.data)};
    const char *end = memchr(rest.data, ' ', rest.size);
    if (end && text_parse_int64((struct slice){rest.data, (size_t)(end - rest.data)}, &at_us) && at_us > unsure->committed_us) {
        HASH_DEL(unsure->store->unsure, unsure);
        free(unsure);
    }
}

bool unsure_has(struct store *store, int64_t standing)
{
    struct unsure *unsure;
    char key[KV_KEY_MAX];

    if (!store->unsure)
        return false;
    HASH_FIND(hh, store->unsure, &standing, sizeof(standing), unsure);
    if (!unsure)
        return false;
    if (!unsure->is_asking && kv_is_trusted(store->kv)) {
        const struct slice get[] = {SLICE("GET"), kv_cursor_key((int)(standing % KV_SHARDS), key)};
        unsure->is_asking = kv_call(store->kv, ARRAY_SIZE(get), get, on_cursor, unsure);
    }
    return true;
}

void unsure_free(struct store *store)
{
    struct unsure *unsure, *next;

    HASH_ITER(hh, store->unsure, unsure, next)
    {
        HASH_DEL(store->unsure, unsure);
        free(unsure);
    }
}
