/*
 * history.c -- a player over time, and movers: what closed periods and daily snapshots say. All from PostgreSQL, a few
 * look-ups an entry shown.
 */
#include <stdio.h>
#include <string.h>

#include "api/ask.h"
#include "base/clock.h"

struct asking {
    struct ask ask; /* first */
    enum window window;
    int64_t limit;
    /* compare: */
    struct slice with;
    struct period now, then;
};

static struct asking *asking_new(struct api_call *call, ask_render_fn *render)
{
    struct asking *asking = arena_calloc(call->arena, 1, sizeof(*asking));

    if (!asking) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return NULL;
    }
    *asking = (struct asking){.ask = {.call = call, .render = render}, .window = call->board.windows[0], .limit = 100};
    return asking;
}

static bool window_read(struct asking *asking, struct error *error)
{
    struct slice window = api_text(asking->ask.call, "window");

    return !window.data ||
           (board_window_parse(&asking->ask.call->board, window, &asking->window) &&
            board_has_window(&asking->ask.call->board, asking->window)) ||
           error_set_field(error, ERROR_INVALID_PARAMETER, "window", "must be a window of the board");
}

static void score_render(struct jsonw *json, const struct asking *asking, int64_t k1, int64_t k2)
{
    const struct sort_key key = {.k1 = k1, .k2 = k2};

    jsonw_key(json, "score");
    jsonw_int64(json, board_score(&asking->ask.call->board, &key));
    jsonw_key(json, "subscore");
    jsonw_int64(json, board_subscore(&asking->ask.call->board, &key));
}

static void head_render(struct jsonw *json, const struct asking *asking)
{
    jsonw_object_open(json);
    jsonw_key(json, "board");
    jsonw_text(json, asking->ask.call->board.name);
    jsonw_key(json, "window");
    jsonw_text(json, board_window_name(&asking->ask.call->board, asking->window));
}

/* ---- a player over time ---- */

/* Columns of history_closed and history_snapshots. */
enum { H_STARTS, H_AT, H_RANK, H_K1, H_K2, H_ENTRIES, H_MORE };

static void point_render(struct jsonw *json, const struct asking *asking, struct db_rows rows, int row)
{
    jsonw_object_open(json);
    jsonw_key(json, "at");
    jsonw_time(json, db_int64(rows, row, H_AT));
    if (!db_is_null(rows, row, H_STARTS)) {
        jsonw_key(json, "period");
        jsonw_time(json, db_int64(rows, row, H_STARTS));
    }
    jsonw_key(json, "rank");
    jsonw_number(json, db_int64(rows, row, H_RANK));
    score_render(json, asking, db_int64(rows, row, H_K1), db_int64(rows, row, H_K2));
    if (!db_is_null(rows, row, H_ENTRIES)) {
        jsonw_key(json, "entries");
        jsonw_number(json, db_int64(rows, row, H_ENTRIES));
    }
    jsonw_object_close(json);
}

static void history_render(const struct ask *ask, struct db_rows rows, struct jsonw *json)
{
    const struct asking *asking = (const struct asking *)ask;
    int count = db_row_count(rows), shown = 0;

    head_render(json, asking);
    jsonw_key(json, "player");
    jsonw_string(json, ask->call->player);
    jsonw_key(json, "points");
    jsonw_array_open(json);
    for (; shown < count && shown < asking->limit && !db_is_null(rows, shown, H_AT); shown++)
        point_render(json, asking, rows, shown);
    jsonw_array_close(json);
    jsonw_key(json, "next");
    int by = asking->window == WINDOW_ALL ? H_AT : H_STARTS; /* what the pages are ordered by */
    if (shown > 0 && shown < count)
        jsonw_time(json, db_int64(rows, shown - 1, by));
    else if (count > 0 && !db_is_null(rows, 0, H_MORE))
        jsonw_time(json, db_int64(rows, 0, H_MORE));
    else
        jsonw_null(json);
    jsonw_object_close(json);
}

void api_player_history(struct api_call *call)
{
    struct asking *asking = asking_new(call, history_render);
    struct slice cursor = api_text(call, "cursor");
    int64_t before_us = CLOCK_LAST_US;
    struct error error;

    if (!asking)
        return;
    bool is_ok = window_read(asking, &error) && api_int(call, "limit", 1, 1000, &asking->limit, &error);
    if (is_ok && cursor.data && !clock_parse(cursor, &before_us))
        is_ok = error_set_field(&error, ERROR_INVALID_CURSOR, "cursor", "the cursor is not one that this service made");
    if (!is_ok) {
        api_fail(call, &error);
        return;
    }
    ask_add_int(&asking->ask, call->board.id);
    ask_add(&asking->ask, call->player.data);
    asking->ask.read.statement = asking->window == WINDOW_ALL ? STATEMENT_history_snapshots : STATEMENT_history_closed;
    if (asking->window != WINDOW_ALL)
        ask_add(&asking->ask, window_name(asking->window));
    ask_add_int(&asking->ask, before_us);
    ask_add_int(&asking->ask, asking->limit + 1);
    asking->ask.is_over = true;
    ask_start(&asking->ask);
}

/* ---- movers ---- */

/* Columns of compare_periods and compare_snapshot. */
enum { C_PLAYER, C_K1, C_K2, C_K3, C_RANK, C_WAS_RANK, C_WAS_K1, C_WAS_K2, C_AT };

