/*
 * import_lane.h -- one of the connections that an import's rows go through side by side.
 *
 * A lane takes every row of the players that hash to it, so each player's rows stay in the file's order, and sends them
 * in batches, each in one transaction with the lane's mark of how far in the file it is. A lane is an import of its
 * own, as far as the database is concerned: its own mark, its own advisory lock, held by the session that moves the
 * mark.
 *
 *     reader: lane_add … lane_add  | batch full: hand over |  lane_add …         two batches: one being filled,
 *     lane's thread:                   begin, mark, submit, commit               one being sent
 *
 * One caller's thread; the lane's own thread sends.
 */
#ifndef CLI_IMPORT_LANE_H
#define CLI_IMPORT_LANE_H

#include "cli/import_rejects.h"
#include "cli/import_source.h"
#include "conf/settings.h"

/* How many there are is part of what an import's marks mean: with another number, every player would change lanes. */
enum { LANES = 4, LANE_BATCH_ROWS = 5000, LANE_BATCH_ROWS_MAX = 50000 };

struct lane;

struct lane_totals {
    int64_t changed; /* submissions that changed an entry */
    int64_t refused;
};

/* Which lane a player's rows go through: 0 … LANES - 1, the same in every run. */
int lane_of(struct slice player);

struct lane_options {
    int64_t board_id;
    const char *import_hash; /* source.hash */
    size_t batch_rows;
    bool is_dry;             /* each batch is submitted and rolled back: no mark moves, no row is kept */
    struct rejects *rejects; /* borrowed: where the rows that the database refuses go. Open before lane_add */
};

/* Connects, takes the lane's lock and reads its mark. ERROR_CONFLICT: the import is running elsewhere. NULL on failure.
 */
struct lane *lane_open(const struct settings *settings, const struct lane_options *options, int number,
                       struct error *error);
/* Rows of the file, counted from 1 behind the header, up to which this lane's were in when it was opened. */
int64_t lane_rows_done(const struct lane *lane);
/* A row of the file, in its order. Waits while both batches are full. false: an earlier batch failed. */
bool lane_add(struct lane *lane, const struct submission *row, int64_t row_number, struct error *error);
/* Sends what is left, and waits: on true, this lane's part of the file's `rows` rows is in, and marked so. */
bool lane_finish(struct lane *lane, int64_t rows, struct error *error);
struct lane_totals lane_totals(struct lane *lane);
/* Waits for a batch that is being sent; one that is only half filled is dropped. */
void lane_close(struct lane **lane);

#endif
