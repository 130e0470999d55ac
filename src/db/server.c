/*
 * server.c -- one server: asked how it is over a connection of its own, and judged by that and by how its reads went.
 *
 * Asked every health_interval_ms (more often while nobody leads), at once when its connection was made, and when
 * something about it changed. A check fails when no answer comes within health_timeout_ms or no connection can be made.
 * The position of a standby is also learned from each read that was refused for it, and asked for while reads wait.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/magic.h"
#include "db/private.h"
#include "db/random.h"

enum { LEADERLESS_INTERVAL_MS = 500, EVIDENCE_CHECKS = 3, ERROR_RATE_READS = 100 };

/* ---- judging ---- */

static const char *health_name(enum health health)
{
    static const char *const names[] = {"unknown", "good", "bad"};

    return names[health];
}

/*
 *   UNKNOWN --a check succeeds--> GOOD --unhealthy_after in a row fail--> BAD
 *      |                           ^                                      ^ |
 *      |                           +---- healthy_after in a row succeed --|-+
 *      +------------------- unhealthy_after in a row fail ----------------+
 *
 * Nothing leads back to UNKNOWN. How a server does with its reads is another machine: breaker.h.
 */
static void health_set(struct db_server *server, enum health health)
{
    if (server->health == health)
        return;
    ASSERT(health != HEALTH_UNKNOWN);
    if (health == HEALTH_BAD || server->health == HEALTH_BAD)
        log_warn("server-health", LOG_TEXT("server", server->line.name), LOG_TEXT("health", health_name(health)),
                 LOG_TEXT("was", health_name(server->health)));
    server->health = health;
    server->health_since_us = clock_realtime_us();
}

static void check_failed(struct db_server *server)
{
    const struct db_settings *settings = &server->db->settings;

    server->good = 0;
    server->bad++;
    if (server->bad >= settings->unhealthy_after)
        health_set(server, HEALTH_BAD);
    if (server->is_known && server->bad >= EVIDENCE_CHECKS) {
        server->is_known = false; /* what it said of itself may have changed meanwhile */
        server->db->upwards->answered(server->db);
    }
}

static void check_succeeded(struct db_server *server)
{
    server->bad = 0;
    server->good++;
    if (server->health != HEALTH_BAD || server->good >= server->db->settings.healthy_after)
        health_set(server, HEALTH_GOOD);
}

/* Late from the limit on, until it is down to half of it. */
static void lateness_judge(struct db_server *server, int64_t now_us)
{
    struct db *db = server->db;
    const struct db_settings *settings = &db->settings;
    int64_t bytes = lag_bytes(&db->lag, server->lsn), us = lag_us(&db->lag, server->lsn, now_us);
    int part = server->is_late ? 2 : 1;
    bool is_late = (settings->max_lag_bytes && bytes > settings->max_lag_bytes / part) ||
                   (settings->max_lag_ms && us > settings->max_lag_ms * 1000LL / part) || server->epoch < db->epoch;

    if (!server->is_known || !server->is_standby)
        is_late = false;
    if (is_late == server->is_late)
        return;
    if (!is_late)
        log_info("replica-in-time", LOG_TEXT("server", server->line.name));
    else if (server->epoch < db->epoch) /* as each is for a moment after a promotion */
        log_info("replica-late", LOG_TEXT("server", server->line.name), LOG_INT("epoch", server->epoch));
    else
        log_warn("replica-late", LOG_TEXT("server", server->line.name), LOG_INT("lag_bytes", bytes),
                 LOG_INT("lag_ms", us / 1000));
    server->is_late = is_late;
    server->late_since_us = clock_realtime_us();
}

void db_server_moved(struct db_server *server, int epoch, int64_t lsn)
{
    if (lsn > server->lsn || epoch != server->epoch)
        server->behind_us = 0;
    server->db->has_moved = server->db->has_moved || lsn > server->lsn || epoch != server->epoch;
    server->lsn = lsn;
    server->epoch = epoch;
    lateness_judge(server, clock_monotonic_us());
}

