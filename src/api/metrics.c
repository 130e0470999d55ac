#include "api/metrics.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/assert.h"
#include "store/answers.h"
#include "store/submit.h"
#include "store/worker_word.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, metrics) all = LIST_HEAD_INITIALIZER(all); /* and what is noted in them: under the mutex */
static struct metrics left;                                   /* of loops that have ended */

/* Among them every threshold of the objectives in docs/capacity.md, so that their ratios are exact. */
static const int64_t bounds_us[METRICS_BUCKETS] = {250,   500,    1000,   2500,   5000,    10000,  20000,
                                                   50000, 100000, 250000, 500000, 1000000, 5000000};
static const char *const bounds_text[METRICS_BUCKETS] = {
    "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.02", "0.05", "0.1", "0.25", "0.5", "1", "5"};

static const int64_t ages_us[METRICS_AGES] = {100000, 1000000, 10000000, 60000000, 600000000, 3600000000, 86400000000};
static const char *const ages_text[METRICS_AGES] = {"0.1", "1", "10", "60", "600", "3600", "86400"};

static void add(_Atomic uint64_t *sum, const _Atomic uint64_t *counter)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + value, memory_order_relaxed);
}

static void ages_add(struct metrics_ages *sum, const struct metrics_ages *ages)
{
    for (int i = 0; i <= METRICS_AGES; i++)
        add(&sum->buckets[i], &ages->buckets[i]);
    add(&sum->total_us, &ages->total_us);
}

static void counters_add(struct metrics *sum, const struct metrics *metrics)
{
    add(&sum->http.requests, &metrics->http.requests);
    add(&sum->http.refused, &metrics->http.refused);
    add(&sum->http.reaped, &metrics->http.reaped);
    add(&sum->http.connections, &metrics->http.connections);
    add(&sum->http.compressed_in, &metrics->http.compressed_in);
    add(&sum->http.compressed_out, &metrics->http.compressed_out);
    add(&sum->http.compress_us, &metrics->http.compress_us);
    add(&sum->http.compress_skipped, &metrics->http.compress_skipped);
    for (size_t i = 0; i < ARRAY_SIZE(sum->http.status); i++)
        add(&sum->http.status[i], &metrics->http.status[i]);
    add(&sum->http.connections_refused, &metrics->http.connections_refused);
    for (size_t i = 0; i < ARRAY_SIZE(sum->http.unavailable); i++)
        add(&sum->http.unavailable[i], &metrics->http.unavailable[i]);
    for (int r = 0; r < METRICS_ROUTES_MAX; r++) {
        for (int i = 0; i < API_CACHE_COUNT; i++)
            add(&sum->routes[r].outcomes[i], &metrics->routes[r].outcomes[i]);
        add(&sum->routes[r].l2_misses, &metrics->routes[r].l2_misses);
        add(&sum->routes[r].l2_refreshes, &metrics->routes[r].l2_refreshes);
        ages_add(&sum->routes[r].l1_ages, &metrics->routes[r].l1_ages);
        ages_add(&sum->routes[r].l2_ages, &metrics->routes[r].l2_ages);
        for (int i = 0; i <= METRICS_BUCKETS; i++)
            add(&sum->routes[r].buckets[i], &metrics->routes[r].buckets[i]);
        add(&sum->routes[r].total_us, &metrics->routes[r].total_us);
        struct l1_count *of = &sum->noted.l1.labels[r];
        const struct l1_count *more = &metrics->noted.l1.labels[r];
        of->evicted += more->evicted;
        of->invalidated += more->invalidated;
        of->forgotten += more->forgotten;
    }
}

static void gauges_add(struct metrics_noted *sum, const struct metrics_noted *noted)
{
    for (int r = 0; r < METRICS_ROUTES_MAX; r++) {
        sum->l1.labels[r].bytes += noted->l1.labels[r].bytes;
        sum->l1.labels[r].entries += noted->l1.labels[r].entries;
    }
    sum->l1.standings += noted->l1.standings;
    sum->submit_queue += noted->submit_queue;
    sum->reads_waiting += noted->reads_waiting;
    if (sum->loops == 0 || (noted->worker_age_us >= 0 && noted->worker_age_us < sum->worker_age_us) ||
        sum->worker_age_us < 0)
        sum->worker_age_us = noted->worker_age_us;
    sum->loops++;
    sum->can_write += noted->can_write;
    sum->is_redis_trusted += noted->is_redis_trusted;
    sum->is_memory_trusted += noted->is_memory_trusted;
}

struct metrics *metrics_join(void)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));

    ASSERT(metrics != NULL);
    metrics->noted.worker_age_us = -1;
    pthread_mutex_lock(&mutex);
    LIST_INSERT_HEAD(&all, metrics, link);
    pthread_mutex_unlock(&mutex);
    return metrics;
}

