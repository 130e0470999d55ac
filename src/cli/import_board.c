#include "cli/import_board.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/command.h"
#include "db/statements.h"

/* Columns of the statement board_find. */
enum { BOARD_OPERATOR = 5, BOARD_SCORE_MIN = 9, BOARD_SCORE_MAX = 10, BOARD_FACETS = 19, BOARD_IS_COMBINED = 24 };

/* A row with a facet that the board does not have would be refused, and the file be in. */
static bool facets_check(const struct source *source, const char *facets, struct error *error)
{
    for (size_t i = 0; i < source->options.facet_count; i++) {
        const char *name = source->facets[i].name, *at = facets;
        size_t size = strlen(name);
        while (*at && !(strncmp(at, name, size) == 0 && (at[size] == ',' || at[size] == 0)))
            at += strcspn(at, ",") + (at[strcspn(at, ",")] == ',');
        if (!*at)
            return error_set(error, ERROR_INVALID_PARAMETER, "--facet: the board has no facet \"%s\"", name);
    }
    return true;
}

static bool clock_read(struct dbb *db, int64_t *ret_now_us, struct error *error)
{
    struct dbb_result *result;

    if (!dbb_query(db, "select ladder.us_of(clock_timestamp())", 0, NULL, &result, error))
        return false;
    *ret_now_us = dbb_int64(result, 0, 0);
    dbb_result_free(&result);
    return true;
}

bool import_board_find(struct dbb *db, const char *game, const char *board, const struct source *source,
                       struct import_board *ret_board, struct error *error)
{
    const char *parameters[] = {game, board};
    struct dbb_result *result;
    int64_t now_us;

    if (!command_board(db, game, board, &ret_board->id, error) || !clock_read(db, &now_us, error) ||
        !dbb_query(db, statement_text(STATEMENT_board_find), 2, parameters, &result, error))
        return false;
    ret_board->has_bounds = strcmp(dbb_text(result, 0, BOARD_OPERATOR), "sum") != 0;
    ret_board->score_min = dbb_int64(result, 0, BOARD_SCORE_MIN);
    ret_board->score_max = dbb_int64(result, 0, BOARD_SCORE_MAX);
    ret_board->latest_us = now_us + AT_FUTURE_US_MAX;
    bool is_ok = dbb_bool(result, 0, BOARD_IS_COMBINED)
                     ? error_set(error, ERROR_CONFLICT,
                                 "the board \"%s\" is made of other boards and takes no submissions", board)
                     : facets_check(source, dbb_text(result, 0, BOARD_FACETS), error);
    dbb_result_free(&result);
    return is_ok;
}

bool import_board_admits(const struct import_board *board, const struct submission *row, enum reject_reason *ret_reason,
                         char message[static ERROR_MESSAGE_MAX])
{
    char at[CLOCK_TEXT_MAX];

    if (board->has_bounds && (row->score < board->score_min || row->score > board->score_max)) {
        *ret_reason = REJECT_OUT_OF_RANGE;
        snprintf(message, ERROR_MESSAGE_MAX, "the score %lld is outside the board's bounds, %lld to %lld",
                 (long long)row->score, (long long)board->score_min, (long long)board->score_max);
        return false;
    }
    if (row->at_us > board->latest_us) {
        *ret_reason = REJECT_FUTURE;
        clock_format(row->at_us, at);
        snprintf(message, ERROR_MESSAGE_MAX, "the time %s is in the future", at);
        return false;
    }
    return true;
}
