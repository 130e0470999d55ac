/*
 * breaker.h -- whether a server that failed is asked again: closed, open for a while, then one trial.
 *
 *            failures in a row, or trip            the pause is over
 *   CLOSED ----------------------------> OPEN -----------------------> HALF_OPEN (one call may go)
 *      ^                                   ^                                |
 *      |                                   +---------- it failed -----------+
 *      +-------------------------------------------- it succeeded ----------+
 *
 * Each opening soon after the last one doubles the pause. Pure: the time is given. No thread of its own.
 */
#ifndef DB_BREAKER_H
#define DB_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker_limits {
    int failures;     /* in a row, that open it */
    int pause_ms;     /* the first time */
    int pause_max_ms; /* however often it opened */
};

struct breaker {
    enum breaker_state state;
    int failures;      /* in a row */
    int openings;      /* without a long success between them */
    int64_t until_us;  /* OPEN: no call before */
    int64_t closed_us; /* when it closed last */
    bool has_trial;    /* HALF_OPEN: it is under way */
};

const char *breaker_state_name(enum breaker_state state);

/* May a call go now? */
bool breaker_allows(const struct breaker *breaker, int64_t now_us);
/* A call goes. true: it is the trial, and its end must be told. */
bool breaker_begin(struct breaker *breaker, int64_t now_us);
void breaker_succeeded(struct breaker *breaker, bool is_trial, int64_t now_us);
/* jitter: 0 to 1, spreads the pause by a fifth either way. true: it has just opened. */
bool breaker_failed(struct breaker *breaker, const struct breaker_limits *limits, bool is_trial, double jitter,
                    int64_t now_us);
/* Opens it at once. */
void breaker_trip(struct breaker *breaker, const struct breaker_limits *limits, double jitter, int64_t now_us);

#endif
