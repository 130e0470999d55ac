/*
 * rate.h -- whether something goes on at a least rate, over any window of time.
 *
 * The total so far is noted SLOTS times a window; each note is compared with the total one window later. So no period
 * of a window and one slot passes with fewer bytes. One thread; nothing is allocated.
 */
#ifndef HTTP_RATE_H
#define HTTP_RATE_H

#include <stdbool.h>
#include <stdint.h>

enum { RATE_SLOTS = 16 };

struct rate {
    int64_t since_us; /* 0: not measured */
    int64_t slot;
    int64_t totals[RATE_SLOTS];
};

/* From time to time. false: the last window had fewer than bytes_min; measuring begins with the first call. */
bool rate_is_kept(struct rate *rate, int64_t total, int64_t now_us, int64_t window_us, int64_t bytes_min);
void rate_stop(struct rate *rate); /* it is not up to the other side now */

#endif
