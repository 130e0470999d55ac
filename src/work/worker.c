/*
 * worker.c -- see worker.h.
 *
 * Nothing here ends because a dependency is down: a failed step is logged once, and tried again after a short pause.
 */
#include "work/worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "work/alone.h"
#include "work/beat.h"
#include "work/edge.h"
#include "work/job.h"
#include "work/rebuild.h"
#include "work/refresh.h"
#include "work/status.h"
#include "work/tail.h"
#include "work/tally.h"
#include "work/webhook.h"

enum {
    FAILED_PAUSE_MS = 200,
    ELSEWHERE_PAUSE_MS = 500,
    WANTED_PAUSE_MS = 30,
    WANTED_AT_ONCE = 100,
    STEP_MS = 10,
    JOBS_PAUSE_MS = 100,
    TELL_PAUSE_MS = 2000
};
enum {
    JOB_FAILED_PAUSE_MS = 1000,
    JOB_FAILED_PAUSE_MAX_MS = 60000,
    JOB_ELSEWHERE_PAUSE_MS = 1000,
    REFRESH_PAUSE_MS = 1000,
    WEBHOOK_PAUSE_MS = 500,
    REFRESHERS = 2, /* so that the others are refreshed beside one that takes minutes */
    REBUILDERS = 3  /* so that small standings are loaded beside large ones */
};

struct worker {
    const struct settings *settings;
    atomic_bool is_stopping;
    pthread_t look, tail, rebuilders[REBUILDERS], jobs, tally, refreshers[REFRESHERS], webhook;
    struct edges edges;
    struct edge_thread {
        struct worker *worker;
        const struct edge_target *target;
        pthread_t thread;
    } edge_threads[SETTINGS_LIST_MAX];
};

static void pause_ms(struct worker *worker, int64_t ms)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};

    for (int64_t left = ms; left > 0 && !worker->is_stopping; left -= STEP_MS)
        nanosleep(&step, NULL);
}

/* The same failure over and over is one line, not a thousand; and one says that it is over. */
struct failure {
    char last[ERROR_MESSAGE_MAX];
};

/* What ends because the worker does is no failure: the next one does it. */
static void failure_log(const struct worker *worker, struct failure *failure, const char *what,
                        const struct error *error)
{
    status_note(what, false);
    if (worker->is_stopping) {
        log_info("job-stopped", LOG_TEXT("job", what), LOG_TEXT("because", error->message));
        return;
    }
    if (strcmp(failure->last, error->message) == 0)
        return;
    memcpy(failure->last, error->message, sizeof(failure->last));
    log_warn("job-failed", LOG_TEXT("job", what), LOG_TEXT("because", error->message));
}

static void failure_end(struct failure *failure, const char *what)
{
    status_note(what, true);
    if (!failure->last[0])
        return;
    failure->last[0] = 0;
    log_info("job-recovered", LOG_TEXT("job", what));
}

static void *look_main(void *context)
{
    struct worker *worker = context;
    struct error ignored; /* those who need the database say so */

    while (!worker->is_stopping) {
        link_look(worker->settings, &ignored);
        pause_ms(worker, worker->settings->database_health_interval_ms);
    }
    return NULL;
}

static void *tail_main(void *context)
{
    struct worker *worker = context;
    const struct settings *settings = worker->settings;
    struct tail *tail = tail_new(settings, &worker->edges, &worker->is_stopping);
    struct beat beat = {.kv = NULL};
    struct failure failure = {""};
    struct error error;

    while (!worker->is_stopping) {
        bool is_ours;
        int64_t rows;
        if (!tail_poll(tail, &is_ours, &rows, &error)) {
            failure_log(worker, &failure, "tail", &error);
            pause_ms(worker, FAILED_PAUSE_MS);
            continue;
        }
        failure_end(&failure, "tail");
        if (is_ours)
            beat_step(&beat, settings);
        pause_ms(worker, !is_ours ? ELSEWHERE_PAUSE_MS
                         : rows   ? settings->worker_tail_busy_ms
                                  : settings->worker_tail_idle_ms);
    }
    beat_done(&beat);
    tail_free(&tail);
    return NULL;
}

