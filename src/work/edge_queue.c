#include "work/edge_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "kv/keys.h"

bool edges_read(struct edges *edges, const struct settings *settings, struct error *error)
{
    struct error why;

    *edges = (struct edges){.settings = settings};
    for (size_t i = 0; i < settings->edge_servers.count; i++) {
        struct edge_target *edge = edge_target_parse(settings->edge_servers.items[i], &why);
        if (!edge) {
            edges_free(edges);
            return error_set(error, ERROR_CONFIG, "edge.servers, item %zu: %.200s", i + 1, why.message);
        }
        edges->items[edges->count++] = edge;
    }
    return true;
}

void edges_free(struct edges *edges)
{
    for (size_t i = 0; i < edges->count; i++)
        edge_target_free(&edges->items[i]);
    edges->count = 0;
}

/* ---- keys and calls ---- */

static struct slice queue_key(const char *edge, const char *suffix, char out[static EDGE_QUEUE_KEY_MAX])
{
    snprintf(out, EDGE_QUEUE_KEY_MAX, KV_PURGE "%s%s", edge, suffix);
    return slice_of(out);
}

static bool call_ok(struct link *link, size_t count, const struct slice *arguments, int64_t *ret_value,
                    struct error *error)
{
    struct kvb_reply *reply;

    if (!kvb_call(link->kv, count, arguments, &reply, error))
        return false;
    if (ret_value)
        *ret_value = kvb_int(reply);
    kvb_reply_free(&reply);
    return true;
}

static bool member_add(struct link *link, const struct edge_target *edge, const char *kind, const char *tag,
                       int64_t due_us, struct error *error)
{
    char key[EDGE_QUEUE_KEY_MAX], member[EDGE_TAG_MAX + 32], score[24];

    snprintf(member, sizeof(member), "%s %s", kind, tag);
    snprintf(score, sizeof(score), "%lld", (long long)due_us);
    /* GT: what is due later covers what was due earlier; a member that is not there is added. */
    const struct slice add[] = {SLICE("ZADD"), queue_key(edge->id, "", key), SLICE("GT"), slice_of(score),
                                slice_of(member)};
    return call_ok(link, ARRAY_SIZE(add), add, NULL, error);
}

static int64_t settle_us(const struct edges *edges)
{
    return (edges->settings->edge_settle_ms + edges->settings->cache_board_ttl_ms) * 1000;
}

static bool tag_add(struct link *link, const struct edges *edges, const char *tag, int64_t max_staleness_ms,
                    struct error *error)
{
    int64_t again_us = clock_realtime_us() + settle_us(edges);
    bool is_ok = true;

    for (size_t i = 0; i < edges->count && is_ok; i++) {
        const struct edge_target *edge = edges->items[i];
        is_ok = member_add(link, edge, "0", tag, 0, error) && member_add(link, edge, "1", tag, again_us, error) &&
                (max_staleness_ms == 0 || member_add(link, edge, "2", tag, again_us + max_staleness_ms * 1000, error));
    }
    return is_ok;
}

static void board_tag(const char *game, const char *board, char tag[static EDGE_TAG_MAX])
{
    snprintf(tag, EDGE_TAG_MAX, "board:%s/%s", game, board);
}

bool edge_queue_change(struct link *link, const struct edges *edges, const char *game, const char *board,
                       int64_t max_staleness_ms, struct error *error)
{
    char tag[EDGE_TAG_MAX];

    board_tag(game, board, tag);
    return tag_add(link, edges, tag, max_staleness_ms, error);
}

bool edge_queue_at(struct link *link, const struct edges *edges, const char *game, const char *board, int64_t at_us,
                   struct error *error)
{
    const int64_t times_us[] = {at_us, at_us + settle_us(edges)};
    char tag[EDGE_TAG_MAX], kind[32];

    board_tag(game, board, tag);
    for (size_t i = 0; i < edges->count; i++)
        for (size_t t = 0; t < ARRAY_SIZE(times_us); t++) {
            /* A name of its own: a change that comes before must not put it off, nor it a change. */
            snprintf(kind, sizeof(kind), "@%lld", (long long)times_us[t]);
            if (!member_add(link, edges->items[i], kind, tag, times_us[t], error))
                return false;
        }
    return true;
}

/* ---- which edges ---- */

static bool edges_drop(struct link *link, const struct edges *edges, struct error *error)
{
    const struct slice members[] = {SLICE("SMEMBERS"), SLICE(KV_PURGE_EDGES)};
    struct kvb_reply *known;
    bool is_ok = true;

    if (!kvb_call(link->kv, ARRAY_SIZE(members), members, &known, error))
        return false;
    for (size_t i = 0; i < kvb_count(known) && is_ok; i++) {
        const char *id = kvb_text(kvb_item(known, i)).data;
        char queue[EDGE_QUEUE_KEY_MAX], sending[EDGE_QUEUE_KEY_MAX];
        bool is_there = false;
        for (size_t e = 0; e < edges->count; e++)
            is_there = is_there || strcmp(edges->items[e]->id, id) == 0;
        if (is_there)
            continue;
        const struct slice gone[] = {SLICE("SREM"), SLICE(KV_PURGE_EDGES), slice_of(id)};
        const struct slice drop[] = {SLICE("DEL"), queue_key(id, "", queue), queue_key(id, ":sending", sending)};
        is_ok =
            call_ok(link, ARRAY_SIZE(gone), gone, NULL, error) && call_ok(link, ARRAY_SIZE(drop), drop, NULL, error);
    }
    kvb_reply_free(&known);
    return is_ok;
}

