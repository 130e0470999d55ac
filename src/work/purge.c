/*
 * purge.c -- what is no longer needed: old idempotency keys, runs and tombstones, the remains of deleted
 * boards, of deleted games, and of facets that a board no longer declares.
 *
 * In small transactions. A tombstone leaves Redis before PostgreSQL: the other way round, a late apply of an older
 * state could come back to life there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "kv/keys.h"
#include "kv/scripts.h"
#include "work/job.h"

enum { SOME = 1000, ROUNDS_MAX = 100 };
#define SOME_TEXT "1000"

/* Rows that a statement's command touched or, where a function does the work, returned. */
static bool purge_some(struct link *link, enum statement statement, size_t count, const char *const *parameters,
                       int64_t *rows, struct error *error)
{
    for (int i = 0; i < ROUNDS_MAX; i++) {
        struct dbb_result *result;
        if (!link_query(link, statement, count, parameters, &result, error))
            return false;
        int64_t touched = dbb_touched(result);
        dbb_result_free(&result);
        *rows += touched;
        if (touched < SOME)
            break;
    }
    return true;
}

static bool kv_call_ok(struct link *link, size_t count, const struct slice *arguments, struct error *error)
{
    struct kvb_reply *reply;

    if (!kvb_call(link->kv, count, arguments, &reply, error))
        return false;
    kvb_reply_free(&reply);
    return true;
}

static bool tombstone_purge(struct link *link, const struct dbb_result *found, size_t row, struct error *error)
{
    char meta[KV_KEY_MAX];
    uint8_t revision[KV_REVISION_SIZE];

    if (dbb_is_null(found, row, 3))
        return true; /* the entry lives again, or is gone */
    kv_revision_encode(dbb_int64(found, row, 4), revision);
    const struct slice forget[] = {SLICE("FCALL"),
                                   SLICE(KV_FUNCTION("forget")),
                                   SLICE("1"),
                                   kv_meta_key(dbb_int64(found, row, 3), meta),
                                   slice_of(link->epoch_text),
                                   {dbb_text(found, row, 2), dbb_size(found, row, 2)},
                                   {(char *)revision, sizeof(revision)}};
    const char *parameters[] = {dbb_text(found, row, 3), dbb_text(found, row, 2), dbb_text(found, row, 5),
                                dbb_text(found, row, 6), dbb_text(found, row, 4)};
    return kv_call_ok(link, ARRAY_SIZE(forget), forget, error) &&
           link_query(link, STATEMENT_purge_tombstone, 5, parameters, NULL, error);
}

static bool tombstones_purge(struct link *link, int64_t *rows, struct error *error)
{
    char hours[24];
    const char *parameters[] = {hours, SOME_TEXT};
    struct dbb_result *found;
    bool is_ok = true;

    snprintf(hours, sizeof(hours), "%lld", (long long)link->settings->worker_tombstone_hours);
    if (!link_query(link, STATEMENT_purge_tombstone_find, 2, parameters, &found, error))
        return false;
    for (size_t i = 0; i < dbb_rows(found) && is_ok; i++) {
        is_ok = tombstone_purge(link, found, i, error);
        *rows += is_ok;
    }
    for (size_t i = 0; i < dbb_rows(found) && is_ok; i++) {
        const char *event[] = {dbb_text(found, i, 0), dbb_text(found, i, 1), dbb_text(found, i, 7),
                               dbb_text(found, i, 2)};
        is_ok = link_query(link, STATEMENT_purge_event, 4, event, NULL, error);
    }
    dbb_result_free(&found);
    return is_ok;
}

static bool period_purge(struct link *link, const char *id, int64_t *rows, struct error *error)
{
    char meta[KV_KEY_MAX];
    struct dbb_result *period;
    int64_t standing = 0;

    text_parse_int64(slice_of(id), &standing);
    const struct slice drop[] = {SLICE("FCALL"), SLICE(KV_FUNCTION("drop")), SLICE("1"), kv_meta_key(standing, meta)};
    if (!kv_call_ok(link, ARRAY_SIZE(drop), drop, error) ||
        !link_query(link, STATEMENT_standing_describe, 1, &id, &period, error))
        return false;
    const char *parameters[] = {id, dbb_text(period, 0, 0), dbb_text(period, 0, 1), SOME_TEXT};
    const char *ranks[] = {id, SOME_TEXT};
    bool is_ok = purge_some(link, STATEMENT_purge_board_entries, 4, parameters, rows, error) &&
                 purge_some(link, STATEMENT_purge_board_ranks, 2, ranks, rows, error);
    dbb_result_free(&period);
    return is_ok;
}

