/*
 * history.c -- a player over time, and movers: what closed periods and daily snapshots say. All from PostgreSQL, a few
 * look-ups an entry shown.
 */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/clock.h"
#include "db/primary_clock.h"

struct asking {
    struct api_call *call;
    enum window window;
    int64_t limit;
    struct db_call read;
    /* compare: */
    struct slice with;
    struct period now, then;
};

static struct asking *asking_new(struct api_call *call)
{
    struct asking *asking = arena_calloc(call->arena, 1, sizeof(*asking));

    if (!asking) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return NULL;
    }
    *asking = (struct asking){.call = call, .window = call->board.windows[0], .limit = 100};
    return asking;
}

static bool window_read(struct asking *asking, struct error *error)
{
    struct slice window = api_text(asking->call, "window");

    return !window.data ||
           (window_parse(window, &asking->window) && board_has_window(&asking->call->board, asking->window)) ||
           error_set_field(error, ERROR_INVALID_PARAMETER, "window", "must be a window of the board");
}

static void parameter_add(struct asking *asking, const char *text)
{
    asking->read.parameters[asking->read.parameter_count++] =
        (struct db_parameter){.data = text ? text : "", .format = DB_TEXT};
}

static void parameter_add_int(struct asking *asking, int64_t value)
{
    parameter_add(asking, arena_printf(asking->call->arena, "%lld", (long long)value));
}

static void asking_fail(struct asking *asking, const struct error *error)
{
    struct http_request *http = asking->call->http;

    api_fail(asking->call, error);
    http_release(http);
}

static void asking_send(struct asking *asking, db_read_fn *done)
{
    struct api_call *call = asking->call;
    struct freshness freshness = store_freshness(call->store, call->has_token ? &call->token : NULL);
    struct db *db = store_db(call->store);
    bool is_sent = freshness.needs_primary ? db_read_primary(db, &asking->read, done, asking)
                                           : db_read(db, &asking->read, freshness.lsn, done, asking);
    struct error error;

    if (is_sent)
        return;
    error_set(&error, ERROR_UNAVAILABLE, "the database is not reachable");
    asking_fail(asking, &error);
}

static bool rows_came(struct asking *asking, const struct db_outcome *outcome, enum db_source source)
{
    struct error error;

    asking->call->source = source == DB_REPLICA ? SOURCE_REPLICA : SOURCE_PRIMARY;
    if (outcome->error.code == ERROR_NONE)
        return true;
    store_error_of(outcome, &error);
    asking_fail(asking, &error);
    return false;
}

static void score_render(struct jsonw *json, const struct asking *asking, int64_t k1, int64_t k2)
{
    const struct sort_key key = {.k1 = k1, .k2 = k2};

    jsonw_key(json, "score");
    jsonw_int64(json, board_score(&asking->call->board, &key));
    jsonw_key(json, "subscore");
    jsonw_int64(json, board_subscore(&asking->call->board, &key));
}

