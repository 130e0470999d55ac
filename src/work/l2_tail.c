#include "work/l2_tail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "kv/keys.h"
#include "kv/scripts.h"
#include "kv/url.h"

enum { PURGE_MAX = 100, GAMES_MAX = 100, SCAN_MAX = 2000, TIMEOUT_MS = 500, RETRY_US = 1000000 };
#define SCAN_COUNT "1000"

static bool has_place(const struct settings *settings)
{
    return settings->cache_l2_url[0] || !kv_url_is_cluster(settings->redis_url);
}

struct kvb *l2_open_blocking(const struct settings *settings, struct kvb *shared, struct kvb **own, int timeout_ms,
                             struct error *error)
{
    if (!has_place(settings)) {
        error_set(error, ERROR_CONFIG,
                  "there is no second cache: a Redis Cluster has no place for it, and cache.l2_url is empty");
        return NULL;
    }
    bool is_other = settings->cache_l2_url[0] && strcmp(settings->cache_l2_url, settings->redis_url) != 0;

    if (shared && !is_other)
        return shared;
    if (*own && kvb_is_broken(*own))
        kvb_close(own);
    if (!*own)
        *own = kvb_open(is_other ? settings->cache_l2_url : settings->redis_url, timeout_ms, error);
    return *own;
}

/* keys: whole, of tags. */
static bool keys_purge(void *context, const struct slice *keys, size_t count, struct error *error)
{
    struct kvb *kv = context;
    struct slice arguments[3 + PURGE_MAX] = {SLICE("FCALL"), SLICE(KV_FUNCTION("purge"))};
    char count_text[16];

    for (size_t at = 0; at < count; at += PURGE_MAX) {
        size_t some = count - at < PURGE_MAX ? count - at : PURGE_MAX;
        struct kvb_reply *reply;
        snprintf(count_text, sizeof(count_text), "%zu", some);
        arguments[2] = slice_of(count_text);
        memcpy(arguments + 3, keys + at, some * sizeof(*keys));
        if (!kvb_call(kv, 3 + some, arguments, &reply, error))
            return false;
        kvb_reply_free(&reply);
    }
    return true;
}

bool l2_purge_blocking(struct kvb *kv, const char *const *tags, size_t count, struct error *error)
{
    char texts[PURGE_MAX][KV_L2_KEY_MAX];
    struct slice keys[PURGE_MAX];

    ASSERT(count > 0 && count <= PURGE_MAX);
    for (size_t i = 0; i < count; i++)
        keys[i] = kv_l2_key("tag", tags[i], texts[i]);
    return keys_purge(kv, keys, count, error);
}

bool l2_scan_blocking(struct kvb *kv, const char *kind, l2_keys_fn *visit, void *context, struct error *error)
{
    char position[32] = "0", pattern[KV_L2_KEY_MAX];
    bool is_ok = true;

    kv_l2_key(kind, "*", pattern);
    do {
        const struct slice scan[] = {SLICE("SCAN"),     slice_of(position), SLICE("MATCH"),
                                     slice_of(pattern), SLICE("COUNT"),     SLICE(SCAN_COUNT)};
        struct slice keys[SCAN_MAX];
        struct kvb_reply *reply;
        if (!kvb_call(kv, ARRAY_SIZE(scan), scan, &reply, error))
            return false;
        snprintf(position, sizeof(position), "%s", kvb_text(kvb_item(reply, 0)).data);
        const struct kvb_reply *found = kvb_item(reply, 1);
        for (size_t at = 0; at < kvb_count(found) && is_ok; at += SCAN_MAX) {
            size_t count = 0;
            while (count < SCAN_MAX && at + count < kvb_count(found)) {
                keys[count] = kvb_text(kvb_item(found, at + count));
                count++;
            }
            is_ok = visit(context, keys, count, error);
        }
        kvb_reply_free(&reply);
    } while (is_ok && strcmp(position, "0") != 0);
    return is_ok;
}

/* ---- the tail's ---- */

void l2_tail_note(struct l2_tail *tail, int64_t standing)
{
    tail->since_us = clock_monotonic_us();
    if (tail->count > 0 && tail->standings[tail->count - 1] == standing)
        return;
    if (tail->count == tail->room) {
        tail->room = tail->room ? 2 * tail->room : 64;
        tail->standings = realloc(tail->standings, tail->room * sizeof(*tail->standings));
        ASSERT(tail->standings != NULL);
    }
    tail->standings[tail->count++] = standing;
}

