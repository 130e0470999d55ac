#include "api/ask.h"

#include <stdio.h>
#include <string.h>

#include "api/page.h"
#include "base/assert.h"
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
    http_release(http);
}

static void ask_send(struct ask *ask, struct page *page, enum api_cache outcome)
{
    struct http_request *http = ask->call->http;

    page_send(ask->call, page, outcome);
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

    call->source = outcome->is_behind ? SOURCE_BEHIND : source == DB_REPLICA ? SOURCE_REPLICA : SOURCE_PRIMARY;
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
    enum api_cache outcome_of_cache = ask->ticket ? API_CACHE_MISS : API_CACHE_BYPASS;
    if (ask->ticket && outcome->is_behind)
        l2_drop(ask->ticket);
    else if (ask->ticket)
        call->is_stored = l2_keep(ask->ticket, 200, buf_slice(&body));
    ask->ticket = NULL;
    ask_send(ask, page_new(call, 200, &body, 0, 0, INT64_MAX), outcome_of_cache);
}

static void ask_read(struct ask *ask)
{
    const struct freshness *freshness = &ask->freshness;
    const struct db_wish wish = {
        .lsn = freshness->lsn, .shown_lsn = freshness->shown_lsn, .needs_primary = freshness->needs_primary};
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
        ask_send(ask, page, API_CACHE_L2);
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
    struct slice key = slice_of(arena_printf(call->arena, "history %d %d %lld", (int)ask->read.statement,
                                             call->integers_as_strings, (long long)call->board.updated_us));

    for (int i = 0; i < ask->read.parameter_count && key.data; i++) {
        const char *text = ask->read.parameters[i].data;
        key = slice_of(arena_printf(call->arena, "%s %zu %s", key.data, strlen(text), text));
    }
    return key.data ? key : SLICE("");
}

void ask_start(struct ask *ask)
{
    struct api_call *call = ask->call;
    int64_t game_id = call->board.id ? call->board.game_id : call->key.game_id;

    ask->freshness =
        store_freshness(call->store, call->has_token ? &call->token : NULL, store_history_standing(game_id));
    call->is_untold = true;
    http_hold(call->http);
    const struct l2_query query = {.key = ask->is_over ? key_of(ask) : SLICE(""),
                                   .game = call->game,
                                   .board = slice_of(call->board.name),
                                   .history_of = game_id};
    bool may_share = query.key.size > 0 && !ask->freshness.needs_primary && !ask->freshness.skips_redis;
    if (!may_share || !l2_find(call->store, &query, on_found, ask))
        ask_read(ask);
}
