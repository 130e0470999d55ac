/*
 * popular.c -- what is read most: forgets slowly, keeps the lists short, and notes the standings in PostgreSQL.
 *
 * Servers add what they served (api/warming.c). Here a fifth goes each minute, so the weight is that of the last
 * minutes.
 */
#include "base/assert.h"
#include "base/buf.h"
#include "base/text.h"
#include "kv/keys.h"
#include "work/job.h"

#define KEPT "-1001" /* by rank from the lowest: all but the 1,000 highest */
#define FORGET "0.8"

static bool list_age(struct link *link, struct slice key, struct error *error)
{
    const struct slice fade[] = {SLICE("ZUNIONSTORE"), key, SLICE("1"), key, SLICE("WEIGHTS"), SLICE(FORGET)};
    const struct slice faint[] = {SLICE("ZREMRANGEBYSCORE"), key, SLICE("-inf"), SLICE("(1")};
    const struct slice rest[] = {SLICE("ZREMRANGEBYRANK"), key, SLICE("0"), SLICE(KEPT)};
    struct kvb_reply *reply;

    if (!kvb_call(link->kv, ARRAY_SIZE(fade), fade, &reply, error))
        return false;
    kvb_reply_free(&reply);
    if (!kvb_call(link->kv, ARRAY_SIZE(faint), faint, &reply, error))
        return false;
    kvb_reply_free(&reply);
    if (!kvb_call(link->kv, ARRAY_SIZE(rest), rest, &reply, error))
        return false;
    kvb_reply_free(&reply);
    return true;
}

static bool standings_note(struct link *link, int64_t *ret_rows, struct error *error)
{
    const struct slice range[] = {SLICE("ZRANGE"), SLICE(KV_POPULAR_STANDINGS), SLICE("0"), SLICE("-1"),
                                  SLICE("WITHSCORES")};
    struct kvb_reply *reply;
    struct buf ids, weights;

    if (!kvb_call(link->kv, ARRAY_SIZE(range), range, &reply, error))
        return false;
    size_t count = kvb_count(reply) / 2;
    buf_init(&ids, 1 << 20);
    buf_init(&weights, 1 << 20);
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t id;
        if (!text_parse_int64(kvb_text(kvb_item(reply, 2 * i)), &id))
            continue; /* not ours */
        buf_append_byte(&ids, known ? ',' : '{');
        buf_append_slice(&ids, kvb_text(kvb_item(reply, 2 * i)));
        buf_append_byte(&weights, known ? ',' : '{');
        buf_append_slice(&weights, kvb_text(kvb_item(reply, 2 * i + 1)));
        known++;
    }
    kvb_reply_free(&reply);
    count = known;
    buf_append_byte(&ids, '}');
    buf_append_byte(&weights, '}');
    const char *parameters[] = {ids.data, weights.data};
    /* An empty list is that of a Redis which has just lost it: what was noted is better. */
    bool is_ok = count == 0 || link_query(link, STATEMENT_popularity_note, 2, parameters, NULL, error);
    *ret_rows += (int64_t)count;
    buf_done(&ids);
    buf_done(&weights);
    return is_ok;
}

static bool popular_run(struct link *link, int64_t *ret_rows, struct error *error)
{
    return list_age(link, SLICE(KV_POPULAR_STANDINGS), error) && list_age(link, SLICE(KV_POPULAR_PAGES), error) &&
           standings_note(link, ret_rows, error);
}

const struct job popular_job = {.name = "popular", .period_ms = 60000, .needs_kv = true, .run = popular_run};