static void mover_render(struct jsonw *json, const struct asking *asking, struct db_rows rows, int row)
{
    const struct standing_row entry = {
        .key = {db_int64(rows, row, C_K1), db_int64(rows, row, C_K2), db_int64(rows, row, C_K3)},
        .player = {db_text(rows, row, C_PLAYER), (size_t)db_size(rows, row, C_PLAYER)},
        .rank = db_int64(rows, row, C_RANK),
    };
    bool was_there = !db_is_null(rows, row, C_WAS_RANK);
    int64_t was_rank = db_int64(rows, row, C_WAS_RANK);

    jsonw_object_open(json);
    api_render_row(json, &asking->ask.call->board, &entry,
                   (struct api_entry_view){.subscore = true, .achieved_at = true});
    jsonw_key(json, "previous");
    if (was_there) {
        jsonw_object_open(json);
        jsonw_key(json, "rank");
        jsonw_number(json, was_rank);
        score_render(json, asking, db_int64(rows, row, C_WAS_K1), db_int64(rows, row, C_WAS_K2));
        jsonw_object_close(json);
    } else {
        jsonw_null(json);
    }
    jsonw_key(json, "climbed");
    if (was_there)
        jsonw_number(json, was_rank - entry.rank);
    else
        jsonw_null(json);
    jsonw_object_close(json);
}

static void compare_render(const struct ask *ask, struct db_rows rows, struct jsonw *json)
{
    const struct asking *asking = (const struct asking *)ask;
    int count = db_row_count(rows);
    char text[PERIOD_TEXT_MAX];

    head_render(json, asking);
    period_text(&asking->now, text);
    jsonw_key(json, "period");
    jsonw_text(json, text);
    jsonw_key(json, "with");
    if (asking->window != WINDOW_ALL) {
        period_text(&asking->then, text);
        jsonw_text(json, text);
    } else if (count > 0 && !db_is_null(rows, 0, C_AT)) {
        jsonw_time(json, db_int64(rows, 0, C_AT));
    } else {
        jsonw_null(json);
    }
    jsonw_key(json, "entries");
    jsonw_array_open(json);
    for (int i = 0; i < count; i++)
        mover_render(json, asking, rows, i);
    jsonw_array_close(json);
    jsonw_object_close(json);
}

static void standing_add(struct asking *asking, const struct period *period)
{
    char start[CLOCK_TEXT_MAX] = "-infinity";

    if (period->start_us != INT64_MIN)
        clock_format(period->start_us, start);
    ask_add(&asking->ask, arena_strdup(asking->ask.call->arena, start));
    ask_add_int(&asking->ask, period->id);
}

/* What follows holds the call for itself; the search for periods lets go of it. */
static void compare_start(struct asking *asking)
{
    struct ask *ask = &asking->ask;
    struct http_request *http = ask->call->http;

    ask_add(ask, window_name(asking->window));
    standing_add(asking, &asking->now);
    ask_add_int(ask, asking->limit);
    ask->read.statement = asking->window == WINDOW_ALL ? STATEMENT_compare_snapshot : STATEMENT_compare_periods;
    if (asking->window == WINDOW_ALL)
        ask_add_int(ask, ask->call->board.id);
    else
        standing_add(asking, &asking->then);
    ask_start(ask);
    http_release(http);
}

static void compare_fail(struct asking *asking, const struct error *error)
{
    struct http_request *http = asking->ask.call->http;

    api_fail(asking->ask.call, error);
    http_release(http);
}

static void on_then(void *context, const struct period *period, const struct error *error)
{
    struct asking *asking = context;
    struct error renamed;

    if (error) {
        renamed = *error;
        if (renamed.code == ERROR_PERIOD_NOT_FOUND || renamed.code == ERROR_INVALID_PARAMETER)
            snprintf(renamed.field, sizeof(renamed.field), "with");
        compare_fail(asking, &renamed);
        return;
    }
    asking->then = *period;
    compare_start(asking);
}

static void period_find(struct asking *asking, struct slice text, store_period_fn *done)
{
    struct api_call *call = asking->ask.call;
    const struct freshness freshness = store_freshness(call->store, call->has_token ? &call->token : NULL, 0);

    store_period_find(call->store, &call->board, asking->window, text, "", &freshness, done, asking);
}

static void on_now(void *context, const struct period *period, const struct error *error)
{
    struct asking *asking = context;

    if (error) {
        compare_fail(asking, error);
        return;
    }
    asking->now = *period;
    if (asking->window == WINDOW_ALL)
        compare_start(asking);
    else
        period_find(asking, asking->with, on_then);
}

void api_compare(struct api_call *call)
{
    struct asking *asking = asking_new(call, compare_render);
    struct error error;

    if (!asking)
        return;
    asking->with = api_text(call, "with");
    if (!asking->with.data)
        asking->with = SLICE("previous");
    bool is_ok = window_read(asking, &error) && api_int(call, "limit", 1, 1000, &asking->limit, &error);
    if (is_ok && asking->window == WINDOW_ALL && !slice_is(asking->with, "previous"))
        is_ok = error_set_field(&error, ERROR_INVALID_PARAMETER, "with",
                                "must be previous: the window `all` is compared with its last midnight");
    if (!is_ok) {
        api_fail(call, &error);
        return;
    }
    http_hold(call->http);
    period_find(asking, SLICE("current"), on_now);
}
