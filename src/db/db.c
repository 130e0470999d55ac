/*
 * db.c -- the loop's db: its servers, who of them leads, and the timer that keeps them. See private.h for the other
 * files.
 */
#include "db/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/magic.h"
#include "db/primary_clock.h"
#include "db/private.h"

bool db_settings_servers(struct db_settings *settings, const char *primary, const char *const *replicas,
                         int replica_count, struct error *error)
{
    char name[DB_NAME_MAX];

    settings->server_count = 0;
    if (!db_line_parse(primary, "primary", settings->servers, &settings->server_count, error))
        return false;
    for (int i = 0; i < replica_count; i++) {
        snprintf(name, sizeof(name), "replica-%d", i + 1);
        if (!db_line_parse(replicas[i], name, settings->servers, &settings->server_count, error))
            return false;
    }
    return true;
}

/* ---- who leads ---- */

static void leader_elect_again(struct db *db)
{
    struct leader_candidate candidates[DB_SERVERS_MAX];
    enum leader_fault faults[DB_SERVERS_MAX];
    int current = -1;

    for (int i = 0; i < db->server_count; i++) {
        const struct db_server *server = db->servers[i];
        candidates[i] = (struct leader_candidate){server->is_known, server->is_standby, server->timeline,
                                                  server->cluster, server->start_us};
        if (server == db->leader)
            current = i;
    }
    int elected = history_elect(candidates, db->server_count, current, faults);
    for (int i = 0; i < db->server_count; i++) {
        struct db_server *server = db->servers[i];
        if (server->fault == faults[i])
            continue;
        if (faults[i] != LEADER_FINE)
            log_error("server-fenced", LOG_TEXT("server", server->line.name),
                      LOG_TEXT("because", leader_fault_name(faults[i])), LOG_INT("timeline", server->timeline));
        server->fault = faults[i];
        server->fault_since_us = clock_realtime_us();
    }
    struct db_server *leader = elected >= 0 ? db->servers[elected] : NULL;
    if (leader == db->leader)
        return;
    log_info("leader", LOG_TEXT("server", leader ? leader->line.name : "none"),
             LOG_TEXT("was", db->leader ? db->leader->line.name : "none"),
             LOG_INT("timeline", leader ? leader->timeline : 0));
    db->leader = leader;
    db->leaderless_since_us = leader ? 0 : clock_realtime_us();
    writers_redirect(db);
    if (leader)
        db_pool_refresh(leader->pool);
}

static void epoch_enter(struct db *db, int epoch, int timeline)
{
    history_enter(epoch);
    if (epoch != db->epoch) {
        log_info("epoch", LOG_INT("epoch", epoch), LOG_INT("was", db->epoch));
        db->epoch = epoch;
        primary_clock_forget();
        /* Positions of the old history mean nothing in the new one, and the standbys are to show that they follow
         * it. */
        lag_forget(&db->lag);
        for (int i = 0; i < db->server_count; i++)
            db->servers[i]->next_us = 0;
    }
    db->timeline = timeline;
}

/* ---- servers come and go ---- */

static int id_free(const struct db *db)
{
    uint64_t taken = 0;

    for (int i = 0; i < db->server_count; i++)
        taken |= 1ULL << db->servers[i]->id;
    for (int i = 0; i < db->leaving_count; i++)
        taken |= 1ULL << db->leaving[i]->id;
    for (int id = 0; id < SERVER_IDS; id++)
        if (!(taken >> id & 1))
            return id;
    ASSERT(false); /* SERVER_IDS is twice DB_SERVERS_MAX */
    return 0;
}

static const struct db_line *line_find(const struct db_settings *settings, const struct db_line *line)
{
    for (int i = 0; i < settings->server_count; i++)
        if (strcmp(settings->servers[i].name, line->name) == 0 &&
            strcmp(settings->servers[i].conninfo, line->conninfo) == 0 &&
            settings->servers[i].is_pooled == line->is_pooled)
            return &settings->servers[i];
    return NULL;
}

static void server_leave(struct db *db, int index)
{
    struct db_server *server = db->servers[index];

    log_info("server-removed", LOG_TEXT("server", server->line.name));
    server->is_leaving = true;
    memmove(&db->servers[index], &db->servers[index + 1],
            sizeof(db->servers[0]) * (size_t)(db->server_count - index - 1));
    db->server_count--;
    db->leaving[db->leaving_count++] = server;
}

