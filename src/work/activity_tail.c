#include "work/activity_tail.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/text.h"

/* Of both statements, as ladder.lua takes them: standing, load or add, ring, slot, submissions, new entries. */
enum { COLUMNS = 6, IDS_BYTES_MAX = 1 << 18 };
#define COUNTED_US (KV_ACTIVITY_S * 1000000LL)

static void rows_forget(struct activity_tail *tail)
{
    dbb_result_free(&tail->added.result);
    dbb_result_free(&tail->loaded.result);
    tail->is_unsent = false;
}

void activity_tail_begin(struct activity_tail *tail)
{
    uint8_t random[(ACTIVITY_NAME_MAX - 1) / 2];

    crypto_random(random, sizeof(random));
    text_hex_encode(random, sizeof(random), tail->name);
    rows_forget(tail);
    tail->count = tail->wanted_count = 0;
}

void activity_tail_done(struct activity_tail *tail)
{
    rows_forget(tail);
    free(tail->standings);
    tail->standings = NULL;
    tail->count = 0;
}

/* ---- the list ---- */

static void wanted_add(struct activity_tail *tail, struct slice text)
{
    int64_t id;

    if (tail->wanted_count == ACTIVITY_LOADS_MAX || tail->count + tail->wanted_count >= ACTIVITY_STANDINGS_MAX ||
        !text_parse_int64(text, &id) || id <= 0)
        return;
    /* Whoever asks for one that is counted has found it gone. */
    for (size_t i = 0; i < tail->count; i++)
        if (tail->standings[i].id == id)
            tail->standings[i--] = tail->standings[--tail->count];
    for (size_t i = 0; i < tail->wanted_count; i++)
        if (tail->wanted[i] == id)
            return;
    tail->wanted[tail->wanted_count++] = id;
}

bool activity_tail_want(struct activity_tail *tail, struct link *link, struct error *error)
{
    char count[24];
    struct kvb_reply *reply;

    if (tail->wanted_count == ACTIVITY_LOADS_MAX)
        return true;
    snprintf(count, sizeof(count), "%zu", ACTIVITY_LOADS_MAX - tail->wanted_count);
    const struct slice pop[] = {SLICE("SPOP"), SLICE(KV_ACTIVITY_WANTED), slice_of(count)};
    if (!link_pop(link, ARRAY_SIZE(pop), pop, &reply, error))
        return false;
    for (size_t i = 0; reply && i < kvb_count(reply); i++)
        wanted_add(tail, kvb_text(kvb_item(reply, i)));
    kvb_reply_free(&reply);
    return true;
}

/* ---- a poll ---- */

static void expire(struct activity_tail *tail)
{
    int64_t now_us = clock_monotonic_us();

    for (size_t i = 0; i < tail->count;)
        if (tail->standings[i].until_us <= now_us)
            tail->standings[i] = tail->standings[--tail->count];
        else
            i++;
}

/* They come in the order of their shards. */
static bool ask(struct link *link, enum statement statement, size_t count, const char **parameters,
                const struct buf *ids, struct activity_rows *rows, struct error *error)
{
    size_t row = 0;

    ASSERT(!ids->is_overflown);
    parameters[count] = ids->data;
    if (!link_query(link, statement, count + 1, parameters, &rows->result, error))
        return false;
    for (int shard = 0; shard <= KV_SHARDS; shard++) {
        while (row < dbb_rows(rows->result) && dbb_int64(rows->result, row, 0) % KV_SHARDS < shard)
            row++;
        rows->from[shard] = row;
    }
    return true;
}

static size_t rows_of(const struct activity_rows *rows, int shard)
{
    return rows->result ? rows->from[shard + 1] - rows->from[shard] : 0;
}

bool activity_tail_find(struct activity_tail *tail, struct link *link, const char *const parameters[static 2],
                        struct error *error)
{
    const char *of_load[1], *of_added[3] = {parameters[0], parameters[1]};
    struct buf counted, wanted;
    bool is_ok = true;

    if (tail->is_unsent)
        activity_tail_begin(tail); /* the cursors stayed where they were */
    expire(tail);
    if (tail->count + tail->wanted_count == 0)
        return true;
    buf_init(&counted, IDS_BYTES_MAX);
    buf_init(&wanted, IDS_BYTES_MAX);
    for (size_t i = 0; i < tail->count; i++)
        buf_printf(&counted, "%s%lld", i ? "," : "{", (long long)tail->standings[i].id);
    for (size_t i = 0; i < tail->wanted_count; i++)
        buf_printf(&wanted, "%s%lld", i ? "," : "{", (long long)tail->wanted[i]);
    buf_append_text(&counted, "}");
    buf_append_text(&wanted, "}");
    if (tail->count)
        is_ok = ask(link, STATEMENT_activity_added, 2, of_added, &counted, &tail->added, error);
    if (tail->wanted_count && is_ok)
        is_ok = ask(link, STATEMENT_activity_load, 0, of_load, &wanted, &tail->loaded, error);
    buf_done(&counted);
    buf_done(&wanted);
    tail->is_unsent = true;
    return is_ok;
}

size_t activity_tail_size(const struct activity_tail *tail, int shard)
{
    return COLUMNS * (rows_of(&tail->added, shard) + rows_of(&tail->loaded, shard));
}

size_t activity_tail_arguments(const struct activity_tail *tail, int shard, struct slice *arguments)
{
    const struct activity_rows *const both[] = {&tail->added, &tail->loaded};
    size_t size = 0;

    for (size_t i = 0; i < ARRAY_SIZE(both); i++)
        for (size_t row = both[i]->from[shard]; both[i]->result && row < both[i]->from[shard + 1]; row++)
            for (size_t column = 0; column < COLUMNS; column++)
                arguments[size++] =
                    (struct slice){dbb_text(both[i]->result, row, column), dbb_size(both[i]->result, row, column)};
    return size;
}

void activity_tail_sent(struct activity_tail *tail)
{
    int64_t until_us = clock_monotonic_us() + COUNTED_US;

    for (size_t i = 0; tail->loaded.result && i < tail->wanted_count; i++) {
        if (!tail->standings)
            tail->standings = malloc(ACTIVITY_STANDINGS_MAX * sizeof(*tail->standings));
        ASSERT(tail->standings != NULL);
        tail->standings[tail->count++] = (struct activity_standing){tail->wanted[i], until_us};
    }
    if (tail->loaded.result)
        tail->wanted_count = 0;
    rows_forget(tail);
}
