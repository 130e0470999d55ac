/*
 * export.c -- `ladder export`: a standing in rank order, streamed from one snapshot.
 *
 * An export that was cut goes on only where it would have come to the same file: no entry of the standing may have
 * been written since the first run's snapshot, and as many rows must stand before the cut as the file has. Otherwise
 * it begins again. So a file is always one snapshot's.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/jsonw.h"
#include "cli/command.h"
#include "cli/csv.h"
#include "cli/export_file.h"
#include "cli/progress.h"
#include "db/statements.h"

enum { NOTE_ROWS = 1000, NOTE_US = 200000 };

struct export
{
    struct board board; /* only what decodes a key, and the facets */
    char window[16], start[64];
    bool is_ndjson, shows_progress;
    struct export_file file;
    struct export_state state;
    int64_t total; /* entries of the standing; 0: not counted */
    int64_t rows;  /* of this run */
    int64_t noted_us;
    struct progress progress;
    struct buf line;
};

/* ---- rows ---- */

/* Columns: player, k1, k2, k3, metadata, then each facet's value. */
enum { FIELD_PLAYER, FIELD_K1, FIELD_K2, FIELD_K3, FIELD_METADATA, FIELD_FACETS };

static struct slice field_text(const struct dbb_field *field)
{
    return (struct slice){field->data, field->size < 0 ? 0 : (size_t)field->size};
}

/* Metadata may hold line breaks, as white space between its parts; a row of NDJSON is one line. */
static void line_breaks_replace(struct buf *line, size_t from)
{
    for (size_t i = from; i < line->size; i++)
        if (line->data[i] == '\n' || line->data[i] == '\r')
            line->data[i] = ' ';
}

static void ndjson_append(const struct export *export, struct buf *line, const struct dbb_field *fields)
{
    const struct sort_key *key = &export->state.key;
    struct slice metadata = field_text(&fields[FIELD_METADATA]);
    struct jsonw json;

    jsonw_init(&json, line);
    jsonw_object_open(&json);
    jsonw_key(&json, "rank");
    jsonw_number(&json, export->state.rows);
    jsonw_key(&json, "player");
    jsonw_string(&json, field_text(&fields[FIELD_PLAYER]));
    jsonw_key(&json, "score");
    jsonw_int64(&json, board_score(&export->board, key));
    jsonw_key(&json, "subscore");
    jsonw_int64(&json, board_subscore(&export->board, key));
    jsonw_key(&json, "achieved_at");
    jsonw_time(&json, board_achieved_us(&export->board, key));
    jsonw_key(&json, "metadata");
    size_t before = line->size;
    if (metadata.size)
        jsonw_raw(&json, metadata);
    else
        jsonw_null(&json);
    line_breaks_replace(line, before);
    if (export->board.facet_count) {
        jsonw_key(&json, "facets");
        jsonw_object_open(&json);
        for (int i = 0; i < export->board.facet_count; i++) {
            struct slice value = field_text(&fields[FIELD_FACETS + i]);
            jsonw_key(&json, export->board.facets[i].name);
            if (value.size)
                jsonw_string(&json, value);
            else
                jsonw_null(&json);
        }
        jsonw_object_close(&json);
    }
    jsonw_object_close(&json);
}

static void csv_row_append(const struct export *export, struct buf *line, const struct dbb_field *fields)
{
    const struct sort_key *key = &export->state.key;
    char at[CLOCK_TEXT_MAX];

    buf_append_int64(line, export->state.rows);
    buf_append_byte(line, ',');
    csv_append(line, field_text(&fields[FIELD_PLAYER]));
    clock_format(board_achieved_us(&export->board, key), at);
    buf_printf(line, ",%lld,%lld,%s,", (long long)board_score(&export->board, key),
               (long long)board_subscore(&export->board, key), at);
    csv_append(line, field_text(&fields[FIELD_METADATA]));
    for (int i = 0; i < export->board.facet_count; i++) {
        buf_append_byte(line, ',');
        csv_append(line, field_text(&fields[FIELD_FACETS + i]));
    }
}

