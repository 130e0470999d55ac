/*
 * import.c -- `ladder import`: the rows of a CSV file as submissions.
 *
 * Rows go in batches through ladder.submit, each batch in one transaction with the mark of how far the file is in. So an
 * import that is cut goes on where it stopped, one that finished does nothing when it is run again, and no row counts twice.
 * The mark belongs to the file's bytes and to how its columns are read: another file, or other columns, is another import.
 * That is why a file with a bad row is refused before its first row goes in: mended, it would be another file, and the rows
 * in front of the bad one would count again.
 * One runner an import: an advisory lock, and the mark moves only from where this runner saw it. Both are needed: the session
 * of a runner that was killed may still be committing when the next one starts.
 * The worker's tail carries the changes to Redis.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/text.h"
#include "board/board.h"
#include "cli/command.h"
#include "cli/csv.h"
#include "db/statements.h"

enum { BATCH_ROWS = 2000, BATCH_ROWS_MAX = 4000, CONDITIONS_MAX = 8, PROGRESS_US = 2000000, RETRIES_MAX = 10, ROUND_SLOTS = 8192 };

/* Where a value comes from: a column, or a constant. */
struct origin {
    int column; /* -1: constant */
    int64_t constant;
};

struct condition {
    char column_name[128];
    char value[128];
    bool is_equal;
    int column;
};

/* A row as it is submitted; player is borrowed from the reader. */
struct submission {
    struct slice player;
    int64_t score, subscore, at_us;
};

struct import {
    struct dbb *db;
    const char *path, *player_name, *score_name, *subscore_name, *at_name;
    int64_t board_id;
    FILE *file;
    struct csv csv;
    int player_column, at_column;
    struct origin score, subscore;
    struct condition conditions[CONDITIONS_MAX];
    size_t condition_count;
    bool is_dry, skips_bad, is_terminal;
    char source_hash[2 * CRYPTO_HASH_SIZE + 3];
    int64_t size_bytes;
    /* the batch */
    struct buf arrays[5]; /* players, scores, subscores, ats, rounds */
    size_t batch_rows, batch_rows_max;
    uint64_t round_keys[ROUND_SLOTS];
    int round_counts[ROUND_SLOTS];
    /* so far */
    int64_t rows_read, rows_done, rows_skipped, changed, refused, bad;
    int64_t rows_marked;        /* what the database says is in */
    int64_t start_us, shown_us; /* monotonic */
    int64_t now_us;             /* of rows without a time: one for the whole import */
};

/* ---- options ---- */

static int column_find(const struct csv *header, const char *name)
{
    for (size_t i = 0; i < header->count; i++)
        if (slice_is(csv_field(header, i), name))
            return (int)i;
    return -1;
}

static bool origin_find(const struct csv *header, const char *option, const char *text, struct origin *ret_origin, struct error *error)
{
    *ret_origin = (struct origin){.column = column_find(header, text)};
    if (ret_origin->column >= 0 || text_parse_int64(slice_of(text), &ret_origin->constant))
        return true;
    return error_set(error, ERROR_INVALID_PARAMETER, "--%s: the file has no column \"%.60s\", and it is no integer", option, text);
}

static bool condition_parse(const char *text, struct condition *condition, struct error *error)
{
    const char *equals = strchr(text, '=');

    if (!equals || equals == text)
        return error_set(error, ERROR_INVALID_PARAMETER, "--where: \"%.60s\" is not COLUMN=VALUE or COLUMN!=VALUE", text);
    condition->is_equal = equals[-1] != '!';
    snprintf(condition->column_name, sizeof(condition->column_name), "%.*s", (int)(equals - text - !condition->is_equal), text);
    snprintf(condition->value, sizeof(condition->value), "%s", equals + 1);
    return true;
}

static bool header_read(struct import *import, struct error *error)
{
    struct error reason;

    switch (csv_next(&import->csv, &reason)) {
    case CSV_ROW:
        break;
    case CSV_END:
        return error_set(error, ERROR_INVALID_BODY, "%.100s: no header row", import->path);
    case CSV_BAD:
        return error_set(error, ERROR_INVALID_BODY, "%.100s: %s", import->path, reason.message);
    }
    import->player_column = column_find(&import->csv, import->player_name);
    if (import->player_column < 0)
        return error_set(error, ERROR_INVALID_PARAMETER, "--player: the file has no column \"%.60s\"", import->player_name);
    import->at_column = import->at_name ? column_find(&import->csv, import->at_name) : -1;
    if (import->at_name && import->at_column < 0)
        return error_set(error, ERROR_INVALID_PARAMETER, "--at: the file has no column \"%.60s\"", import->at_name);
    for (size_t i = 0; i < import->condition_count; i++) {
        import->conditions[i].column = column_find(&import->csv, import->conditions[i].column_name);
        if (import->conditions[i].column < 0)
            return error_set(error, ERROR_INVALID_PARAMETER, "--where: the file has no column \"%.60s\"", import->conditions[i].column_name);
    }
    return origin_find(&import->csv, "score", import->score_name, &import->score, error) &&
           origin_find(&import->csv, "subscore", import->subscore_name ? import->subscore_name : "0", &import->subscore, error);
}

