/*
 * export.c -- `ladder export`: a standing in rank order, streamed from one snapshot.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/jsonw.h"
#include "board/board.h"
#include "cli/command.h"
#include "cli/csv.h"
#include "db/statements.h"

struct export
{
    struct board board; /* only what decodes a key */
    bool is_ndjson;
    int64_t rank;
    struct buf line;
};

/* Columns: player, k1, k2, k3, metadata. */
static bool on_row(void *context, const struct dbb_field *fields, size_t count, struct error *error)
{
    struct export *export = context;
    struct buf *line = &export->line;
    struct sort_key key = {dbb_field_int64(&fields[1]), dbb_field_int64(&fields[2]), dbb_field_int64(&fields[3])};
    struct slice player = {fields[0].data, (size_t)fields[0].size},
                 metadata = {fields[4].data, fields[4].size < 0 ? 0 : (size_t)fields[4].size};
    char at[CLOCK_TEXT_MAX];

    ASSERT(count == 5);
    buf_reset(line);
    export->rank++;
    if (export->is_ndjson) {
        struct jsonw json;
        jsonw_init(&json, line);
        jsonw_object_open(&json);
        jsonw_key(&json, "rank");
        jsonw_number(&json, export->rank);
        jsonw_key(&json, "player");
        jsonw_string(&json, player);
        jsonw_key(&json, "score");
        jsonw_int64(&json, board_score(&export->board, &key));
        jsonw_key(&json, "subscore");
        jsonw_int64(&json, board_subscore(&export->board, &key));
        jsonw_key(&json, "achieved_at");
        jsonw_time(&json, board_achieved_us(&export->board, &key));
        jsonw_key(&json, "metadata");
        if (metadata.size)
            jsonw_raw(&json, metadata);
        else
            jsonw_null(&json);
        jsonw_object_close(&json);
    } else {
        buf_append_int64(line, export->rank);
        buf_append_byte(line, ',');
        csv_append(line, player);
        clock_format(board_achieved_us(&export->board, &key), at);
        buf_printf(line, ",%lld,%lld,%s,", (long long)board_score(&export->board, &key),
                   (long long)board_subscore(&export->board, &key), at);
        csv_append(line, metadata);
    }
    buf_append_byte(line, '\n');
    if (line->is_overflown || fwrite(line->data, 1, line->size, stdout) != line->size)
        return error_set(error, ERROR_INTERNAL, "the output cannot be written");
    return true;
}

static bool standing_export(struct export *export, struct dbb *db, int64_t board_id, const char *window,
                            const char *period, const char *facet, struct error *error)
{
    char board[24], query[512];
    const char *parameters[] = {board, window, period, facet};
    struct dbb_result *result;

    snprintf(board, sizeof(board), "%lld", (long long)board_id);
    if (!dbb_query(db, statement_text(STATEMENT_export_find), 4, parameters, &result, error))
        return false;
    bool is_there = dbb_rows(result) == 1;
    if (is_there) {
        score_order_parse(slice_of(dbb_text(result, 0, 3)), &export->board.ordering);
        tie_rule_parse(slice_of(dbb_text(result, 0, 4)), &export->board.tie);
        snprintf(
            query, sizeof(query),
            "select player, k1, k2, k3, metadata::text from ladder.entry where window_kind = '%s' and period_start = '%s' "
            "and period_id = %s and not removed order by k1, k2, k3, player",
            dbb_text(result, 0, 1), dbb_text(result, 0, 2), dbb_text(result, 0, 0));
    }
    dbb_result_free(&result);
    if (!is_there)
        return error_set(error, ERROR_PERIOD_NOT_FOUND, "the board has no such window, period or facet");
    if (!export->is_ndjson)
        printf("rank,player,score,subscore,achieved_at,metadata\n");
    if (!dbb_copy_out(db, query, on_row, export, error))
        return false;
    return fflush(stdout) == 0 || error_set(error, ERROR_INTERNAL, "the output cannot be written");
}

int cmd_export(int argc, char **argv)
{
    static struct settings settings;
    const char *game = NULL, *board = NULL, *window = NULL, *period = "current", *facet = "", *format = "csv";
    const struct option_row options[] = {{"game", &game, NULL},     {"board", &board, NULL}, {"window", &window, NULL},
                                         {"period", &period, NULL}, {"facet", &facet, NULL}, {"format", &format, NULL},
                                         {NULL, NULL, NULL}};
    static struct export export;
    struct error error;
    int64_t board_id;
    int status;

    if (!command_start(
            &argc, argv,
            "export --game G --board B [--window W] [--period current|previous|FIRST-INSTANT] [--facet NAME:VALUE]\n"
            "                     [--format csv|ndjson]\n\n"
            "Writes a standing to standard output, best first.",
            options, &settings, &status))
        return status;
    export.is_ndjson = strcmp(format, "ndjson") == 0;
    if (argc != 1 || !game || !board || (!export.is_ndjson && strcmp(format, "csv") != 0)) {
        fprintf(
            stderr,
            "usage: ladder export --game G --board B [--window W] [--period P] [--facet F] [--format csv|ndjson]\n");
        return EXIT_USAGE;
    }
    signal(SIGPIPE, SIG_DFL); /* `| head` is no failure */
    buf_init(&export.line, 65536);
    struct dbb *db = command_database(&settings, "ladder export", &error);
    bool is_ok = db && command_board(db, game, board, &board_id, &error) &&
                 standing_export(&export, db, board_id, window, period, facet, &error);
    dbb_close(&db);
    buf_done(&export.line);
    return is_ok ? EXIT_DONE : command_fail(&error);
}
