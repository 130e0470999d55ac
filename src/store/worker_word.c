#include "store/worker_word.h"

#include "base/assert.h"
#include "base/clock.h"
#include "kv/keys.h"
#include "store/private.h"

/* An answer older than that says nothing about now. */
enum { LATELY_US = 5000000 };

/* PTTL: what is left of the key's life; -2: there is no such key. */
static void on_left(void *context, const struct redisReply *reply)
{
    struct store *store = context;

    if (!reply || kv_reply_is_error(reply))
        return;
    int64_t left_ms = kv_reply_int(reply);
    store->worker_heard_us = clock_monotonic_us();
    store->worker_spoke_us = left_ms >= 0 ? store->worker_heard_us - (KV_WORKER_LIVE_MS - left_ms) * 1000LL : INT64_MIN;
}

static void on_failing(void *context, const struct redisReply *reply)
{
    struct store *store = context;

    if (reply && !kv_reply_is_error(reply)) {
        struct slice text = kv_reply_text(reply);
        size_t size = text.size < sizeof(store->failing) - 1 ? text.size : sizeof(store->failing) - 1;
        for (size_t i = 0; i < size; i++) /* anybody may write to Redis */
            store->failing[i] = text.data[i] < ' ' || text.data[i] > '~' ? '?' : text.data[i];
        store->failing[size] = 0;
    }
}

const char *worker_failing(const struct store *store)
{
    return store->failing;
}

void worker_word_ask(struct store *store)
{
    const struct slice failing[] = {SLICE("GET"), SLICE(KV_FAILING)};

    const struct slice ask[] = {SLICE("PTTL"), SLICE(KV_WORKER)};

    kv_call(store->kv, ARRAY_SIZE(ask), ask, on_left, store);
    kv_call(store->kv, ARRAY_SIZE(failing), failing, on_failing, store);
}

enum worker_word worker_word_get(const struct store *store, int64_t *ret_age_us)
{
    int64_t now_us = clock_monotonic_us();

    *ret_age_us = 0;
    if (store->worker_heard_us == 0 || now_us - store->worker_heard_us > LATELY_US)
        return WORKER_UNKNOWN;
    if (store->worker_spoke_us == INT64_MIN)
        return WORKER_NEVER;
    *ret_age_us = now_us > store->worker_spoke_us ? now_us - store->worker_spoke_us : 0;
    return WORKER_SPOKE;
}
