/*
 * player_boards.c -- where a player stands: one question to PostgreSQL says on which boards he has an entry, then each
 * of those standings says his place, as it would be asked for alone: from Redis, mostly.
 */
#include <string.h>

#include "api/api.h"
#include "api/link.h"

enum { BOARDS_MAX = 100 };

struct place {
    struct gathering *gathering;
    struct board board;
    enum window window;
    struct period period;
    struct standing_row row;
    int64_t total;
    bool is_there;
};

struct gathering {
    struct api_call *call;
    struct freshness freshness;
    int64_t limit;
    struct place *places;
    size_t count;
    size_t waiting; /* places that were not answered yet, plus one while they are being asked for */
    bool has_more;
    struct error error;
};

static void place_render(struct jsonw *json, const struct place *place)
{
    char text[PERIOD_TEXT_MAX];

    jsonw_object_open(json);
    jsonw_key(json, "board");
    jsonw_text(json, place->board.name);
    jsonw_key(json, "window");
    jsonw_text(json, board_window_name(&place->board, place->window));
    period_text(&place->period, text);
    jsonw_key(json, "period");
    jsonw_text(json, text);
    jsonw_key(json, "rank");
    jsonw_number(json, place->row.rank);
    jsonw_key(json, "score");
    jsonw_int64(json, board_score(&place->board, &place->row.key));
    jsonw_key(json, "subscore");
    jsonw_int64(json, board_subscore(&place->board, &place->row.key));
    jsonw_key(json, "achieved_at");
    jsonw_time(json, board_achieved_us(&place->board, &place->row.key));
    if (place->total >= 0) {
        jsonw_key(json, "total");
        jsonw_number(json, place->total);
    }
    jsonw_object_close(json);
}

static void gathering_end(struct gathering *gathering)
{
    struct api_call *call = gathering->call;
    struct http_request *http = call->http;
    struct buf body;
    struct jsonw json;

    if (gathering->error.code != ERROR_NONE) {
        api_fail(call, &gathering->error);
        http_release(http);
        return;
    }
    buf_init(&body, API_ANSWER_BYTES_MAX);
    jsonw_init(&json, &body);
    json.integers_as_strings = call->integers_as_strings;
    jsonw_object_open(&json);
    jsonw_key(&json, "player");
    jsonw_string(&json, call->player);
    jsonw_key(&json, "boards");
    jsonw_array_open(&json);
    for (size_t i = 0; i < gathering->count; i++)
        if (gathering->places[i].is_there) /* else he was removed in between */
            place_render(&json, &gathering->places[i]);
    jsonw_array_close(&json);
    jsonw_key(&json, "next");
    if (gathering->has_more)
        jsonw_text(&json, gathering->places[gathering->count - 1].board.name);
    else
        jsonw_null(&json);
    jsonw_object_close(&json);
    char link[LINK_TEXT_MAX];
    link_next(call, buf_slice(&body), link);
    if (link[0])
        http_reply_header(call->http, "Link", link);
    api_answer(call, 200, &body, "");
    http_release(http);
}

static void gathering_step(struct gathering *gathering)
{
    if (--gathering->waiting == 0)
        gathering_end(gathering);
}

static void on_place(void *context, const struct standing_answer *answer)
{
    struct place *place = context;

    if (answer->error.code != ERROR_NONE && answer->error.code != ERROR_PLAYER_NOT_FOUND) {
        place->gathering->error = answer->error;
    } else if (answer->count == 1) {
        place->row = answer->rows[0];
        place->total = answer->total;
        place->is_there = true;
    }
    gathering_step(place->gathering);
}

static void place_ask(struct place *place)
{
    struct gathering *gathering = place->gathering;
    const struct standing_query query = {
        .kind = STANDING_PLAYERS,
        .period = place->period,
        .freshness = gathering->freshness,
        .k1_max = INT64_MAX,
        .with_total = true,
        .players = &gathering->call->player,
        .player_count = 1,
    };

    gathering->waiting++;
    standing_read(gathering->call->store, gathering->call->arena, &query, on_place, place);
}

