#include "api/ask.h"

#include <stdio.h>
#include <string.h>

#include "api/page.h"
#include "base/assert.h"
#include "base/fault.h"
#include "store/answers.h"
#include "store/l2.h"

void ask_add(struct ask *ask, const char *text)
{
    ASSERT(ask->read.parameter_count < (int)ARRAY_SIZE(ask->read.parameters));
    ask->read.parameters[ask->read.parameter_count++] =
        (struct db_parameter){.data = text ? text : "", .format = DB_TEXT};
}

void ask_add_int(struct ask *ask, int64_t value)
{
    ask_add(ask, arena_printf(ask->call->arena, "%lld", (long long)value));
}

static void ask_fail(struct ask *ask, const struct error *error)
{
    struct http_request *http = ask->call->http;

    if (ask->ticket)
        l2_drop(ask->ticket);
    api_fail(ask->call, error);
    if (ask->flight)
        flight_fail(ask->flight, error);
    http_release(http);
}

/* lsn: what the answer covers; 0: less than was asked for, so that nobody else shall have it. */
static void ask_send(struct ask *ask, struct page *page, enum api_cache outcome, int64_t lsn, int64_t age_us)
{
    struct api_call *call = ask->call;
    struct http_request *http = call->http;
    const struct standing_answer answer = {.lsn = lsn};

    if (ask->flight && lsn > 0 && flight_keep_brief(ask->flight, lsn, age_us, page, page_bytes(page)))
        call->is_stored = true;
    page_send(call, page, outcome);
    if (ask->flight)
        flight_land(ask->flight, &answer, page, page_bytes(page));
    else
        page_free(page);
    http_release(http);
}

static void on_rows(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct ask *ask = context;
    struct api_call *call = ask->call;
    struct error error;
    struct jsonw json;
    struct buf body;

    call->source = store_source_of(outcome, source);
    if (outcome->error.code != ERROR_NONE) {
        store_error_of(outcome, &error);
        ask_fail(ask, &error);
        return;
    }
    buf_init(&body, API_ANSWER_BYTES_MAX);
    jsonw_init(&json, &body);
    json.integers_as_strings = call->integers_as_strings;
    ask->render(ask, outcome->rows[0], &json);
    buf_append_byte(&body, '\n');
    if (body.is_overflown) {
        buf_done(&body);
        error_set(&error, ERROR_INTERNAL, "the answer is too large");
        ask_fail(ask, &error);
        return;
    }
    enum api_cache outcome_of_cache = ask->ticket || ask->flight ? API_CACHE_MISS : API_CACHE_BYPASS;
    if (ask->ticket && outcome->is_behind)
        l2_drop(ask->ticket);
    else if (ask->ticket)
        call->is_stored = l2_keep(ask->ticket, 200, buf_slice(&body));
    ask->ticket = NULL;
    struct page *page = page_new(call, 200, &body, 0, 0, INT64_MAX);
    ask_send(ask, page, outcome_of_cache, outcome->is_behind ? 0 : ask->freshness.lsn, 0);
}

static void ask_read(struct ask *ask)
{
    const struct db_wish wish = store_wish(&ask->freshness);
    struct error error;

    if (db_read_with(store_db(ask->call->store), &ask->read, &wish, on_rows, ask))
        return;
    error_set(&error, ERROR_UNAVAILABLE, "the database is not reachable");
    ask_fail(ask, &error);
}

static void on_found(void *context, struct l2_found *found)
{
    struct ask *ask = context;
    struct api_call *call = ask->call;

    if (found->is_hit) {
        call->source = SOURCE_L2;
        struct page *page = page_new(call, found->status, &found->body, 0, 0, INT64_MAX);
        page_set_kept(page, found->age_us, &found->brotli);
        /* Of what is over it holds now, however old it is. */
        ask_send(ask, page, API_CACHE_L2, found->lsn, ask->is_over ? 0 : found->age_us);
        return;
    }
    if (found->ticket)
        api_count_l2(call, found->is_refresh);
    ask->ticket = found->ticket;
    if (found->lsn > ask->freshness.lsn)
        ask->freshness.lsn = found->lsn;
    ask_read(ask);
}

