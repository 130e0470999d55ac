#include "cli/import_lane.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "cli/command.h"
#include "db/statements.h"
#include "work/tally.h"

enum { RETRIES_MAX = 10, ARRAY_BYTES_MAX = 64 << 20, ARRAY_BYTES_FULL = 16 << 20 };

/* PostgreSQL's array literals, not yet closed. Without --facet or metadata, those two stay empty. */
enum { ARRAY_PLAYERS, ARRAY_SCORES, ARRAY_SUBSCORES, ARRAY_TIMES, ARRAY_FACETS, ARRAY_METADATA, ARRAYS };

/* Where a row of a batch stands in the file. */
struct place {
    int64_t row, line;
};

struct batch {
    struct buf arrays[ARRAYS];
    struct place *places; /* owned; of each row */
    size_t rows;
    int64_t rows_until; /* of the file: this lane's rows up to there are in this batch or an earlier one */
};

struct lane {
    struct dbb *db;
    int64_t retention_days;
    bool is_unpaced; /* the tally can't be waited for; said once */
    char board[24];
    char hash[2 + SOURCE_HASH_TEXT];
    struct lane_options options;
    int64_t rows_done;     /* at the start */
    struct batch *filling; /* the caller's */
    struct batch *sending; /* the thread's while is_sending */
    struct batch batches[2];
    int64_t rows_marked; /* the thread's: what the database says is in */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* under the mutex */
    bool is_sending, is_stopping, has_failed;
    struct error error;
    struct lane_totals totals;
};

int lane_of(struct slice player)
{
    uint64_t hash = 14695981039346656037ULL; /* FNV-1a */

    for (size_t i = 0; i < player.size; i++)
        hash = (hash ^ (uint8_t)player.data[i]) * 1099511628211ULL;
    return (int)((hash >> 32) % LANES);
}

/* ---- a batch ---- */

