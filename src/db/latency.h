/*
 * latency.h -- how long a server takes, remembered as a peak-sensitive moving average.
 *
 * A slower answer counts at once and whole, a faster one by and by: the average falls towards it with the time constant
 * LATENCY_DECAY_US, and by itself while nothing is asked, so that a server that was slow once is tried again (Finagle's
 * peak EWMA). Pure: the time is given.
 */
#ifndef DB_LATENCY_H
#define DB_LATENCY_H

#include <stdint.h>

enum { LATENCY_DECAY_US = 5000000 };

struct latency {
    double average_us;
    int64_t at_us;
};

void latency_note(struct latency *latency, int64_t took_us, int64_t now_us);
double latency_at(const struct latency *latency, int64_t now_us);
/* What one more call is likely to wait for: the calls in front of it, each as slow as usual or as the oldest already
 * is. */
double latency_cost(const struct latency *latency, int in_flight, int64_t oldest_us, int64_t now_us);

#endif
