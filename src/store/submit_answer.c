/*
 * submit_answer.c -- how a batch ends: its submissions are answered, in the order in which the batches were cut.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "store/last_writes.h"
#include "store/submit_private.h"

void item_answer(struct item *item)
{
    struct group *group = item->group;

    item->result.metadata = item->metadata;
    group->done(group->context, item->index, &item->result);
    if (--group->left == 0)
        free(group);
    free(item);
}

static void batch_free(struct batch *batch)
{
    arena_done(&batch->arena);
    free(batch->items);
    free(batch->rows);
    free(batch);
}

/* Their numbers as a player and as a game have become others. */
static void batch_note(const struct batch *batch)
{
    struct store *store = batch->submitter->store;

    for (size_t i = 0; i < batch->count; i++) {
        const struct submission *s = &batch->items[i]->submission;
        last_write_note(store, LAST_WRITE_PLAYER, s->board.game_id, s->player, batch->lsn);
        if (i == 0 || s->board.game_id != batch->items[i - 1]->submission.board.game_id)
            last_write_note(store, LAST_WRITE_ACTIVITY, s->board.game_id, s->player, batch->lsn);
        if (s->at_us != SUBMIT_NOW)
            last_write_note(store, LAST_WRITE_PAST, s->board.game_id, s->player, batch->lsn);
    }
}

static void batch_answer(struct batch *batch)
{
    struct store *store = batch->submitter->store;
    struct token token = {.epoch = db_epoch(store->db),
                          .timeline = db_timeline(store->db),
                          .lsn = batch->lsn,
                          .version = batch->version,
                          .is_applied = batch->is_applied,
                          .committed_us = batch->committed_us};

    if (batch->error.code == ERROR_NONE)
        fault_point("applied");
    if (batch->error.code == ERROR_NONE)
        batch_note(batch);
    batch->submitter->batches--;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->error.code != ERROR_NONE)
            batch->items[i]->result.error = batch->error;
        token.game_id = batch->items[i]->submission.board.game_id;
        token.definition = batch->items[i]->submission.board.definition;
        batch->items[i]->result.is_uncertain = batch->is_uncertain;
        batch->items[i]->result.token = token;
        item_answer(batch->items[i]);
    }
    batch_free(batch);
}

static void nobody_done(void *context, size_t index, const struct submit_result *result)
{
    (void)context;
    (void)index;
    (void)result;
}

void batch_answer_early(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct item *item = batch->items[i], *early = malloc(sizeof(*early));
        struct group *nobody = malloc(sizeof(*nobody));
        struct submission *s = &item->submission;
        ASSERT(early && nobody);
        *early = *item;
        early->result.windows[0] =
            (struct submit_window){.window = s->board.windows[0],
                                   .rank = 1,
                                   .is_changed = true,
                                   .key = board_key(&s->board, s->score, s->subscore, clock_realtime_us())};
        early->result.window_count = 1;
        *nobody = *item->group;
        nobody->done = nobody_done;
        nobody->left = 1;
        item->group = nobody;
        s->player = arena_copy(&batch->arena, s->player); /* the request's memory goes with its answer */
        s->metadata = s->facets = (struct slice){NULL, 0};
        item_answer(early);
    }
}

/* A group may lie in two batches, and the second may be ready first: answers go out in the order of the cuts. */
void batch_settle(struct batch *batch)
{
    batch->is_settled = true;
    if (batch->connection < 0) {
        batch_answer(batch);
        return;
    }
    struct queue *queue = &batch->submitter->queues[batch->connection];
    while (queue->first && queue->first->is_settled) {
        struct batch *first = queue->first;
        queue->first = first->next;
        if (!queue->first)
            queue->last = &queue->first;
        batch_answer(first);
    }
}

void batch_fail(struct batch *batch, const struct error *error)
{
    batch->error = *error;
    batch_settle(batch);
}