void l2_tail_note_all(struct l2_tail *tail)
{
    tail->since_us = clock_monotonic_us();
    tail->is_all = true;
}

static void nothing_left(struct l2_tail *tail)
{
    tail->is_all = false;
    tail->count = 0;
    tail->since_us = tail->retry_us = 0;
}

/* kind: "standing", "history". Of count numbers, the last first; *ret_left: how many are not purged. */
static bool numbers_purge(struct kvb *kv, const char *kind, const int64_t *numbers, size_t count, size_t *ret_left,
                          struct error *error)
{
    char texts[PURGE_MAX][32];
    const char *tags[PURGE_MAX];

    for (*ret_left = count; *ret_left > 0;) {
        size_t some = *ret_left < PURGE_MAX ? *ret_left : PURGE_MAX;
        for (size_t i = 0; i < some; i++) {
            snprintf(texts[i], sizeof(texts[i]), "%s:%lld", kind, (long long)numbers[*ret_left - 1 - i]);
            tags[i] = texts[i];
        }
        if (!l2_purge_blocking(kv, tags, some, error))
            return false;
        *ret_left -= some;
    }
    return true;
}

/* With the histories of their games. */
static bool standings_purge(struct l2_tail *tail, struct link *link, struct kvb *kv, struct error *error)
{
    int64_t games[GAMES_MAX];
    struct dbb_result *result;
    struct buf text;
    size_t count, left;

    if (tail->count == 0)
        return true;
    buf_init(&text, 32 * tail->count + 2);
    for (size_t i = 0; i < tail->count; i++)
        buf_printf(&text, "%c%lld", i ? ',' : '{', (long long)tail->standings[i]);
    buf_printf(&text, "}");
    const char *parameters[] = {text.data};
    bool is_ok = link_query(link, STATEMENT_games_of, 1, parameters, &result, error);
    buf_done(&text);
    if (!is_ok)
        return false;
    for (size_t at = 0; at < dbb_rows(result) && is_ok; at += count) {
        for (count = 0; count < GAMES_MAX && at + count < dbb_rows(result); count++)
            games[count] = dbb_int64(result, at + count, 0);
        is_ok = numbers_purge(kv, "history", games, count, &left, error);
    }
    dbb_result_free(&result);
    return is_ok && numbers_purge(kv, "standing", tail->standings, tail->count, &tail->count, error);
}

void l2_histories_forget(struct link *link, const int64_t *games, size_t count)
{
    struct kvb *own = NULL;
    struct error error;
    size_t left;

    if (count == 0 || !has_place(link->settings))
        return;
    struct kvb *kv = l2_open_blocking(link->settings, link->kv, &own, TIMEOUT_MS, &error);
    if (!kv || !numbers_purge(kv, "history", games, count, &left, &error))
        log_debug("histories-not-purged", LOG_TEXT("because", error.message));
    kvb_close(&own);
}

bool l2_standing_forget(struct link *link, int64_t standing, struct error *error)
{
    struct kvb *own = NULL;
    size_t left;

    if (!has_place(link->settings))
        return true;
    struct kvb *kv = l2_open_blocking(link->settings, link->kv, &own, TIMEOUT_MS, error);
    bool is_ok = kv && numbers_purge(kv, "standing", &standing, 1, &left, error);
    kvb_close(&own);
    return is_ok;
}

bool l2_tail_purge(struct l2_tail *tail, struct link *link, bool *ret_is_lost, struct error *error)
{
    int64_t now_us = clock_monotonic_us();

    *ret_is_lost = false;
    if (tail->since_us == 0)
        return true;
    if (!has_place(link->settings) || now_us - tail->since_us > link->settings->cache_l2_ttl_s * 1000000) {
        nothing_left(tail);
        return true;
    }
    if (now_us < tail->retry_us)
        return error_set(error, ERROR_UNAVAILABLE, "the second cache could not be purged a moment ago");
    struct kvb *kv = l2_open_blocking(link->settings, link->kv, &tail->own, TIMEOUT_MS, error);
    if (!kv || (tail->is_all && !l2_scan_blocking(kv, "tag", keys_purge, kv, error)) ||
        !standings_purge(tail, link, kv, error)) {
        *ret_is_lost = kv == link->kv;
        if (tail->retry_us == 0)
            log_warn("second-cache-not-purged", LOG_TEXT("because", error->message));
        tail->retry_us = clock_monotonic_us() + RETRY_US;
        return false;
    }
    nothing_left(tail);
    return true;
}

void l2_tail_done(struct l2_tail *tail)
{
    kvb_close(&tail->own);
    free(tail->standings);
}