void metrics_leave(struct metrics **pmetrics)
{
    struct metrics *metrics = *pmetrics;

    pthread_mutex_lock(&mutex);
    counters_add(&left, metrics);
    LIST_REMOVE(metrics, link);
    pthread_mutex_unlock(&mutex);
    free(metrics);
    *pmetrics = NULL;
}

static void metrics_note(struct metrics *metrics, const struct metrics_noted *noted)
{
    pthread_mutex_lock(&mutex);
    metrics->noted = *noted;
    pthread_mutex_unlock(&mutex);
}

void metrics_look(struct metrics *metrics, struct store *store)
{
    int64_t worker_age_us;
    enum worker_word worker = worker_word_get(store, &worker_age_us);
    const struct metrics_noted noted = {
        .l1 = *answers_counters(store),
        .submit_queue = submit_queued(store),
        .reads_waiting = standing_reads_waiting(store),
        .worker_age_us = worker == WORKER_SPOKE ? worker_age_us : -1,
        .can_write = db_can_write(store_db(store)),
        .is_redis_trusted = kv_is_trusted(store_kv(store)),
        .is_memory_trusted = answers_are_trusted(store),
    };

    metrics_note(metrics, &noted);
}

static void metrics_sum(struct metrics *sum)
{
    const struct metrics *metrics;

    pthread_mutex_lock(&mutex);
    counters_add(sum, &left);
    LIST_FOREACH(metrics, &all, link) {
        counters_add(sum, metrics);
        gauges_add(&sum->noted, &metrics->noted);
    }
    pthread_mutex_unlock(&mutex);
}

void metrics_answered(struct metrics *metrics, size_t route, enum api_cache outcome, int64_t age_us)
{
    bool is_l1 = outcome == API_CACHE_HIT || outcome == API_CACHE_STALE,
         is_l2 = outcome == API_CACHE_L2 || outcome == API_CACHE_JOINED_L2;
    struct metrics_ages *ages = is_l2 ? &metrics->routes[route].l2_ages : &metrics->routes[route].l1_ages;
    int bucket = 0;

    http_count(&metrics->routes[route].outcomes[outcome]);
    if (!is_l1 && !is_l2)
        return;
    age_us = age_us > 0 ? age_us : 0;
    while (bucket < METRICS_AGES && age_us > ages_us[bucket])
        bucket++;
    http_count(&ages->buckets[bucket]);
    atomic_store_explicit(&ages->total_us,
                          atomic_load_explicit(&ages->total_us, memory_order_relaxed) + (uint64_t)age_us,
                          memory_order_relaxed);
}

void metrics_took(struct metrics *metrics, size_t route, int64_t took_us)
{
    _Atomic uint64_t *total_us = &metrics->routes[route].total_us;
    int bucket = 0;

    while (bucket < METRICS_BUCKETS && took_us > bounds_us[bucket])
        bucket++;
    http_count(&metrics->routes[route].buckets[bucket]);
    atomic_store_explicit(total_us, atomic_load_explicit(total_us, memory_order_relaxed) + (uint64_t)took_us,
                          memory_order_relaxed);
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

static void compression_render(struct buf *body, const struct http_counters *http)
{
    metric(body, "ladder_compressed_bytes_total", "counter", "Bytes of answers before compression.",
           http->compressed_in);
    metric(body, "ladder_compressed_sent_bytes_total", "counter", "The same, compressed.", http->compressed_out);
    head(body, "ladder_compress_seconds_total", "counter", "Processor time that compressing them took.");
    buf_printf(body, "ladder_compress_seconds_total %.6f\n", (double)http->compress_us / 1e6);
    metric(body, "ladder_compress_skipped_total", "counter",
           "Answers sent uncompressed because server.compress_percent was used up.", http->compress_skipped);
}

static void http_render(struct buf *body, const struct http_counters *http)
{
    metric(body, "ladder_http_requests_total", "counter", "Requests begun.", http->requests);
    metric(body, "ladder_http_refused_total", "counter", "Requests refused before routing.", http->refused);
    metric(body, "ladder_http_reaped_total", "counter", "Connections closed by a deadline.", http->reaped);
    metric(body, "ladder_http_connections_total", "counter", "Connections accepted.", http->connections);
    metric(body, "ladder_http_connections_refused_total", "counter",
           "Connections refused because their address had server.connections_per_address.", http->connections_refused);
    compression_render(body, http);
    head(body, "ladder_http_answers_total", "counter", "Answers by class of status.");
    for (int i = 2; i < 6; i++)
        buf_printf(body, "ladder_http_answers_total{class=\"%dxx\"} %llu\n", i, (unsigned long long)http->status[i]);
    head(
        body, "ladder_unavailable_total", "counter",
        "Answers of 503, and results within an answer, by cause: a queue was full, the memory of requests was used up, a deadline passed, or a dependency failed.");
    for (int i = 0; i < ERROR_CAUSE_COUNT; i++)
        buf_printf(body, "ladder_unavailable_total{cause=\"%s\"} %llu\n", error_cause_name((enum error_cause)i),
                   (unsigned long long)http->unavailable[i]);
}

static void durations_render(struct buf *body, const struct metrics *sum, const struct api_route *routes, size_t count)
{
    head(body, "ladder_http_request_duration_seconds", "histogram",
         "From the end of a request's header to the end of its answer.");
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
            buf_printf(body, "ladder_http_request_duration_seconds_bucket{method=\"%s\",route=\"%s\",le=\"%s\"} %llu\n",
                       method, path, i < METRICS_BUCKETS ? bounds_text[i] : "+Inf", (unsigned long long)so_far);
        }
        buf_printf(body, "ladder_http_request_duration_seconds_sum{method=\"%s\",route=\"%s\"} %.6f\n", method, path,
                   (double)sum->routes[r].total_us / 1e6);
        buf_printf(body, "ladder_http_request_duration_seconds_count{method=\"%s\",route=\"%s\"} %llu\n", method, path,
                   (unsigned long long)so_far);
    }
}