static bool board_purge(struct link *link, const char *board, int64_t *rows, bool *ret_is_gone, struct error *error)
{
    const char *events[] = {board, SOME_TEXT};
    struct dbb_result *periods;
    int64_t before = *rows;
    bool is_ok = true;

    if (!link_query(link, STATEMENT_board_periods, 1, &board, &periods, error))
        return false;
    for (size_t i = 0; i < dbb_rows(periods) && is_ok; i++)
        is_ok = period_purge(link, dbb_text(periods, i, 0), rows, error);
    dbb_result_free(&periods);
    is_ok = is_ok && purge_some(link, STATEMENT_purge_board_events, 2, events, rows, error) &&
            purge_some(link, STATEMENT_purge_board_snapshots, 2, events, rows, error);
    /* A large board takes several runs; its row goes with the last. */
    *ret_is_gone = is_ok && *rows - before < (int64_t)SOME * ROUNDS_MAX;
    if (*ret_is_gone)
        is_ok = link_query(link, STATEMENT_purge_board, 1, &board, NULL, error);
    return is_ok;
}

/* Ten boards; *ret_goes_on: all of them are gone, and there may be more. */
static bool boards_purge_some(struct link *link, int64_t *rows, bool *ret_goes_on, struct error *error)
{
    struct dbb_result *boards;
    bool is_ok = true, is_gone = false;

    if (!link_query(link, STATEMENT_purge_board_find, 0, NULL, &boards, error))
        return false;
    *ret_goes_on = dbb_rows(boards) > 0;
    for (size_t i = 0; i < dbb_rows(boards) && is_ok; i++) {
        is_ok = board_purge(link, dbb_text(boards, i, 0), rows, &is_gone, error);
        *ret_goes_on = *ret_goes_on && is_gone;
    }
    dbb_result_free(&boards);
    return is_ok;
}

/* A deleted game may leave thousands of small boards; a large one is left to the next run. */
static bool boards_purge(struct link *link, int64_t *rows, struct error *error)
{
    bool goes_on = true;

    for (int i = 0; i < ROUNDS_MAX && goes_on; i++)
        if (!boards_purge_some(link, rows, &goes_on, error))
            return false;
    return true;
}

static bool game_purge(struct link *link, const char *game, int64_t *rows, struct error *error)
{
    const char *parameters[] = {game, SOME_TEXT};
    int64_t before = *rows;
    bool is_ok = purge_some(link, STATEMENT_purge_game_idempotency, 2, parameters, rows, error) &&
                 purge_some(link, STATEMENT_purge_game_delivery, 2, parameters, rows, error) &&
                 purge_some(link, STATEMENT_purge_game_player, 2, parameters, rows, error);

    if (is_ok && *rows - before < (int64_t)SOME * ROUNDS_MAX)
        is_ok = link_query(link, STATEMENT_purge_game, 1, &game, NULL, error);
    return is_ok;
}

static bool games_purge(struct link *link, int64_t *rows, struct error *error)
{
    struct dbb_result *games;
    bool is_ok = true;

    if (!link_query(link, STATEMENT_purge_game_find, 0, NULL, &games, error))
        return false;
    for (size_t i = 0; i < dbb_rows(games) && is_ok; i++)
        is_ok = game_purge(link, dbb_text(games, i, 0), rows, error);
    dbb_result_free(&games);
    return is_ok;
}

/* The standings of one facet, as of a board. */
static bool facet_purge(struct link *link, const char *facet, const char *board, int64_t *rows, struct error *error)
{
    const char *parameters[] = {board, facet};
    struct dbb_result *periods;
    int64_t before = *rows;
    bool is_ok = true;

    if (!link_query(link, STATEMENT_facet_drop_periods, 2, parameters, &periods, error))
        return false;
    for (size_t i = 0; i < dbb_rows(periods) && is_ok; i++)
        is_ok = period_purge(link, dbb_text(periods, i, 0), rows, error);
    dbb_result_free(&periods);
    if (is_ok && *rows - before < (int64_t)SOME * ROUNDS_MAX)
        is_ok = link_query(link, STATEMENT_facet_drop_done, 2, parameters, NULL, error);
    return is_ok;
}

static bool facets_purge(struct link *link, int64_t *rows, struct error *error)
{
    struct dbb_result *facets;
    bool is_ok = true;

    if (!link_query(link, STATEMENT_facet_drop_find, 0, NULL, &facets, error))
        return false;
    for (size_t i = 0; i < dbb_rows(facets) && is_ok; i++)
        is_ok = facet_purge(link, dbb_text(facets, i, 0), dbb_text(facets, i, 1), rows, error);
    dbb_result_free(&facets);
    return is_ok;
}

static bool purge_run(struct link *link, int64_t *ret_rows, struct error *error)
{
    const char *parameters[] = {SOME_TEXT};

    return purge_some(link, STATEMENT_purge_idempotency, 1, parameters, ret_rows, error) &&
           purge_some(link, STATEMENT_purge_job_run, 1, parameters, ret_rows, error) &&
           purge_some(link, STATEMENT_purge_refresh_run, 1, parameters, ret_rows, error) &&
           purge_some(link, STATEMENT_purge_refresh_mark, 1, parameters, ret_rows, error) &&
           purge_some(link, STATEMENT_webhook_purge, 1, parameters, ret_rows, error) &&
           tombstones_purge(link, ret_rows, error) && facets_purge(link, ret_rows, error) &&
           boards_purge(link, ret_rows, error) && games_purge(link, ret_rows, error);
}

const struct job purge_job = {.name = "purge", .period_ms = 60000, .needs_kv = true, .run = purge_run};