/* ---- the file ---- */

/* Standard input is kept first: without its end there is no telling it from another. */
static bool file_open(struct import *import, struct error *error)
{
    char bytes[65536];
    size_t size;

    if (strcmp(import->path, "-") != 0) {
        import->file = fopen(import->path, "r");
        return import->file || error_set(error, ERROR_CONFIG, "%.200s: cannot be read: %s", import->path, strerror(errno));
    }
    import->file = tmpfile();
    if (!import->file)
        return error_set(error, ERROR_CONFIG, "no temporary file: %s", strerror(errno));
    while ((size = fread(bytes, 1, sizeof(bytes), stdin)) > 0)
        if (fwrite(bytes, 1, size, import->file) != size)
            return error_set(error, ERROR_CONFIG, "the temporary file cannot be written: %s", strerror(errno));
    if (ferror(stdin))
        return error_set(error, ERROR_CONFIG, "standard input cannot be read: %s", strerror(errno));
    if (fflush(import->file) != 0)
        return error_set(error, ERROR_CONFIG, "the temporary file cannot be written: %s", strerror(errno));
    rewind(import->file);
    return true;
}

static bool source_hash(struct import *import, struct error *error)
{
    static char bytes[1 << 20];
    uint8_t digests[2 * CRYPTO_HASH_SIZE] = {0}, hash[CRYPTO_HASH_SIZE];
    struct buf options;
    size_t size;

    /* A chain of digests, block by block: the file may be larger than memory. */
    while ((size = fread(bytes, 1, sizeof(bytes), import->file)) > 0) {
        crypto_digest((struct slice){bytes, size}, digests + CRYPTO_HASH_SIZE);
        crypto_digest((struct slice){(char *)digests, sizeof(digests)}, hash);
        memcpy(digests, hash, sizeof(hash));
        import->size_bytes += (int64_t)size;
    }
    if (ferror(import->file))
        return error_set(error, ERROR_CONFIG, "%.200s: cannot be read", import->path);
    rewind(import->file);
    buf_init(&options, 65536);
    buf_append(&options, digests, CRYPTO_HASH_SIZE);
    buf_printf(&options, "%s|%s|%s|%s", import->player_name, import->score_name, import->subscore_name ? import->subscore_name : "",
               import->at_name ? import->at_name : "");
    for (size_t i = 0; i < import->condition_count; i++)
        buf_printf(&options, "|%s%s%s", import->conditions[i].column_name, import->conditions[i].is_equal ? "=" : "!=", import->conditions[i].value);
    crypto_digest(buf_slice(&options), hash);
    buf_done(&options);
    strcpy(import->source_hash, "\\x");
    text_hex_encode(hash, sizeof(hash), import->source_hash + 2);
    return true;
}

/* ---- the batch ---- */

static void batch_reset(struct import *import)
{
    for (size_t i = 0; i < ARRAY_SIZE(import->arrays); i++) {
        buf_reset(&import->arrays[i]);
        buf_append_byte(&import->arrays[i], '{');
    }
    import->batch_rows = 0;
    memset(import->round_keys, 0, sizeof(import->round_keys));
}

static void append_text(struct buf *buf, struct slice text)
{
    buf_append_byte(buf, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            buf_append_byte(buf, '\\');
        buf_append_byte(buf, text.data[i]);
    }
    buf_append_byte(buf, '"');
}

/* The how-many-eth row of this player in the batch it is: an open-addressing table of digests. */
static int round_of(struct import *import, struct slice player)
{
    uint8_t digest[CRYPTO_HASH_SIZE];
    uint64_t key;

    crypto_digest(player, digest);
    memcpy(&key, digest, sizeof(key));
    key |= 1;
    size_t slot = key % ROUND_SLOTS;
    while (import->round_keys[slot] && import->round_keys[slot] != key)
        slot = (slot + 1) % ROUND_SLOTS;
    if (!import->round_keys[slot]) {
        import->round_keys[slot] = key;
        import->round_counts[slot] = 0;
    }
    return import->round_counts[slot]++;
}

