/*
 * import.c -- `ladder import`: the rows of a CSV file as submissions.
 *
 *     file -> reader (this thread) -> by player -> lanes: a connection, a thread, a mark each -> ladder.submit_history
 *
 * Rows go in batches, each batch in one transaction with its lane's mark of how far the file is in. So an import that
 * is cut goes on where each lane stopped, one that finished does nothing when it is run again, and no row counts twice.
 * The marks belong to the file's bytes and to how its rows are read: another file, or other options, is another import.
 * That is why the whole file is checked before its first row goes in, and a bad row refuses it: mended, it would be
 * another file, and the rows in front of the bad one would count again. What only the database can judge (a closed
 * period, a sum out of bounds) is refused row by row as the batches go in. Every refused row is listed in the reject
 * file. One runner an import: each lane's session holds an advisory lock, and
 * moves its mark only from where this runner saw it. Both are needed: a session of a runner that was killed may still
 * be committing when the next one starts. The worker's tail carries the changes to Redis.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/import_board.h"
#include "cli/import_lane.h"
#include "cli/import_rejects.h"
#include "cli/import_source.h"
#include "cli/progress.h"
#include "db/statements.h"

enum { PROGRESS_ROWS = 1000 };

struct import {
    struct source source;
    struct import_board board;
    struct lane *lanes[LANES];
    struct rejects rejects;
    bool is_dry, skips_bad, closes;
    struct progress progress;
    int64_t rows;                                /* of the file, so far */
    int64_t rows_done;                           /* were in, in every lane, when we began */
    int64_t rows_taken, rows_left_out, rows_bad; /* of those behind */
};

static void result_print(struct import *import)
{
    struct lane_totals totals = {0, 0};
    double seconds = progress_seconds(&import->progress);

    for (int i = 0; i < LANES; i++) {
        struct lane_totals lane = lane_totals(import->lanes[i]);
        totals.changed += lane.changed;
        totals.refused += lane.refused;
    }
    printf("%s%lld rows in %.1f s (%.0f rows/s), %lld changed an entry, %lld refused, %lld bad, %lld left out by "
           "--where, --from or --until\n",
           import->is_dry ? "dry run, nothing was kept: " : "", (long long)import->rows_taken, seconds,
           (double)import->rows_taken / seconds, (long long)totals.changed, (long long)totals.refused,
           (long long)import->rows_bad, (long long)import->rows_left_out);
}

/* ---- rows ---- */

/* One row as the file has it, judged as POST scores would. ROW of a lane that has it already: taken, whatever the rules
 * are now. */
static enum source_outcome row_next(struct import *import, struct submission *ret_row, enum reject_reason *ret_reason,
                                    struct error *error)
{
    enum source_outcome outcome = source_next(&import->source, ret_row, error);

    if (outcome == SOURCE_END || outcome == SOURCE_FAILED)
        return outcome;
    import->rows++;
    *ret_reason = import->source.reason;
    if (outcome == SOURCE_ROW && import->rows > lane_rows_done(import->lanes[lane_of(ret_row->player)]) &&
        !import_board_admits(&import->board, ret_row, ret_reason, error->message))
        outcome = SOURCE_BAD_ROW;
    return outcome;
}

/* From the first row to the end, reading only; then back to the first. */
static bool rows_check(struct import *import, struct error *error)
{
    enum source_outcome outcome;
    enum reject_reason reason;
    struct submission row;

    import->rows = 0;
    progress_start(&import->progress, "checking");
    while ((outcome = row_next(import, &row, &reason, error)) != SOURCE_END) {
        if (outcome == SOURCE_FAILED)
            return false;
        if (outcome == SOURCE_BAD_ROW && import->rows > import->rows_done)
            rejects_add(&import->rejects, reason, import->rows, import->source.csv.line, error->message);
        if (import->rows % PROGRESS_ROWS == 0)
            progress_show(&import->progress, import->rows, source_share(&import->source));
    }
    int64_t bad = rejects_count(&import->rejects);
    if (bad > 0 && !import->skips_bad && !import->is_dry)
        return error_set(error, ERROR_INVALID_BODY,
                         "%lld of %lld rows are bad, so none was submitted; --skip-bad leaves them out", (long long)bad,
                         (long long)import->rows);
    return source_rewind(&import->source, error);
}

/* The clock starts with the first row that is not in yet: getting there may take a while. */
static void row_count(struct import *import, int64_t *counter)
{
    if (import->rows_taken + import->rows_left_out + import->rows_bad == 0)
        progress_restart(&import->progress, source_share(&import->source));
    if (++*counter % PROGRESS_ROWS == 0)
        progress_show(&import->progress, import->rows_taken, source_share(&import->source));
}

static bool row_take(struct import *import, const struct submission *row, struct error *error)
{
    struct lane *lane = import->lanes[lane_of(row->player)];

    if (import->rows <= lane_rows_done(lane))
        return true;
    row_count(import, &import->rows_taken);
    return lane_add(lane, row, import->rows, error);
}

