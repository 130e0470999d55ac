/*
 * outlier.h -- which server answers far slower than the others.
 *
 * Each has counted its answers since the last look, and how long they took. One is an outlier if its mean is more than
 * `factor` times the median of the others' means, and more than floor_us. A mean of fewer than OUTLIER_ANSWERS_MIN
 * answers says nothing, of the server or of the others. (After the success-rate and latency ejection of Envoy's outlier
 * detection, with a ratio instead of standard deviations, which few servers do not have.) Pure.
 */
#ifndef DB_OUTLIER_H
#define DB_OUTLIER_H

#include <stdint.h>

enum { OUTLIER_ANSWERS_MIN = 20, OUTLIER_SERVERS_MAX = 64 };

struct outlier_sum {
    int64_t count, took_us;
};

/* Returns the index of the worst of 0 <= count <= OUTLIER_SERVERS_MAX servers, and from what mean on it is one; -1 if
 * there is none. factor: 0, there never is one. */
int outlier_find(const struct outlier_sum *servers, int count, int factor, int64_t floor_us, int64_t *ret_limit_us);

#endif
