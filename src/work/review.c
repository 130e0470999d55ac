#include "work/review.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "kv/keys.h"
#include "kv/scripts.h"
#include "work/held.h"

struct review {
    const bool *is_missing, *is_stranger; /* by shard */
};

static bool keys_review(struct link *link, const struct kvb_reply *keys, void *context, struct error *error)
{
    const struct review *review = context;

    for (size_t i = 0; i < kvb_count(keys); i++) {
        struct slice key = kvb_text(kvb_item(keys, i));
        int shard = atoi(key.data + strlen("ladder:{"));
        if (shard < 0 || shard >= KV_SHARDS || !(review->is_missing[shard] || review->is_stranger[shard]))
            continue;
        const struct slice drop[] = {SLICE("FCALL"), SLICE(KV_FUNCTION("drop")), SLICE("1"), key};
        const struct slice whole[] = {SLICE("FCALL"), SLICE(KV_FUNCTION("whole")), SLICE("1"), key};
        struct kvb_reply *reply;
        if (!kvb_call(link->kv, ARRAY_SIZE(drop), review->is_missing[shard] ? drop : whole, &reply, error))
            return false;
        if (slice_is(kvb_text(reply), "DROPPED"))
            log_warn("standing-not-whole", LOG_SLICE("key", key));
        kvb_reply_free(&reply);
    }
    return true;
}

bool review_standings(struct link *link, const bool is_missing[static KV_SHARDS],
                      const bool is_stranger[static KV_SHARDS], struct error *error)
{
    struct review review = {is_missing, is_stranger};

    return held_each(link, keys_review, &review, error);
}
