/*
 * submit_rows.c -- what PostgreSQL answers to a batch: the result of each submission, and the rows that go to Redis.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "store/submit_private.h"

/* Columns of the statement submit. */
enum {
    S_ITEM,
    S_WINDOW,
    S_PERIOD,
    S_OUTCOME,
    S_REVISION,
    S_K1,
    S_K2,
    S_K3,
    S_METADATA,
    S_OLD1,
    S_OLD2,
    S_OLD3,
    S_START,
    S_FACET
};

static void place_read(struct submit_window *place, struct db_rows rows, int r)
{
    ASSERT(window_parse(slice_of(db_text(rows, r, S_WINDOW)), &place->window));
    place->period_id = db_int64(rows, r, S_PERIOD);
    place->is_paused = db_is_null(rows, r, S_START);
    place->period_start_us = db_int64(rows, r, S_START);
    place->is_changed = db_int64(rows, r, S_OUTCOME) == OUTCOME_CHANGED;
    place->key = (struct sort_key){db_int64(rows, r, S_K1), db_int64(rows, r, S_K2), db_int64(rows, r, S_K3)};
    place->has_old = !db_is_null(rows, r, S_OLD1);
    place->old_key = (struct sort_key){db_int64(rows, r, S_OLD1), db_int64(rows, r, S_OLD2), db_int64(rows, r, S_OLD3)};
}

/* An entry in the standing of a facet's value: they come behind the windows' rows. true: the answer shows it. */
static bool facet_read(struct batch *batch, struct submit_result *result, const struct submit_window *place,
                       struct slice facet)
{
    const struct submit_window *first = &result->windows[0];
    const char *colon = memchr(facet.data, ':', facet.size);

    if (!colon || place->window != first->window || place->period_start_us != first->period_start_us ||
        result->facet_count == FACETS_MAX)
        return false;
    size_t size = (size_t)(colon - facet.data);
    facet = arena_copy(&batch->arena, facet);
    ASSERT(facet.data != NULL);
    result->facets[result->facet_count++] =
        (struct submit_facet){{facet.data, size}, {facet.data + size + 1, facet.size - size - 1}, place};
    return true;
}

/* Of a refusal by overflow, whether it was the subscore that left its range in this row's window. */
static bool is_subscore_overflown(const struct submission *s, struct db_rows rows, int r)
{
    int64_t sum;

    if (db_is_null(rows, r, S_OLD1))
        return false;
    const struct sort_key old = {db_int64(rows, r, S_OLD1), db_int64(rows, r, S_OLD2), db_int64(rows, r, S_OLD3)};
    return !__builtin_add_overflow(board_score(&s->board, &old), s->score, &sum) &&
           __builtin_add_overflow(board_subscore(&s->board, &old), s->subscore, &sum);
}

static void result_read(struct batch *batch, struct db_rows rows, int r)
{
    struct item *item = batch->items[db_int64(rows, r, S_ITEM) - 1];
    struct submit_result *result = &item->result;
    int outcome = (int)db_int64(rows, r, S_OUTCOME);

    if (outcome == OUTCOME_REPEATED) {
        result->is_repeat = true;
        return;
    }
    if (outcome == OUTCOME_FAILED) {
        item_fail(batch, item, (struct slice){db_text(rows, r, S_METADATA), (size_t)db_size(rows, r, S_METADATA)});
        return;
    }
    if (outcome > OUTCOME_CHANGED) {
        bool is_subscore = outcome == OUTCOME_OVERFLOW && is_subscore_overflown(&item->submission, rows, r);
        if (result->error.code == ERROR_NONE || is_subscore)
            item_refuse(item, is_subscore ? OUTCOME_SUBSCORE_OVERFLOW : outcome);
        return;
    }
    if (outcome == OUTCOME_PASSED_OVER) {
        ASSERT(result->window_count + result->closed_count < WINDOW_COUNT);
        place_read(&result->windows[WINDOW_COUNT - ++result->closed_count], rows, r);
        return;
    }
    bool is_facet = !db_is_null(rows, r, S_FACET);
    ASSERT(is_facet || result->window_count + result->closed_count < WINDOW_COUNT);
    struct submit_window *place =
        is_facet ? arena_calloc(&batch->arena, 1, sizeof(*place)) : &result->windows[result->window_count++];
    ASSERT(place != NULL);
    place_read(place, rows, r);
    struct slice metadata = {NULL, 0};
    if (!db_is_null(rows, r, S_METADATA))
        metadata = arena_copy(&batch->arena,
                              (struct slice){db_text(rows, r, S_METADATA), (size_t)db_size(rows, r, S_METADATA)});
    bool is_first = place == &result->windows[0];
    if (is_first)
        item->metadata = metadata;
    batch->rows[batch->row_count++] = (struct apply_row){
        .item = item,
        .number = db_int64(rows, r, S_ITEM),
        .place = place,
        .is_removal = db_is_null(rows, r, S_K1),
        .is_shown =
            !is_facet || facet_read(batch, result, place,
                                    (struct slice){db_text(rows, r, S_FACET), (size_t)db_size(rows, r, S_FACET)}),
        .shows_old_rank = is_first,
        .revision = place->is_changed ? db_int64(rows, r, S_REVISION) : 0,
        .metadata = metadata,
    };
}

static int row_compare(const void *a, const void *b)
{
    const struct apply_row *left = a, *right = b;
    int64_t left_standing = left->place->period_id, right_standing = right->place->period_id;

    if (left_standing != right_standing)
        return left_standing < right_standing ? -1 : 1;
    return left->number < right->number ? -1 : left->number > right->number;
}

void submit_rows_take(struct batch *batch, struct db_rows rows)
{
    int count = db_row_count(rows);

    batch->rows = calloc((size_t)count + 1, sizeof(*batch->rows));
    ASSERT(batch->rows != NULL);
    for (int r = 0; r < count; r++)
        result_read(batch, rows, r);
    qsort(batch->rows, batch->row_count, sizeof(*batch->rows), row_compare);
}
