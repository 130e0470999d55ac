#include "work/status.h"

#include <ev.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "http/server.h"

enum { JOBS_MAX = 32, ANSWER_BYTES_MAX = 1 << 16, CONNECTIONS_MAX = 64, HEADER_BYTES_MAX = 8192, TIMEOUT_MS = 5000 };

/* ---- what the jobs did ---- */

struct job_status {
    const char *name;
    uint64_t runs, failures, board_failures;
    int64_t done_us; /* monotonic: when a run last succeeded; 0: never */
    bool is_failing; /* the last one failed */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct job_status jobs[JOBS_MAX]; /* under the mutex */
static size_t job_count;

static struct job_status *job_find(const char *name)
{
    for (size_t i = 0; i < job_count; i++)
        if (strcmp(jobs[i].name, name) == 0)
            return &jobs[i];
    if (job_count == JOBS_MAX)
        return NULL;
    jobs[job_count] = (struct job_status){.name = name};
    return &jobs[job_count++];
}

void status_note(const char *name, bool is_ok)
{
    pthread_mutex_lock(&mutex);
    struct job_status *job = job_find(name);
    if (job) {
        job->runs++;
        job->failures += !is_ok;
        job->is_failing = !is_ok;
        if (is_ok)
            job->done_us = clock_monotonic_us();
    }
    pthread_mutex_unlock(&mutex);
}

void status_note_board(const char *name)
{
    pthread_mutex_lock(&mutex);
    struct job_status *job = job_find(name);
    if (job)
        job->board_failures++;
    pthread_mutex_unlock(&mutex);
}

static size_t jobs_copy(struct job_status copy[static JOBS_MAX])
{
    pthread_mutex_lock(&mutex);
    size_t count = job_count;
    memcpy(copy, jobs, sizeof(jobs));
    pthread_mutex_unlock(&mutex);
    return count;
}

/* ---- the answers ---- */

/* The process lives: a dependency that is away is no reason to restart it. What fails is named. */
static void healthz_render(struct buf *body)
{
    struct job_status copy[JOBS_MAX];
    size_t count = jobs_copy(copy);
    struct jsonw json;
    bool is_failing = false;

    for (size_t i = 0; i < count; i++)
        is_failing = is_failing || copy[i].is_failing;
    jsonw_init(&json, body);
    jsonw_object_open(&json);
    jsonw_key(&json, "status");
    jsonw_text(&json, is_failing ? "degraded" : "ok");
    jsonw_key(&json, "jobs");
    jsonw_object_open(&json);
    for (size_t i = 0; i < count; i++) {
        jsonw_key(&json, copy[i].name);
        jsonw_text(&json, copy[i].is_failing ? "failing" : "ok");
    }
    jsonw_object_close(&json);
    jsonw_object_close(&json);
}

static void head(struct buf *body, const char *name, const char *type, const char *help)
{
    buf_printf(body, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void metrics_render(struct buf *body)
{
    struct job_status copy[JOBS_MAX];
    size_t count = jobs_copy(copy);
    int64_t now_us = clock_monotonic_us();

    head(body, "ladder_worker_runs_total", "counter",
         "Runs of each job that ended, also those that found nothing to do.");
    for (size_t i = 0; i < count; i++)
        buf_printf(body, "ladder_worker_runs_total{job=\"%s\"} %llu\n", copy[i].name, (unsigned long long)copy[i].runs);
    head(body, "ladder_worker_failures_total", "counter", "Those that failed.");
    for (size_t i = 0; i < count; i++)
        buf_printf(body, "ladder_worker_failures_total{job=\"%s\"} %llu\n", copy[i].name,
                   (unsigned long long)copy[i].failures);
    head(body, "ladder_job_board_failures_total", "counter",
         "Boards that a job, or a part of one, failed for while it went on with the others.");
    for (size_t i = 0; i < count; i++)
        buf_printf(body, "ladder_job_board_failures_total{job=\"%s\"} %llu\n", copy[i].name,
                   (unsigned long long)copy[i].board_failures);
    head(body, "ladder_worker_success_age_seconds", "gauge", "Since a run of the job last succeeded.");
    for (size_t i = 0; i < count; i++)
        if (copy[i].done_us)
            buf_printf(body, "ladder_worker_success_age_seconds{job=\"%s\"} %.3f\n", copy[i].name,
                       (double)(now_us - copy[i].done_us) / 1e6);
}

static void on_request(void *context, struct http_request *request)
{
    bool is_healthz = slice_is(request->path, "/healthz"), is_metrics = slice_is(request->path, "/metrics");
    struct error error;
    struct buf body;

    (void)context;
    if (!is_healthz && !is_metrics) {
        error_set(&error, ERROR_NOT_FOUND, "there is nothing at this path; there are /healthz and /metrics");
        http_reply_error(request, &error);
        return;
    }
    if (request->method != HTTP_GET && request->method != HTTP_HEAD) {
        http_reply_header(request, "Allow", "GET, HEAD");
        error_set(&error, ERROR_METHOD_NOT_ALLOWED, "the resource has no %s", http_method_name(request->method));
        http_reply_error(request, &error);
        return;
    }
    buf_init(&body, ANSWER_BYTES_MAX);
    if (is_healthz)
        healthz_render(&body);
    else
        metrics_render(&body);
    http_reply_header(request, "Cache-Control", "no-store");
    http_reply(request, 200, is_healthz ? "application/json" : "text/plain; version=0.0.4; charset=utf-8", &body);
}

/* ---- the listener ---- */

struct status_listener {
    struct ev_loop *loop;
    ev_async stop;
    pthread_t thread;
    struct http_server *server;
    struct http_counters counters;
};

static void on_stop(struct ev_loop *loop, ev_async *watcher, int events)
{
    struct status_listener *listener = watcher->data;

    (void)events;
    http_server_free(&listener->server);
    ev_break(loop, EVBREAK_ALL);
}

static void *listener_main(void *context)
{
    ev_run(((struct status_listener *)context)->loop, 0);
    return NULL;
}

struct status_listener *status_listen(const struct settings *settings, struct error *error)
{
    const struct http_application application = {.handle = on_request};
    int fd, port;

    if (!http_listen(settings->worker_listen, (int)settings->worker_port, &fd, &port, error))
        return NULL;
    struct status_listener *listener = calloc(1, sizeof(*listener));
    ASSERT(listener != NULL);
    const struct http_settings http = {.listen_fd = fd,
                                       .connections_max = CONNECTIONS_MAX,
                                       .uri_bytes_max = HEADER_BYTES_MAX,
                                       .header_bytes_max = HEADER_BYTES_MAX,
                                       .body_bytes_max = HEADER_BYTES_MAX,
                                       .header_timeout_ms = TIMEOUT_MS,
                                       .body_timeout_ms = TIMEOUT_MS,
                                       .answer_timeout_ms = TIMEOUT_MS,
                                       .idle_timeout_ms = (int)settings->server_idle_timeout_ms,
                                       .compress_bytes_min = settings->server_compress_bytes_min,
                                       .compress_percent = (int)settings->server_compress_percent,
                                       .counters = &listener->counters};
    listener->loop = ev_loop_new(EVFLAG_AUTO);
    ASSERT(listener->loop != NULL);
    listener->server = http_server_new(listener->loop, &http, &application);
    ASSERT(listener->server != NULL);
    ev_async_init(&listener->stop, on_stop);
    listener->stop.data = listener;
    ev_async_start(listener->loop, &listener->stop);
    ASSERT(pthread_create(&listener->thread, NULL, listener_main, listener) == 0);
    log_info("worker-listening", LOG_TEXT("address", settings->worker_listen), LOG_INT("port", port));
    return listener;
}

void status_close(struct status_listener **plistener)
{
    struct status_listener *listener = *plistener;

    if (!listener)
        return;
    ev_async_send(listener->loop, &listener->stop);
    pthread_join(listener->thread, NULL);
    ev_loop_destroy(listener->loop);
    free(listener);
    *plistener = NULL;
}