/* On several threads: each takes the first of the list. */
static void *rebuild_main(void *context)
{
    struct worker *worker = context;
    struct link link = {
        .settings = worker->settings, .name = "ladder work rebuild", .stop = &worker->is_stopping, .is_hasty = true};
    struct failure failure = {""};
    struct error error;

    while (!worker->is_stopping) {
        int64_t count = 0;
        link_check(&link);
        /* The epoch may have changed since the last look. */
        bool is_ok = link_open(&link, true, &error) && link_epoch(&link, &error) &&
                     rebuild_wanted(&link, WANTED_AT_ONCE, &count, &error);
        link_done(&link, is_ok);
        if (!is_ok)
            failure_log(worker, &failure, "rebuild", &error);
        else
            failure_end(&failure, "rebuild");
        pause_ms(worker, is_ok ? (count ? STEP_MS : WANTED_PAUSE_MS) : FAILED_PAUSE_MS);
    }
    link_close(&link);
    return NULL;
}

static void *jobs_main(void *context)
{
    static const struct job *const jobs[] = {&partitions_job, &roll_job,    &snapshot_job,
                                             &purge_job,      &popular_job, &combine_job};
    struct worker *worker = context;
    struct link link = {.settings = worker->settings, .name = "ladder work jobs", .stop = &worker->is_stopping};
    struct failure failures[ARRAY_SIZE(jobs)] = {{""}};
    int64_t due_us[ARRAY_SIZE(jobs)] = {0}, failed_pause_ms[ARRAY_SIZE(jobs)] = {0}, tell_us = 0;
    struct error error;

    while (!worker->is_stopping) {
        link_check(&link);
        for (size_t i = 0; i < ARRAY_SIZE(jobs) && !worker->is_stopping; i++) {
            int64_t rows, start_us = clock_monotonic_us();
            if (start_us < due_us[i])
                continue;
            /* A tenth earlier counts as well: clocks and queries are not that exact. */
            enum job_outcome outcome = job_run(&link, jobs[i], jobs[i]->period_ms * 9 / 10, &rows, &error);
            int64_t now_us = clock_monotonic_us();
            if (outcome == JOB_FAILED) {
                failure_log(worker, &failures[i], jobs[i]->name, &error);
                failed_pause_ms[i] = !failed_pause_ms[i]                                ? JOB_FAILED_PAUSE_MS
                                     : failed_pause_ms[i] * 2 < JOB_FAILED_PAUSE_MAX_MS ? failed_pause_ms[i] * 2
                                                                                        : JOB_FAILED_PAUSE_MAX_MS;
                due_us[i] = now_us + failed_pause_ms[i] * 1000;
                continue;
            }
            failure_end(&failures[i], jobs[i]->name);
            failed_pause_ms[i] = 0;
            if (rows > 0)
                log_info("job-done", LOG_TEXT("job", jobs[i]->name), LOG_INT("rows", rows),
                         LOG_INT("took_ms", (now_us - start_us) / 1000));
            /* Somebody else does it: look again soon, should he die. */
            due_us[i] = now_us + (outcome == JOB_DONE ? jobs[i]->period_ms : JOB_ELSEWHERE_PAUSE_MS) * 1000;
        }
        if (!worker->is_stopping && clock_monotonic_us() >= tell_us) {
            alone_tell(&link, &error); /* the job that Redis or PostgreSQL is away from says so */
            tell_us = clock_monotonic_us() + TELL_PAUSE_MS * 1000LL;
        }
        pause_ms(worker, JOBS_PAUSE_MS);
    }
    link_close(&link);
    return NULL;
}

static void *tally_main(void *context)
{
    struct worker *worker = context;
    struct link link = {.settings = worker->settings, .name = "ladder work tally", .stop = &worker->is_stopping};
    struct failure failure = {""};
    struct error error;

    while (!worker->is_stopping) {
        enum tally_outcome outcome = TALLY_DONE;
        if (!tally_run(&link, &outcome, &error))
            failure_log(worker, &failure, "tally", &error);
        else
            failure_end(&failure, "tally");
        if (outcome != TALLY_HAS_MORE)
            pause_ms(worker, worker->settings->worker_tally_ms);
    }
    link_close(&link);
    return NULL;
}

/* A refresh may take long: on threads of their own, so that nothing waits for it. Each takes the views that no runner is
 * at. */
