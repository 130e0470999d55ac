/*
 * metrics.h -- what the process has done, summed over its loops, for Prometheus.
 *
 * A loop counts for itself, without locks. Twice a second, and when it is asked, it puts a copy into a table that all
 * loops share; who answers /metrics sums the table. So a figure is at most half a second old, and never falls.
 */
#ifndef API_METRICS_H
#define API_METRICS_H

#include "cache/l1.h"
#include "http/server.h"

#include "api/api.h"

enum { METRICS_ROUTES_MAX = 64, METRICS_BUCKETS = 12 };

struct metrics {
    struct http_counters http;
    struct {
        uint64_t outcomes[API_CACHE_COUNT];  /* answers from the caches and past them */
        uint64_t buckets[METRICS_BUCKETS + 1]; /* by time taken; the last: longer than all */
        uint64_t total_us;
    } routes[METRICS_ROUTES_MAX];
    struct l1_counters l1;
    size_t submit_queue;
    int can_write, is_redis_trusted, is_memory_trusted; /* how many loops */
};

struct metrics_slot;

struct metrics_slot *metrics_join(void);
void metrics_leave(struct metrics_slot **slot); /* what the loop counted stays in the sum */
void metrics_put(struct metrics_slot *slot, const struct metrics *metrics);
void metrics_sum(struct metrics *ret_sum, int *ret_loops);

void metrics_took(struct metrics *metrics, size_t route, int64_t took_us);
/* routes: their paths and methods, in the order of the indices. */
void metrics_render(struct buf *body, const struct api_route *routes, size_t count);

#endif
