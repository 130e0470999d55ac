#include "work/review.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "kv/keys.h"
#include "kv/scripts.h"

static bool keys_review(struct link *link, const struct kvb_reply *keys, const bool is_missing[static KV_SHARDS],
                        const bool is_stranger[static KV_SHARDS], struct error *error)
{
    for (size_t i = 0; i < kvb_count(keys); i++) {
        struct slice key = kvb_text(kvb_item(keys, i));
        int shard = atoi(key.data + strlen("ladder:{"));
        if (shard < 0 || shard >= KV_SHARDS || !(is_missing[shard] || is_stranger[shard]))
            continue;
        const struct slice drop[] = {SLICE("FCALL"), SLICE(KV_FUNCTION("drop")), SLICE("1"), key};
        const struct slice whole[] = {SLICE("FCALL"), SLICE(KV_FUNCTION("whole")), SLICE("1"), key};
        struct kvb_reply *reply;
        if (!kvb_call(link->kv, ARRAY_SIZE(drop), is_missing[shard] ? drop : whole, &reply, error))
            return false;
        if (slice_is(kvb_text(reply), "DROPPED"))
            log_warn("standing-not-whole", LOG_SLICE("key", key));
        kvb_reply_free(&reply);
    }
    return true;
}

static bool node_review(struct link *link, size_t node, const bool is_missing[static KV_SHARDS],
                        const bool is_stranger[static KV_SHARDS], struct error *error)
{
    char position[32] = "0";

    do {
        const struct slice scan[] = {SLICE("SCAN"),  slice_of(position), SLICE("MATCH"), SLICE("ladder:{*}:*:meta"),
                                     SLICE("COUNT"), SLICE("1000")};
        struct kvb_reply *reply;
        if (!kvb_call_node(link->kv, node, ARRAY_SIZE(scan), scan, &reply, error))
            return false;
        snprintf(position, sizeof(position), "%s", kvb_text(kvb_item(reply, 0)).data);
        bool is_ok = keys_review(link, kvb_item(reply, 1), is_missing, is_stranger, error);
        kvb_reply_free(&reply);
        if (!is_ok)
            return false;
    } while (strcmp(position, "0") != 0);
    return true;
}

bool review_standings(struct link *link, const bool is_missing[static KV_SHARDS],
                      const bool is_stranger[static KV_SHARDS], struct error *error)
{
    bool is_ok = true;

    for (size_t i = 0; i < kvb_node_count(link->kv) && is_ok; i++)
        is_ok = node_review(link, i, is_missing, is_stranger, error);
    return is_ok;
}
