/*
 * periods.c -- the periods that a window has had.
 */
#include <string.h>

#include "api/api.h"
#include "base/clock.h"

struct listing {
    struct api_call *call;
    enum window window;
    int64_t limit;
};

static void on_periods(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct listing *listing = context;
    struct api_call *call = listing->call;
    struct db_rows rows = outcome->rows[0];
    struct buf body;
    struct jsonw json;
    char text[PERIOD_TEXT_MAX] = "";

    (void)source;
    if (outcome->error.code != ERROR_NONE) {
        struct error error;
        store_error_of(outcome, &error);
        api_fail(call, &error);
        http_release(call->http);
        return;
    }
    buf_init(&body, API_ANSWER_BYTES_MAX);
    jsonw_init(&json, &body);
    jsonw_object_open(&json);
    jsonw_key(&json, "board");
    jsonw_text(&json, call->board.name);
    jsonw_key(&json, "window");
    jsonw_text(&json, window_name(listing->window));
    jsonw_key(&json, "periods");
    jsonw_array_open(&json);
    int count = db_row_count(rows);
    for (int i = 0; i < count && i < listing->limit; i++) {
        struct period period = {
            .window = listing->window, .start_us = db_int64(rows, i, 2), .end_us = db_int64(rows, i, 3)};
        period_text(&period, text);
        jsonw_object_open(&json);
        jsonw_key(&json, "id");
        jsonw_text(&json, text);
        jsonw_key(&json, "starts_at");
        if (period.start_us == INT64_MIN)
            jsonw_null(&json);
        else
            jsonw_time(&json, period.start_us);
        jsonw_key(&json, "ends_at");
        if (period.end_us == INT64_MAX)
            jsonw_null(&json);
        else
            jsonw_time(&json, period.end_us);
        jsonw_key(&json, "state");
        jsonw_text(&json, strcmp(db_text(rows, i, 4), "closed") == 0 ? "closed" : "open");
        if (!db_is_null(rows, i, 5)) {
            jsonw_key(&json, "entries");
            jsonw_number(&json, db_int64(rows, i, 5));
            jsonw_key(&json, "closed_at");
            jsonw_time(&json, db_int64(rows, i, 6));
        }
        jsonw_object_close(&json);
    }
    jsonw_array_close(&json);
    jsonw_key(&json, "next");
    if (count > listing->limit)
        jsonw_text(&json, text);
    else
        jsonw_null(&json);
    jsonw_object_close(&json);
    api_answer(call, 200, &body, "");
    http_release(call->http);
}

void api_periods(struct api_call *call)
{
    struct listing *listing = arena_calloc(call->arena, 1, sizeof(*listing));
    struct slice window = api_text(call, "window"), cursor = api_text(call, "cursor");
    struct db_call read = {.statement = STATEMENT_period_list};
    int64_t before_us = clock_realtime_us();
    struct error error;

    if (!listing) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    *listing = (struct listing){.call = call, .window = call->board.windows[0], .limit = 100};
    bool is_ok = api_int(call, "limit", 1, 1000, &listing->limit, &error);
    if (is_ok && window.data &&
        (!window_parse(window, &listing->window) || !board_has_window(&call->board, listing->window)))
        is_ok = error_set_field(&error, ERROR_INVALID_PARAMETER, "window", "must be a window of the board");
    if (is_ok && cursor.data && !clock_parse(cursor, &before_us))
        is_ok = error_set_field(&error, ERROR_INVALID_CURSOR, "cursor", "the cursor is not one that this service made");
    if (!is_ok) {
        api_fail(call, &error);
        return;
    }
    const char *texts[] = {arena_printf(call->arena, "%lld", (long long)call->board.id), window_name(listing->window),
                           arena_printf(call->arena, "%lld", (long long)before_us),
                           arena_printf(call->arena, "%lld", (long long)listing->limit + 1)};
    for (int i = 0; i < 4; i++)
        read.parameters[read.parameter_count++] = (struct db_parameter){.data = texts[i], .format = DB_TEXT};
    http_hold(call->http);
    const struct db_wish wish = {.lsn = db_lsn(store_db(call->store))};
    if (!db_read_with(store_db(call->store), &read, &wish, on_periods, listing)) {
        api_fail_with(call, ERROR_UNAVAILABLE, "the database is not reachable");
        http_release(call->http);
    }
}
