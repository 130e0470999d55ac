#include "api/intake.h"

#include <string.h>

#include "base/assert.h"

void intake_read(struct intake *intake, size_t index, const struct json_object *object)
{
    struct intake_item *item = &intake->items[index];

    if (!api_read_submission(intake->call, object, true, intake->arena, &item->submission, &item->board_name,
                             &item->error))
        return;
    if (!name_is_valid(item->board_name))
        error_set_field(&item->error, ERROR_BOARD_NOT_FOUND, "/board", "there is no such board");
}

/* Items that were refused before submitting, up to the next one that was submitted. */
static void tell_refused(struct intake *intake, size_t until)
{
    for (; intake->told < until; intake->told++)
        intake->result(intake->context, &intake->items[intake->told], NULL);
}

static void on_result(void *context, size_t index, const struct submit_result *result)
{
    struct intake *intake = context;
    size_t at = intake->good_items[index];

    intake->is_repeat = intake->is_repeat || result->is_repeat;
    if (!intake->is_repeat) {
        tell_refused(intake, at);
        intake->result(intake->context, &intake->items[at], result);
        intake->told++;
    }
    if (++intake->answered < intake->good_count)
        return;
    if (!intake->is_repeat)
        tell_refused(intake, intake->count);
    intake->done(intake->context, NULL);
}

static void intake_submit(struct intake *intake)
{
    struct error error;

    intake->good = arena_alloc(intake->arena, intake->count * sizeof(*intake->good));
    intake->good_items = arena_alloc(intake->arena, intake->count * sizeof(*intake->good_items));
    if (!intake->good || !intake->good_items) {
        error_set(&error, ERROR_OVERLOADED, "out of memory");
        intake->done(intake->context, &error);
        return;
    }
    for (size_t i = 0; i < intake->count; i++) {
        struct intake_item *item = &intake->items[i];
        if (item->error.code != ERROR_NONE || !submission_windows_check(&item->submission, &item->error))
            continue;
        intake->good[intake->good_count] = intake->items[i].submission;
        intake->good_items[intake->good_count++] = i;
    }
    if (intake->good_count == 0) {
        tell_refused(intake, intake->count);
        intake->done(intake->context, NULL);
        return;
    }
    if (!submit_group(intake->call->store, intake->good, intake->good_count,
                      intake->is_claimed_group ? &intake->call->claim : NULL, on_result, intake, &error))
        intake->done(intake->context, &error);
}

static void on_board(void *context, const struct board *board, const struct error *error)
{
    struct intake *intake = context;
    struct intake_item *item = &intake->items[intake->at];

    if (error)
        item->error = *error;
    else
        item->submission.board = *board;
    intake->at++;
    intake->was_sync = intake->is_looking;
    if (!intake->is_looking)
        intake_run(intake);
}

void intake_run(struct intake *intake)
{
    while (intake->at < intake->count) {
        struct intake_item *item = &intake->items[intake->at];
        const struct intake_item *last = intake->at ? item - 1 : NULL;
        if (item->error.code != ERROR_NONE) {
            intake->at++;
            continue;
        }
        if (last && last->error.code == ERROR_NONE && slice_equal(last->board_name, item->board_name)) {
            item->submission.board = last->submission.board;
            intake->at++;
            continue;
        }
        if (last && last->error.code == ERROR_BOARD_NOT_FOUND && slice_equal(last->board_name, item->board_name)) {
            item->error = last->error; /* one question to the database, not one a line */
            intake->at++;
            continue;
        }
        intake->is_looking = true;
        intake->was_sync = false;
        store_board_find(intake->call->store, intake->call->game, item->board_name, true,
                         intake->call->has_token ? &intake->call->token : NULL, on_board, intake);
        intake->is_looking = false;
        if (!intake->was_sync)
            return; /* goes on in on_board */
    }
    intake_submit(intake);
}

void intake_resume(struct intake *intake)
{
    intake->is_repeat = false;
    intake->answered = 0;
    intake->told = 0;
    submit_resume(intake->call->store, intake->good, intake->good_count, &intake->call->claim,
                  intake->call->key.game_id, on_result, intake);
}
