/*
 * import_rejects.h -- the rows that an import refuses: a file that lists each, and a summary by reason.
 *
 * The file is CSV: row (from 1, without the header), line (where the row begins in the file), reason, message. It is
 * made when the first row is refused. Any thread may add rows.
 */
#ifndef CLI_IMPORT_REJECTS_H
#define CLI_IMPORT_REJECTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

enum reject_reason {
    REJECT_FIELDS,
    REJECT_PLAYER,
    REJECT_SCORE,
    REJECT_SUBSCORE,
    REJECT_TIME,
    REJECT_FUTURE,
    REJECT_FACET,
    REJECT_METADATA,
    REJECT_OUT_OF_RANGE,
    REJECT_OVERFLOW,
    REJECT_CLOSED,
    REJECT_BOARD_GONE,
    REJECT_FACET_VALUES,
    REJECT_FACET_UNKNOWN,
    REJECT_REASONS
};

struct rejects {
    pthread_mutex_t mutex;
    char path[1024];
    bool goes_on; /* behind what an earlier run of the same import listed */
    FILE *file;   /* owned; NULL: no row was refused yet, or the file cannot be written */
    int failure;  /* errno; 0: none */
    struct {
        int64_t rows;
        int64_t line; /* of the first one */
        char message[ERROR_MESSAGE_MAX];
    } reasons[REJECT_REASONS];
};

/* path: of the reject file; NULL: beside the source, its name with ".rejects.csv" behind it. A path that is given must
 * be writable: ERROR_CONFIG. */
bool rejects_open(struct rejects *rejects, const char *path, const char *source, bool goes_on, struct error *error);
/* message: NULL: what the reason says by itself. */
void rejects_add(struct rejects *rejects, enum reject_reason reason, int64_t row, int64_t line, const char *message);
int64_t rejects_count(struct rejects *rejects);
/* Nothing when no row was refused. source: the file's name, for the reader. */
void rejects_print(struct rejects *rejects, const char *source, FILE *out);
/* false: the reject file could not be written whole. */
bool rejects_close(struct rejects *rejects, struct error *error);

/* The reason of an outcome of ladder.submit (sql/functions/30_submit.sql). */
enum reject_reason reject_reason_of(int outcome);

#endif
