/*
 * import.c -- `ladder import`: the rows of a CSV file as submissions.
 *
 * Rows go in batches through ladder.submit, each batch in one transaction with the mark of how far the file is in. So an
 * import that is cut goes on where it stopped, one that finished does nothing when it is run again, and no row counts twice.
 * The mark belongs to the file's bytes and to how its columns are read: another file, or other columns, is another import.
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

enum { BATCH_ROWS = 2000, CONDITIONS_MAX = 8, PROGRESS_US = 2000000, RETRIES_MAX = 10, ROUND_SLOTS = 8192 };

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
    bool is_dry, skips_bad;
    char source_hash[2 * CRYPTO_HASH_SIZE + 3];
    int64_t size_bytes;
    /* the batch */
    struct buf arrays[5]; /* players, scores, subscores, ats, rounds */
    size_t batch_rows;
    uint64_t round_keys[ROUND_SLOTS];
    int round_counts[ROUND_SLOTS];
    /* so far */
    int64_t rows_read, rows_done, rows_skipped, changed, refused, bad;
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
    if (csv_next(&import->csv, error) != CSV_ROW)
        return error_set(error, ERROR_INVALID_BODY, "%.100s: no header row", import->path);
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

static void batch_add(struct import *import, struct slice player, int64_t score, int64_t subscore, int64_t at_us)
{
    if (import->batch_rows++ > 0)
        for (size_t i = 0; i < ARRAY_SIZE(import->arrays); i++)
            buf_append_byte(&import->arrays[i], ',');
    append_text(&import->arrays[0], player);
    buf_append_int64(&import->arrays[1], score);
    buf_append_int64(&import->arrays[2], subscore);
    buf_append_int64(&import->arrays[3], at_us);
    buf_append_int64(&import->arrays[4], round_of(import, player));
}

