/*
 * game_statistics.c -- a game as a whole: what was submitted to its boards, and who won their closed periods.
 *
 * Both come from materialized views, and what changed since their refresh is read with them (sql/functions/78_views_read.sql).
 */
#include <stdio.h>
#include <string.h>

#include "api/ask.h"
#include "api/dates.h"
#include "base/clock.h"
#include "base/text.h"

static void *asking_new(struct api_call *call, size_t size)
{
    void *asking = arena_calloc(call->arena, 1, size);

    if (!asking)
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
    return asking;
}

/* The parameter `board` of a read of all boards: "" where it is missing. One that there is not has nothing to show. */
static bool board_read(const struct api_call *call, const char **ret_board, struct error *error)
{
    struct slice board = api_text(call, "board");

    *ret_board = board.data ? board.data : "";
    return !board.data || name_is_valid(board) ||
           error_set_field(error, ERROR_INVALID_PARAMETER, "board", "must be the name of a board");
}

/* ---- what was submitted ---- */

struct activity {
    struct ask ask; /* first */
    const char *bucket;
};

/* Columns of game_statistics. */
enum { A_AS_OF, A_FROM, A_BOARD, A_SUBMISSIONS, A_IMPROVEMENTS, A_PLAYERS, A_NEWCOMERS, A_IS_BEHIND };

static void count_render(struct jsonw *json, const char *name, int64_t count)
{
    jsonw_key(json, name);
    jsonw_number(json, count);
}

/* The rows of one bucket, from `row` on. Returns the row behind them. */
static int bucket_render(struct jsonw *json, struct db_rows rows, int row)
{
    int end = row, count = db_row_count(rows);
    int64_t submissions = 0, improvements = 0;

    for (; end < count && strcmp(db_text(rows, end, A_FROM), db_text(rows, row, A_FROM)) == 0; end++) {
        submissions += db_int64(rows, end, A_SUBMISSIONS);
        improvements += db_int64(rows, end, A_IMPROVEMENTS);
    }
    jsonw_object_open(json);
    jsonw_key(json, "from");
    jsonw_text(json, db_text(rows, row, A_FROM));
    count_render(json, "submissions", submissions);
    count_render(json, "improvements", improvements);
    jsonw_key(json, "boards");
    jsonw_array_open(json);
    for (; row < end; row++) {
        jsonw_object_open(json);
        jsonw_key(json, "board");
        jsonw_text(json, db_text(rows, row, A_BOARD));
        count_render(json, "submissions", db_int64(rows, row, A_SUBMISSIONS));
        count_render(json, "improvements", db_int64(rows, row, A_IMPROVEMENTS));
        count_render(json, "players", db_int64(rows, row, A_PLAYERS));
        count_render(json, "newcomers", db_int64(rows, row, A_NEWCOMERS));
        jsonw_object_close(json);
    }
    jsonw_array_close(json);
    jsonw_object_close(json);
    return end;
}

static void head_render(const struct ask *ask, struct db_rows rows, struct jsonw *json)
{
    jsonw_object_open(json);
    jsonw_key(json, "game");
    jsonw_string(json, ask->call->game);
    jsonw_key(json, "as_of");
    jsonw_time(json, db_int64(rows, 0, A_AS_OF));
}

static void activity_render(const struct ask *ask, struct db_rows rows, struct jsonw *json)
{
    int count = db_row_count(rows), row = 0;

    head_render(ask, rows, json);
    jsonw_key(json, "bucket");
    jsonw_text(json, ((const struct activity *)ask)->bucket);
    jsonw_key(json, "activity");
    jsonw_array_open(json);
    while (row < count && !db_is_null(rows, row, A_FROM) && !db_bool(rows, row, A_IS_BEHIND))
        row = bucket_render(json, rows, row);
    jsonw_array_close(json);
    jsonw_key(json, "next");
    if (row < count && !db_is_null(rows, row, A_FROM))
        jsonw_text(json, db_text(rows, row, A_FROM));
    else
        jsonw_null(json);
    jsonw_object_close(json);
}

void api_game_statistics(struct api_call *call)
{
    enum { BUCKETS_DEFAULT = 30, BUCKETS_MAX = 400 };
    struct activity *activity = asking_new(call, sizeof(*activity));
    const char *board, *from, *to;
    int64_t limit = BUCKETS_DEFAULT;
    struct error error;

    if (!activity)
        return;
    *activity = (struct activity){.ask = {.call = call,
                                          .render = activity_render,
                                          .read = {.statement = STATEMENT_game_statistics},
                                          .is_brief = true,
                                          .depends_on = LAST_WRITE_ACTIVITY}};
    bool is_ok = board_read(call, &board, &error) && dates_bucket(call, &activity->bucket, &error) &&
                 dates_read(call, "from", "-infinity", &from, &error) &&
                 dates_read(call, "to", "infinity", &to, &error) &&
                 api_int(call, "limit", 1, BUCKETS_MAX, &limit, &error);
    if (!is_ok) {
        api_fail(call, &error);
        return;
    }
    ask_add_int(&activity->ask, call->key.game_id);
    ask_add(&activity->ask, board);
    ask_add(&activity->ask, activity->bucket);
    ask_add(&activity->ask, from);
    ask_add(&activity->ask, to);
    ask_add_int(&activity->ask, limit);
    ask_start(&activity->ask);
}

/* ---- who won ---- */

struct fame {
    struct ask ask; /* first */
    int64_t limit;
};

/* Columns of hall_of_fame. */
enum { F_AS_OF, F_PERIOD, F_BOARD, F_WINDOW, F_STARTS, F_ENDS, F_RANK, F_PLAYER, F_SCORE, F_SUBSCORE, F_ACHIEVED };

