/*
 * health.c -- is it alive, can it serve, what has it done.
 */
#include <stdio.h>

#include "api/context.h"
#include "api/metrics.h"
#include "api/servers.h"

static void text_answer(struct api_call *call, int status, struct buf *body, const char *type)
{
    api_timing_header(call);
    http_reply_header(call->http, "Cache-Control", "no-store");
    http_reply(call->http, status, type, body);
}

/* The loop runs: nothing else is asked, or an outage of a dependency would restart every server. */
void api_healthz(struct api_call *call)
{
    struct buf body;

    buf_init(&body, 64);
    buf_append_text(&body, "{\"status\":\"ok\"}");
    text_answer(call, 200, &body, "application/json");
}

void api_version(struct api_call *call)
{
    struct buf body;
    struct jsonw json;

    buf_init(&body, 256);
    jsonw_init(&json, &body);
    jsonw_object_open(&json);
    jsonw_key(&json, "name");
    jsonw_text(&json, "ladder");
    jsonw_key(&json, "version");
    jsonw_text(&json, LADDER_VERSION);
    jsonw_object_close(&json);
    text_answer(call, 200, &body, "application/json");
}

static void check(struct jsonw *json, const char *name, const char *state)
{
    jsonw_key(json, name);
    jsonw_text(json, state);
}

void api_readyz(struct api_call *call)
{
    struct db *db = store_db(call->store);
    struct kv *kv = store_kv(call->store);
    bool can_write = db_can_write(db), can_read = db_can_read(db) || kv_is_trusted(kv);
    /* Degraded is ready: reads go on without the primary, everything goes on without Redis. */
    bool is_ready = !api_is_draining(call->api) && can_read && (can_write || db_epoch(db) > 0);
    struct buf body;
    struct jsonw json;
    char replicas[32], worker[API_WORKER_TEXT_MAX];
    bool is_whole = !api_worker_is_silent(call, worker) && can_write && kv_is_trusted(kv);

    buf_init(&body, 1024);
    jsonw_init(&json, &body);
    jsonw_object_open(&json);
    check(&json, "status", !is_ready ? "unavailable" : is_whole ? "ok" : "degraded");
    jsonw_key(&json, "checks");
    jsonw_object_open(&json);
    check(&json, "primary", can_write ? "ok" : "unreachable");
    snprintf(replicas, sizeof(replicas), "%d of %d", db_replicas_ready(db), db_replica_count(db));
    check(&json, "replicas", replicas);
    check(&json, "redis",
          kv_is_trusted(kv) ? "ok"
          : kv_is_up(kv)    ? "not trusted yet: the worker has not caught up"
                            : "unreachable");
    check(&json, "worker", worker);
    if (api_is_draining(call->api))
        check(&json, "server", "draining");
    jsonw_object_close(&json);
    jsonw_object_close(&json);
    text_answer(call, is_ready ? 200 : 503, &body, "application/json");
}

void api_metrics(struct api_call *call)
{
    struct buf body;

    buf_init(&body, 1 << 20);
    metrics_look(call->api->metrics, call->store);
    metrics_render(&body, call->api->routes, call->api->route_count, &call->api->settings);
    servers_metrics_render(&body);
    text_answer(call, 200, &body, "text/plain; version=0.0.4; charset=utf-8");
}