static void answers_render(struct buf *body, const char *layer, const char *route, const char *outcome, uint64_t count)
{
    if (count)
        buf_printf(body, "ladder_cache_answers_total{layer=\"%s\",route=\"%s\",outcome=\"%s\"} %llu\n", layer, route,
                   outcome, (unsigned long long)count);
}

static void age_render(struct buf *body, const char *layer, const char *route, const struct metrics_ages *ages)
{
    uint64_t so_far = 0;

    for (int i = 0; i <= METRICS_AGES; i++)
        so_far += ages->buckets[i];
    if (so_far == 0)
        return;
    so_far = 0;
    for (int i = 0; i <= METRICS_AGES; i++) {
        so_far += ages->buckets[i];
        buf_printf(body, "ladder_cache_age_seconds_bucket{layer=\"%s\",route=\"%s\",le=\"%s\"} %llu\n", layer, route,
                   i < METRICS_AGES ? ages_text[i] : "+Inf", (unsigned long long)so_far);
    }
    buf_printf(body, "ladder_cache_age_seconds_sum{layer=\"%s\",route=\"%s\"} %.6f\n", layer, route,
               (double)ages->total_us / 1e6);
    buf_printf(body, "ladder_cache_age_seconds_count{layer=\"%s\",route=\"%s\"} %llu\n", layer, route,
               (unsigned long long)so_far);
}

static void ages_render(struct buf *body, const struct metrics *sum, const struct api_route *routes, size_t count)
{
    head(body, "ladder_cache_age_seconds", "histogram",
         "How long ago answers that a cache had were made, when they were sent.");
    for (size_t r = 0; r < count; r++) {
        age_render(body, "l1", routes[r].path, &sum->routes[r].l1_ages);
        age_render(body, "l2", routes[r].path, &sum->routes[r].l2_ages);
    }
}

/* What memory counts by route. */
static const struct {
    const char *name, *type, *help;
    size_t at;
} labelled[] = {
    {"ladder_cache_invalidated_total", "counter",
     "Remembered answers found touched by a move when they were asked for.", offsetof(struct l1_count, invalidated)},
    {"ladder_cache_evicted_total", "counter", "Remembered answers that left to make room.",
     offsetof(struct l1_count, evicted)},
    {"ladder_cache_forgotten_total", "counter", "Remembered answers that left because changes may have been missed.",
     offsetof(struct l1_count, forgotten)},
    {"ladder_cache_bytes", "gauge", "Memory that remembered answers take.", offsetof(struct l1_count, bytes)},
    {"ladder_cache_entries", "gauge", "Remembered answers.", offsetof(struct l1_count, entries)},
};

static bool is_asked(const struct metrics *sum, size_t route)
{
    for (int i = 0; i < API_CACHE_COUNT; i++)
        if (i != API_CACHE_BYPASS && sum->routes[route].outcomes[i])
            return true;
    return false;
}