static bool line_write(struct export *export, struct error *error)
{
    struct buf *line = &export->line;

    buf_append_byte(line, '\n');
    if (line->is_overflown)
        return error_set(error, ERROR_INTERNAL, "out of memory");
    export->state.bytes += (int64_t)line->size;
    return export_file_write(&export->file, line->data, line->size, error);
}

static bool place_note(struct export *export, struct error *error)
{
    int64_t now_us = clock_monotonic_us();

    if (export->shows_progress)
        progress_show(&export->progress, export->rows,
                      export->total ? (double)export->state.rows / (double)export->total : 0);
    if (now_us - export->noted_us < NOTE_US && !fault_is("stop-export"))
        return true;
    export->noted_us = now_us;
    if (!export_file_note(&export->file, &export->state, error))
        return false;
    fault_point("export");
    return true;
}

static bool on_row(void *context, const struct dbb_field *fields, size_t count, struct error *error)
{
    struct export *export = context;
    struct export_state *state = &export->state;
    struct slice player = field_text(&fields[FIELD_PLAYER]);

    ASSERT(count == FIELD_FACETS + (size_t) export->board.facet_count && player.size <= PLAYER_BYTES_MAX);
    state->key = (struct sort_key){dbb_field_int64(&fields[FIELD_K1]), dbb_field_int64(&fields[FIELD_K2]),
                                   dbb_field_int64(&fields[FIELD_K3])};
    snprintf(state->player, sizeof(state->player), "%.*s", (int)player.size, player.data);
    state->rows++;
    export->rows++;
    buf_reset(&export->line);
    if (export->is_ndjson)
        ndjson_append(export, &export->line, fields);
    else
        csv_row_append(export, &export->line, fields);
    return line_write(export, error) && (export->rows % NOTE_ROWS != 0 || place_note(export, error));
}

static bool header_write(struct export *export, struct error *error)
{
    if (export->is_ndjson)
        return true;
    buf_reset(&export->line);
    buf_append_text(&export->line, "rank,player,score,subscore,achieved_at,metadata");
    for (int i = 0; i < export->board.facet_count; i++)
        buf_printf(&export->line, ",facet:%s", export->board.facets[i].name);
    return line_write(export, error);
}

/* ---- the standing ---- */

/* names and ids: the same number of each, with commas between. */
static void facets_take(struct board *board, const char *names, const char *ids)
{
    while (*names && board->facet_count < FACETS_MAX) {
        struct board_facet *facet = &board->facets[board->facet_count++];
        char *ids_end;
        size_t size = strcspn(names, ",");
        snprintf(facet->name, sizeof(facet->name), "%.*s", (int)size, names);
        facet->id = strtoll(ids, &ids_end, 10);
        names += size + (names[size] == ',');
        ids = ids_end + (*ids_end == ',');
    }
}

static bool standing_find(struct export *export, struct dbb *db, const char *window, const char *period,
                          const char *facet, struct error *error)
{
    char board[24];
    const char *parameters[] = {board, window, period, facet};
    struct dbb_result *result;

    snprintf(board, sizeof(board), "%lld", (long long)export->state.board_id);
    if (!dbb_query(db, statement_text(STATEMENT_export_find), 4, parameters, &result, error))
        return false;
    bool is_there = dbb_rows(result) == 1;
    if (is_there) {
        export->state.period_id = dbb_int64(result, 0, 0);
        snprintf(export->window, sizeof(export->window), "%s", dbb_text(result, 0, 1));
        snprintf(export->start, sizeof(export->start), "%s", dbb_text(result, 0, 2));
        score_order_parse(slice_of(dbb_text(result, 0, 3)), &export->board.ordering);
        tie_rule_parse(slice_of(dbb_text(result, 0, 4)), &export->board.tie);
        facets_take(&export->board, dbb_text(result, 0, 5), dbb_text(result, 0, 6));
        snprintf(export->state.shape, sizeof(export->state.shape), "%s %s", export->is_ndjson ? "ndjson" : "csv",
                 dbb_text(result, 0, 5));
    }
    dbb_result_free(&result);
    return is_there || error_set(error, ERROR_PERIOD_NOT_FOUND, "the board has no such window, period or facet");
}