struct db_server *db_server_of(struct db *db, int id)
{
    for (int i = 0; i < db->server_count; i++)
        if (db->servers[i]->id == id)
            return db->servers[i];
    return NULL;
}

bool db_server_is_leader(const struct db_server *server)
{
    return server->db->leader == server;
}

bool db_server_is_mute(const struct db_server *server, int64_t now_us)
{
    return server->is_asked && now_us - server->asked_us > server->db->settings.stall_ms * 1000LL;
}

bool db_server_is_fit(const struct db_server *server, bool is_desperate, int64_t now_us)
{
    if (server->is_leaving || server->cluster == 0 || !server->is_standby || server->epoch < server->db->epoch ||
        server->fault != LEADER_FINE || !db_pool_is_ready(server->pool))
        return false;
    if (is_desperate)
        return server->health != HEALTH_BAD || !server->db->leader;
    if (db_server_is_mute(server, now_us) && server->breaker.state != BREAKER_CLOSED)
        return false; /* a trial is for a server that at least answers when it is asked how it is */
    return !server->line.is_drained && server->health != HEALTH_BAD && !server->is_late &&
           breaker_allows(&server->breaker, now_us);
}

bool db_can_read(const struct db *db)
{
    bool can = db->leader && db_pool_is_ready(db->leader->pool);

    for (int i = 0; i < db->server_count && !can; i++)
        can = db_server_is_fit(db->servers[i], true, clock_monotonic_us());
    return can;
}

static struct breaker_limits limits_of(const struct db *db)
{
    return (struct breaker_limits){db->settings.breaker_failures, db->settings.breaker_pause_ms,
                                   db->settings.breaker_pause_max_ms};
}

static void proof_note(struct db_server *server, int64_t sent_us)
{
    if (server->proved_us < sent_us)
        server->proved_us = sent_us;
}

static void time_note(struct db_server *server, int64_t took_us, int64_t now_us)
{
    latency_note(&server->latency, took_us, now_us);
    server->took_us += took_us;
    outlier_note(&server->recent, took_us);
}

void db_server_succeeded(struct db_server *server, const struct attempt *attempt, int64_t now_us)
{
    struct breaker_limits limits = limits_of(server->db);
    bool was_open = server->breaker.state != BREAKER_CLOSED;
    int64_t took_us = now_us - attempt->sent_us;

    proof_note(server, attempt->sent_us);
    server->timed_out = 0;
    time_note(server, took_us, now_us);
    if (attempt->is_trial && server->trial_limit_us > 0 && took_us > server->trial_limit_us) {
        breaker_failed(&server->breaker, &limits, true, random_unit(&server->db->random), now_us);
        log_warn("server-left-alone", LOG_TEXT("server", server->line.name),
                 LOG_TEXT("because", "it is as slow as before"), LOG_INT("took_us", took_us),
                 LOG_INT("openings", server->breaker.openings));
        return;
    }
    server->error_rate -= server->error_rate / ERROR_RATE_READS;
    breaker_succeeded(&server->breaker, attempt->is_trial, now_us);
    if (server->breaker.state == BREAKER_CLOSED)
        server->trial_limit_us = 0;
    if (was_open && server->breaker.state == BREAKER_CLOSED) {
        server->latency = (struct latency){(double)took_us, now_us}; /* not as slow as it was when it was left */
        log_info("server-taken-back", LOG_TEXT("server", server->line.name));
    }
}

/* At most half of the servers, but one at least, are left alone for how they did: the others would not bear the
 * load. */
static bool may_eject(const struct db_server *server)
{
    const struct db *db = server->db;
    int ejected = 0;

    for (int i = 0; i < db->server_count; i++)
        ejected += db->servers[i] != server && db->servers[i]->breaker.state != BREAKER_CLOSED;
    return ejected == 0 || 2 * (ejected + 1) <= db->server_count;
}

