/*
 * outlier.h -- which server answers far slower than the others.
 *
 * Each counts its answers and how long they took, and is judged by the last OUTLIER_ANSWERS_MIN of them or more: those
 * of a window that is closed at the first look at which it has as many, so that a slow server, whose window takes long
 * to fill, still meets the others' figures. One is an outlier if its mean is more than `factor` times the median of the
 * others' means, and more than floor_us. A window closed longer than OUTLIER_AGE_MAX_US ago says nothing. (After the success-rate and latency ejection of Envoy's outlier
 * detection, with a ratio instead of standard deviations, which few servers do not have.) Pure.
 */
#ifndef DB_OUTLIER_H
#define DB_OUTLIER_H

#include <stdint.h>

enum { OUTLIER_ANSWERS_MIN = 20, OUTLIER_SERVERS_MAX = 64, OUTLIER_AGE_MAX_US = 60 * 1000 * 1000 };

struct outlier_sum {
    int64_t count, took_us;
};

/* What is known of one server. All zero: nothing yet. */
struct outlier_window {
    struct outlier_sum open, closed;
    int64_t closed_us;
};

void outlier_note(struct outlier_window *window, int64_t took_us);

/* Returns by what the server is judged at now_us, after closing the window if it is full; a count of 0: by nothing. */
struct outlier_sum outlier_look(struct outlier_window *window, int64_t now_us);

/* Returns the index of the worst of 0 <= count <= OUTLIER_SERVERS_MAX servers, and from what mean on it is one; -1 if
 * there is none. factor: 0, there never is one. */
int outlier_find(const struct outlier_sum *servers, int count, int factor, int64_t floor_us, int64_t *ret_limit_us);

#endif
