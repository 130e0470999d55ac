#include "work/ready.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "kv/url.h"

enum { VALUE_MAX = READY_RUN_ID_MAX + 32 };

static bool run_id_read(struct ready *ready, struct link *link, size_t node, struct error *error)
{
    const struct slice info[] = {SLICE("INFO"), SLICE("server")};
    char *run_id = ready->run_ids[node];
    struct kvb_reply *reply;

    if (!kvb_call_node(link->kv, node, ARRAY_SIZE(info), info, &reply, error))
        return false;
    const char *at = strstr(kvb_text(reply).data, "run_id:");
    snprintf(run_id, READY_RUN_ID_MAX, "%.*s", at ? (int)strcspn(at + 7, "\r\n") : 0, at ? at + 7 : "");
    kvb_reply_free(&reply);
    return run_id[0] || error_set(error, ERROR_UNAVAILABLE, "Redis did not say its run id");
}

bool ready_must_beat(const struct link *link)
{
    return kv_url_is_sentinel(link->settings->redis_url);
}

/* How many keys there are, and each. */
static int key_count(const struct link *link)
{
    return kvb_is_cluster(link->kv) ? KV_SHARDS : 1;
}

static struct slice key_of(const struct link *link, int i, char out[static KV_KEY_MAX])
{
    return kvb_is_cluster(link->kv) ? kv_ready_key(i, out) : SLICE(KV_READY);
}

static struct slice value_of(const struct ready *ready, const struct link *link, struct slice key,
                             char out[static VALUE_MAX])
{
    int size = snprintf(out, VALUE_MAX, "%s %s", link->epoch_text, ready->run_ids[kvb_node_of(link->kv, key)]);

    if (ready_must_beat(link))
        size += snprintf(out + size, (size_t)(VALUE_MAX - size), " %lld", (long long)ready->beat);
    return (struct slice){out, (size_t)size};
}

static bool all_send(struct ready *ready, struct link *link, bool is_write, struct error *error)
{
    for (int i = 0; i < key_count(link); i++) {
        char key_text[KV_KEY_MAX], value[VALUE_MAX];
        struct slice key = key_of(link, i, key_text);
        const struct slice set[] = {SLICE("SET"), key, value_of(ready, link, key, value)}, get[] = {SLICE("GET"), key};
        if (!kvb_append(link->kv, is_write ? ARRAY_SIZE(set) : ARRAY_SIZE(get), is_write ? set : get, error))
            return false;
    }
    return true;
}

/* Reads every reply. ret_is_same: of each key, whether it says what it should. */
static bool all_read(struct ready *ready, struct link *link, bool ret_is_same[static KV_SHARDS], struct error *error)
{
    struct error refusal = {.code = ERROR_NONE};

    for (int i = 0; i < key_count(link); i++) {
        char key_text[KV_KEY_MAX], value[VALUE_MAX];
        struct kvb_reply *reply;
        if (!kvb_read(link->kv, &reply, error))
            return false;
        ret_is_same[i] = slice_equal(kvb_text(reply), value_of(ready, link, key_of(link, i, key_text), value));
        if (kvb_kind(reply) == KVB_ERROR)
            error_set(&refusal, ERROR_UNAVAILABLE, "Redis did not say whether it is ready: %.150s",
                      kvb_text(reply).data);
        kvb_reply_free(&reply);
    }
    if (refusal.code != ERROR_NONE)
        *error = refusal;
    return refusal.code == ERROR_NONE;
}

/* Replies may be left where it failed: then the connection is of no more use. */
static bool all_ask(struct ready *ready, struct link *link, bool is_write, bool ret_is_same[static KV_SHARDS],
                    struct error *error)
{
    if (all_send(ready, link, is_write, error) && all_read(ready, link, ret_is_same, error))
        return true;
    kvb_close(&link->kv);
    return false;
}

bool ready_begin(struct ready *ready, struct link *link, bool ret_is_stranger[static KV_SHARDS], struct error *error)
{
    bool is_same[KV_SHARDS];

    *ready = (struct ready){.beat = clock_realtime_us()}; /* another than any before */
    for (size_t i = 0; i < kvb_node_count(link->kv); i++)
        if (!run_id_read(ready, link, i, error))
            return false;
    for (int i = 0; i < KV_SHARDS; i++)
        ret_is_stranger[i] = false;
    if (!kvb_is_cluster(link->kv))
        return true;
    if (!all_ask(ready, link, false, is_same, error))
        return false;
    for (int i = 0; i < KV_SHARDS; i++)
        ret_is_stranger[i] = !is_same[i];
    return true;
}

bool ready_write(struct ready *ready, struct link *link, struct error *error)
{
    bool unused[KV_SHARDS];

    ready->beat++;
    if (!all_ask(ready, link, true, unused, error))
        return false;
    if (!ready->is_written)
        log_info("redis-ready", LOG_TEXT("epoch", link->epoch_text), LOG_TEXT("run_id", ready->run_ids[0]),
                 LOG_INT("nodes", kvb_node_count(link->kv)));
    ready->is_written = true;
    return true;
}

bool ready_check(struct ready *ready, struct link *link, struct error *error)
{
    bool is_same[KV_SHARDS];

    if (!all_ask(ready, link, false, is_same, error))
        return false;
    for (int i = 0; i < key_count(link); i++)
        if (!is_same[i])
            return error_set(error, ERROR_CONFLICT, "Redis forgot that it was ready: it lost data");
    return true;
}
