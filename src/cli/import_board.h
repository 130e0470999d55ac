/*
 * import_board.h -- the board that an import goes to: what of POST scores' rules a row can be held to before it is sent.
 *
 * The rest (closed periods, sums, how many values a facet may have) the database says when it takes a batch. One thread.
 */
#ifndef CLI_IMPORT_BOARD_H
#define CLI_IMPORT_BOARD_H

#include "cli/import_rejects.h"
#include "cli/import_source.h"
#include "db/blocking.h"

struct import_board {
    int64_t id;
    bool has_bounds; /* of single scores: those of `sum` are the total's */
    int64_t score_min, score_max;
    int64_t latest_us; /* a later time is in the future */
};

/* Finds the board, and checks that it takes submissions and has the facets that the source names. */
bool import_board_find(struct dbb *db, const char *game, const char *board, const struct source *source,
                       struct import_board *ret_board, struct error *error);
/* false: *ret_reason and message say why the API would refuse it. */
bool import_board_admits(const struct import_board *board, const struct submission *row, enum reject_reason *ret_reason,
                         char message[static ERROR_MESSAGE_MAX]);

#endif
