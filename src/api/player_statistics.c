/*
 * player_statistics.c -- a player in a game, in numbers: what he did, and how often he was among the first.
 */
#include "api/ask.h"

/* Columns of player_statistics; of the windows a row each, and what is before them in every row. */
enum {
    P_AS_OF,
    P_BOARDS,
    P_SUBMISSIONS,
    P_IMPROVEMENTS,
    P_FIRST,
    P_LAST,
    P_BEST,
    P_BEST_AS_OF,
    P_WINDOW,
    P_WINDOW_BEST,
    P_GOLD,
    P_SILVER,
    P_BRONZE,
    P_TENS
};

static void count_render(struct jsonw *json, const char *name, int64_t count)
{
    jsonw_key(json, name);
    jsonw_number(json, count);
}

static void time_render(struct jsonw *json, const char *name, struct db_rows rows, int column)
{
    jsonw_key(json, name);
    if (db_is_null(rows, 0, column))
        jsonw_null(json);
    else
        jsonw_time(json, db_int64(rows, 0, column));
}

static void medals_render(struct jsonw *json, int64_t gold, int64_t silver, int64_t bronze)
{
    jsonw_key(json, "medals");
    jsonw_object_open(json);
    count_render(json, "gold", gold);
    count_render(json, "silver", silver);
    count_render(json, "bronze", bronze);
    jsonw_object_close(json);
}

static void windows_render(struct jsonw *json, struct db_rows rows)
{
    jsonw_key(json, "windows");
    jsonw_array_open(json);
    for (int row = 0; row < db_row_count(rows) && !db_is_null(rows, row, P_WINDOW); row++) {
        jsonw_object_open(json);
        jsonw_key(json, "window");
        jsonw_text(json, db_text(rows, row, P_WINDOW));
        count_render(json, "best_rank", db_int64(rows, row, P_WINDOW_BEST));
        count_render(json, "top_ten", db_int64(rows, row, P_TENS));
        medals_render(json, db_int64(rows, row, P_GOLD), db_int64(rows, row, P_SILVER), db_int64(rows, row, P_BRONZE));
        jsonw_object_close(json);
    }
    jsonw_array_close(json);
}

static void all_time_render(struct jsonw *json, struct db_rows rows)
{
    jsonw_key(json, "all_time");
    jsonw_object_open(json);
    jsonw_key(json, "best_rank");
    if (db_is_null(rows, 0, P_BEST))
        jsonw_null(json);
    else
        jsonw_number(json, db_int64(rows, 0, P_BEST));
    time_render(json, "as_of", rows, P_BEST_AS_OF);
    jsonw_object_close(json);
}

static void player_render(const struct ask *ask, struct db_rows rows, struct jsonw *json)
{
    int64_t gold = 0, silver = 0, bronze = 0;

    for (int row = 0; row < db_row_count(rows) && !db_is_null(rows, row, P_WINDOW); row++) {
        gold += db_int64(rows, row, P_GOLD);
        silver += db_int64(rows, row, P_SILVER);
        bronze += db_int64(rows, row, P_BRONZE);
    }
    jsonw_object_open(json);
    jsonw_key(json, "player");
    jsonw_string(json, ask->call->player);
    time_render(json, "as_of", rows, P_AS_OF);
    count_render(json, "boards", db_int64(rows, 0, P_BOARDS));
    count_render(json, "submissions", db_int64(rows, 0, P_SUBMISSIONS));
    count_render(json, "improvements", db_int64(rows, 0, P_IMPROVEMENTS));
    time_render(json, "first_seen", rows, P_FIRST);
    time_render(json, "last_seen", rows, P_LAST);
    medals_render(json, gold, silver, bronze);
    windows_render(json, rows);
    all_time_render(json, rows);
    jsonw_object_close(json);
}

void api_player_statistics(struct api_call *call)
{
    struct ask *ask = arena_calloc(call->arena, 1, sizeof(*ask));

    if (!ask) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    *ask = (struct ask){.call = call,
                        .render = player_render,
                        .read = {.statement = STATEMENT_player_statistics},
                        .is_brief = true,
                        .depends_on = LAST_WRITE_PLAYER};
    ask_add_int(ask, call->key.game_id);
    ask_add(ask, call->player.data);
    ask_start(ask);
}