static void winner_render(struct jsonw *json, struct db_rows rows, int row)
{
    jsonw_object_open(json);
    count_render(json, "rank", db_int64(rows, row, F_RANK));
    jsonw_key(json, "player");
    jsonw_string(json, (struct slice){db_text(rows, row, F_PLAYER), (size_t)db_size(rows, row, F_PLAYER)});
    jsonw_key(json, "score");
    jsonw_int64(json, db_int64(rows, row, F_SCORE));
    jsonw_key(json, "subscore");
    jsonw_int64(json, db_int64(rows, row, F_SUBSCORE));
    jsonw_key(json, "achieved_at");
    jsonw_time(json, db_int64(rows, row, F_ACHIEVED));
    jsonw_object_close(json);
}

/* Returns the row behind those of the period. */
static int period_render(struct jsonw *json, struct db_rows rows, int row)
{
    int64_t id = db_int64(rows, row, F_PERIOD);

    jsonw_object_open(json);
    jsonw_key(json, "board");
    jsonw_text(json, db_text(rows, row, F_BOARD));
    jsonw_key(json, "window");
    jsonw_text(json, db_text(rows, row, F_WINDOW));
    jsonw_key(json, "period");
    jsonw_time(json, db_int64(rows, row, F_STARTS));
    jsonw_key(json, "ends_at");
    jsonw_time(json, db_int64(rows, row, F_ENDS));
    jsonw_key(json, "winners");
    jsonw_array_open(json);
    for (; row < db_row_count(rows) && db_int64(rows, row, F_PERIOD) == id; row++)
        winner_render(json, rows, row);
    jsonw_array_close(json);
    jsonw_object_close(json);
    return row;
}

static void fame_render(const struct ask *ask, struct db_rows rows, struct jsonw *json)
{
    const struct fame *fame = (const struct fame *)ask;
    int count = db_row_count(rows), row = 0;
    char next[48];

    head_render(ask, rows, json);
    jsonw_key(json, "periods");
    jsonw_array_open(json);
    for (int64_t shown = 0; shown < fame->limit && row < count && !db_is_null(rows, row, F_PERIOD); shown++)
        row = period_render(json, rows, row);
    jsonw_array_close(json);
    jsonw_key(json, "next");
    if (row > 0 && row < count) {
        snprintf(next, sizeof(next), "%lld.%lld", (long long)db_int64(rows, row - 1, F_ENDS),
                 (long long)db_int64(rows, row - 1, F_PERIOD));
        jsonw_text(json, next);
    } else {
        jsonw_null(json);
    }
    jsonw_object_close(json);
}

/* "1790000000000000.17": microseconds and a period's number. */
static bool cursor_read(struct slice cursor, int64_t *ret_before_us, int64_t *ret_before_id)
{
    const char *dot = cursor.size ? memchr(cursor.data, '.', cursor.size) : NULL;

    if (!dot)
        return false;
    size_t size = (size_t)(dot - cursor.data);
    return text_parse_int64((struct slice){cursor.data, size}, ret_before_us) &&
           text_parse_int64((struct slice){dot + 1, cursor.size - size - 1}, ret_before_id) && *ret_before_us > 0 &&
           *ret_before_us <= CLOCK_LAST_US && *ret_before_id > 0;
}

void api_hall_of_fame(struct api_call *call)
{
    enum { PERIODS_DEFAULT = 20, PERIODS_MAX = 100, WINNERS_DEFAULT = 3, WINNERS_MAX = 10 };
    struct fame *fame = asking_new(call, sizeof(*fame));
    struct slice window = api_text(call, "window"), player = api_text(call, "player"),
                 cursor = api_text(call, "cursor");
    int64_t top = WINNERS_DEFAULT, before_us = CLOCK_LAST_US, before_id = INT64_MAX;
    const char *board;
    struct error error;

    if (!fame)
        return;
    *fame = (struct fame){.ask = {.call = call,
                                  .render = fame_render,
                                  .read = {.statement = STATEMENT_hall_of_fame},
                                  .is_over = true,
                                  .is_brief = true,
                                  .depends_on = LAST_WRITE_GAME},
                          .limit = PERIODS_DEFAULT};
    bool is_ok = board_read(call, &board, &error) && api_int(call, "top", 1, WINNERS_MAX, &top, &error) &&
                 api_int(call, "limit", 1, PERIODS_MAX, &fame->limit, &error) &&
                 (!player.data || player_check(player, "player", &error));
    if (is_ok && window.data && (!window_name_is_valid(window) || slice_is(window, "all")))
        is_ok = error_set_field(&error, ERROR_INVALID_PARAMETER, "window",
                                "must be one of monthly, weekly, daily, hourly, or the name of a schedule");
    if (is_ok && cursor.data && !cursor_read(cursor, &before_us, &before_id))
        is_ok = error_set_field(&error, ERROR_INVALID_CURSOR, "cursor", "the cursor is not one that this service made");
    if (!is_ok) {
        api_fail(call, &error);
        return;
    }
    ask_add_int(&fame->ask, call->key.game_id);
    ask_add(&fame->ask, board);
    ask_add(&fame->ask, window.data ? arena_printf(call->arena, "%.*s", (int)window.size, window.data) : "");
    ask_add(&fame->ask, player.data ? player.data : "");
    ask_add_int(&fame->ask, top);
    ask_add_int(&fame->ask, before_us);
    ask_add_int(&fame->ask, before_id);
    ask_add_int(&fame->ask, fame->limit + 1);
    ask_start(&fame->ask);
}