static void query_build(const struct export *export, bool goes_on, struct buf *query)
{
    const struct export_state *state = &export->state;

    buf_append_text(query, "select e.player, e.k1, e.k2, e.k3, e.metadata::text");
    for (int i = 0; i < export->board.facet_count; i++)
        buf_printf(
            query,
            ", (select substr(g, strpos(g, ':') + 1) from unnest(f.facets) g where ladder.facet_key_id(g) = %lld)",
            (long long)export->board.facets[i].id);
    buf_append_text(query, " from ladder.entry e");
    if (export->board.facet_count)
        buf_printf(query, " left join ladder.player_facet f on f.board_id = %lld and f.player = e.player",
                   (long long)state->board_id);
    buf_printf(query, " where e.window_kind = '%s' and e.period_start = '%s' and e.period_id = %lld and not e.removed",
               export->window, export->start, (long long)state->period_id);
    if (goes_on) {
        buf_printf(query, " and (e.k1, e.k2, e.k3, e.player) > (%lld, %lld, %lld, '", (long long)state->key.k1,
                   (long long)state->key.k2, (long long)state->key.k3);
        for (const char *at = state->player; *at; at++) {
            if (*at == '\'')
                buf_append_byte(query, '\'');
            buf_append_byte(query, *at);
        }
        buf_append_text(query, "' collate \"C\")");
    }
    buf_append_text(query, " order by e.k1, e.k2, e.k3, e.player");
}

/* ---- going on ---- */

static bool snapshot_read(struct export *export, struct dbb *db, struct error *error)
{
    struct dbb_result *result;

    if (!dbb_query(db,
                   "select pg_current_snapshot(), ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, "
                   "8))::bit(32)::int",
                   0, NULL, &result, error))
        return false;
    /* One that does not fit could not be compared later: without it the next run begins again. */
    snprintf(export->state.snapshot, sizeof(export->state.snapshot), "%s",
             dbb_size(result, 0, 0) < EXPORT_SNAPSHOT_MAX ? dbb_text(result, 0, 0) : "-");
    export->state.timeline = (int)dbb_int64(result, 0, 1);
    dbb_result_free(&result);
    return true;
}

/* Counts the entries, and compares them with what the earlier run saw. */
static bool standing_check(struct export *export, struct dbb *db, const struct export_state *earlier, bool *ret_is_same,
                           struct error *error)
{
    char period[24], board[24], k1[24], k2[24], k3[24];
    const char *parameters[] = {period, export->window, export->start, board, earlier->snapshot, k1, k2,
                                k3,     earlier->player};
    struct dbb_result *result;

    snprintf(period, sizeof(period), "%lld", (long long)export->state.period_id);
    snprintf(board, sizeof(board), "%lld", (long long)export->state.board_id);
    snprintf(k1, sizeof(k1), "%lld", (long long)earlier->key.k1);
    snprintf(k2, sizeof(k2), "%lld", (long long)earlier->key.k2);
    snprintf(k3, sizeof(k3), "%lld", (long long)earlier->key.k3);
    if (!dbb_query(db, statement_text(STATEMENT_export_check), ARRAY_SIZE(parameters), parameters, &result, error))
        return false;
    *ret_is_same = dbb_int64(result, 0, 0) == earlier->rows && dbb_int64(result, 0, 1) == 0;
    export->total = dbb_int64(result, 0, 2);
    dbb_result_free(&result);
    return true;
}

/* Whether an earlier run's file can be gone on with: then export->state is where it was cut. */
static bool earlier_take(struct export *export, struct dbb *db, bool *ret_goes_on, struct error *error)
{
    static struct export_state earlier;
    const struct export_state *own = &export->state;

    *ret_goes_on = export_file_read_state(&export->file, &earlier) && earlier.board_id == own->board_id &&
                   earlier.period_id == own->period_id && earlier.timeline == own->timeline &&
                   strcmp(earlier.shape, own->shape) == 0 && strcmp(earlier.snapshot, "-") != 0;
    if (*ret_goes_on && !standing_check(export, db, &earlier, ret_goes_on, error))
        return false;
    if (*ret_goes_on)
        export->state = earlier;
    else
        fprintf(stderr, "ladder export: nothing that can be continued, so it begins with the first row\n");
    return true;
}

