#include "db/report.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "db/private.h"

enum { LOOPS_MAX = 256 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct db *all[LOOPS_MAX]; /* under the mutex, as are their reports */
static int count;

static struct db_server_report server_report(const struct db_server *server, int64_t now_us)
{
    const struct db *db = server->db;
    struct db_pool_counts pool = db_pool_count(server->pool);
    struct db_server_report report = {
        .weight = server->line.weight,
        .is_leader = db_server_is_leader(server),
        .is_known = server->is_known,
        .is_standby = server->is_standby,
        .is_healthy = server->health != HEALTH_BAD && db_pool_is_ready(server->pool),
        .is_drained = server->line.is_drained,
        .is_leaving = server->is_leaving,
        .is_late = server->is_late,
        .timeline = server->timeline,
        .lsn = server->lsn,
        .connections = pool.open,
        .busy = pool.busy,
        .in_flight = pool.in_flight,
        .behind = pool.behind,
        .latency_us = latency_at(&server->latency, now_us),
        .reads = server->reads,
        .failures = server->failures,
        .retries = server->retries,
        .error_rate = server->error_rate,
        .took_us = server->took_us,
        .breaker = server->breaker.state,
        .fault = server->fault,
        .health_since_us = server->health == HEALTH_BAD ? server->health_since_us : 0,
        .fault_since_us = server->fault != LEADER_FINE ? server->fault_since_us : 0,
        .late_since_us = server->is_late ? server->late_since_us : 0,
        .loops = 1,
    };

    if (server->is_standby && server->is_known) {
        report.lag_bytes = lag_bytes(&db->lag, server->lsn);
        report.lag_us = lag_us(&db->lag, server->lsn, now_us);
    }
    memcpy(report.name, server->line.name, sizeof(report.name));
    memcpy(report.zone, server->line.zone, sizeof(report.zone));
    return report;
}

void report_publish(struct db *db)
{
    int64_t now_us = clock_monotonic_us();
    bool is_there = false;

    pthread_mutex_lock(&mutex);
    struct db_report *report = &db->report;
    report->loops = 1;
    report->loops_writable = db_can_write(db);
    report->leaderless_since_us = db->leaderless_since_us;
    report->epoch = db->epoch;
    report->timeline = db->timeline;
    report->waiting_for_room = db->for_room.count;
    report->waiting_for_position = db->for_position.count;
    report->reads = db->reads;
    report->retries = db->retries;
    report->shed = db->shed;
    report->behind = db->behind;
    report->server_count = 0;
    for (int i = 0; i < db->server_count; i++)
        report->servers[report->server_count++] = server_report(db->servers[i], now_us);
    for (int i = 0; i < count && !is_there; i++)
        is_there = all[i] == db;
    if (!is_there && count < LOOPS_MAX)
        all[count++] = db;
    pthread_mutex_unlock(&mutex);
}

void report_leave(struct db *db)
{
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < count; i++)
        if (all[i] == db) {
            all[i] = all[--count];
            break;
        }
    pthread_mutex_unlock(&mutex);
}

/* The earliest of those that are set. */
static void since(int64_t *sum, int64_t at_us)
{
    if (at_us && (*sum == 0 || at_us < *sum))
        *sum = at_us;
}

static void server_add(struct db_server_report *sum, const struct db_server_report *one)
{
    sum->is_leader = sum->is_leader || one->is_leader;
    sum->is_known = sum->is_known || one->is_known;
    sum->is_healthy = sum->is_healthy && one->is_healthy;
    sum->is_late = sum->is_late || one->is_late;
    /* What is newest is right. */
    if (one->lsn > sum->lsn) {
        sum->lsn = one->lsn;
        sum->timeline = one->timeline;
        sum->is_standby = one->is_standby;
    }
    if (one->lag_bytes < sum->lag_bytes)
        sum->lag_bytes = one->lag_bytes;
    if (one->lag_us < sum->lag_us)
        sum->lag_us = one->lag_us;
    sum->connections += one->connections;
    sum->busy += one->busy;
    sum->in_flight += one->in_flight;
    sum->behind += one->behind;
    sum->latency_us = (sum->latency_us * sum->loops + one->latency_us) / (sum->loops + 1);
    sum->error_rate = (sum->error_rate * sum->loops + one->error_rate) / (sum->loops + 1);
    sum->reads += one->reads;
    sum->failures += one->failures;
    sum->retries += one->retries;
    sum->took_us += one->took_us;
    if (one->breaker == BREAKER_OPEN || sum->breaker == BREAKER_CLOSED)
        sum->breaker = one->breaker;
    if (sum->fault == LEADER_FINE)
        sum->fault = one->fault;
    since(&sum->health_since_us, one->health_since_us);
    since(&sum->fault_since_us, one->fault_since_us);
    since(&sum->late_since_us, one->late_since_us);
    sum->loops++;
}

void db_report(struct db_report *sum)
{
    memset(sum, 0, sizeof(*sum));
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < count; i++) {
        const struct db_report *one = &all[i]->report;
        sum->loops++;
        sum->loops_writable += one->loops_writable;
        since(&sum->leaderless_since_us, one->leaderless_since_us);
        sum->epoch = one->epoch > sum->epoch ? one->epoch : sum->epoch;
        sum->timeline = one->timeline > sum->timeline ? one->timeline : sum->timeline;
        sum->waiting_for_room += one->waiting_for_room;
        sum->waiting_for_position += one->waiting_for_position;
        sum->reads += one->reads;
        sum->retries += one->retries;
        sum->shed += one->shed;
        sum->behind += one->behind;
        for (int s = 0; s < one->server_count; s++) {
            int at = 0;
            while (at < sum->server_count && strcmp(sum->servers[at].name, one->servers[s].name) != 0)
                at++;
            if (at < sum->server_count)
                server_add(&sum->servers[at], &one->servers[s]);
            else if (at < DB_SERVERS_MAX)
                sum->servers[sum->server_count++] = one->servers[s];
        }
    }
    pthread_mutex_unlock(&mutex);
}