static void *refresh_main(void *context)
{
    struct worker *worker = context;
    struct link link = {.settings = worker->settings, .name = "ladder work refresh", .stop = &worker->is_stopping};
    struct failure failure = {""}, view_failure = {""};
    struct refresh_views views;
    struct error error;

    while (!worker->is_stopping) {
        bool is_ok = refresh_list(&link, &views, &error);
        if (!is_ok)
            failure_log(worker, &failure, "refresh", &error);
        else
            failure_end(&failure, "refresh");
        for (size_t i = 0; is_ok && i < views.count && !worker->is_stopping; i++) {
            struct refresh_done done;
            if (!views.are_due[i])
                continue;
            enum refresh_outcome outcome = refresh_view(&link, views.names[i], -1, "worker", &done, &error);
            if (outcome == REFRESH_FAILED)
                failure_log(worker, &view_failure, views.names[i], &error);
            else if (outcome == REFRESH_DONE)
                log_debug("view-refreshed", LOG_TEXT("view", views.names[i]), LOG_INT("boards", done.boards),
                          LOG_INT("rows", done.rows), LOG_INT("took_ms", done.took_ms));
        }
        pause_ms(worker, REFRESH_PAUSE_MS);
    }
    link_close(&link);
    return NULL;
}

static void *edge_main(void *context)
{
    struct edge_thread *thread = context;
    struct edge_sender sender;
    struct failure failure = {""};
    struct error error;
    int64_t wait_ms;

    edge_sender_init(&sender, thread->worker->settings, thread->target, &thread->worker->is_stopping);
    while (!thread->worker->is_stopping) {
        if (!edge_sender_step(&sender, &wait_ms, &error))
            failure_log(thread->worker, &failure, "edge", &error);
        else
            failure_end(&failure, "edge");
        pause_ms(thread->worker, wait_ms);
    }
    edge_sender_done(&sender);
    return NULL;
}

static void *webhook_main(void *context)
{
    struct worker *worker = context;
    struct webhook_sender sender;
    struct failure failure = {""};
    struct error error;

    webhook_sender_init(&sender, worker->settings, &worker->is_stopping);
    while (!worker->is_stopping) {
        int64_t count;
        bool is_ok = webhook_sender_step(&sender, &count, &error);
        if (!is_ok)
            failure_log(worker, &failure, "webhook", &error);
        else
            failure_end(&failure, "webhook");
        pause_ms(worker, is_ok && count > 0 ? STEP_MS : WEBHOOK_PAUSE_MS);
    }
    webhook_sender_done(&sender);
    return NULL;
}

struct worker *worker_start(const struct settings *settings, struct error *error)
{
    struct worker *worker = calloc(1, sizeof(*worker));

    ASSERT(worker != NULL);
    worker->settings = settings;
    if (!edges_read(&worker->edges, settings, error)) {
        free(worker);
        return NULL;
    }
    if (settings->database_replicas.count > 0)
        ASSERT(pthread_create(&worker->look, NULL, look_main, worker) == 0);
    ASSERT(pthread_create(&worker->tail, NULL, tail_main, worker) == 0);
    for (size_t i = 0; i < REBUILDERS; i++)
        ASSERT(pthread_create(&worker->rebuilders[i], NULL, rebuild_main, worker) == 0);
    ASSERT(pthread_create(&worker->jobs, NULL, jobs_main, worker) == 0);
    ASSERT(pthread_create(&worker->webhook, NULL, webhook_main, worker) == 0);
    ASSERT(pthread_create(&worker->tally, NULL, tally_main, worker) == 0);
    for (size_t i = 0; i < REFRESHERS; i++)
        ASSERT(pthread_create(&worker->refreshers[i], NULL, refresh_main, worker) == 0);
    for (size_t i = 0; i < worker->edges.count; i++) {
        struct edge_thread *thread = &worker->edge_threads[i];
        *thread = (struct edge_thread){.worker = worker, .target = worker->edges.items[i]};
        ASSERT(pthread_create(&thread->thread, NULL, edge_main, thread) == 0);
    }
    return worker;
}

void worker_stop(struct worker **pworker)
{
    struct worker *worker = *pworker;

    worker->is_stopping = true;
    if (worker->settings->database_replicas.count > 0)
        pthread_join(worker->look, NULL);
    pthread_join(worker->tail, NULL);
    for (size_t i = 0; i < REBUILDERS; i++)
        pthread_join(worker->rebuilders[i], NULL);
    pthread_join(worker->jobs, NULL);
    pthread_join(worker->webhook, NULL);
    pthread_join(worker->tally, NULL);
    for (size_t i = 0; i < REFRESHERS; i++)
        pthread_join(worker->refreshers[i], NULL);
    for (size_t i = 0; i < worker->edges.count; i++)
        pthread_join(worker->edge_threads[i].thread, NULL);
    edges_free(&worker->edges);
    free(worker);
    *pworker = NULL;
}
