/*
 * export_file.h -- where an export writes: standard output, or a file that can be continued after a cut.
 *
 * FILE is made under the name FILE.part and renamed when it is whole. Beside it FILE.part.state says from time to time
 * how much of it belongs to which place in the standing, and which snapshot of the database that was. One thread.
 */
#ifndef CLI_EXPORT_FILE_H
#define CLI_EXPORT_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "board/board.h"
#include "board/sort_key.h"

enum { EXPORT_SNAPSHOT_MAX = 8192, EXPORT_SHAPE_MAX = 256 };

struct export_state {
    int64_t board_id, period_id;
    char shape[EXPORT_SHAPE_MAX];       /* the format and the facets: rows of another shape do not fit */
    int timeline;                       /* of the server; after a failover snapshots say nothing */
    char snapshot[EXPORT_SNAPSHOT_MAX]; /* a pg_snapshot */
    int64_t bytes, rows;                /* of the file */
    struct sort_key key;                /* of the last row */
    char player[PLAYER_BYTES_MAX + 1];
};

struct export_file {
    const char *path; /* borrowed; NULL: standard output */
    char part[1024], state[1024 + 16];
    FILE *out; /* owned, unless it is standard output */
};

/* Opens FILE.part as it is, or makes it. ERROR_CONFIG. */
bool export_file_open(struct export_file *file, const char *path, struct error *error);
/* What an earlier run left. false: nothing that can be gone on with. */
bool export_file_read_state(const struct export_file *file, struct export_state *ret_state);
/* Drops what stands behind the first `bytes`; what is written next comes behind them. */
bool export_file_continue(struct export_file *file, int64_t bytes, struct error *error);
bool export_file_write(struct export_file *file, const char *bytes, size_t size, struct error *error);
/* Notes how far it is. Does nothing for standard output. */
bool export_file_note(struct export_file *file, const struct export_state *state, struct error *error);
/* It is whole: FILE is there, the other two are gone. */
bool export_file_finish(struct export_file *file, struct error *error);
void export_file_close(struct export_file *file);

#endif