/* On a terminal that does not get the rows themselves. */
static bool progress_begin(struct export *export, struct dbb *db, struct error *error)
{
    bool is_same;

    export->shows_progress = isatty(STDERR_FILENO) && (export->file.path || !isatty(STDOUT_FILENO));
    if (!export->shows_progress)
        return true;
    if (!export->total && strcmp(export->state.snapshot, "-") != 0 &&
        !standing_check(export, db, &export->state, &is_same, error))
        return false;
    progress_start(&export->progress, "exporting");
    progress_restart(&export->progress, export->total ? (double)export->state.rows / (double)export->total : 0);
    return true;
}

static bool standing_export(struct export *export, struct dbb *db, bool resumes, struct error *error)
{
    bool goes_on = false;
    struct buf query;

    if (!dbb_begin(db, true, error) || !snapshot_read(export, db, error) ||
        (resumes && !earlier_take(export, db, &goes_on, error)) ||
        !export_file_continue(&export->file, goes_on ? export->state.bytes : 0, error) ||
        !progress_begin(export, db, error) || (!goes_on && !header_write(export, error)))
        return false;
    if (goes_on)
        fprintf(stderr, "ladder export: goes on behind row %lld\n", (long long)export->state.rows);
    export->noted_us = clock_monotonic_us();
    buf_init(&query, 16384);
    query_build(export, goes_on, &query);
    bool is_ok = !export->state.period_id || dbb_copy_out(db, query.data, on_row, export, error);
    buf_done(&query);
    if (export->shows_progress)
        progress_end(&export->progress);
    return is_ok && export_file_finish(&export->file, error);
}

int cmd_export(int argc, char **argv)
{
    static struct settings settings;
    const char *game = NULL, *board = NULL, *window = NULL, *period = "current", *facet = "", *format = "csv";
    const char *output = NULL;
    bool resumes = false;
    const struct option_row options[] = {
        {"game", &game, NULL},     {"board", &board, NULL},    {"window", &window, NULL},
        {"period", &period, NULL}, {"facet", &facet, NULL},    {"format", &format, NULL},
        {"output", &output, NULL}, {"resume", NULL, &resumes}, {NULL, NULL, NULL}};
    static struct export export;
    struct error error;
    int status;

    if (!command_start(
            &argc, argv,
            "export --game G --board B [--window W] [--period current|previous|FIRST-INSTANT] [--facet NAME:VALUE]\n"
            "                     [--format csv|ndjson] [--output FILE [--resume]]\n\n"
            "Writes a standing, best first, to standard output or to FILE. `ladder import --exported` reads the CSV.\n"
            "FILE appears when it is whole; until then it is FILE.part. --resume goes on with what a run that was cut\n"
            "left there, or, if the standing has changed since, begins again.",
            options, &settings, &status))
        return status;
    export.is_ndjson = strcmp(format, "ndjson") == 0;
    if (argc != 1 || !game || !board || (!export.is_ndjson && strcmp(format, "csv") != 0) || (resumes && !output)) {
        fprintf(stderr, "usage: ladder export --game G --board B [--window W] [--period P] [--facet F] [--format "
                        "csv|ndjson] [--output FILE [--resume]]\n");
        return EXIT_USAGE;
    }
    signal(SIGPIPE, SIG_DFL); /* `| head` is no failure */
    buf_init(&export.line, 65536);
    struct dbb *db = command_database(&settings, "ladder export", &error);
    bool is_ok = db && command_board(db, game, board, &export.state.board_id, &error) &&
                 standing_find(&export, db, window, period, facet, &error) &&
                 export_file_open(&export.file, output, &error) && standing_export(&export, db, resumes, &error);
    dbb_close(&db);
    export_file_close(&export.file);
    buf_done(&export.line);
    return is_ok ? EXIT_DONE : command_fail(&error);
}