static void batch_add(struct import *import, const struct submission *row)
{
    if (import->batch_rows++ > 0)
        for (size_t i = 0; i < ARRAY_SIZE(import->arrays); i++)
            buf_append_byte(&import->arrays[i], ',');
    append_text(&import->arrays[0], row->player);
    buf_append_int64(&import->arrays[1], row->score);
    buf_append_int64(&import->arrays[2], row->subscore);
    buf_append_int64(&import->arrays[3], row->at_us);
    buf_append_int64(&import->arrays[4], round_of(import, row->player));
}

static bool batch_try(struct import *import, int64_t rows_until, struct error *error)
{
    char board[24], from[24], until[24];
    const char *submit[] = {board,
                            import->arrays[0].data,
                            import->arrays[1].data,
                            import->arrays[2].data,
                            import->arrays[3].data,
                            import->arrays[4].data};
    const char *mark[] = {board, import->source_hash, until, from};
    struct dbb_result *result = NULL, *marked = NULL;

    snprintf(board, sizeof(board), "%lld", (long long)import->board_id);
    snprintf(from, sizeof(from), "%lld", (long long)import->rows_marked);
    snprintf(until, sizeof(until), "%lld", (long long)rows_until);
    bool is_ok = dbb_begin(import->db, false, error) &&
                 dbb_query(import->db, statement_text(STATEMENT_import_mark), 4, mark, &marked, error);
    if (is_ok && dbb_touched(marked) != 1)
        is_ok = error_set(error, ERROR_CONFLICT, "the rows behind %s went in from elsewhere: run the import again", from);
    is_ok = is_ok && (import->batch_rows == 0 || dbb_query(import->db, statement_text(STATEMENT_import_submit), 6, submit, &result, error)) &&
            dbb_commit(import->db, error);
    if (is_ok)
        import->rows_marked = rows_until;
    if (is_ok && result) {
        import->changed += dbb_int64(result, 0, 0);
        import->refused += dbb_int64(result, 0, 1);
    }
    dbb_result_free(&marked);
    dbb_result_free(&result);
    return is_ok;
}

static bool batch_send(struct import *import, struct error *error)
{
    if (import->is_dry) {
        batch_reset(import);
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(import->arrays); i++)
        buf_append_byte(&import->arrays[i], '}');
    for (int attempt = 0; !batch_try(import, import->rows_read, error); attempt++) {
        bool has_raced = strcmp(dbb_sqlstate(import->db), "40001") == 0 || strcmp(dbb_sqlstate(import->db), "40P01") == 0;
        dbb_rollback(import->db);
        if (!has_raced || attempt == RETRIES_MAX)
            return false;
    }
    batch_reset(import);
    return true;
}

/* ---- rows ---- */

static bool number_read(struct import *import, const struct origin *origin, const char *name, int64_t *ret_value, struct error *error)
{
    *ret_value = origin->constant;
    if (origin->column < 0)
        return true;
    struct slice text = csv_field(&import->csv, (size_t)origin->column);
    if (text_parse_int64(text, ret_value))
        return true;
    return error_set(error, ERROR_INVALID_BODY, "%.100s:%lld: column %.40s: \"%.*s\" is not a 64-bit integer", import->path,
                     (long long)import->csv.line, name, (int)(text.size < 40 ? text.size : 40), text.data);
}

/* ret_is_wanted: --where lets it in. */
static bool row_read(struct import *import, size_t columns, struct submission *ret_row, bool *ret_is_wanted, struct error *error)
{
    struct csv *csv = &import->csv;
    struct error reason;

    *ret_row = (struct submission){.at_us = import->now_us};
    *ret_is_wanted = false;

    if (csv->count != columns)
        return error_set(error, ERROR_INVALID_BODY, "%.100s:%lld: %zu fields, the header has %zu", import->path, (long long)csv->line, csv->count, columns);
    for (size_t i = 0; i < import->condition_count; i++)
        if (slice_is(csv_field(csv, (size_t)import->conditions[i].column), import->conditions[i].value) != import->conditions[i].is_equal)
            return true;
    ret_row->player = csv_field(csv, (size_t)import->player_column);
    if (!player_check(ret_row->player, "player", &reason))
        return error_set(error, ERROR_INVALID_BODY, "%.100s:%lld: column %.40s: %s", import->path, (long long)csv->line, import->player_name,
                         reason.message);
    if (!number_read(import, &import->score, import->score_name, &ret_row->score, error) ||
        !number_read(import, &import->subscore, import->subscore_name ? import->subscore_name : "", &ret_row->subscore, error))
        return false;
    if (import->at_column >= 0) {
        struct slice at = csv_field(csv, (size_t)import->at_column);
        if (!clock_parse(at, &ret_row->at_us))
            return error_set(error, ERROR_INVALID_BODY, "%.100s:%lld: column %.40s: \"%.*s\" is no RFC 3339 time or date", import->path,
                             (long long)csv->line, import->at_name, (int)(at.size < 40 ? at.size : 40), at.data);
    }
    *ret_is_wanted = true;
    return true;
}