static bool rows_import(struct import *import, struct error *error)
{
    enum source_outcome outcome;
    enum reject_reason reason;
    struct submission row;
    struct error fault;
    bool is_ok = true;

    import->rows = 0;
    progress_start(&import->progress, "importing");
    while (is_ok && (outcome = row_next(import, &row, &reason, &fault)) != SOURCE_END) {
        if (outcome == SOURCE_ROW)
            is_ok = row_take(import, &row, error);
        else if (outcome == SOURCE_FAILED)
            is_ok = error_set(error, fault.code, "%s", fault.message);
        else if (import->rows > import->rows_done)
            row_count(import, outcome == SOURCE_BAD_ROW ? &import->rows_bad : &import->rows_left_out);
    }
    for (int i = 0; i < LANES && is_ok; i++)
        is_ok = lane_finish(import->lanes[i], import->rows, error);
    progress_end(&import->progress);
    return is_ok;
}

static bool lanes_open(struct import *import, const struct settings *settings, const char *game, const char *board,
                       size_t batch_rows, const char *rejects_path, struct error *error)
{
    struct dbb *db = command_database(settings, "ladder import", error);
    bool is_ok = db && import_board_find(db, game, board, &import->source, &import->board, error), has_begun = false;
    const struct lane_options options = {.board_id = import->board.id,
                                         .import_hash = import->source.hash,
                                         .batch_rows = batch_rows,
                                         .is_dry = import->is_dry,
                                         .rejects = &import->rejects};

    dbb_close(&db);
    import->rows_done = INT64_MAX;
    for (int i = 0; i < LANES && is_ok; i++) {
        import->lanes[i] = lane_open(settings, &options, i, error);
        is_ok = import->lanes[i] != NULL;
        if (is_ok && lane_rows_done(import->lanes[i]) < import->rows_done)
            import->rows_done = lane_rows_done(import->lanes[i]);
        has_begun = has_begun || (is_ok && lane_rows_done(import->lanes[i]) > 0);
    }
    return is_ok && rejects_open(&import->rejects, rejects_path, import->source.options.path, has_begun, error);
}

/* What --close asks for: the worker closes the board's ended periods next. */
static bool periods_close(const struct import *import, const struct settings *settings, struct error *error)
{
    char board[24];
    const char *parameters[] = {board};
    struct dbb *db = command_database(settings, "ladder import", error);
    struct dbb_result *result;

    snprintf(board, sizeof(board), "%lld", (long long)import->board.id);
    bool is_ok = db && dbb_query(db, statement_text(STATEMENT_period_close_early), 1, parameters, &result, error);
    if (is_ok) {
        printf("%s ended periods of the board close with the next run of the worker's roll job\n",
               dbb_text(result, 0, 0));
        dbb_result_free(&result);
    }
    dbb_close(&db);
    return is_ok;
}

/* What was refused, whether the import went through or not. Its exit status, if it did. */
static int refusals_tell(struct import *import)
{
    int64_t refused = rejects_count(&import->rejects);
    struct error error;

    rejects_print(&import->rejects, import->source.options.path, stderr);
    if (!rejects_close(&import->rejects, &error))
        return command_fail(&error);
    return refused > 0 && !import->skips_bad ? EXIT_FAILED : EXIT_DONE;
}

/* ---- the command ---- */

static const char usage_text[] =
    "import FILE.csv|- --game G --board B --exported\n"
    "       ladder import FILE.csv|- --game G --board B --player COLUMN --score COLUMN|NUMBER [--subscore COLUMN|NUMBER]\n"
    "                     [--at COLUMN [--at-format FORMAT]] [--facet NAME=COLUMN]... [--metadata NAME=COLUMN]...\n"
    "                     [--metadata-json COLUMN] [--from TIME] [--until TIME]\n"
    "                     [--where COLUMN=VALUE | --where COLUMN!=VALUE]...\n"
    "                     [--rejects FILE] [--skip-bad] [--dry-run] [--close] [--batch ROWS]\n\n"
    "Submits the rows of a CSV file with a header row; - is standard input. gzip and Zstandard are decompressed.\n"
    "Run again, it goes on where it was cut, or does nothing.\n"
    "A row must meet every --where, and its time, in the column --at, be at or after --from and before --until.\n"
    "--exported: the columns are those that `ladder export` writes.\n"
    "FORMAT: auto, rfc3339, epoch, epoch-ms, epoch-us, or a pattern of strptime(3); without an offset, times are UTC.\n"
    "A bad row refuses the file before anything is submitted; --skip-bad leaves it out. Rows that are refused are\n"
    "listed in FILE.csv.rejects.csv, or where --rejects says, with their line and reason; the exit status is then 1,\n"
    "with --skip-bad 0. --dry-run submits every batch and rolls it back.\n"
    "--close closes the board's ended periods afterwards, without waiting for worker.backfill_grace_s.\n"
    "Each player's rows are taken in the file's order; rows of different players go side by side.";

