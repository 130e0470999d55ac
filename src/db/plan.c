#include "db/plan.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/magic.h"
#include "db/private.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct db_settings plan; /* under the mutex, as is the rest */
static int version;             /* 0: the loops have what they were made with */
static LIST_HEAD(, db) all = LIST_HEAD_INITIALIZER(all);

static void on_replanned(struct ev_loop *loop, ev_async *watcher, int events)
{
    struct db *db = watcher->data;
    ASSERT_MAGIC(db, DB_MAGIC);
    struct db_settings settings = db->settings;
    bool is_new;

    (void)loop;
    (void)events;
    pthread_mutex_lock(&mutex);
    is_new = db->plan_version != version;
    db->plan_version = version;
    if (is_new) {
        /* The rest is of what was made at the start. */
        memcpy(settings.servers, plan.servers, sizeof(settings.servers));
        settings.server_count = plan.server_count;
        memcpy(settings.zone, plan.zone, sizeof(settings.zone));
        settings.balance = plan.balance;
        settings.primary_reads = plan.primary_reads;
        settings.read_connections_min = plan.read_connections_min;
        settings.read_connections = plan.read_connections;
        settings.pipeline_max = plan.pipeline_max;
        settings.connection_idle_ms = plan.connection_idle_ms;
        settings.connection_lifetime_ms = plan.connection_lifetime_ms;
        settings.queue_max = plan.queue_max;
        settings.queue_timeout_ms = plan.queue_timeout_ms;
        settings.wait_ms = plan.wait_ms;
        settings.max_lag_bytes = plan.max_lag_bytes;
        settings.max_lag_ms = plan.max_lag_ms;
        settings.health_interval_ms = plan.health_interval_ms;
        settings.unhealthy_after = plan.unhealthy_after;
        settings.healthy_after = plan.healthy_after;
        settings.breaker_failures = plan.breaker_failures;
        settings.breaker_pause_ms = plan.breaker_pause_ms;
        settings.breaker_pause_max_ms = plan.breaker_pause_max_ms;
        settings.stall_ms = plan.stall_ms;
        settings.outlier_factor = plan.outlier_factor;
        settings.outlier_min_ms = plan.outlier_min_ms;
        settings.retry_percent = plan.retry_percent;
    }
    pthread_mutex_unlock(&mutex);
    if (!is_new || db->is_closing)
        return;
    db->settings = settings;
    db->upwards->replanned(db, &settings);
}

void plan_join(struct db *db)
{
    ev_async_init(&db->replanned, on_replanned);
    db->replanned.data = db;
    ev_async_start(db->loop, &db->replanned);
    pthread_mutex_lock(&mutex);
    if (LIST_EMPTY(&all) && version == 0)
        plan = db->settings;
    LIST_INSERT_HEAD(&all, db, planned);
    if (version)
        ev_async_send(db->loop, &db->replanned);
    pthread_mutex_unlock(&mutex);
}

void plan_leave(struct db *db)
{
    pthread_mutex_lock(&mutex);
    LIST_REMOVE(db, planned);
    pthread_mutex_unlock(&mutex);
    ev_async_stop(db->loop, &db->replanned);
}

/* Under the mutex. */
static void changed(void)
{
    struct db *db;

    version++;
    LIST_FOREACH(db, &all, planned)
        ev_async_send(db->loop, &db->replanned);
}

static struct db_line *find(const char *name)
{
    for (int i = 0; i < plan.server_count; i++)
        if (strcmp(plan.servers[i].name, name) == 0)
            return &plan.servers[i];
    return NULL;
}

void plan_replace(const struct db_settings *settings)
{
    pthread_mutex_lock(&mutex);
    struct db_settings next = *settings;
    for (int i = 0; i < next.server_count; i++) {
        const struct db_line *was = find(next.servers[i].name);
        next.servers[i].is_drained = was && was->is_drained;
    }
    plan = next;
    changed();
    pthread_mutex_unlock(&mutex);
}

bool plan_drain(const char *name, bool is_drained, struct error *error)
{
    pthread_mutex_lock(&mutex);
    struct db_line *line = find(name);
    if (line && line->is_drained != is_drained) {
        line->is_drained = is_drained;
        changed();
    }
    pthread_mutex_unlock(&mutex);
    return line || error_set(error, ERROR_NOT_FOUND, "there is no server \"%s\"", name);
}

bool plan_add(const char *text, struct error *error)
{
    char name[DB_NAME_MAX];

    pthread_mutex_lock(&mutex);
    struct db_settings next = plan;
    for (int i = 1; snprintf(name, sizeof(name), "replica-%d", i), find(name); i++)
        ;
    bool is_ok = db_line_parse(text, name, next.servers, &next.server_count, error);
    if (is_ok) {
        plan = next;
        changed();
    }
    pthread_mutex_unlock(&mutex);
    return is_ok;
}

bool plan_remove(const char *name, struct error *error)
{
    pthread_mutex_lock(&mutex);
    struct db_line *line = find(name);
    bool is_ok = line && plan.server_count > 1;
    if (is_ok) {
        memmove(line, line + 1, sizeof(*line) * (size_t)(&plan.servers[plan.server_count] - line - 1));
        plan.server_count--;
        changed();
    } else if (line) {
        error_set(error, ERROR_CONFLICT, "\"%s\" is the only server", name);
    } else {
        error_set(error, ERROR_NOT_FOUND, "there is no server \"%s\"", name);
    }
    pthread_mutex_unlock(&mutex);
    return is_ok;
}
