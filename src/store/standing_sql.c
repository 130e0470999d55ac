/*
 * standing_sql.c -- the questions of standing.h, asked of PostgreSQL.
 *
 * Every statement names the window and the start of the period beside its id, so that only its partition is touched.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "store/dense.h"
#include "store/private.h"
#include "store/standing_private.h"

/* Columns of standing_page, standing_after, standing_around, standing_percentile, standing_players. */
enum {
    COLUMN_PLAYER,
    COLUMN_K1,
    COLUMN_K2,
    COLUMN_K3,
    COLUMN_METADATA,
    COLUMN_FIRST_RANK,
    COLUMN_GROUPS,
    COLUMN_TOTAL
};

static void parameter_text(struct standing_read *read, const char *text)
{
    read->call.parameters[read->call.parameter_count++] = (struct db_parameter){.data = text, .format = DB_TEXT};
}

static void parameter_int(struct standing_read *read, int64_t value)
{
    char *text = read->texts[read->call.parameter_count];

    snprintf(text, sizeof(read->texts[0]), "%lld", (long long)value);
    parameter_text(read, text);
}

static void call_begin(struct standing_read *read, enum statement statement)
{
    read->call = (struct db_call){.statement = statement, .is_last_of_transaction = true};
    parameter_text(read, window_name(read->query.period.window));
    if (read->query.period.start_us == INT64_MIN)
        strcpy(read->start_text, "-infinity");
    else
        clock_format(read->query.period.start_us, read->start_text);
    parameter_text(read, read->start_text);
    parameter_int(read, read->query.period.id);
}

static void rows_read(struct standing_read *read, struct db_rows rows, size_t limit)
{
    struct standing_answer *answer = &read->answer;
    size_t count = (size_t)db_row_count(rows);

    if (count == 1 && db_is_null(rows, 0, COLUMN_PLAYER))
        count = 0; /* it came for the total's sake */
    if (count > limit) {
        answer->has_more = true;
        count = limit;
    }
    answer->rows = arena_calloc(read->arena, count, sizeof(*answer->rows));
    for (size_t i = 0; i < count && answer->rows; i++) {
        struct standing_row *row = &answer->rows[i];
        int r = (int)i;
        row->player = arena_copy(
            read->arena, (struct slice){db_text(rows, r, COLUMN_PLAYER), (size_t)db_size(rows, r, COLUMN_PLAYER)});
        row->key =
            (struct sort_key){db_int64(rows, r, COLUMN_K1), db_int64(rows, r, COLUMN_K2), db_int64(rows, r, COLUMN_K3)};
        bool wants_metadata = read->query.with_metadata || read->query.kind == STANDING_PLAYERS;
        if (wants_metadata && !db_is_null(rows, r, COLUMN_METADATA))
            row->metadata = arena_copy(read->arena, (struct slice){db_text(rows, r, COLUMN_METADATA),
                                                                   (size_t)db_size(rows, r, COLUMN_METADATA)});
        row->ordinal = db_int64(rows, r, COLUMN_FIRST_RANK) + (read->query.kind == STANDING_PLAYERS ? 0 : r);
        answer->count++;
    }
    if (count == 0 || !answer->rows)
        return;
    if (read->query.kind != STANDING_PLAYERS) {
        standing_rank_rows(read, db_int64(rows, 0, COLUMN_FIRST_RANK), db_int64(rows, 0, COLUMN_GROUPS));
        return;
    }
    for (size_t i = 0; i < count; i++)
        answer->rows[i].rank = read->query.ranking == RANKING_ORDINAL ? answer->rows[i].ordinal
                                                                      : db_int64(rows, (int)i, COLUMN_GROUPS) + 1;
}