static bool batch_try(struct import *import, int64_t rows_until, struct error *error)
{
    char board[24], until[24];
    const char *submit[] = {board,
                            import->arrays[0].data,
                            import->arrays[1].data,
                            import->arrays[2].data,
                            import->arrays[3].data,
                            import->arrays[4].data};
    const char *mark[] = {board, import->source_hash, until};
    struct dbb_result *result = NULL;

    snprintf(board, sizeof(board), "%lld", (long long)import->board_id);
    snprintf(until, sizeof(until), "%lld", (long long)rows_until);
    bool is_ok = dbb_begin(import->db, false, error) &&
                 (import->batch_rows == 0 || dbb_query(import->db, statement_text(STATEMENT_import_submit), 6, submit, &result, error)) &&
                 dbb_query(import->db, statement_text(STATEMENT_import_mark), 3, mark, NULL, error) && dbb_commit(import->db, error);
    if (is_ok && result) {
        import->changed += dbb_int64(result, 0, 0);
        import->refused += dbb_int64(result, 0, 1);
    }
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

static bool row_take(struct import *import, size_t columns, struct error *error)
{
    struct csv *csv = &import->csv;
    int64_t score, subscore, at_us = import->now_us;
    struct error reason;

    if (csv->count != columns)
        return error_set(error, ERROR_INVALID_BODY, "%.100s:%lld: %zu fields, the header has %zu", import->path, (long long)csv->line, csv->count, columns);
    for (size_t i = 0; i < import->condition_count; i++)
        if (slice_is(csv_field(csv, (size_t)import->conditions[i].column), import->conditions[i].value) != import->conditions[i].is_equal) {
            import->rows_skipped++;
            return true;
        }
    struct slice player = csv_field(csv, (size_t)import->player_column);
    if (!player_check(player, "player", &reason))
        return error_set(error, ERROR_INVALID_BODY, "%.100s:%lld: column %.40s: %s", import->path, (long long)csv->line, import->player_name,
                         reason.message);
    if (!number_read(import, &import->score, import->score_name, &score, error) ||
        !number_read(import, &import->subscore, import->subscore_name ? import->subscore_name : "", &subscore, error))
        return false;
    if (import->at_column >= 0) {
        struct slice at = csv_field(csv, (size_t)import->at_column);
        if (!clock_parse(at, &at_us))
            return error_set(error, ERROR_INVALID_BODY, "%.100s:%lld: column %.40s: \"%.*s\" is no RFC 3339 time or date", import->path,
                             (long long)csv->line, import->at_name, (int)(at.size < 40 ? at.size : 40), at.data);
    }
    batch_add(import, player, score, subscore, at_us);
    return true;
}

static void progress_show(struct import *import, bool is_last)
{
    int64_t now_us = clock_monotonic_us();

    if (!is_last && now_us - import->shown_us < PROGRESS_US)
        return;
    import->shown_us = now_us;
    double seconds = (double)(now_us - import->start_us) / 1e6;
    double rate = (double)(import->rows_read - import->rows_done) / seconds;
    double share = import->size_bytes ? (double)ftello(import->file) / (double)import->size_bytes : 1;
    if (!is_last)
        fprintf(stderr, "%lld rows, %.0f rows/s, %.0f s left\n", (long long)import->rows_read, rate, share > 0 ? seconds / share - seconds : 0);
    else
        printf("%lld rows in %.1f s (%.0f rows/s), %lld changed an entry, %lld refused, %lld bad, %lld left out by --where\n",
               (long long)(import->rows_read - import->rows_done), seconds, rate, (long long)import->changed, (long long)import->refused,
               (long long)import->bad, (long long)import->rows_skipped);
}

static bool rows_import(struct import *import, struct error *error)
{
    size_t columns = import->csv.count;
    enum csv_outcome outcome;

    batch_reset(import);
    while ((outcome = csv_next(&import->csv, error)) == CSV_ROW) {
        if (++import->rows_read <= import->rows_done)
            continue;
        if (!row_take(import, columns, error)) {
            if (!import->skips_bad)
                return false;
            import->bad++;
        }
        if (import->batch_rows == BATCH_ROWS && !batch_send(import, error))
            return false;
        progress_show(import, false);
    }
    return outcome == CSV_END && batch_send(import, error);
}

static bool mark_read(struct import *import, struct error *error)
{
    char board[24];
    const char *parameters[] = {board, import->source_hash};
    struct dbb_result *result;

    snprintf(board, sizeof(board), "%lld", (long long)import->board_id);
    if (!dbb_query(import->db, statement_text(STATEMENT_import_find), 2, parameters, &result, error))
        return false;
    if (dbb_rows(result))
        import->rows_done = dbb_int64(result, 0, 0);
    dbb_result_free(&result);
    return true;
}

int cmd_import(int argc, char **argv)
{
    static struct settings settings;
    static struct import import;
    const char *game = NULL, *board = NULL, *where = NULL;
    const struct option_row options[] = {{"game", &game, NULL},
                                         {"board", &board, NULL},
                                         {"player", &import.player_name, NULL},
                                         {"score", &import.score_name, NULL},
                                         {"subscore", &import.subscore_name, NULL},
                                         {"at", &import.at_name, NULL},
                                         {"where", &where, NULL},
                                         {"dry-run", NULL, &import.is_dry},
                                         {"skip-bad", NULL, &import.skips_bad},
                                         {NULL, NULL, NULL}};
    struct error error;
    int status;

    if (!command_start(&argc, argv,
                       "import FILE.csv|- --game G --board B --player COLUMN --score COLUMN|NUMBER [--subscore COLUMN|NUMBER] [--at COLUMN]\n"
                       "                     [--where COLUMN=VALUE | --where COLUMN!=VALUE] [--skip-bad] [--dry-run]\n\n"
                       "Submits the rows of a CSV file with a header row. Run again, it goes on where it was cut, or does nothing.",
                       options, &settings, &status))
        return status;
    if (argc != 2 || !game || !board || !import.player_name || !import.score_name) {
        fprintf(stderr, "usage: ladder import FILE.csv|- --game G --board B --player COLUMN --score COLUMN|NUMBER [--at COLUMN] (--help)\n");
        return EXIT_USAGE;
    }
    import.path = argv[1];
    for (size_t i = 0; i < ARRAY_SIZE(import.arrays); i++)
        buf_init(&import.arrays[i], 16 << 20);
    bool is_ok = (!where || condition_parse(where, &import.conditions[import.condition_count++], &error)) && file_open(&import, &error) &&
                 source_hash(&import, &error);
    import.start_us = clock_monotonic_us();
    import.shown_us = import.start_us;
    import.now_us = clock_realtime_us();
    if (is_ok) {
        csv_init(&import.csv, import.file);
        import.db = command_database(&settings, "ladder import", &error);
        is_ok = import.db && command_board(import.db, game, board, &import.board_id, &error) && header_read(&import, &error) &&
                mark_read(&import, &error) && rows_import(&import, &error);
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