static void head_render(struct jsonw *json, const struct asking *asking)
{
    jsonw_object_open(json);
    jsonw_key(json, "board");
    jsonw_text(json, asking->call->board.name);
    jsonw_key(json, "window");
    jsonw_text(json, window_name(asking->window));
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

static void on_history(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct asking *asking = context;
    struct api_call *call = asking->call;
    struct db_rows rows = outcome->rows[0];
    struct buf body;
    struct jsonw json;

    if (!rows_came(asking, outcome, source))
        return;
    int count = db_row_count(rows), shown = 0;
    buf_init(&body, API_ANSWER_BYTES_MAX);
    jsonw_init(&json, &body);
    json.integers_as_strings = call->integers_as_strings;
    head_render(&json, asking);
    jsonw_key(&json, "player");
    jsonw_string(&json, call->player);
    jsonw_key(&json, "points");
    jsonw_array_open(&json);
    for (; shown < count && shown < asking->limit && !db_is_null(rows, shown, H_AT); shown++)
        point_render(&json, asking, rows, shown);
    jsonw_array_close(&json);
    jsonw_key(&json, "next");
    int by = asking->window == WINDOW_ALL ? H_AT : H_STARTS; /* what the pages are ordered by */
    if (shown > 0 && shown < count)
        jsonw_time(&json, db_int64(rows, shown - 1, by));
    else if (count > 0 && !db_is_null(rows, 0, H_MORE))
        jsonw_time(&json, db_int64(rows, 0, H_MORE));
    else
        jsonw_null(&json);
    jsonw_object_close(&json);
    api_answer(call, 200, &body, "");
    http_release(call->http);
}

void api_player_history(struct api_call *call)
{
    struct asking *asking = asking_new(call);
    struct slice cursor = api_text(call, "cursor");
    int64_t before_us = primary_clock_us();
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
    asking->read.statement = asking->window == WINDOW_ALL ? STATEMENT_history_snapshots : STATEMENT_history_closed;
    parameter_add_int(asking, call->board.id);
    parameter_add(asking, call->player.data);
    if (asking->window != WINDOW_ALL)
        parameter_add(asking, window_name(asking->window));
    parameter_add_int(asking, before_us);
    parameter_add_int(asking, asking->limit + 1);
    http_hold(call->http);
    asking_send(asking, on_history);
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
    api_render_row(json, &asking->call->board, &entry, (struct api_entry_view){.subscore = true, .achieved_at = true});
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

static void on_compare(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct asking *asking = context;
    struct api_call *call = asking->call;
    struct db_rows rows = outcome->rows[0];
    struct buf body;
    struct jsonw json;
    char text[PERIOD_TEXT_MAX];

    if (!rows_came(asking, outcome, source))
        return;
    int count = db_row_count(rows);
    buf_init(&body, API_ANSWER_BYTES_MAX);
    jsonw_init(&json, &body);
    json.integers_as_strings = call->integers_as_strings;
    head_render(&json, asking);
    period_text(&asking->now, text);
    jsonw_key(&json, "period");
    jsonw_text(&json, text);
    jsonw_key(&json, "with");
    if (asking->window != WINDOW_ALL) {
        period_text(&asking->then, text);
        jsonw_text(&json, text);
    } else if (count > 0 && !db_is_null(rows, 0, C_AT)) {
        jsonw_time(&json, db_int64(rows, 0, C_AT));
    } else {
        jsonw_null(&json);
    }
    jsonw_key(&json, "entries");
    jsonw_array_open(&json);
    for (int i = 0; i < count; i++)
        mover_render(&json, asking, rows, i);
    jsonw_array_close(&json);
    jsonw_object_close(&json);
    api_answer(call, 200, &body, "");
    http_release(call->http);
}

static void standing_parameters(struct asking *asking, const struct period *period)
{
    char start[CLOCK_TEXT_MAX] = "-infinity";

    if (period->start_us != INT64_MIN)
        clock_format(period->start_us, start);
    parameter_add(asking, arena_printf(asking->call->arena, "%s", start));
    parameter_add_int(asking, period->id);
}

static void compare_send(struct asking *asking)
{
    bool is_all = asking->window == WINDOW_ALL;

    asking->read.statement = is_all ? STATEMENT_compare_snapshot : STATEMENT_compare_periods;
    parameter_add(asking, window_name(asking->window));
    standing_parameters(asking, &asking->now);
    parameter_add_int(asking, asking->limit);
    if (is_all)
        parameter_add_int(asking, asking->call->board.id);
    else
        standing_parameters(asking, &asking->then);
    asking_send(asking, on_compare);
}

static void on_then(void *context, const struct period *period, const struct error *error)
{
    struct asking *asking = context;
    struct error renamed;

    if (error) {
        renamed = *error;
        if (renamed.code == ERROR_PERIOD_NOT_FOUND || renamed.code == ERROR_INVALID_PARAMETER)
            snprintf(renamed.field, sizeof(renamed.field), "with");
        asking_fail(asking, &renamed);
        return;
    }
    asking->then = *period;
    compare_send(asking);
}

static void on_now(void *context, const struct period *period, const struct error *error)
{
    struct asking *asking = context;
    struct api_call *call = asking->call;

    if (error) {
        asking_fail(asking, error);
        return;
    }
    asking->now = *period;
    if (asking->window == WINDOW_ALL)
        compare_send(asking);
    else
        store_period_find(call->store, &call->board, asking->window, asking->with, "", on_then, asking);
}

void api_compare(struct api_call *call)
{
    struct asking *asking = asking_new(call);
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
    store_period_find(call->store, &call->board, asking->window, SLICE("current"), "", on_now, asking);
}
