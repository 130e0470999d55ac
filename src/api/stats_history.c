/*
 * stats_history.c -- what was submitted to a board by day, week or month: GET …/stats/history.
 */
#include <string.h>

#include "api/ask.h"
#include "api/dates.h"

enum { BUCKETS_MAX = 1000 };

struct history {
    struct ask ask; /* first */
    const char *bucket;
};

static void number_render(struct jsonw *json, struct db_rows rows, int row, int column, bool is_score)
{
    struct slice text = {db_text(rows, row, column), (size_t)db_size(rows, row, column)};

    if (text.size == 0)
        jsonw_null(json);
    else if (is_score && json->integers_as_strings)
        jsonw_string(json, text);
    else
        jsonw_raw(json, text);
}

static void history_render(const struct ask *ask, struct db_rows rows, struct jsonw *json)
{
    static const struct {
        const char *name;
        bool is_score;
    } columns[] = {{"submissions", false}, {"improvements", false}, {"players", false}, {"newcomers", false},
                   {"sum", true},          {"mean", false},         {"min", true},      {"max", true}};
    const struct board *board = &ask->call->board;
    int count = db_row_count(rows);

    jsonw_object_open(json);
    jsonw_key(json, "board");
    jsonw_text(json, board->name);
    jsonw_key(json, "bucket");
    jsonw_text(json, ((const struct history *)ask)->bucket);
    jsonw_key(json, "time_zone");
    jsonw_text(json, board->time_zone);
    jsonw_key(json, "history");
    jsonw_array_open(json);
    for (int i = 0; i < count && i < BUCKETS_MAX; i++) {
        jsonw_object_open(json);
        jsonw_key(json, "from");
        jsonw_text(json, db_text(rows, i, 0));
        for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); c++) {
            jsonw_key(json, columns[c].name);
            number_render(json, rows, i, (int)c + 1, columns[c].is_score);
        }
        jsonw_object_close(json);
    }
    jsonw_array_close(json);
    jsonw_key(json, "next");
    if (count > BUCKETS_MAX)
        jsonw_text(json, db_text(rows, BUCKETS_MAX, 0));
    else
        jsonw_null(json);
    jsonw_object_close(json);
}

void api_stats_history(struct api_call *call)
{
    struct history *history = arena_calloc(call->arena, 1, sizeof(*history));
    const char *from, *to;
    struct error error;

    if (!history) {
        api_fail_with(call, ERROR_OVERLOADED, "out of memory");
        return;
    }
    *history = (struct history){
        .ask = {.call = call, .render = history_render, .read = {.statement = STATEMENT_statistics_history}}};
    bool is_ok = dates_bucket(call, &history->bucket, &error) && dates_read(call, "from", "-infinity", &from, &error) &&
                 dates_read(call, "to", "infinity", &to, &error);
    if (!is_ok) {
        api_fail(call, &error);
        return;
    }
    ask_add_int(&history->ask, call->board.id);
    ask_add(&history->ask, history->bucket);
    ask_add(&history->ask, from);
    ask_add(&history->ask, to);
    ask_add_int(&history->ask, BUCKETS_MAX + 1);
    ask_start(&history->ask);
}
