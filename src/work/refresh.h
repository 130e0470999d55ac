/*
 * refresh.h -- refreshing the materialized views: one gate, for the worker and for `ladder refresh`.
 *
 * Blocking. A view is refreshed by one runner at a time, elected by its lock; when a board that it shows has changed
 * (refresh_mark) and the last refresh is long enough ago; readers go on meanwhile. Every refresh is a row of
 * refresh_run.
 */
#ifndef WORK_REFRESH_H
#define WORK_REFRESH_H

#include "work/link.h"

enum { REFRESH_VIEWS_MAX = 32, REFRESH_NAME_MAX = 64 };

struct refresh_views {
    char names[REFRESH_VIEWS_MAX][REFRESH_NAME_MAX];
    bool are_due[REFRESH_VIEWS_MAX]; /* as far as can be told without the lock */
    size_t count;
};

/* Those that there are, by name. */
bool refresh_list(struct link *link, struct refresh_views *ret_views, struct error *error);

enum refresh_outcome {
    REFRESH_DONE,
    REFRESH_UNCHANGED, /* it shows all that there is */
    REFRESH_RECENT,    /* the last refresh is not long enough ago */
    REFRESH_ELSEWHERE, /* another runner is at it */
    REFRESH_FAILED,    /* *error says why */
};

struct refresh_done {
    int64_t boards; /* had changed since the last refresh */
    int64_t rows, took_ms;
};

/* older_than_ms: how long ago the last refresh must be; -1: the view's own interval. reason: for the ledger. ret_done:
 * with REFRESH_DONE. */
enum refresh_outcome refresh_view(struct link *link, const char *view, int64_t older_than_ms, const char *reason,
                                  struct refresh_done *ret_done, struct error *error);

#endif
