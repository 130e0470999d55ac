/*
 * metrics.h -- what the process has done, summed over its loops, for Prometheus.
 *
 * A loop counts for itself, without locks: its counters are written by its thread alone and read by any. What must be
 * looked up (memory, queues, states) it notes twice a second and when it is asked itself.
 */
#ifndef API_METRICS_H
#define API_METRICS_H

#include <sys/queue.h>

#include "api/api.h"
#include "cache/l1.h"
#include "http/server.h"

enum { METRICS_ROUTES_MAX = 64, METRICS_BUCKETS = 13, METRICS_AGES = 7 };

/* How old what caches had was when it was sent. */
struct metrics_ages {
    _Atomic uint64_t buckets[METRICS_AGES + 1];
    _Atomic uint64_t total_us;
};

struct metrics {
    struct http_counters http;
    struct {
        _Atomic uint64_t outcomes[API_CACHE_COUNT]; /* answers from the caches and past them */
        _Atomic uint64_t l2_misses, l2_refreshes;   /* its hits are an outcome */
        struct metrics_ages l1_ages, l2_ages;
        _Atomic uint64_t buckets[METRICS_BUCKETS + 1]; /* by time taken; the last: longer than all */
        _Atomic uint64_t total_us;
    } routes[METRICS_ROUTES_MAX];
    LIST_ENTRY(metrics) link;
    /* Noted: */
    struct metrics_noted {
        struct l1_counters l1;
        size_t submit_queue, reads_waiting;
        int64_t worker_age_us; /* since the worker's sign of life; -1: not known */
        int loops, can_write, is_redis_trusted, is_memory_trusted;
    } noted;
};

struct metrics *metrics_join(void);
void metrics_leave(struct metrics **metrics); /* what the loop counted stays in the sum */
/* Notes what must be looked up; on the loop's thread. */
void metrics_look(struct metrics *metrics, struct store *store);
/* age_us: see api_count. */
void metrics_answered(struct metrics *metrics, size_t route, enum api_cache outcome, int64_t age_us);
void metrics_took(struct metrics *metrics, size_t route, int64_t took_us);

/* routes: their paths and methods, in the order of the indices. */
void metrics_render(struct buf *body, const struct api_route *routes, size_t count,
                    const struct api_settings *settings);

#endif