static int usage(const char *what)
{
    fprintf(stderr, "ladder import: %s\n", what);
    return EXIT_USAGE;
}

int cmd_import(int argc, char **argv)
{
    static struct settings settings;
    static struct import import;
    struct source_options from = {NULL};
    const char *game = NULL, *board = NULL, *batch = NULL, *rejects = NULL;
    const char *one_too_many = NULL, *facet_too_many = NULL, *metadata_too_many = NULL;
    const struct option_row options[] = {{"game", &game, NULL},
                                         {"board", &board, NULL},
                                         {"player", &from.player, NULL},
                                         {"score", &from.score, NULL},
                                         {"subscore", &from.subscore, NULL},
                                         {"at", &from.at, NULL},
                                         {"at-format", &from.at_format, NULL},
                                         {"from", &from.from, NULL},
                                         {"until", &from.until, NULL},
                                         {"batch", &batch, NULL},
                                         {"where", &from.where[0], NULL},
                                         {"where", &from.where[1], NULL},
                                         {"where", &from.where[2], NULL},
                                         {"where", &from.where[3], NULL},
                                         {"where", &from.where[4], NULL},
                                         {"where", &from.where[5], NULL},
                                         {"where", &from.where[6], NULL},
                                         {"where", &from.where[7], NULL},
                                         {"where", &one_too_many, NULL},
                                         {"facet", &from.facet[0], NULL},
                                         {"facet", &from.facet[1], NULL},
                                         {"facet", &from.facet[2], NULL},
                                         {"facet", &from.facet[3], NULL},
                                         {"facet", &facet_too_many, NULL},
                                         {"metadata", &from.metadata[0], NULL},
                                         {"metadata", &from.metadata[1], NULL},
                                         {"metadata", &from.metadata[2], NULL},
                                         {"metadata", &from.metadata[3], NULL},
                                         {"metadata", &from.metadata[4], NULL},
                                         {"metadata", &from.metadata[5], NULL},
                                         {"metadata", &from.metadata[6], NULL},
                                         {"metadata", &from.metadata[7], NULL},
                                         {"metadata", &metadata_too_many, NULL},
                                         {"metadata-json", &from.metadata_json, NULL},
                                         {"rejects", &rejects, NULL},
                                         {"exported", NULL, &from.is_exported},
                                         {"dry-run", NULL, &import.is_dry},
                                         {"skip-bad", NULL, &import.skips_bad},
                                         {"close", NULL, &import.closes},
                                         {NULL, NULL, NULL}};
    struct error error;
    int64_t batch_rows = LANE_BATCH_ROWS;
    int status;

    if (!command_start(&argc, argv, usage_text, options, &settings, &status))
        return status;
    if (from.is_exported && !source_is_exported(&from))
        return usage("--exported says which columns there are: leave --player, --score, --subscore, --at, --facet and "
                     "--metadata away");
    if (argc != 2 || !game || !board || !from.player || !from.score)
        return usage("FILE.csv --game G --board B --player COLUMN --score COLUMN|NUMBER are needed (--help)");
    if (batch &&
        (!text_parse_int64(slice_of(batch), &batch_rows) || batch_rows < 1 || batch_rows > LANE_BATCH_ROWS_MAX))
        return usage("--batch must be 1 to 50000");
    _Static_assert(LANE_BATCH_ROWS_MAX == 50000, "as the message says");
    if (one_too_many)
        return usage("at most 8 --where");
    if (facet_too_many)
        return usage("at most 4 --facet");
    if (metadata_too_many)
        return usage("at most 8 --metadata");
    while (from.metadata_count < ARRAY_SIZE(from.metadata) && from.metadata[from.metadata_count])
        from.metadata_count++;
    while (from.facet_count < ARRAY_SIZE(from.facet) && from.facet[from.facet_count])
        from.facet_count++;
    from.path = argv[1];
    while (from.where_count < ARRAY_SIZE(from.where) && from.where[from.where_count])
        from.where_count++;
    bool is_ok = source_open(&import.source, &from, &error) &&
                 lanes_open(&import, &settings, game, board, (size_t)batch_rows, rejects, &error) &&
                 rows_check(&import, &error) && rows_import(&import, &error);
    if (is_ok && import.rows > 0 && import.rows_done == import.rows)
        printf("nothing to do: all %lld rows are in\n", (long long)import.rows);
    else if (is_ok)
        result_print(&import);
    if (is_ok && import.closes && !import.is_dry)
        is_ok = periods_close(&import, &settings, &error);
    for (int i = 0; i < LANES; i++)
        lane_close(&import.lanes[i]);
    status = refusals_tell(&import);
    source_close(&import.source);
    return is_ok ? status : command_fail(&error);
}