static void batch_reset(struct batch *batch)
{
    for (size_t i = 0; i < ARRAY_SIZE(batch->arrays); i++) {
        buf_reset(&batch->arrays[i]);
        buf_append_byte(&batch->arrays[i], '{');
    }
    batch->rows = 0;
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

/* An element of an array; data NULL: null. */
static void append_element(struct buf *array, bool is_first, struct slice text)
{
    if (!is_first)
        buf_append_byte(array, ',');
    if (text.data)
        append_text(array, text);
    else
        buf_append_text(array, "null");
}

static void append_number(struct buf *array, bool is_first, int64_t number)
{
    if (!is_first)
        buf_append_byte(array, ',');
    buf_append_int64(array, number);
}

static void batch_add(struct batch *batch, const struct submission *row, int64_t row_number)
{
    bool is_first = batch->rows == 0;

    batch->places[batch->rows++] = (struct place){row_number, row->line};
    append_element(&batch->arrays[ARRAY_PLAYERS], is_first, row->player);
    append_number(&batch->arrays[ARRAY_SCORES], is_first, row->score);
    append_number(&batch->arrays[ARRAY_SUBSCORES], is_first, row->subscore);
    append_number(&batch->arrays[ARRAY_TIMES], is_first, row->at_us);
    if (row->facets.data)
        append_element(&batch->arrays[ARRAY_FACETS], is_first, row->facets);
    if (row->takes_metadata)
        append_element(&batch->arrays[ARRAY_METADATA], is_first, row->metadata);
}

/* ---- the lane's thread ---- */

static bool batch_mark(struct lane *lane, const struct batch *batch, struct error *error)
{
    char from[24], until[24];
    const char *mark[] = {lane->board, lane->hash, until, from};
    struct dbb_result *marked = NULL;

    if (lane->options.is_dry)
        return true;
    snprintf(from, sizeof(from), "%lld", (long long)lane->rows_marked);
    snprintf(until, sizeof(until), "%lld", (long long)batch->rows_until);
    bool is_ok = dbb_query(lane->db, statement_text(STATEMENT_import_mark), 4, mark, &marked, error);
    if (is_ok && dbb_touched(marked) != 1)
        is_ok =
            error_set(error, ERROR_CONFLICT, "the rows behind %s went in from elsewhere: run the import again", from);
    dbb_result_free(&marked);
    return is_ok;
}

/* items and outcomes: the same number of integers each, with commas between them. */
static void refusals_note(struct lane *lane, const struct batch *batch, const char *items, const char *outcomes)
{
    while (*items) {
        char *items_end, *outcomes_end;
        size_t item = strtoul(items, &items_end, 10);
        int outcome = (int)strtol(outcomes, &outcomes_end, 10);
        ASSERT(item >= 1 && item <= batch->rows && items_end != items && outcomes_end != outcomes);
        rejects_add(lane->options.rejects, reject_reason_of(outcome), batch->places[item - 1].row,
                    batch->places[item - 1].line, NULL);
        items = items_end + (*items_end == ',');
        outcomes = outcomes_end + (*outcomes_end == ',');
    }
}

static bool batch_try(struct lane *lane, const struct batch *batch, bool locks, struct lane_totals *ret_totals,
                      struct error *error)
{
    const struct buf *arrays = batch->arrays;
    const char *submit[] = {lane->board,
                            arrays[ARRAY_PLAYERS].data,
                            arrays[ARRAY_SCORES].data,
                            arrays[ARRAY_SUBSCORES].data,
                            arrays[ARRAY_TIMES].data,
                            locks ? "true" : "false",
                            arrays[ARRAY_FACETS].data,
                            arrays[ARRAY_METADATA].data};
    struct dbb_result *result = NULL;

    bool is_ok = dbb_begin(lane->db, false, error) && batch_mark(lane, batch, error) &&
                 (batch->rows == 0 || dbb_query(lane->db, statement_text(STATEMENT_import_submit), ARRAY_SIZE(submit),
                                                submit, &result, error));
    if (is_ok && lane->options.is_dry)
        dbb_rollback(lane->db);
    else
        is_ok = is_ok && dbb_commit(lane->db, error);
    if (is_ok && result) {
        *ret_totals = (struct lane_totals){dbb_int64(result, 0, 0), dbb_int64(result, 0, 1)};
        refusals_note(lane, batch, dbb_text(result, 0, 2), dbb_text(result, 0, 3));
    }
    dbb_result_free(&result);
    return is_ok;
}

/* Reads of the board by SQL have to read what is not added up yet: the import goes no faster than that is. */
static void lane_pace(struct lane *lane)
{
    struct error error;

    if (lane->is_unpaced || tally_pace(lane->db, lane->retention_days, &error))
        return;
    lane->is_unpaced = true;
    fprintf(stderr, "ladder import: the statistics are not kept up meanwhile: %s\n", error.message);
}

/* A batch that raced with the servers' writes is tried again, its entries' locks first. */
static bool batch_send(struct lane *lane, struct batch *batch, struct lane_totals *ret_totals, struct error *error)
{
    for (size_t i = 0; i < ARRAY_SIZE(batch->arrays); i++) {
        buf_append_byte(&batch->arrays[i], '}');
        if (batch->arrays[i].is_overflown)
            return error_set(error, ERROR_INTERNAL, "a batch does not fit in %d bytes", ARRAY_BYTES_MAX);
    }
    lane_pace(lane);
    for (int attempt = 0; !batch_try(lane, batch, attempt > 0, ret_totals, error); attempt++) {
        bool has_raced = strcmp(dbb_sqlstate(lane->db), "40001") == 0 || strcmp(dbb_sqlstate(lane->db), "40P01") == 0;
        dbb_rollback(lane->db);
        if (!has_raced || attempt == RETRIES_MAX)
            return false;
    }
    lane->rows_marked = batch->rows_until;
    return true;
}

static void *lane_main(void *context)
{
    struct lane *lane = context;

    pthread_mutex_lock(&lane->mutex);
    for (;;) {
        while (!lane->is_sending && !lane->is_stopping)
            pthread_cond_wait(&lane->changed, &lane->mutex);
        if (!lane->is_sending)
            break;
        struct lane_totals totals = {0, 0};
        struct error error;
        pthread_mutex_unlock(&lane->mutex);
        bool is_ok = batch_send(lane, lane->sending, &totals, &error);
        pthread_mutex_lock(&lane->mutex);
        lane->totals.changed += totals.changed;
        lane->totals.refused += totals.refused;
        if (!is_ok) {
            lane->has_failed = true;
            lane->error = error;
        }
        lane->is_sending = false;
        pthread_cond_broadcast(&lane->changed);
    }
    pthread_mutex_unlock(&lane->mutex);
    return NULL;
}

/* ---- the caller's thread ---- */

static bool is_idle(struct lane *lane, struct error *error)
{
    while (lane->is_sending)
        pthread_cond_wait(&lane->changed, &lane->mutex);
    if (lane->has_failed)
        *error = lane->error;
    return !lane->has_failed;
}

/* Waits until the thread has nothing to send, then gives it the batch that was filled. */
static bool hand_over(struct lane *lane, struct error *error)
{
    pthread_mutex_lock(&lane->mutex);
    bool is_ok = is_idle(lane, error);
    if (is_ok) {
        struct batch *sent = lane->sending;
        lane->sending = lane->filling;
        lane->filling = sent;
        lane->is_sending = true;
        pthread_cond_broadcast(&lane->changed);
        batch_reset(lane->filling);
    }
    pthread_mutex_unlock(&lane->mutex);
    return is_ok;
}

bool lane_add(struct lane *lane, const struct submission *row, int64_t row_number, struct error *error)
{
    batch_add(lane->filling, row, row_number);
    lane->filling->rows_until = row_number;
    bool is_full = lane->filling->rows == lane->options.batch_rows ||
                   lane->filling->arrays[ARRAY_METADATA].size > ARRAY_BYTES_FULL;
    return !is_full || hand_over(lane, error);
}

bool lane_finish(struct lane *lane, int64_t rows, struct error *error)
{
    if (rows == lane->rows_done)
        return true;
    lane->filling->rows_until = rows;
    if (!hand_over(lane, error))
        return false;
    pthread_mutex_lock(&lane->mutex);
    bool is_ok = is_idle(lane, error);
    pthread_mutex_unlock(&lane->mutex);
    return is_ok;
}

struct lane_totals lane_totals(struct lane *lane)
{
    pthread_mutex_lock(&lane->mutex);
    struct lane_totals totals = lane->totals;
    pthread_mutex_unlock(&lane->mutex);
    return totals;
}

int64_t lane_rows_done(const struct lane *lane)
{
    return lane->rows_done;
}

static bool mark_read(struct lane *lane, struct error *error)
{
    const char *parameters[] = {lane->board, lane->hash};
    struct dbb_result *result;

    if (!dbb_script(lane->db, "set lock_timeout = '10s'", error))
        return false;
    if (!dbb_query(lane->db, statement_text(STATEMENT_import_lock), 2, parameters, NULL, error))
        return strcmp(dbb_sqlstate(lane->db), "55P03") == 0
                   ? error_set(error, ERROR_CONFLICT, "another import of this file is running")
                   : false;
    if (!dbb_script(lane->db, "set lock_timeout = 0", error) ||
        !dbb_query(lane->db, statement_text(STATEMENT_import_find), 2, parameters, &result, error))
        return false;
    if (dbb_rows(result))
        lane->rows_done = lane->rows_marked = dbb_int64(result, 0, 0);
    dbb_result_free(&result);
    return true;
}

struct lane *lane_open(const struct settings *settings, const struct lane_options *options, int number,
                       struct error *error)
{
    struct lane *lane = calloc(1, sizeof(*lane));
    uint8_t hash[CRYPTO_HASH_SIZE];
    char text[SOURCE_HASH_TEXT + 32];

    ASSERT(lane != NULL && number < LANES);
    lane->options = *options;
    lane->retention_days = settings->worker_event_retention_days;
    snprintf(lane->board, sizeof(lane->board), "%lld", (long long)options->board_id);
    snprintf(text, sizeof(text), "%s lane %d of %d", options->import_hash, number, LANES);
    crypto_digest(slice_of(text), hash);
    strcpy(lane->hash, "\\x");
    text_hex_encode(hash, sizeof(hash), lane->hash + 2);
    lane->db = command_database(settings, "ladder import", error);
    if (!lane->db || !mark_read(lane, error)) {
        dbb_close(&lane->db);
        free(lane);
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(lane->batches); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(lane->batches[i].arrays); j++)
            buf_init(&lane->batches[i].arrays[j], ARRAY_BYTES_MAX);
        lane->batches[i].places = calloc(options->batch_rows, sizeof(struct place));
        ASSERT(lane->batches[i].places != NULL);
        batch_reset(&lane->batches[i]);
    }
    lane->filling = &lane->batches[0];
    lane->sending = &lane->batches[1];
    ASSERT(pthread_mutex_init(&lane->mutex, NULL) == 0 && pthread_cond_init(&lane->changed, NULL) == 0);
    ASSERT(pthread_create(&lane->thread, NULL, lane_main, lane) == 0);
    return lane;
}

void lane_close(struct lane **plane)
{
    struct lane *lane = *plane;

    if (!lane)
        return;
    pthread_mutex_lock(&lane->mutex);
    lane->is_stopping = true;
    pthread_cond_broadcast(&lane->changed);
    pthread_mutex_unlock(&lane->mutex);
    pthread_join(lane->thread, NULL);
    pthread_cond_destroy(&lane->changed);
    pthread_mutex_destroy(&lane->mutex);
    for (size_t i = 0; i < ARRAY_SIZE(lane->batches); i++) {
        free(lane->batches[i].places);
        for (size_t j = 0; j < ARRAY_SIZE(lane->batches[i].arrays); j++)
            buf_done(&lane->batches[i].arrays[j]);
    }
    dbb_close(&lane->db);
    free(lane);
    *plane = NULL;
}