static void caches_render(struct buf *body, const struct metrics *sum, const struct api_route *routes, size_t count)
{
    static const char *const names[API_CACHE_L2] = {"hit", "stale", "miss", "invalidated", "coalesced", "bypass"};

    head(body, "ladder_cache_answers_total", "counter",
         "Answers about standings, by cache, route and how they came about.");
    for (size_t r = 0; r < count; r++) {
        for (int i = 0; i < API_CACHE_L2; i++) { /* what L2 has, L1 did not */
            uint64_t answers = sum->routes[r].outcomes[i];
            if (i == API_CACHE_MISS)
                answers += sum->routes[r].outcomes[API_CACHE_L2];
            if (i == API_CACHE_JOINED)
                answers += sum->routes[r].outcomes[API_CACHE_JOINED_L2];
            answers_render(body, "l1", routes[r].path, names[i], answers);
        }
        answers_render(body, "l2", routes[r].path, "hit", sum->routes[r].outcomes[API_CACHE_L2]);
        answers_render(body, "l2", routes[r].path, "miss", sum->routes[r].l2_misses);
        answers_render(body, "l2", routes[r].path, "refresh", sum->routes[r].l2_refreshes);
    }
    ages_render(body, sum, routes, count);
    for (size_t i = 0; i < ARRAY_SIZE(labelled); i++) {
        head(body, labelled[i].name, labelled[i].type, labelled[i].help);
        for (size_t r = 0; r < count; r++) {
            const uint64_t *value =
                (const uint64_t *)(const void *)((const char *)&sum->noted.l1.labels[r] + labelled[i].at);
            if (is_asked(sum, r))
                buf_printf(body, "%s{layer=\"l1\",route=\"%s\"} %llu\n", labelled[i].name, routes[r].path,
                           (unsigned long long)*value);
        }
    }
    metric(body, "ladder_cache_standings", "gauge", "Standings whose changes are followed.", sum->noted.l1.standings);
}

void metrics_render(struct buf *body, const struct api_route *routes, size_t count, const struct api_settings *settings)
{
    struct metrics *sum = calloc(1, sizeof(*sum));

    ASSERT(sum != NULL && count <= METRICS_ROUTES_MAX);
    metrics_sum(sum);
    head(body, "ladder_build_info", "gauge", "The version that runs.");
    buf_append_text(body, "ladder_build_info{version=\"" LADDER_VERSION "\"} 1\n");
    http_render(body, &sum->http);
    durations_render(body, sum, routes, count);
    caches_render(body, sum, routes, count);
    metric(body, "ladder_submissions_total", "counter", "Submissions in committed transactions.", submit_committed());
    metric(body, "ladder_submission_transactions_total", "counter", "Committed transactions of submissions.",
           submit_transactions());
    metric(body, "ladder_items_failed_total", "counter",
           "Submissions that the database refused for an error of their data.", submit_failed());
    metric(body, "ladder_http_connections_open", "gauge", "Open client connections.",
           (uint64_t)quota_used(settings->connections));
    metric(body, "ladder_request_memory_bytes", "gauge",
           "Memory of the requests under way: bodies, answers that are not sent yet, and what is between.",
           (uint64_t)quota_used(settings->memory));
    metric(body, "ladder_request_memory_limit_bytes", "gauge", "The most that they may have (server.memory_bytes).",
           (uint64_t)settings->memory->max);
    metric(body, "ladder_spool_bytes", "gauge", "Results of streams in files.", (uint64_t)quota_used(settings->spool));
    metric(body, "ladder_spool_limit_bytes", "gauge", "The most that there may be (server.spool_bytes).",
           (uint64_t)settings->spool->max);
    metric(body, "ladder_submit_queue", "gauge", "Submissions that wait for the database.", sum->noted.submit_queue);
    metric(body, "ladder_turns_waiting", "gauge", "Reads of standings that wait for their game's turn.",
           sum->noted.reads_waiting);
    metric(body, "ladder_turns_refused_total", "counter", "Reads that waited too long for it, or found no place.",
           standing_reads_refused());
    metric(body, "ladder_lookups_refused_total", "counter",
           "Look-ups of unknown boards and API keys beyond limits.unknown_lookups.", store_lookups_refused());
    metric(body, "ladder_keys_refused_total", "counter", "API keys refused without a look-up: their id was made up.",
           store_keys_refused());
    head(body, "ladder_worker_silence_seconds", "gauge",
         "Since the worker's last sign of life; NaN: Redis does not say.");
    if (sum->noted.worker_age_us >= 0)
        buf_printf(body, "ladder_worker_silence_seconds %.3f\n", (double)sum->noted.worker_age_us / 1e6);
    else
        buf_append_text(body, "ladder_worker_silence_seconds NaN\n");
    metric(body, "ladder_loops", "gauge", "Event loops.", (uint64_t)sum->noted.loops);
    metric(body, "ladder_database_writable", "gauge", "1: the primary takes writes, from every loop.",
           sum->noted.can_write == sum->noted.loops);
    metric(body, "ladder_redis_trusted", "gauge", "1: Redis is believed, by every loop.",
           sum->noted.is_redis_trusted == sum->noted.loops);
    metric(body, "ladder_cache_trusted", "gauge", "1: every loop hears of all changes, and so may answer from memory.",
           sum->noted.is_memory_trusted == sum->noted.loops);
    free(sum);
}
