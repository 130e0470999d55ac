/*
 * servers.c -- the database servers: what they do, what is wrong, and what the operator wants of them.
 *
 * Looking is open, like /metrics. Changing takes a bearer token that only who has the server's secret can make.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/servers.h"
#include "base/assert.h"
#include "base/text.h"
#include "db/plan.h"
#include "db/report.h"
#include "http/json.h"
#include "store/worker_word.h"

void api_admin_token(struct slice secret, char out[static API_ADMIN_TOKEN_MAX])
{
    struct crypto_key key;
    uint8_t mac[CRYPTO_MAC_SIZE];

    crypto_derive(&key, secret, "ladder admin 1");
    crypto_mac(&key, SLICE("servers"), mac);
    text_hex_encode(mac, sizeof(mac), out);
}

static const char *role_of(const struct db_server_report *server)
{
    return server->is_leader    ? "primary"
           : !server->is_known  ? "unknown"
           : server->is_standby ? "replica"
                                : "primary, not written to";
}

static const char *state_of(const struct db_server_report *server)
{
    return server->is_leaving                  ? "leaving"
           : server->fault != LEADER_FINE      ? "fenced"
           : !server->is_healthy               ? "unhealthy"
           : server->is_drained                ? "drained"
           : server->is_late                   ? "late"
           : server->breaker != BREAKER_CLOSED ? "left alone"
                                               : "ok";
}

static void number(struct jsonw *json, const char *name, int64_t value)
{
    jsonw_key(json, name);
    jsonw_number(json, value);
}

static void text(struct jsonw *json, const char *name, const char *value)
{
    jsonw_key(json, name);
    jsonw_text(json, value);
}

static void server_render(struct jsonw *json, const struct db_server_report *server)
{
    jsonw_object_open(json);
    text(json, "name", server->name);
    text(json, "role", role_of(server));
    text(json, "state", state_of(server));
    if (server->zone[0])
        text(json, "zone", server->zone);
    number(json, "weight", server->weight);
    number(json, "timeline", server->timeline);
    if (server->is_standby) {
        number(json, "lag_bytes", server->lag_bytes);
        number(json, "lag_ms", server->lag_us / 1000);
    }
    number(json, "connections_used", server->busy);
    number(json, "connections_idle", server->connections - server->busy);
    number(json, "in_flight", server->in_flight);
    number(json, "waiting", server->behind);
    number(json, "latency_us", (int64_t)server->latency_us);
    number(json, "reads", server->reads);
    number(json, "failures", server->failures);
    number(json, "errors_permille", (int64_t)(server->error_rate * 1000.0 + 0.5));
    number(json, "retries", server->retries);
    text(json, "breaker", breaker_state_name(server->breaker));
    jsonw_object_close(json);
}

/* ---- replicas of Redis ---- */

static const char *redis_state_of(const struct kv_replica_tally *replica)
{
    return replica->loops_used ? "ok" : "left alone";
}

static void redis_render(struct jsonw *json)
{
    struct kv_replica_tally replicas[KV_REPLICA_TALLIES_MAX];
    size_t count = kv_replica_tallies(replicas);

    jsonw_key(json, "redis");
    jsonw_object_open(json);
    jsonw_key(json, "replicas");
    jsonw_array_open(json);
    for (size_t i = 0; i < count; i++) {
        jsonw_object_open(json);
        text(json, "name", replicas[i].name);
        text(json, "state", redis_state_of(&replicas[i]));
        number(json, "loops", replicas[i].loops);
        number(json, "loops_used", replicas[i].loops_used);
        number(json, "reads", replicas[i].reads);
        number(json, "behind", replicas[i].behind);
        number(json, "lost", replicas[i].lost);
        jsonw_object_close(json);
    }
    jsonw_array_close(json);
    jsonw_object_close(json);
}

