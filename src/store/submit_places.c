/*
 * submit_places.c -- the ranks of a committed batch where Redis could not tell them: PostgreSQL counts.
 *
 *     submit, snapshot | commit --> others may commit --> count of each place --> what did others change? --> answers
 *
 * A rank after the submission is one that the player has when it is counted. The rank before it (`old_rank`) is one that
 * nobody can see any more: it is the count without the batch. That is the rank that he had only if no other transaction
 * changed the board between the batch's commit and the count. So ladder.submit notes what its transaction sees, and after
 * the counts the primary says which boards have events that this snapshot lacks. Their old ranks are not known.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "db/array.h"
#include "store/standing.h"
#include "store/submit_private.h"

struct place {
    struct batch *batch;
    size_t row;
    struct arena arena;
    bool is_old;
};

static bool is_before(const struct sort_key *a, struct slice a_player, const struct sort_key *b, struct slice b_player)
{
    return sort_key_compare(a, a_player, b, b_player) < 0;
}

/*
 * PostgreSQL counts after the commit, when all of the batch is in. How many were before `key` when the rows from
 * `from` on had not been applied yet: each of them is undone, its new entry taken out and its old one put back. So the
 * ranks are those that Redis, which applies one row after the other, would have told.
 */
static int64_t undone(const struct batch *batch, size_t from, int64_t standing, const struct sort_key *key,
                      struct slice player, int64_t before)
{
    for (size_t i = from; i < batch->row_count; i++) {
        const struct apply_row *row = &batch->rows[i];
        const struct submit_window *place = row->place;
        struct slice other = row->item->submission.player;
        if (place->period_id != standing)
            break;
        if (!place->is_changed)
            continue;
        before -= !row->is_removal && is_before(&place->key, other, key, player);
        before += place->has_old && is_before(&place->old_key, other, key, player);
    }
    return before;
}

static void old_rank_set(struct batch *batch, size_t number, int64_t before)
{
    struct apply_row *row = &batch->rows[number];
    struct submit_window *window = row->place;

    row->is_old_counted = true;
    window->old_rank =
        undone(batch, number, window->period_id, &window->old_key, row->item->submission.player, before) + 1;
}

static void on_place(void *context, const struct standing_answer *answer)
{
    struct place *place = context;
    const struct apply_row *row = &place->batch->rows[place->row];
    struct submit_window *window = row->place;
    struct slice player = row->item->submission.player;

    if (answer->error.code == ERROR_NONE) {
        if (place->is_old)
            old_rank_set(place->batch, place->row, answer->before);
        else
            window->rank =
                undone(place->batch, place->row + 1, window->period_id, &window->key, player, answer->before) + 1;
        row->item->result.source = answer->source;
    }
    arena_done(&place->arena);
    struct batch *batch = place->batch;
    free(place);
    batch_step(batch);
}

void place_ask(struct batch *batch, size_t row, bool is_old)
{
    const struct item *item = batch->rows[row].item;
    const struct submit_window *window = batch->rows[row].place;
    struct place *place = calloc(1, sizeof(*place));

    ASSERT(place != NULL);
    *place = (struct place){.batch = batch, .row = row, .is_old = is_old};
    arena_init(&place->arena, 65536);
    batch->waiting++;
    struct freshness freshness = {.lsn = batch->lsn, .shown_lsn = batch->lsn, .skips_redis = true};
    const struct standing_query query = {
        .kind = STANDING_SEEK,
        .game_id = item->submission.board.game_id,
        .period = {.id = window->period_id,
                   .board_id = item->submission.board.id,
                   .window = window->window,
                   .start_us = window->period_start_us},
        .freshness = freshness,
        .key = is_old ? window->old_key : window->key,
        .player = item->submission.player,
    };
    standing_read(batch->submitter->store, &place->arena, &query, on_place, place);
}

void places_ask(struct batch *batch, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const struct apply_row *row = &batch->rows[i];
        if (!row->is_shown || row->item->submission.is_unranked)
            continue;
        place_ask(batch, i, false);
        if (row->shows_old_rank && row->place->has_old && row->place->is_changed)
            place_ask(batch, i, true);
    }
}

/* ---- what others changed meanwhile ---- */

/* board_id 0: of every board. */
static void old_ranks_drop(struct batch *batch, int64_t board_id)
{
    for (size_t i = 0; i < batch->row_count; i++) {
        const struct apply_row *row = &batch->rows[i];
        if (row->is_old_counted && (board_id == 0 || row->item->submission.board.id == board_id))
            row->place->old_rank = 0;
    }
}

static void on_changed(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct batch *batch = context;

    (void)source;
    if (outcome->error.code != ERROR_NONE || outcome->is_behind)
        old_ranks_drop(batch, 0);
    else
        for (int r = 0; r < db_row_count(outcome->rows[0]); r++)
            old_ranks_drop(batch, db_int64(outcome->rows[0], r, 0));
    batch_settle(batch);
}

static bool changed_ask(struct batch *batch)
{
    struct db_array boards;
    struct db_call call = {.statement = STATEMENT_submit_changed, .parameter_count = 2};

    db_array_init(&boards, DB_INT8, ARRAY_BYTES_MAX);
    for (size_t i = 0; i < batch->row_count; i++)
        if (batch->rows[i].is_old_counted)
            db_array_int8(&boards, batch->rows[i].item->submission.board.id);
    call.parameters[0] = db_text_parameter(batch->snapshot);
    call.parameters[1] = db_array_parameter(&boards);
    bool is_sent = !boards.bytes.is_overflown && db_read_primary(batch->submitter->store->db, &call, on_changed, batch);
    db_array_done(&boards);
    return is_sent;
}

static void places_check(struct batch *batch)
{
    bool is_any = false;

    for (size_t i = 0; i < batch->row_count; i++)
        is_any = is_any || batch->rows[i].is_old_counted;
    if (is_any && batch->snapshot && changed_ask(batch))
        return;
    if (is_any)
        old_ranks_drop(batch, 0);
    batch_settle(batch);
}

void batch_step(struct batch *batch)
{
    if (--batch->waiting == 0)
        places_check(batch);
}