bool edge_queue_sync(struct link *link, const struct edges *edges, bool is_all, struct error *error)
{
    if (!edges_drop(link, edges, error))
        return false;
    for (size_t i = 0; i < edges->count; i++) {
        const struct edge_target *edge = edges->items[i];
        const struct slice look[] = {SLICE("SISMEMBER"), SLICE(KV_PURGE_EDGES), slice_of(edge->id)};
        const struct slice add[] = {SLICE("SADD"), SLICE(KV_PURGE_EDGES), slice_of(edge->id)};
        int64_t is_known;
        if (!call_ok(link, ARRAY_SIZE(look), look, &is_known, error))
            return false;
        if (is_known && !is_all)
            continue;
        log_info("edge-purge-all", LOG_TEXT("edge", edge->name),
                 LOG_TEXT("because", is_known ? "changes may have been missed" : "it is new here"));
        if (!member_add(link, edge, "0", EDGE_ALL, 0, error) ||
            !member_add(link, edge, "1", EDGE_ALL, clock_realtime_us() + settle_us(edges), error) ||
            !call_ok(link, ARRAY_SIZE(add), add, NULL, error))
            return false;
    }
    return true;
}

/* ---- taking ---- */

static bool due_move(struct link *link, const struct edge_target *edge, size_t max, struct error *error)
{
    char queue[EDGE_QUEUE_KEY_MAX], sending[EDGE_QUEUE_KEY_MAX], now[24], limit[24];
    struct kvb_reply *due;

    snprintf(now, sizeof(now), "%lld", (long long)clock_realtime_us());
    snprintf(limit, sizeof(limit), "%zu", max);
    const struct slice range[] = {SLICE("ZRANGEBYSCORE"), queue_key(edge->id, "", queue),
                                  SLICE("-inf"),          slice_of(now),
                                  SLICE("LIMIT"),         SLICE("0"),
                                  slice_of(limit)};
    if (!kvb_call(link->kv, ARRAY_SIZE(range), range, &due, error))
        return false;
    size_t count = kvb_count(due);
    struct slice *arguments = calloc(count + 2, sizeof(*arguments));
    ASSERT(arguments != NULL);
    for (size_t i = 0; i < count; i++)
        arguments[i + 2] = kvb_text(kvb_item(due, i));
    arguments[0] = SLICE("SADD");
    arguments[1] = queue_key(edge->id, ":sending", sending);
    bool is_ok = count == 0 || call_ok(link, count + 2, arguments, NULL, error);
    /* A change that comes from here on puts its tag on the list again, and it is sent again. */
    arguments[0] = SLICE("ZREM");
    arguments[1] = slice_of(queue);
    is_ok = is_ok && (count == 0 || call_ok(link, count + 2, arguments, NULL, error));
    free(arguments);
    kvb_reply_free(&due);
    return is_ok;
}

static bool sending_read(struct link *link, const struct edge_target *edge, struct edge_taken *ret_taken,
                         struct error *error)
{
    char sending[EDGE_QUEUE_KEY_MAX];
    const struct slice members[] = {SLICE("SMEMBERS"), queue_key(edge->id, ":sending", sending)};
    struct kvb_reply *reply;

    if (!kvb_call(link->kv, ARRAY_SIZE(members), members, &reply, error))
        return false;
    size_t count = kvb_count(reply);
    *ret_taken = (struct edge_taken){.count = 0, .tags = calloc(count + 1, sizeof(*ret_taken->tags))};
    ASSERT(ret_taken->tags != NULL);
    for (size_t i = 0; i < count; i++) {
        const char *tag = strchr(kvb_text(kvb_item(reply, i)).data, ' ');
        bool is_repeat = !tag;
        for (size_t t = 0; t < ret_taken->count && !is_repeat; t++)
            is_repeat = strcmp(ret_taken->tags[t], tag + 1) == 0;
        if (!is_repeat)
            snprintf(ret_taken->tags[ret_taken->count++], EDGE_TAG_MAX, "%s", tag + 1);
    }
    kvb_reply_free(&reply);
    return true;
}

bool edge_queue_take(struct link *link, const struct edge_target *edge, size_t max, struct edge_taken *ret_taken,
                     struct error *error)
{
    if (!sending_read(link, edge, ret_taken, error))
        return false;
    if (ret_taken->count > 0)
        return true;
    free(ret_taken->tags);
    ret_taken->tags = NULL;
    return due_move(link, edge, max, error) && sending_read(link, edge, ret_taken, error);
}

bool edge_queue_done(struct link *link, const struct edge_target *edge, struct error *error)
{
    char sending[EDGE_QUEUE_KEY_MAX];
    const struct slice drop[] = {SLICE("DEL"), queue_key(edge->id, ":sending", sending)};

    return call_ok(link, ARRAY_SIZE(drop), drop, NULL, error);
}