static void plan_apply(struct db *db, const struct db_settings *settings)
{
    struct db_server *leader = db->leader;

    for (int i = db->server_count - 1; i >= 0; i--) {
        const struct db_line *line = line_find(settings, &db->servers[i]->line);
        if (!line && db->leaving_count == DB_SERVERS_MAX)
            continue; /* too many are still busy: the next plan finds it again */
        if (line)
            db_server_retune(db->servers[i], line);
        else
            server_leave(db, i);
    }
    for (int i = 0; i < settings->server_count; i++) {
        bool is_there = false;
        for (int s = 0; s < db->server_count; s++)
            is_there = is_there || strcmp(db->servers[s]->line.name, settings->servers[i].name) == 0;
        if (!is_there && db->server_count < DB_SERVERS_MAX)
            db->servers[db->server_count++] = db_server_new(db, &settings->servers[i], id_free(db));
    }
    if (leader && leader->is_leaving) {
        db->leader = NULL;
        db->leaderless_since_us = clock_realtime_us();
        writers_redirect(db);
    }
    leader_elect_again(db);
    reads_look(db);
    reads_pump(db);
}

static void on_tick(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct db *db = watcher->data;
    int64_t now_us = clock_monotonic_us();

    (void)loop;
    (void)events;
    ASSERT_MAGIC(db, DB_MAGIC);
    if (db_lsn(db) > 0)
        lag_note(&db->lag, db_lsn(db), now_us); /* the leader has at least what it acknowledged */
    for (int i = 0; i < db->server_count; i++) {
        db_server_tick(db->servers[i], now_us);
        reads_tick(db, db->servers[i], now_us);
    }
    for (int i = db->leaving_count - 1; i >= 0; i--) {
        db_server_tick(db->leaving[i], now_us);
        if (!db_server_is_idle(db->leaving[i]))
            continue;
        db_server_free(&db->leaving[i]);
        db->leaving[i] = db->leaving[--db->leaving_count];
    }
    db_servers_compare(db, now_us);
    report_publish(db);
}

/* ---- life ---- */

static void on_soon(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct db *db = watcher->data;

    (void)loop;
    (void)events;
    ASSERT_MAGIC(db, DB_MAGIC);
    reads_look(db);
    reads_pump(db);
}

static const struct db_upwards upwards = {
    .answered = leader_elect_again,
    .entered = epoch_enter,
    .replanned = plan_apply,
    .moved = reads_look,
    .has_room = reads_pump,
};

struct db *db_new(struct ev_loop *loop, const struct db_settings *settings)
{
    struct db *db = calloc(1, sizeof(*db));

    ASSERT(db != NULL && settings->write_connections <= DB_POOL_MAX && settings->read_connections <= DB_POOL_MAX);
    db->magic = DB_MAGIC;
    db->loop = loop;
    db->upwards = &upwards;
    db->settings = *settings;
    crypto_random(&db->random, sizeof(db->random));
    db->random |= 1;
    budget_init(&db->budget, clock_monotonic_us());
    TAILQ_INIT(&db->for_room.reads);
    TAILQ_INIT(&db->for_position.reads);
    db->leaderless_since_us = clock_realtime_us();
    ev_timer_init(&db->tick, on_tick, TICK_MS / 1000.0, TICK_MS / 1000.0);
    ev_timer_init(&db->soon, on_soon, SOON_MS / 1000.0, SOON_MS / 1000.0);
    db->tick.data = db->soon.data = db;
    ev_timer_start(loop, &db->tick);
    writers_new(db);
    for (int i = 0; i < settings->server_count; i++)
        db->servers[db->server_count++] = db_server_new(db, &settings->servers[i], i);
    plan_join(db);
    return db;
}

void db_free(struct db **pdb)
{
    struct db *db = *pdb;

    if (!db)
        return;
    db->is_closing = true;
    plan_leave(db);
    report_leave(db);
    ev_timer_stop(db->loop, &db->tick);
    writers_free(db);
    /* What they were asked is answered now; whoever hears it must not find one that is gone. */
    db->leader = NULL;
    while (db->server_count > 0) {
        struct db_server *server = db->servers[--db->server_count];
        db_server_free(&server);
    }
    while (db->leaving_count > 0) {
        struct db_server *server = db->leaving[--db->leaving_count];
        db_server_free(&server);
    }
    reads_give_up(db);
    ev_timer_stop(db->loop, &db->soon);
    db->magic = 0;
    free(db);
    *pdb = NULL;
}

/* ---- asking ---- */

int db_epoch(const struct db *db)
{
    return db->epoch;
}

int db_timeline(const struct db *db)
{
    return db->timeline;
}

bool db_chooses_by_client(const struct db *db)
{
    return db->settings.balance == CHOICE_CLIENT_HASH;
}

int db_replica_count(const struct db *db)
{
    return db->server_count - 1;
}

int db_replicas_ready(const struct db *db)
{
    int ready = 0;

    for (int i = 0; i < db->server_count; i++)
        ready += db_server_is_fit(db->servers[i], false, clock_monotonic_us());
    return ready;
}

bool db_write(struct db *db, const struct db_call *calls, int count, db_done_fn *done, void *context)
{
    struct db_connection *c = db->leader && !db->is_closing ? db_pool_pick(db->leader->pool, true) : NULL;

    return c && !db_connection_is_standby(c) && db_connection_send(c, calls, count, done, context);
}