void db_server_failed(struct db_server *server, const struct attempt *attempt, bool is_lost, int64_t now_us)
{
    struct breaker_limits limits = limits_of(server->db);

    server->failures++;
    server->error_rate += (1.0 - server->error_rate) / ERROR_RATE_READS;
    db_server_check(server);
    /* A leader whose connections broke is asked again as soon as there is one: nobody can take its place. */
    if (!attempt->is_trial && (!may_eject(server) || (is_lost && db_server_is_leader(server))))
        return;
    if (breaker_failed(&server->breaker, &limits, attempt->is_trial, random_unit(&server->db->random), now_us))
        log_warn("server-left-alone", LOG_TEXT("server", server->line.name), LOG_TEXT("because", "its reads fail"),
                 LOG_INT("openings", server->breaker.openings));
}

void db_server_timed_out(struct db_server *server, const struct attempt *attempt, int64_t now_us)
{
    int statement = 1 + (int)attempt->statement;

    if (attempt->is_trial) {
        db_server_failed(server, attempt, false, now_us);
        return;
    }
    if (server->timed_out && server->timed_out != statement)
        time_note(server, now_us - attempt->sent_us, now_us);
    server->timed_out = statement;
}

static void server_stalled(struct db_server *server, bool is_trial, int64_t now_us)
{
    struct breaker_limits limits = limits_of(server->db);

    db_server_check(server);
    if (!is_trial && (server->breaker.state != BREAKER_CLOSED || !may_eject(server)))
        return;
    breaker_trip(&server->breaker, &limits, random_unit(&server->db->random), now_us);
    log_warn("server-left-alone", LOG_TEXT("server", server->line.name),
             LOG_TEXT("because", "its reads do not come back"), LOG_INT("openings", server->breaker.openings));
}

/* The server is asked how it is shortly before the attempt has stalled. If it answers, the statement takes long; if it does
 * not answer that either, for half as long, it is left alone. */
void db_attempt_judge(struct attempt *attempt, int64_t stall_us, int64_t now_us)
{
    struct db_server *server = attempt->server;
    bool is_trial = attempt->is_trial;

    attempt->is_judged = server->proved_us > attempt->sent_us;
    if (attempt->is_judged)
        return;
    db_server_check(server);
    if (now_us - attempt->sent_us <= stall_us || (server->is_asked && now_us - server->asked_us <= stall_us / 2))
        return;
    attempt->is_judged = true;
    attempt->is_trial = false;
    server_stalled(server, is_trial, now_us);
}

/* The leader is no replica's measure: it has the writes. */
void db_servers_compare(struct db *db, int64_t now_us)
{
    struct outlier_sum sums[DB_SERVERS_MAX];
    struct breaker_limits limits = limits_of(db);
    int64_t limit_us = 0;

    _Static_assert((int)DB_SERVERS_MAX <= (int)OUTLIER_SERVERS_MAX, "there is a place for each");
    if (now_us - db->compared_us < db->settings.health_interval_ms * 1000LL)
        return;
    db->compared_us = now_us;
    for (int i = 0; i < db->server_count; i++) {
        bool is_judged = !db_server_is_leader(db->servers[i]) && db->servers[i]->breaker.state == BREAKER_CLOSED;
        if (!is_judged)
            db->servers[i]->recent = (struct outlier_window){0};
        sums[i] = outlier_look(&db->servers[i]->recent, now_us);
    }
    int worst = outlier_find(sums, db->server_count, db->settings.outlier_factor, db->settings.outlier_min_ms * 1000LL,
                             &limit_us);
    if (worst < 0 || !may_eject(db->servers[worst]))
        return;
    struct db_server *server = db->servers[worst];
    server->trial_limit_us = limit_us;
    breaker_trip(&server->breaker, &limits, random_unit(&db->random), now_us);
    log_warn("server-left-alone", LOG_TEXT("server", server->line.name),
             LOG_TEXT("because", "it takes much longer than the others"),
             LOG_INT("mean_us", sums[worst].took_us / sums[worst].count), LOG_INT("limit_us", limit_us),
             LOG_INT("openings", server->breaker.openings));
}