static void redis_metrics_render(struct buf *body)
{
    struct kv_replica_tally replicas[KV_REPLICA_TALLIES_MAX];
    size_t count = kv_replica_tallies(replicas);
    static const struct {
        const char *name, *type, *help;
    } columns[] = {
        {"ladder_redis_replica_used", "gauge", "Loops that send reads to this replica of Redis now."},
        {"ladder_redis_replica_reads_total", "counter", "Reads that it answered."},
        {"ladder_redis_replica_behind_total", "counter", "Its answers that lacked something: the primary was asked."},
        {"ladder_redis_replica_lost_total", "counter", "Its answers that did not come: the primary was asked."},
    };

    for (size_t c = 0; c < ARRAY_SIZE(columns); c++) {
        buf_printf(body, "# HELP %s %s\n# TYPE %s %s\n", columns[c].name, columns[c].help, columns[c].name,
                   columns[c].type);
        for (size_t i = 0; i < count; i++) {
            const int64_t values[] = {replicas[i].loops_used, replicas[i].reads, replicas[i].behind, replicas[i].lost};
            buf_printf(body, "%s{server=\"%s\"} %lld\n", columns[c].name, replicas[i].name, (long long)values[c]);
        }
    }
}

static struct db_report *report_make(void)
{
    struct db_report *report = malloc(sizeof(*report));

    ASSERT(report != NULL);
    db_report(report);
    return report;
}

static void json_answer(struct api_call *call, struct buf *body)
{
    http_reply_header(call->http, "Cache-Control", "no-store");
    http_reply(call->http, 200, "application/json", body);
}

bool api_worker_is_silent(const struct api_call *call, char ret_text[static API_WORKER_TEXT_MAX])
{
    int64_t age_us, limit_us = api_settings_of(call->api)->worker_silent_after_ms * 1000;
    enum worker_word word = worker_word_get(call->store, &age_us);

    if (word == WORKER_UNKNOWN)
        strcpy(ret_text, "not known: Redis did not say");
    else if (word == WORKER_NEVER)
        strcpy(ret_text, "no sign of life");
    else if (age_us > limit_us)
        snprintf(ret_text, API_WORKER_TEXT_MAX, "no sign of life for %lld s", (long long)(age_us / 1000000));
    else
        strcpy(ret_text, "ok");
    return word == WORKER_NEVER || age_us > limit_us;
}

void api_performance(struct api_call *call)
{
    struct db_report *report = report_make();
    struct buf body;
    struct jsonw json;

    buf_init(&body, 1 << 20);
    jsonw_init(&json, &body);
    jsonw_object_open(&json);
    text(&json, "version", LADDER_VERSION);
    jsonw_key(&json, "database");
    jsonw_object_open(&json);
    number(&json, "loops", report->loops);
    number(&json, "loops_writable", report->loops_writable);
    number(&json, "epoch", report->epoch);
    number(&json, "timeline", report->timeline);
    number(&json, "waiting_for_room", report->waiting_for_room);
    number(&json, "waiting_for_replay", report->waiting_for_position);
    number(&json, "reads", report->reads);
    number(&json, "retries", report->retries);
    number(&json, "shed", report->shed);
    number(&json, "behind", report->behind);
    jsonw_key(&json, "servers");
    jsonw_array_open(&json);
    for (int i = 0; i < report->server_count; i++)
        server_render(&json, &report->servers[i]);
    jsonw_array_close(&json);
    jsonw_object_close(&json);
    redis_render(&json);
    jsonw_object_close(&json);
    json_answer(call, &body);
    free(report);
}

/* ---- alerts ---- */

static void alert(struct jsonw *json, const char *name, const char *severity, const char *server, const char *why,
                  int64_t since_us)
{
    jsonw_object_open(json);
    text(json, "alert", name);
    text(json, "severity", severity);
    if (server)
        text(json, "server", server);
    text(json, "why", why);
    if (since_us) {
        jsonw_key(json, "since");
        jsonw_time(json, since_us);
    }
    jsonw_object_close(json);
}

static void server_alerts(struct jsonw *json, const struct db_server_report *server)
{
    static const char *const faults[] = {
        [LEADER_REPLACED] =
            "it says that it is the primary, but one of a newer timeline took its place: stop it, or make it a standby",
        [LEADER_TWIN] =
            "two servers of one timeline both take writes: neither is written to; stop the one that is wrong",
        [LEADER_FOREIGN] = "it is of another cluster",
    };
    char why[128];

    if (server->is_leaving)
        return;
    if (server->fault != LEADER_FINE)
        alert(json, server->fault == LEADER_FOREIGN ? "foreign-server" : "split-brain", "critical", server->name,
              faults[server->fault], server->fault_since_us);
    else if (!server->is_healthy)
        alert(json, "server-unhealthy", "warning", server->name, "it does not answer", server->health_since_us);
    if (server->is_late) {
        snprintf(why, sizeof(why), "it lags %lld bytes, %lld ms, or follows another timeline",
                 (long long)server->lag_bytes, (long long)server->lag_us / 1000);
        alert(json, "replica-late", "warning", server->name, why, server->late_since_us);
    }
    if (server->breaker != BREAKER_CLOSED)
        alert(json, "server-left-alone", "warning", server->name,
              "its reads failed, did not come back or took far too long", 0);
}

