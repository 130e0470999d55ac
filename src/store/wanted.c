/*
 * wanted.c -- what the worker is asked for, in Redis: standings to be loaded, and counts of submissions.
 */
#include <stdio.h>

#include "base/assert.h"
#include "kv/keys.h"
#include "store/private.h"

static void on_wanted(void *context, const struct redisReply *reply)
{
    (void)context;
    (void)reply; /* lost: the next reader that finds it cold says so again */
}

void standing_want(struct store *store, int64_t standing)
{
    char id[24];

    snprintf(id, sizeof(id), "%lld", (long long)standing);
    const struct slice add[] = {SLICE("ZINCRBY"), SLICE(KV_WANTED), SLICE("1"), slice_of(id)};
    kv_call(store->kv, ARRAY_SIZE(add), add, on_wanted, NULL);
}

void activity_want(struct store *store, int64_t standing)
{
    char id[24];

    snprintf(id, sizeof(id), "%lld", (long long)standing);
    const struct slice add[] = {SLICE("SADD"), SLICE(KV_ACTIVITY_WANTED), slice_of(id)};
    kv_call(store->kv, ARRAY_SIZE(add), add, on_wanted, NULL);
}