/* ---- asking ---- */

static void on_check(void *context, const struct db_outcome *outcome)
{
    struct db_server *server = context;

    ASSERT_MAGIC(server, SERVER_MAGIC);
    struct db *db = server->db;
    struct db_rows rows = outcome->rows[0];

    server->is_asked = false;
    if (db->is_closing)
        return;
    if (outcome->error.code == ERROR_NONE)
        proof_note(server, server->asked_us);
    if (outcome->error.code != ERROR_NONE) {
        log_warn("server-check-failed", LOG_TEXT("server", server->line.name),
                 LOG_TEXT("because", outcome->error.message));
        check_failed(server);
        return;
    }
    bool was_standby = server->is_standby, was_known = server->is_known;
    server->is_standby = db_bool(rows, 0, 0);
    int64_t lsn = db_int64(rows, 0, 1);
    server->timeline = (int)db_int64(rows, 0, 2);
    server->cluster = db_int64(rows, 0, 3);
    server->start_us = db_int64(rows, 0, 5);
    server->heard_us = clock_monotonic_us();
    server->is_known = true;
    if (!was_known || was_standby != server->is_standby)
        log_info("server-role", LOG_TEXT("server", server->line.name),
                 LOG_TEXT("role", server->is_standby ? "standby" : "primary"), LOG_INT("timeline", server->timeline));
    check_succeeded(server);
    db->upwards->answered(db);
    if (db_server_is_leader(server) && server->breaker.state == BREAKER_OPEN)
        server->breaker.until_us = 0; /* the trial may be now */
    if (db_server_is_leader(server))
        lag_note(&db->lag, lsn, server->heard_us);
    db_server_moved(server, (int)db_int64(rows, 0, 4), lsn);
    for (int i = 0; db_server_is_leader(server) && i < db->server_count; i++)
        lateness_judge(db->servers[i], server->heard_us);
    db->upwards->moved(db);
    db->upwards->has_room(db);
}

void db_server_check(struct db_server *server)
{
    const struct db_call call = {.statement = STATEMENT_server_check, .is_last_of_transaction = true};

    if (server->is_asked || server->db->is_closing || !db_connection_send(server->probe, &call, 1, on_check, server))
        return;
    server->is_asked = true;
    server->asked_us = clock_monotonic_us();
}

static void on_position(void *context, const struct db_outcome *outcome)
{
    struct db_server *server = context;

    ASSERT_MAGIC(server, SERVER_MAGIC);
    server->is_polled = false;
    if (outcome->error.code != ERROR_NONE || server->db->is_closing)
        return;
    db_server_moved(server, (int)db_int64(outcome->rows[0], 0, 2), db_int64(outcome->rows[0], 0, 1));
    server->db->upwards->moved(server->db);
}

void db_server_poll(struct db_server *server)
{
    const struct db_call call = {.statement = STATEMENT_replay_covers,
                                 .parameter_count = 2,
                                 .is_last_of_transaction = true,
                                 .parameters = {{.data = "0", .format = DB_TEXT}, {.data = "0", .format = DB_TEXT}}};

    if (!server->is_polled && !server->db->is_closing && server->is_standby)
        server->is_polled = db_connection_send(server->probe, &call, 1, on_position, server);
}

static void probe_changed(void *context, struct db_connection *connection, bool is_ready)
{
    struct db_server *server = context;

    (void)connection;
    ASSERT_MAGIC(server, SERVER_MAGIC);
    if (server->db->is_closing || server->is_leaving || !is_ready)
        return;
    db_server_check(server);
    db_pool_hurry(server->pool); /* it is there again */
    if (db_server_is_leader(server))
        for (int i = 0; i < server->db->settings.write_connections; i++)
            db_connection_hurry(server->db->writers[i].connection);
}