static void progress_show(struct import *import, bool is_last)
{
    int64_t now_us = clock_monotonic_us();

    if (!is_last && now_us - import->shown_us < (import->is_terminal ? PROGRESS_US / 10 : PROGRESS_US))
        return;
    import->shown_us = now_us;
    double seconds = (double)(now_us - import->start_us) / 1e6;
    double rate = (double)(import->rows_read - import->rows_done) / seconds;
    double share = import->size_bytes ? (double)ftello(import->file) / (double)import->size_bytes : 1;
    if (!is_last)
        fprintf(stderr, import->is_terminal ? "\r%lld rows, %.0f rows/s, %.0f s left \033[K" : "%lld rows, %.0f rows/s, %.0f s left\n",
                (long long)import->rows_read, rate, share > 0 ? seconds / share - seconds : 0);
    else if (import->is_terminal)
        fputs("\r\033[K", stderr);
    if (is_last)
        printf("%lld rows in %.1f s (%.0f rows/s), %lld changed an entry, %lld refused, %lld bad, %lld left out by --where\n",
               (long long)(import->rows_read - import->rows_done), seconds, rate, (long long)import->changed, (long long)import->refused,
               (long long)import->bad, (long long)import->rows_skipped);
}

/* CSV_BAD with the file's name. */
static enum csv_outcome row_next(struct import *import, struct error *error)
{
    struct error reason;
    enum csv_outcome outcome = csv_next(&import->csv, &reason);

    if (outcome == CSV_BAD)
        error_set(error, ERROR_INVALID_BODY, "%.100s: %s", import->path, reason.message);
    return outcome;
}

/* From the header to the end, reading only; then back to the first row. */
static bool rows_check(struct import *import, struct error *error)
{
    size_t columns = import->csv.count;
    struct submission row;
    enum csv_outcome outcome;
    bool is_wanted;

    while ((outcome = row_next(import, error)) == CSV_ROW)
        if (!import->skips_bad && !row_read(import, columns, &row, &is_wanted, error))
            return false;
    if (outcome == CSV_BAD)
        return false;
    csv_done(&import->csv);
    rewind(import->file);
    csv_init(&import->csv, import->file);
    return header_read(import, error);
}

static bool rows_import(struct import *import, struct error *error)
{
    size_t columns = import->csv.count;
    struct submission row;
    enum csv_outcome outcome;
    bool is_wanted;

    batch_reset(import);
    while ((outcome = row_next(import, error)) == CSV_ROW) {
        if (++import->rows_read <= import->rows_done)
            continue;
        if (!row_read(import, columns, &row, &is_wanted, error)) {
            if (!import->skips_bad)
                return false;
            import->bad++;
        } else if (!is_wanted) {
            import->rows_skipped++;
        } else {
            batch_add(import, &row);
        }
        if (import->batch_rows == import->batch_rows_max && !batch_send(import, error))
            return false;
        progress_show(import, false);
    }
    return outcome == CSV_END && (import->rows_read == import->rows_done || batch_send(import, error));
}

static bool mark_read(struct import *import, struct error *error)
{
    char board[24];
    const char *parameters[] = {board, import->source_hash};
    struct dbb_result *result;

    snprintf(board, sizeof(board), "%lld", (long long)import->board_id);
    if (!dbb_script(import->db, "set lock_timeout = '10s'", error))
        return false;
    if (!dbb_query(import->db, statement_text(STATEMENT_import_lock), 2, parameters, NULL, error))
        return strcmp(dbb_sqlstate(import->db), "55P03") == 0 ? error_set(error, ERROR_CONFLICT, "another import of this file is running")
                                                              : false;
    if (!dbb_script(import->db, "set lock_timeout = 0", error) ||
        !dbb_query(import->db, statement_text(STATEMENT_import_find), 2, parameters, &result, error))
        return false;
    if (dbb_rows(result))
        import->rows_done = import->rows_marked = dbb_int64(result, 0, 0);
    dbb_result_free(&result);
    return true;
}

