/*
 * submit_refuse.c -- why a submission is not taken: by its board's definition, or by the transaction.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/crypto.h"
#include "base/log.h"
#include "base/text.h"
#include "store/submit_private.h"

static _Atomic uint64_t failed_count;

bool submission_windows_check(struct submission *submission, struct error *error)
{
    struct slice names = submission->schedules;

    while (names.size > 0) {
        struct slice name = {names.data, (size_t)((const char *)memchr(names.data, ',', names.size) - names.data)};
        enum window window;
        if (!board_window_parse(&submission->board, name, &window))
            return error_set_field(error, ERROR_INVALID_BODY, "/windows", "the board has no window %.*s",
                                   (int)name.size, name.data);
        submission->windows |= 1U << window;
        names = (struct slice){name.data + name.size + 1, names.size - name.size - 1};
    }
    submission->schedules = (struct slice){NULL, 0};
    for (int w = 0; w < WINDOW_COUNT; w++)
        if (submission->windows & 1U << w && !board_has_window(&submission->board, (enum window)w))
            return error_set_field(error, ERROR_INVALID_BODY, "/windows", "the board has no window %s",
                                   board_window_name(&submission->board, (enum window)w));
    return true;
}

void item_refuse(struct item *item, int outcome)
{
    const struct board *board = &item->submission.board;
    struct error *error = &item->result.error;

    switch (outcome) {
    case OUTCOME_OUT_OF_RANGE:
        error_set_field(error, ERROR_SCORE_OUT_OF_RANGE, "/score", "%s %lld: the board takes %lld to %lld",
                        board->operator== OPERATOR_SUM ? "the sum would leave the bounds with"
                                                       : "the score is out of bounds:",
                        (long long)item->submission.score, (long long)board->score_min, (long long)board->score_max);
        break;
    case OUTCOME_OVERFLOW:
    case OUTCOME_SUBSCORE_OVERFLOW:
        error_set_field(error, ERROR_SCORE_OVERFLOW, outcome == OUTCOME_OVERFLOW ? "/score" : "/subscore",
                        "adding it would leave -9223372036854775808 to 9223372036854775807; nothing was changed");
        break;
    case OUTCOME_TOO_MANY_VALUES:
        error_set_field(error, ERROR_TOO_MANY_FACET_VALUES, "/facets",
                        "the board's facets have all the values that they may have: facet_values_max is %lld",
                        (long long)board->facet_values_max);
        break;
    case OUTCOME_NO_FACET:
        error_set_field(error, ERROR_INVALID_BODY, "/facets", "names a facet that the board does not have");
        break;
    case OUTCOME_CLOSED:
        error_set_field(error, ERROR_PERIOD_CLOSED, "/at", "%s",
                        item->submission.is_strict ? "the period of one of its windows is closed then"
                                                   : "the periods of all its windows are closed then");
        break;
    case OUTCOME_NO_PERIOD:
        error_set_field(error, ERROR_CONFLICT, "/at",
                        "the board's time zone, %s, has no period that holds this instant", board->time_zone);
        break;
    case OUTCOME_NOT_TRIED:
        error_set(error, ERROR_UNAVAILABLE, "the database refused other submissions of the batch; try again");
        break;
    case OUTCOME_COMBINED:
        error_set(error, ERROR_CONFLICT, "the board is made of others: submit to those");
        break;
    default:
        error_set(error, ERROR_BOARD_NOT_FOUND, "there is no board \"%s\"", board->name);
        break;
    }
}

bool submit_is_of_data(const struct db_outcome *outcome)
{
    return outcome->error.code == ERROR_INTERNAL && outcome->sqlstate[0] && !store_is_passing(outcome->sqlstate);
}

void item_fail(struct batch *batch, struct item *item, struct slice why)
{
    const struct board *board = &item->submission.board;
    uint8_t random[(SUBMIT_INCIDENT_MAX - 1) / 2];

    failed_count++;
    submit_suspect(batch->submitter, board->id);
    if (!batch->failed || batch->failed->submission.board.id != board->id) {
        crypto_random(random, sizeof(random));
        text_hex_encode(random, sizeof(random), batch->incident);
        log_error("item-failed", LOG_TEXT("incident", batch->incident), LOG_INT("board", board->id),
                  LOG_SLICE("because", why));
    }
    batch->failed = item;
    error_set(&item->result.error, ERROR_ITEM_FAILED,
              "the database refused it, and nothing of it was taken; the server's log has the cause under incident %s",
              batch->incident);
}

uint64_t submit_failed(void)
{
    return failed_count;
}