/* All that the answer depends on, apart from the data. "": the arena is exhausted. */
static struct slice key_of(const struct ask *ask)
{
    const struct api_call *call = ask->call;
    const struct db *db = store_db(call->store);
    struct slice key = slice_of(arena_printf(call->arena, "ask %d %d %d %d %d %lld", (int)ask->read.statement,
                                             db_epoch(db), db_timeline(db), call->integers_as_strings,
                                             http_is_pretty(call->http), (long long)call->board.updated_us));

    for (int i = 0; i < ask->read.parameter_count && key.data; i++) {
        const char *text = ask->read.parameters[i].data;
        key = slice_of(arena_printf(call->arena, "%s %zu %s", key.data, strlen(text), text));
    }
    return key.data ? key : SLICE("");
}

static int64_t game_of(const struct ask *ask)
{
    return ask->call->board.id ? ask->call->board.game_id : ask->call->key.game_id;
}

static void ask_find(struct ask *ask, struct slice key, int64_t least_lsn)
{
    struct api_call *call = ask->call;
    const struct freshness *freshness = &ask->freshness;
    const struct l2_query query = {.key = key,
                                   .game = call->game,
                                   .board = slice_of(call->board.name),
                                   .history_of = game_of(ask),
                                   .covers_lsn = freshness->lsn,
                                   .lives_ms = ask->is_over ? 0 : api_settings_of(call->api)->statistics_ms,
                                   .least_lsn = least_lsn};
    bool may_share =
        key.size > 0 && !freshness->needs_primary && !freshness->skips_redis && (ask->is_over || query.lives_ms > 0);

    if (!may_share || !l2_find(call->store, &query, on_found, ask))
        ask_read(ask);
}

static void ask_ask(struct ask *ask);

static void on_joined(void *context, void *value, const struct error *error)
{
    struct ask *ask = context;

    if (!value && !error)
        ask_ask(ask);
    else
        page_send_joined(ask->call, value, error);
}

static void ask_ask(struct ask *ask)
{
    struct api_call *call = ask->call;
    int64_t game_id = game_of(ask), lives_us = api_settings_of(call->api)->statistics_ms * 1000, least_lsn = 0;
    struct slice key = ask->is_over || ask->is_brief ? key_of(ask) : SLICE("");
    struct l1_entry *entry;
    bool was_touched;

    ask->freshness =
        store_freshness(call->store, call->has_token ? &call->token : NULL, store_history_standing(game_id));
    if (ask->is_brief) {
        least_lsn = last_write_find(call->store, ask->depends_on, game_id, call->player);
        if (ask->freshness.shown_lsn > least_lsn && !fault_is("brief-token"))
            least_lsn = ask->freshness.shown_lsn;
    }
    if (!ask->is_brief || lives_us == 0 || key.size == 0 || ask->freshness.needs_primary) {
        ask_find(ask, key, least_lsn);
        return;
    }
    const struct answers_query asked = {.key = key,
                                        .standing = ANSWERS_NO_STANDING,
                                        .freshness = &ask->freshness,
                                        .label = api_route_index(call),
                                        .lives_us = lives_us,
                                        .least_lsn = least_lsn};
    enum answers_outcome outcome = answers_ask(call->store, &asked, on_joined, ask, &entry, &ask->flight, &was_touched);
    if (outcome == ANSWERS_FETCH)
        ask_find(ask, key, least_lsn);
    else if (outcome == ANSWERS_HIT)
        page_send_kept(call, entry, API_CACHE_HIT);
}

void ask_start(struct ask *ask)
{
    ask->call->is_untold = true;
    http_hold(ask->call->http);
    ask_ask(ask);
}