static void on_boards(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct gathering *gathering = context;
    struct db_rows rows = outcome->rows[0];
    size_t count = outcome->error.code == ERROR_NONE ? (size_t)db_row_count(rows) : 0;

    (void)source;
    if (outcome->error.code != ERROR_NONE)
        store_error_of(outcome, &gathering->error);
    gathering->has_more = count > (size_t)gathering->limit;
    gathering->count = gathering->has_more ? (size_t)gathering->limit : count;
    gathering->places = arena_calloc(gathering->call->arena, gathering->count + 1, sizeof(*gathering->places));
    if (!gathering->places) {
        gathering->count = 0;
        error_set(&gathering->error, ERROR_OVERLOADED, "out of memory");
    }
    for (size_t i = 0; i < gathering->count; i++) {
        struct place *place = &gathering->places[i];
        int row = (int)i, at = BOARD_COLUMNS;
        place->gathering = gathering;
        store_board_read(&place->board, rows, row, 0);
        window_parse(slice_of(db_text(rows, row, at + 1)), &place->window);
        place->period = (struct period){.id = db_int64(rows, row, at),
                                        .board_id = place->board.id,
                                        .window = place->window,
                                        .start_us = db_int64(rows, row, at + 2),
                                        .end_us = db_int64(rows, row, at + 3)};
    }
    /* The rows are gone once a place is asked for: it may be answered at once. */
    gathering->waiting = 1;
    for (size_t i = 0; i < gathering->count; i++)
        place_ask(&gathering->places[i]);
    gathering_step(gathering);
}

void api_player_boards(struct api_call *call)
{
    struct gathering *gathering = arena_calloc(call->arena, 1, sizeof(*gathering));
    struct slice window = api_text(call, "window"), cursor = api_text(call, "cursor");
    struct db_call read = {.statement = STATEMENT_player_boards, .parameter_count = 5};
    struct error error;
    bool is_ok = true;

    if (!gathering) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    *gathering = (struct gathering){
        .call = call, .limit = 20, .freshness = store_freshness(call->store, call->has_token ? &call->token : NULL, 0)};
    is_ok = api_int(call, "limit", 1, BOARDS_MAX, &gathering->limit, &error);
    if (is_ok && window.data && !window_name_is_valid(window))
        is_ok = error_set_field(&error, ERROR_INVALID_PARAMETER, "window",
                                "must be one of all, monthly, weekly, daily, hourly, or the name of a schedule");
    if (is_ok && cursor.data && !name_is_valid(cursor))
        is_ok = error_set_field(&error, ERROR_INVALID_CURSOR, "cursor", "the cursor is not one that this service made");
    if (!is_ok) {
        api_fail(call, &error);
        return;
    }
    const char *texts[] = {arena_printf(call->arena, "%lld", (long long)call->key.game_id), call->player.data,
                           window.data ? arena_printf(call->arena, "%.*s", (int)window.size, window.data) : NULL,
                           cursor.data ? arena_printf(call->arena, "%.*s", (int)cursor.size, cursor.data) : "",
                           arena_printf(call->arena, "%lld", (long long)gathering->limit + 1)};
    for (int i = 0; i < read.parameter_count; i++)
        read.parameters[i] = (struct db_parameter){.data = texts[i], .format = DB_TEXT};
    http_hold(call->http);
    struct db *db = store_db(call->store);
    struct db_wish wish = store_wish(&gathering->freshness);
    wish.shown_lsn = wish.lsn; /* this answer has no field to tell that it is behind */
    if (db_read_with(db, &read, &wish, on_boards, gathering))
        return;
    error_set(&error, ERROR_UNAVAILABLE, "the database is not reachable");
    api_fail(call, &error);
    http_release(call->http);
}