int cmd_import(int argc, char **argv)
{
    static struct settings settings;
    static struct import import;
    const char *game = NULL, *board = NULL, *batch = NULL, *where[CONDITIONS_MAX + 1] = {NULL};
    const struct option_row options[] = {{"game", &game, NULL},
                                         {"board", &board, NULL},
                                         {"player", &import.player_name, NULL},
                                         {"score", &import.score_name, NULL},
                                         {"subscore", &import.subscore_name, NULL},
                                         {"at", &import.at_name, NULL},
                                         {"batch", &batch, NULL},
                                         {"where", &where[0], NULL},
                                         {"where", &where[1], NULL},
                                         {"where", &where[2], NULL},
                                         {"where", &where[3], NULL},
                                         {"where", &where[4], NULL},
                                         {"where", &where[5], NULL},
                                         {"where", &where[6], NULL},
                                         {"where", &where[7], NULL},
                                         {"where", &where[CONDITIONS_MAX], NULL},
                                         {"dry-run", NULL, &import.is_dry},
                                         {"skip-bad", NULL, &import.skips_bad},
                                         {NULL, NULL, NULL}};
    struct error error;
    int64_t batch_rows = BATCH_ROWS;
    int status;

    if (!command_start(&argc, argv,
                       "import FILE.csv|- --game G --board B --player COLUMN --score COLUMN|NUMBER [--subscore COLUMN|NUMBER] [--at COLUMN]\n"
                       "                     [--where COLUMN=VALUE | --where COLUMN!=VALUE]... [--batch ROWS] [--skip-bad] [--dry-run]\n\n"
                       "Submits the rows of a CSV file with a header row. Run again, it goes on where it was cut, or does nothing.\n"
                       "A row must meet every --where. A bad row refuses the file before anything is submitted; --skip-bad leaves it out.",
                       options, &settings, &status))
        return status;
    if (argc != 2 || !game || !board || !import.player_name || !import.score_name) {
        fprintf(stderr, "usage: ladder import FILE.csv|- --game G --board B --player COLUMN --score COLUMN|NUMBER [--at COLUMN] (--help)\n");
        return EXIT_USAGE;
    }
    if (batch && (!text_parse_int64(slice_of(batch), &batch_rows) || batch_rows < 1 || batch_rows > BATCH_ROWS_MAX)) {
        fprintf(stderr, "ladder import: --batch must be 1 to %d\n", BATCH_ROWS_MAX);
        return EXIT_USAGE;
    }
    if (where[CONDITIONS_MAX]) {
        fprintf(stderr, "ladder import: at most %d --where\n", CONDITIONS_MAX);
        return EXIT_USAGE;
    }
    import.path = argv[1];
    import.batch_rows_max = (size_t)batch_rows;
    import.is_terminal = isatty(STDERR_FILENO);
    for (size_t i = 0; i < ARRAY_SIZE(import.arrays); i++)
        buf_init(&import.arrays[i], 16 << 20);
    bool is_ok = true;
    for (size_t i = 0; where[i] && is_ok; i++)
        is_ok = condition_parse(where[i], &import.conditions[import.condition_count++], &error);
    is_ok = is_ok && file_open(&import, &error) && source_hash(&import, &error);
    import.start_us = clock_monotonic_us();
    import.shown_us = import.start_us;
    import.now_us = clock_realtime_us();
    if (is_ok) {
        csv_init(&import.csv, import.file);
        import.db = command_database(&settings, "ladder import", &error);
        is_ok = import.db && command_board(import.db, game, board, &import.board_id, &error) && header_read(&import, &error) &&
                mark_read(&import, &error) && rows_check(&import, &error) && rows_import(&import, &error);
    }
    if (is_ok && import.rows_done > 0 && import.rows_read == import.rows_done)
        printf("nothing to do: all %lld rows are in\n", (long long)import.rows_done);
    else if (is_ok)
        progress_show(&import, true);
    dbb_close(&import.db);
    csv_done(&import.csv);
    for (size_t i = 0; i < ARRAY_SIZE(import.arrays); i++)
        buf_done(&import.arrays[i]);
    if (import.file)
        fclose(import.file);
    return is_ok ? EXIT_DONE : command_fail(&error);
}