static void redis_alerts(struct jsonw *json)
{
    struct kv_replica_tally replicas[KV_REPLICA_TALLIES_MAX];
    size_t count = kv_replica_tallies(replicas);

    for (size_t i = 0; i < count; i++) {
        if (!replicas[i].loops_used)
            alert(json, "redis-replica-left-alone", "warning", replicas[i].name,
                  "it does not answer, or lacks what the primary has", 0);
    }
}

void api_alerts(struct api_call *call)
{
    struct db_report *report = report_make();
    struct buf body;
    struct jsonw json;

    buf_init(&body, 1 << 20);
    jsonw_init(&json, &body);
    jsonw_object_open(&json);
    jsonw_key(&json, "alerts");
    jsonw_array_open(&json);
    if (report->leaderless_since_us)
        alert(&json, "no-primary", "critical", NULL, "no server takes writes", report->leaderless_since_us);
    else if (report->loops_writable < report->loops)
        alert(&json, "no-primary", "critical", NULL, "the primary is not reachable", 0);
    for (int i = 0; i < report->server_count; i++)
        server_alerts(&json, &report->servers[i]);
    if (!kv_is_trusted(store_kv(call->store)))
        alert(&json, "redis-not-trusted", "warning", NULL, "answers come from PostgreSQL", 0);
    else
        redis_alerts(&json);
    char worker[API_WORKER_TEXT_MAX];
    if (api_worker_is_silent(call, worker))
        alert(&json, "worker-silent", "warning", NULL, worker, 0);
    if (worker_failing(call->store)[0])
        alert(&json, "board-job-failed", "warning", NULL, worker_failing(call->store), 0);
    jsonw_array_close(&json);
    jsonw_object_close(&json);
    json_answer(call, &body);
    free(report);
}

/* ---- changing them ---- */

bool operator_check(const struct api_call *call, struct error *error)
{
    struct slice header = http_header(call->http, "Authorization");
    char token[API_ADMIN_TOKEN_MAX];

    api_admin_token(api_settings_of(call->api)->secret, token);
    return (header.size == 7 + strlen(token) && memcmp(header.data, "Bearer ", 7) == 0 &&
            crypto_equal(header.data + 7, token, strlen(token))) ||
           error_set(error, ERROR_UNAUTHORIZED,
                     "send what `ladder servers` makes of the server's secret as `Authorization: Bearer …`");
}

static bool change_apply(struct api_call *call, struct slice body, struct error *error)
{
    static const char *const names[] = {"drain", "undrain", "add", "remove", NULL};
    struct json_document document = {0};
    struct json_object root;
    struct slice value = {0};
    bool is_ok = json_document_parse(&document, body, error) && json_root_object(&document, &root, error) &&
                 json_object_only(&root, names, error);
    int which = -1;

    for (int i = 0; is_ok && names[i]; i++)
        if (json_has(&root, names[i])) {
            is_ok = which < 0 || error_set(error, ERROR_INVALID_BODY, "one change at a time");
            which = i;
        }
    if (is_ok && which < 0)
        is_ok = error_set(error, ERROR_INVALID_BODY, "the body names a change: drain, undrain, add or remove");
    is_ok = is_ok && json_read_text(&root, names[which], true, &value, error);
    const char *argument = is_ok ? arena_printf(call->arena, "%.*s", (int)value.size, value.data) : NULL;
    if (is_ok && !argument)
        is_ok = error_set(error, ERROR_OVERLOADED, "out of memory");
    if (is_ok) {
        is_ok = which < 2    ? plan_drain(argument, which == 0, error)
                : which == 2 ? plan_add(argument, error)
                             : plan_remove(argument, error);
        if (!is_ok && error->code == ERROR_CONFIG)
            error->code = ERROR_INVALID_BODY;
    }
    json_document_free(&document);
    return is_ok;
}

void api_servers_change(struct api_call *call)
{
    struct error error;
    struct buf body;

    if (!change_apply(call, buf_slice(&call->http->body), &error)) {
        api_fail(call, &error);
        return;
    }
    buf_init(&body, 64);
    buf_append_text(&body, "{\"status\":\"ok\"}");
    json_answer(call, &body);
}

