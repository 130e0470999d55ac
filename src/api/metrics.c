#include "api/metrics.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/assert.h"

struct metrics_slot {
    struct metrics metrics;
    struct metrics_slot *next, **pprev;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct metrics_slot *slots; /* under the mutex, like what they hold */
static struct metrics left;        /* of loops that have ended */

static const int64_t bounds_us[METRICS_BUCKETS] = {250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 5000000};
static const char *const bounds_text[METRICS_BUCKETS] = {"0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "1", "5"};

static void add(struct metrics *sum, const struct metrics *metrics)
{
    sum->http.requests += metrics->http.requests;
    sum->http.refused += metrics->http.refused;
    sum->http.reaped += metrics->http.reaped;
    sum->http.connections += metrics->http.connections;
    for (int i = 0; i < 6; i++)
        sum->http.status[i] += metrics->http.status[i];
    for (int r = 0; r < METRICS_ROUTES_MAX; r++) {
        for (int i = 0; i < API_CACHE_COUNT; i++)
            sum->routes[r].outcomes[i] += metrics->routes[r].outcomes[i];
        for (int i = 0; i <= METRICS_BUCKETS; i++)
            sum->routes[r].buckets[i] += metrics->routes[r].buckets[i];
        sum->routes[r].total_us += metrics->routes[r].total_us;
    }
    sum->l1.evicted += metrics->l1.evicted;
    sum->l1.invalidated += metrics->l1.invalidated;
    sum->l1.forgotten += metrics->l1.forgotten;
    sum->l1.bytes += metrics->l1.bytes;
    sum->l1.entries += metrics->l1.entries;
    sum->l1.standings += metrics->l1.standings;
    sum->submit_queue += metrics->submit_queue;
    sum->can_write += metrics->can_write;
    sum->is_redis_trusted += metrics->is_redis_trusted;
    sum->is_memory_trusted += metrics->is_memory_trusted;
}

struct metrics_slot *metrics_join(void)
{
    struct metrics_slot *slot = calloc(1, sizeof(*slot));

    ASSERT(slot != NULL);
    pthread_mutex_lock(&mutex);
    slot->next = slots;
    slot->pprev = &slots;
    if (slots)
        slots->pprev = &slot->next;
    slots = slot;
    pthread_mutex_unlock(&mutex);
    return slot;
}

void metrics_leave(struct metrics_slot **pslot)
{
    struct metrics_slot *slot = *pslot;

    pthread_mutex_lock(&mutex);
    slot->metrics.l1 = (struct l1_counters){.evicted = slot->metrics.l1.evicted, .invalidated = slot->metrics.l1.invalidated, .forgotten = slot->metrics.l1.forgotten};
    slot->metrics.submit_queue = 0;
    slot->metrics.can_write = slot->metrics.is_redis_trusted = slot->metrics.is_memory_trusted = 0;
    add(&left, &slot->metrics);
    *slot->pprev = slot->next;
    if (slot->next)
        slot->next->pprev = slot->pprev;
    pthread_mutex_unlock(&mutex);
    free(slot);
    *pslot = NULL;
}

void metrics_put(struct metrics_slot *slot, const struct metrics *metrics)
{
    pthread_mutex_lock(&mutex);
    slot->metrics = *metrics;
    pthread_mutex_unlock(&mutex);
}

void metrics_sum(struct metrics *sum, int *ret_loops)
{
    *ret_loops = 0;
    pthread_mutex_lock(&mutex);
    *sum = left;
    for (const struct metrics_slot *slot = slots; slot; slot = slot->next) {
        add(sum, &slot->metrics);
        (*ret_loops)++;
    }
    pthread_mutex_unlock(&mutex);
}

void metrics_took(struct metrics *metrics, size_t route, int64_t took_us)
{
    int bucket = 0;

    while (bucket < METRICS_BUCKETS && took_us > bounds_us[bucket])
        bucket++;
    metrics->routes[route].buckets[bucket]++;
    metrics->routes[route].total_us += (uint64_t)took_us;
}

/* ---- text ---- */

static void head(struct buf *body, const char *name, const char *type, const char *help)
{
    buf_printf(body, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void metric(struct buf *body, const char *name, const char *type, const char *help, uint64_t value)
{
    head(body, name, type, help);
    buf_printf(body, "%s %llu\n", name, (unsigned long long)value);
}

static void http_render(struct buf *body, const struct http_counters *http)
{
    metric(body, "ladder_http_requests_total", "counter", "Requests begun.", http->requests);
    metric(body, "ladder_http_refused_total", "counter", "Requests refused before routing.", http->refused);
    metric(body, "ladder_http_reaped_total", "counter", "Connections closed by a deadline.", http->reaped);
    metric(body, "ladder_http_connections_total", "counter", "Connections accepted.", http->connections);
    head(body, "ladder_http_answers_total", "counter", "Answers by class of status.");
    for (int i = 2; i < 6; i++)
        buf_printf(body, "ladder_http_answers_total{class=\"%dxx\"} %llu\n", i, (unsigned long long)http->status[i]);
}

static void durations_render(struct buf *body, const struct metrics *sum, const struct api_route *routes, size_t count)
{
    head(body, "ladder_http_request_duration_seconds", "histogram", "From the end of a request's header to the end of its answer.");
    for (size_t r = 0; r < count; r++) {
        const char *method = http_method_name(routes[r].method), *path = routes[r].path;
        uint64_t so_far = 0;
        for (int i = 0; i <= METRICS_BUCKETS; i++)
            so_far += sum->routes[r].buckets[i];
        if (so_far == 0)
            continue;
        so_far = 0;
        for (int i = 0; i <= METRICS_BUCKETS; i++) {
            so_far += sum->routes[r].buckets[i];
            buf_printf(body, "ladder_http_request_duration_seconds_bucket{method=\"%s\",route=\"%s\",le=\"%s\"} %llu\n", method, path,
                       i < METRICS_BUCKETS ? bounds_text[i] : "+Inf", (unsigned long long)so_far);
        }
        buf_printf(body, "ladder_http_request_duration_seconds_sum{method=\"%s\",route=\"%s\"} %.6f\n", method, path, (double)sum->routes[r].total_us / 1e6);
        buf_printf(body, "ladder_http_request_duration_seconds_count{method=\"%s\",route=\"%s\"} %llu\n", method, path, (unsigned long long)so_far);
    }
}

static void caches_render(struct buf *body, const struct metrics *sum, const struct api_route *routes, size_t count)
{
    static const char *const names[API_CACHE_COUNT] = {"hit", "stale", "miss", "coalesced", "bypass"};

    head(body, "ladder_cache_answers_total", "counter", "Answers about standings, by route and how they came about.");
    for (size_t r = 0; r < count; r++)
        for (int i = 0; i < API_CACHE_COUNT; i++)
            if (sum->routes[r].outcomes[i])
                buf_printf(body, "ladder_cache_answers_total{layer=\"l1\",route=\"%s\",outcome=\"%s\"} %llu\n", routes[r].path, names[i],
                           (unsigned long long)sum->routes[r].outcomes[i]);
    metric(body, "ladder_cache_invalidated_total", "counter", "Remembered answers found touched by a move when they were asked for.", sum->l1.invalidated);
    metric(body, "ladder_cache_evicted_total", "counter", "Remembered answers that left to make room.", sum->l1.evicted);
    metric(body, "ladder_cache_forgotten_total", "counter", "Remembered answers that left because changes may have been missed.", sum->l1.forgotten);
    metric(body, "ladder_cache_bytes", "gauge", "Memory that remembered answers take.", sum->l1.bytes);
    metric(body, "ladder_cache_entries", "gauge", "Remembered answers.", sum->l1.entries);
    metric(body, "ladder_cache_standings", "gauge", "Standings whose changes are followed.", sum->l1.standings);
}

void metrics_render(struct buf *body, const struct api_route *routes, size_t count)
{
    struct metrics *sum = malloc(sizeof(*sum));
    int loops;

    ASSERT(sum != NULL && count <= METRICS_ROUTES_MAX);
    metrics_sum(sum, &loops);
    http_render(body, &sum->http);
    durations_render(body, sum, routes, count);
    caches_render(body, sum, routes, count);
    metric(body, "ladder_submit_queue", "gauge", "Submissions that wait for the database.", sum->submit_queue);
    metric(body, "ladder_loops", "gauge", "Event loops.", (uint64_t)loops);
    metric(body, "ladder_loops_database_writable", "gauge", "Loops whose primary takes writes.", (uint64_t)sum->can_write);
    metric(body, "ladder_loops_redis_trusted", "gauge", "Loops that believe Redis.", (uint64_t)sum->is_redis_trusted);
    metric(body, "ladder_loops_memory_trusted", "gauge", "Loops that hear of every change, and so may answer from memory.", (uint64_t)sum->is_memory_trusted);
    free(sum);
}
