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
#include "work/alone.h"
#include "work/job.h"

enum { SOME = 1000, ROUNDS_MAX = 100 };
#define SOME_TEXT "1000"

static const char purge_part[] = "purge";

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
    /* The rows of a removal follow one another, one a standing: its event goes when all of them went. */
    for (size_t i = 0, to; i < dbb_rows(found) && is_ok; i = to) {
        const char *event[] = {dbb_text(found, i, 0), dbb_text(found, i, 1), dbb_text(found, i, 7),
                               dbb_text(found, i, 2)};
        struct error why;
        bool is_gone = true;
        for (to = i; to < dbb_rows(found) && strcmp(dbb_text(found, to, 0), event[0]) == 0; to++) {
            is_gone = is_gone && tombstone_purge(link, found, to, &why);
            *rows += is_gone;
        }
        is_ok = (is_gone && link_query(link, STATEMENT_purge_event, 4, event, NULL, &why)) ||
                alone_failed(link, purge_part, event[2], &why, error);
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
        struct error why;
        if (board_purge(link, dbb_text(boards, i, 0), rows, &is_gone, &why))
            *ret_goes_on = *ret_goes_on && is_gone;
        else
            is_ok = alone_failed(link, purge_part, dbb_text(boards, i, 0), &why, error);
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
    for (size_t i = 0; i < dbb_rows(games) && is_ok; i++) {
        struct error why;
        is_ok = game_purge(link, dbb_text(games, i, 0), rows, &why) ||
                alone_failed(link, "purge-game", dbb_text(games, i, 0), &why, error);
    }
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
    for (size_t i = 0; i < dbb_rows(facets) && is_ok; i++) {
        struct error why;
        is_ok = facet_purge(link, dbb_text(facets, i, 0), dbb_text(facets, i, 1), rows, &why) ||
                alone_failed(link, purge_part, dbb_text(facets, i, 1), &why, error);
    }
    dbb_result_free(&facets);
    return is_ok;
}

/* Each part whatever became of those before it; the first error is that of the run. */
static bool purge_run(struct link *link, int64_t *ret_rows, struct error *error)
{
    static const enum statement tables[] = {STATEMENT_purge_idempotency, STATEMENT_purge_job_run,
                                            STATEMENT_purge_refresh_run, STATEMENT_purge_refresh_mark,
                                            STATEMENT_webhook_purge};
    static bool (*const parts[])(struct link *, int64_t *, struct error *) = {tombstones_purge, facets_purge,
                                                                              boards_purge, games_purge};
    const char *parameters[] = {SOME_TEXT};
    bool is_ok = true;

    for (size_t i = 0; i < ARRAY_SIZE(tables) + ARRAY_SIZE(parts); i++) {
        struct error why;
        if (i < ARRAY_SIZE(tables) ? purge_some(link, tables[i], 1, parameters, ret_rows, &why)
                                   : parts[i - ARRAY_SIZE(tables)](link, ret_rows, &why))
            continue;
        if (is_ok)
            *error = why;
        is_ok = false;
        if (alone_is_of_server(link, &why))
            return false;
    }
    return is_ok;
}

const struct job purge_job = {
    .name = "purge", .parts = "{purge,purge-game}", .period_ms = 60000, .needs_kv = true, .run = purge_run};