static void pool_changed(void *context, struct db_connection *connection, bool is_ready)
{
    struct db_server *server = context;

    (void)connection;
    ASSERT_MAGIC(server, SERVER_MAGIC);
    if (server->db->is_closing || server->is_leaving)
        return;
    if (is_ready)
        server->db->upwards->has_room(server->db);
    else
        db_server_check(server);
}

void db_server_tick(struct db_server *server, int64_t now_us)
{
    const struct db *db = server->db;
    int64_t interval_ms = db->settings.health_interval_ms;

    db_pool_tick(server->pool, now_us);
    if (server->is_leaving)
        return;
    if (!db->leader && interval_ms > LEADERLESS_INTERVAL_MS)
        interval_ms = LEADERLESS_INTERVAL_MS;
    if (server->next_us > now_us + interval_ms * 1000)
        server->next_us = now_us + interval_ms * 1000;
    if (now_us < server->next_us)
        return;
    server->next_us = now_us + interval_ms * 1000;
    if (!db_connection_is_ready(server->probe))
        check_failed(server);
    else
        db_server_check(server);
}

/* ---- life ---- */

static struct db_pool_settings pool_settings_of(const struct db_server *server)
{
    const struct db_settings *settings = &server->db->settings;
    const struct db_line *line = &server->line;

    return (struct db_pool_settings){
        .connection = {.conninfo = line->conninfo,
                       .name = line->name,
                       .is_pooled = line->is_pooled,
                       .connect_timeout_ms = settings->connect_timeout_ms,
                       .statement_timeout_ms = settings->statement_timeout_ms,
                       .tcp_user_timeout_ms = settings->tcp_user_timeout_ms,
                       .reconnect_max_ms = settings->reconnect_max_ms,
                       .changed = pool_changed,
                       .changed_context = (void *)server},
        .min = line->connections_min >= 0 ? line->connections_min : settings->read_connections_min,
        .max = line->connections ? line->connections : settings->read_connections,
        .depth = settings->pipeline_max,
        .idle_ms = settings->connection_idle_ms,
        .lifetime_ms = settings->connection_lifetime_ms,
    };
}

struct db_server *db_server_new(struct db *db, const struct db_line *line, int id)
{
    struct db_server *server = calloc(1, sizeof(*server));
    uint8_t hash[HASH_SIZE];

    ASSERT(server != NULL);
    server->magic = SERVER_MAGIC;
    server->db = db;
    server->line = *line;
    server->id = id;
    TAILQ_INIT(&server->attempts);
    hash_bytes(slice_of(line->name), hash);
    memcpy(&server->name_hash, hash, sizeof(server->name_hash));
    const struct db_pool_settings pool = pool_settings_of(server);
    server->pool = db_pool_new(db->loop, &pool);
    struct db_connection_settings probe = pool.connection;
    probe.answer_timeout_ms = db->settings.health_timeout_ms;
    probe.changed = probe_changed;
    server->probe = db_connection_new(db->loop, &probe);
    server->next_us = clock_monotonic_us() + db->settings.health_interval_ms * 1000LL;
    return server;
}

void db_server_retune(struct db_server *server, const struct db_line *line)
{
    server->line = *line; /* the connection string is the same one */
    const struct db_pool_settings pool = pool_settings_of(server);
    db_pool_resize(server->pool, &pool);
}

bool db_server_is_idle(const struct db_server *server)
{
    return TAILQ_EMPTY(&server->attempts) && db_pool_count(server->pool).in_flight == 0 &&
           db_connection_pending(server->probe) == 0;
}

void db_server_free(struct db_server **pserver)
{
    struct db_server *server = *pserver;

    db_connection_free(&server->probe);
    db_pool_free(&server->pool);
    ASSERT(TAILQ_EMPTY(&server->attempts));
    server->magic = 0;
    free(server);
    *pserver = NULL;
}