/* Deep dense ranks of a large standing are known once it has a ladder of pairs (sql/functions/77_dense.sql). */
static bool is_undense(const struct standing_read *read, struct db_rows rows)
{
    bool is_seek = read->query.kind == STANDING_SEEK;

    for (int i = 0; read->query.ranking == RANKING_DENSE && i < db_row_count(rows); i++)
        if (is_seek ? db_is_null(rows, i, 0)
                    : !db_is_null(rows, i, COLUMN_PLAYER) && db_is_null(rows, i, COLUMN_GROUPS))
            return true;
    return false;
}

static void on_rows(void *context, const struct db_outcome *outcome, enum db_source source);

static struct slice text_of(struct standing_read *read, struct db_rows rows, int column)
{
    return arena_copy(read->arena, (struct slice){db_text(rows, 0, column), (size_t)db_size(rows, 0, column)});
}

/* The columns of standing_statistics, in their order. */
static void statistics_read(struct standing_read *read, struct db_rows rows)
{
    struct statistics *statistics = arena_calloc(read->arena, 1, sizeof(*statistics));

    if (!statistics)
        return; /* reported by standing_finish */
    struct slice *const texts[] = {&statistics->entries,     &statistics->total,    &statistics->mean,
                                   &statistics->stddev,      &statistics->lowest,   &statistics->highest,
                                   &statistics->percentiles, &statistics->bin_from, &statistics->bin_to,
                                   &statistics->bin_entries};
    struct statistics_activity *const activities[] = {&statistics->minute, &statistics->hour, &statistics->day};
    int column = 0;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        *texts[i] = text_of(read, rows, column++);
    for (size_t i = 0; i < ARRAY_SIZE(activities); i++) {
        activities[i]->since_us = db_int64(rows, 0, column++);
        activities[i]->submissions = text_of(read, rows, column++);
        activities[i]->arrivals = text_of(read, rows, column++);
    }
    statistics->counted_us = db_int64(rows, 0, column);
    read->answer.statistics = statistics;
    read->answer.total = db_int64(rows, 0, 0);
}

static void call_send(struct standing_read *read)
{
    const struct db_wish wish = store_wish(&read->query.freshness);

    if (!db_read_with(read->store->db, &read->call, &wish, on_rows, read))
        standing_fail(read, ERROR_UNAVAILABLE, "neither Redis nor a database can answer now");
}

static void on_rows(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct standing_read *read = context;
    struct db_rows rows = outcome->rows[0];
    struct standing_answer *answer = &read->answer;

    if (outcome->error.code != ERROR_NONE) {
        store_error_of(outcome, &answer->error);
        standing_finish(read);
        return;
    }
    if (outcome->is_behind)
        read->query.freshness.lsn =
            read->query.freshness.shown_lsn; /* what this answer has, for those who would share it */
    answer->source = store_source_of(outcome, source);
    if (is_undense(read, rows)) {
        standing_fail(read, ERROR_UNAVAILABLE, "dense ranks of this standing are being prepared; try again");
        return;
    }
    if (read->query.kind == STANDING_SEEK) {
        answer->before = db_int64(rows, 0, 0);
        answer->total = db_int64(rows, 0, 1);
        standing_finish(read);
        return;
    }
    if (read->query.kind == STANDING_STATISTICS) {
        statistics_read(read, rows);
        standing_finish(read);
        return;
    }
    size_t limit = read->query.kind == STANDING_PLAYERS || read->query.kind == STANDING_AROUND
                       ? SIZE_MAX
                       : (size_t)read->query.limit;
    rows_read(read, rows, limit);
    bool is_end = read->query.kind == STANDING_PERCENTILE ||
                  (read->query.kind == STANDING_AROUND && read->query.absent != ABSENT_404);
    if (db_row_count(rows) > 0 && !db_is_null(rows, 0, COLUMN_TOTAL))
        answer->total = db_int64(rows, 0, COLUMN_TOTAL);
    else if (is_end)
        answer->total = 0; /* else there would be a page */
    if (read->query.kind == STANDING_AROUND && !is_end && answer->count == 0 && !read->arena->is_exhausted)
        standing_fail(read, ERROR_PLAYER_NOT_FOUND, "the player has no entry in this standing");
    else
        standing_finish(read);
}

