/*
 * progress.h -- how far a long command is, on standard error.
 *
 * On a terminal one line that is written over five times a second; elsewhere, for commands that want it, a line every
 * two seconds. One thread.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool is_terminal;           /* of standard error */
    int64_t start_us, shown_us; /* monotonic */
    double start_share;         /* 0 to 1: what was done before this run */
    const char *verb;           /* "importing" */
};

void progress_start(struct progress *progress, const char *verb);
/* The clock starts now, with this much done: what came before took no part in the rate. */
void progress_restart(struct progress *progress, double share);
/* rows: of this run. share: 0 to 1, of the whole. Cheap: call it every thousand rows. */
void progress_show(struct progress *progress, int64_t rows, double share);
double progress_seconds(const struct progress *progress);
/* Takes the line away from a terminal. */
void progress_end(const struct progress *progress);

#endif