/* ---- metrics ---- */

struct column {
    const char *name, *type, *help;
    double (*value)(const struct db_server_report *server);
};

#define COLUMN(field, expression)                                                                                      \
    static double column_##field(const struct db_server_report *server)                                                \
    {                                                                                                                  \
        return (double)(expression);                                                                                   \
    }
COLUMN(up, server->is_healthy)
COLUMN(leader, server->is_leader)
COLUMN(fenced, server->fault != LEADER_FINE)
COLUMN(drained, server->is_drained)
COLUMN(late, server->is_late)
COLUMN(open, server->breaker != BREAKER_CLOSED)
COLUMN(lag_bytes, server->lag_bytes)
COLUMN(lag_seconds, (double)server->lag_us / 1e6)
COLUMN(connections, server->connections)
COLUMN(used, server->busy)
COLUMN(in_flight, server->in_flight)
COLUMN(latency, server->latency_us / 1e6)
COLUMN(reads, server->reads)
COLUMN(failures, server->failures)
COLUMN(retries, server->retries)
COLUMN(took, (double)server->took_us / 1e6)
#undef COLUMN

static const struct column columns[] = {
    {"ladder_server_up", "gauge", "1: it answers, to every loop.", column_up},
    {"ladder_server_leader", "gauge", "1: it is written to.", column_leader},
    {"ladder_server_fenced", "gauge", "1: it says that it is the primary, and is not believed.", column_fenced},
    {"ladder_server_drained", "gauge", "1: the operator wants no reads on it.", column_drained},
    {"ladder_server_late", "gauge", "1: it lags beyond the limit.", column_late},
    {"ladder_server_left_alone", "gauge", "1: its reads failed, did not come back or took far too long.", column_open},
    {"ladder_server_lag_bytes", "gauge", "What a replica has not replayed.", column_lag_bytes},
    {"ladder_server_lag_seconds", "gauge", "Since when the primary has what a replica lacks.", column_lag_seconds},
    {"ladder_server_connections", "gauge", "Open connections for reads.", column_connections},
    {"ladder_server_connections_used", "gauge", "Those with something in flight.", column_used},
    {"ladder_server_in_flight", "gauge", "Calls in flight.", column_in_flight},
    {"ladder_server_latency_seconds", "gauge", "How long its reads take now.", column_latency},
    {"ladder_server_reads_total", "counter", "Reads sent to it.", column_reads},
    {"ladder_server_failures_total", "counter", "Reads that failed because of it.", column_failures},
    {"ladder_server_retries_total", "counter", "Reads that went on to another server.", column_retries},
    {"ladder_server_read_seconds_total", "counter", "The time that all its reads took.", column_took},
};

void servers_metrics_render(struct buf *body)
{
    struct db_report *report = report_make();

    for (size_t c = 0; c < ARRAY_SIZE(columns); c++) {
        buf_printf(body, "# HELP %s %s\n# TYPE %s %s\n", columns[c].name, columns[c].help, columns[c].name,
                   columns[c].type);
        for (int i = 0; i < report->server_count; i++)
            buf_printf(body, "%s{server=\"%s\"} %.9g\n", columns[c].name, report->servers[i].name,
                       columns[c].value(&report->servers[i]));
    }
    const struct {
        const char *name, *type, *help;
        int64_t value;
    } totals[] = {
        {"ladder_reads_waiting", "gauge", "Reads that wait for a database server.",
         report->waiting_for_room + report->waiting_for_position},
        {"ladder_reads_total", "counter", "Reads of the database.", report->reads},
        {"ladder_reads_retried_total", "counter", "Those that were asked of a second server.", report->retries},
        {"ladder_reads_shed_total", "counter", "Those that found no room in time: 503.", report->shed},
        {"ladder_reads_behind_total", "counter", "Those answered by a replica that lacks what a lost primary had.",
         report->behind},
    };
    for (size_t i = 0; i < ARRAY_SIZE(totals); i++)
        buf_printf(body, "# HELP %s %s\n# TYPE %s %s\n%s %lld\n", totals[i].name, totals[i].help, totals[i].name,
                   totals[i].type, totals[i].name, (long long)totals[i].value);
    redis_metrics_render(body);
    free(report);
}
