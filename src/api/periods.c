/*
 * periods.c -- the periods that a window has had.
 */
#include <string.h>

#include "api/ask.h"
#include "base/clock.h"

struct listing {
    struct ask ask; /* first */
    enum window window;
    int64_t limit;
};

static void periods_render(const struct ask *ask, struct db_rows rows, struct jsonw *json)
{
    const struct listing *listing = (const struct listing *)ask;
    int count = db_row_count(rows);
    char text[PERIOD_TEXT_MAX] = "";

    jsonw_object_open(json);
    jsonw_key(json, "board");
    jsonw_text(json, ask->call->board.name);
    jsonw_key(json, "window");
    jsonw_text(json, board_window_name(&ask->call->board, listing->window));
    jsonw_key(json, "periods");
    jsonw_array_open(json);
    for (int i = 0; i < count && i < listing->limit; i++) {
        struct period period = {
            .window = listing->window, .start_us = db_int64(rows, i, 2), .end_us = db_int64(rows, i, 3)};
        period_text(&period, text);
        jsonw_object_open(json);
        jsonw_key(json, "id");
        jsonw_text(json, text);
        jsonw_key(json, "starts_at");
        if (period.start_us == INT64_MIN)
            jsonw_null(json);
        else
            jsonw_time(json, period.start_us);
        jsonw_key(json, "ends_at");
        if (period.end_us == INT64_MAX)
            jsonw_null(json);
        else
            jsonw_time(json, period.end_us);
        jsonw_key(json, "state");
        jsonw_text(json, strcmp(db_text(rows, i, 4), "closed") == 0 ? "closed" : "open");
        if (!db_is_null(rows, i, 5)) {
            jsonw_key(json, "entries");
            jsonw_number(json, db_int64(rows, i, 5));
            jsonw_key(json, "closed_at");
            jsonw_time(json, db_int64(rows, i, 6));
        }
        jsonw_object_close(json);
    }
    jsonw_array_close(json);
    jsonw_key(json, "next");
    if (count > listing->limit)
        jsonw_text(json, text);
    else
        jsonw_null(json);
    jsonw_object_close(json);
}

void api_periods(struct api_call *call)
{
    struct listing *listing = arena_calloc(call->arena, 1, sizeof(*listing));
    struct slice window = api_text(call, "window"), cursor = api_text(call, "cursor");
    int64_t before_us = clock_realtime_us();
    struct error error;

    if (!listing) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    *listing =
        (struct listing){.ask = {.call = call, .render = periods_render, .read = {.statement = STATEMENT_period_list}},
                         .window = call->board.windows[0],
                         .limit = 100};
    bool is_ok = api_int(call, "limit", 1, 1000, &listing->limit, &error);
    if (is_ok && window.data &&
        (!board_window_parse(&call->board, window, &listing->window) ||
         !board_has_window(&call->board, listing->window)))
        is_ok = error_set_field(&error, ERROR_INVALID_PARAMETER, "window", "must be a window of the board");
    if (is_ok && cursor.data && !clock_parse(cursor, &before_us))
        is_ok = error_set_field(&error, ERROR_INVALID_CURSOR, "cursor", "the cursor is not one that this service made");
    if (!is_ok) {
        api_fail(call, &error);
        return;
    }
    ask_add_int(&listing->ask, call->board.id);
    ask_add(&listing->ask, window_name(listing->window));
    ask_add_int(&listing->ask, before_us);
    ask_add_int(&listing->ask, listing->limit + 1);
    ask_start(&listing->ask);
}
