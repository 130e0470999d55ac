/*
 * rebuild.h -- loading a standing from PostgreSQL into a new generation in Redis, while applies go on.
 */
#ifndef WORK_REBUILD_H
#define WORK_REBUILD_H

#include "work/link.h"

enum rebuild_outcome {
    REBUILD_DONE,
    REBUILD_NOT_NEEDED /* closed or deleted: dropped */,
    REBUILD_BUSY,
    REBUILD_FAILED
};

struct rebuild_result {
    int64_t entries; /* live and tombstones */
    int64_t took_us;
};

/* progress may be NULL: called with the rows so far, about once a thousand rows. */
enum rebuild_outcome rebuild_standing(struct link *link, int64_t standing,
                                      void (*progress)(void *context, int64_t rows), void *context,
                                      struct rebuild_result *ret_result, struct error *error);

/* The standings that readers found cold: takes up to `limit` off the list, the most wanted first, rebuilds each;
 * returns how many were done. */
bool rebuild_wanted(struct link *link, int limit, int64_t *ret_count, struct error *error);
/* Puts a standing on that list; with only_if_cold it is rebuilt only if Redis does not hold it whole then. weight:
 * readers count up from 1. */
bool rebuild_want(struct link *link, int64_t standing, bool only_if_cold, int64_t weight, struct error *error);

#endif