/* A text[] literal; quotes and backslashes escaped. NULL when the arena is full. */
static const char *players_literal(struct standing_read *read)
{
    const struct slice *players = read->query.players;
    size_t count = read->query.player_count;
    char *text = arena_alloc(read->arena, count * (2 * PLAYER_BYTES_MAX + 3) + 3);
    size_t at = 0;

    if (!text)
        return NULL;
    text[at++] = '{';
    for (size_t i = 0; i < count; i++) {
        if (i)
            text[at++] = ',';
        text[at++] = '"';
        for (size_t c = 0; c < players[i].size; c++) {
            if (players[i].data[c] == '"' || players[i].data[c] == '\\')
                text[at++] = '\\';
            text[at++] = players[i].data[c];
        }
        text[at++] = '"';
    }
    text[at++] = '}';
    text[at] = 0;
    return text;
}

static void players_send(struct standing_read *read)
{
    const char *players = players_literal(read);

    if (!players) {
        standing_finish(read);
        return;
    }
    call_begin(read, STATEMENT_standing_players);
    parameter_text(read, players);
    parameter_int(read, read->query.ranking);
    parameter_int(read, read->query.with_total);
    call_send(read);
}

static void key_parameters(struct standing_read *read)
{
    parameter_int(read, read->query.key.k1);
    parameter_int(read, read->query.key.k2);
    parameter_int(read, read->query.key.k3);
    struct slice player = arena_copy(read->arena, read->query.player);
    parameter_text(read, player.data ? player.data : "");
}

void standing_sql_send(struct standing_read *read)
{
    const struct standing_query *query = &read->query;
    bool is_from_top = query->kind == STANDING_PAGE && query->offset == 0;

    if (query->ranking == RANKING_DENSE && !is_from_top)
        dense_ask(read->store, query->period.id);
    switch (query->kind) {
    case STANDING_PAGE:
        call_begin(read, STATEMENT_standing_page);
        parameter_int(read, query->offset);
        parameter_int(read, query->limit + 1);
        parameter_int(read, query->ranking);
        parameter_int(read, query->with_total);
        call_send(read);
        break;
    case STANDING_AFTER:
        call_begin(read, STATEMENT_standing_after);
        key_parameters(read);
        parameter_int(read, query->k1_max);
        parameter_int(read, query->limit + 1);
        parameter_int(read, query->ranking);
        parameter_int(read, query->with_total);
        call_send(read);
        break;
    case STANDING_AROUND: {
        call_begin(read, STATEMENT_standing_around);
        struct slice player = arena_copy(read->arena, query->player);
        parameter_text(read, player.data ? player.data : "");
        parameter_int(read, query->above);
        parameter_int(read, query->below);
        parameter_int(read, query->ranking);
        parameter_int(read, query->absent);
        call_send(read);
        break;
    }
    case STANDING_PERCENTILE:
        call_begin(read, STATEMENT_standing_percentile);
        snprintf(read->percentile_text, sizeof(read->percentile_text), "%.17g", query->percentile);
        parameter_text(read, read->percentile_text);
        parameter_int(read, query->limit + 1);
        parameter_int(read, query->ranking);
        call_send(read);
        break;
    case STANDING_PLAYERS:
        players_send(read);
        break;
    case STANDING_STATISTICS:
        call_begin(read, STATEMENT_standing_statistics);
        parameter_text(read, query->statistics.percentiles);
        parameter_text(read, query->statistics.bin_kind);
        parameter_int(read, query->statistics.bins);
        parameter_text(read, query->period.is_closed ? "true" : "false");
        call_send(read);
        break;
    case STANDING_SEEK:
        call_begin(read, STATEMENT_standing_seek);
        key_parameters(read);
        parameter_int(read, query->ranking);
        call_send(read);
        break;
    }
}
