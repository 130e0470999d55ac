/*
 * routes.c -- from a request to its handler.
 *
 *   begin -> route? method? parameters? -> token -> key -> board -> handler
 *                                                     ^-- the body of a write is read from here on
 *
 * Names of other tenants can't be probed: a key that opens another game gets 403 whatever exists there, and a read
 * without a key gets one and the same 401 for a private board, an absent board and an absent game.
 */
#include <ev.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/api.h"
#include "api/arriving.h"
#include "api/checks.h"
#include "api/document.h"
#include "api/metrics.h"
#include "api/page.h"
#include "api/warming.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "http/condition.h"
#include "store/answers.h"
#include "store/l2.h"
#include "store/worker_word.h"

#define GAME "/v1/games/{game}"
#define BOARD GAME "/boards/{board}"

static const struct api_route routes[] = {
    {HTTP_GET, "/healthz", SCOPE_NONE, API_OPEN, "", api_healthz},
    {HTTP_GET, "/readyz", SCOPE_NONE, API_OPEN, "", api_readyz},
    {HTTP_GET, "/metrics", SCOPE_NONE, API_OPEN | API_FIXED_FORM, "", api_metrics},
    {HTTP_GET, "/version", SCOPE_NONE, API_OPEN, "", api_version},
    {HTTP_GET, "/monitoring/performance", SCOPE_NONE, API_OPEN, "", api_performance},
    {HTTP_GET, "/monitoring/alerts", SCOPE_NONE, API_OPEN, "", api_alerts},
    {HTTP_POST, "/monitoring/servers", SCOPE_NONE, API_OPEN | API_OPERATOR, "", api_servers_change},
    {HTTP_GET, "/openapi.json", SCOPE_NONE, API_OPEN | API_FIXED_FORM, "", api_description},
    {HTTP_GET, "/docs", SCOPE_NONE, API_OPEN | API_FIXED_FORM, "", api_docs},
    {HTTP_GET, GAME "/boards", SCOPE_READ, 0, "limit cursor", api_board_list},
    {HTTP_PUT, BOARD, SCOPE_ADMIN, API_CONDITIONAL, "", api_board_put},
    {HTTP_GET, BOARD, SCOPE_READ, API_NEEDS_BOARD, "", api_board_get},
    {HTTP_PATCH, BOARD, SCOPE_ADMIN, API_NEEDS_BOARD | API_CONDITIONAL, "", api_board_patch},
    {HTTP_DELETE, BOARD, SCOPE_ADMIN, API_NEEDS_BOARD | API_CONDITIONAL, "", api_board_delete},
    {HTTP_PUT, BOARD "/combination", SCOPE_ADMIN, API_NEEDS_BOARD, "", api_combination_put},
    {HTTP_GET, BOARD "/combination", SCOPE_READ, API_NEEDS_BOARD, "", api_combination_get},
    {HTTP_DELETE, BOARD "/combination", SCOPE_ADMIN, API_NEEDS_BOARD, "", api_combination_delete},
    {HTTP_POST, BOARD "/scores", SCOPE_WRITE, API_NEEDS_BOARD, "integers source", api_score_post},
    {HTTP_POST, GAME "/scores", SCOPE_WRITE, 0, "integers source results", api_scores_post},
    {HTTP_POST, GAME "/query", SCOPE_NONE, API_OPEN, "", api_query},
    {HTTP_GET, BOARD "/top", SCOPE_READ, API_NEEDS_BOARD, API_STANDING_PARAMETERS "limit offset cursor", api_top},
    {HTTP_GET, BOARD "/range", SCOPE_READ, API_NEEDS_BOARD, API_STANDING_PARAMETERS "min max limit cursor", api_range},
    {HTTP_GET, BOARD "/at", SCOPE_READ, API_NEEDS_BOARD, API_STANDING_PARAMETERS "rank score subscore percentile",
     api_at},
    {HTTP_GET, BOARD "/stats", SCOPE_READ, API_NEEDS_BOARD, "window period facet integers source p histogram bins",
     api_statistics},
    {HTTP_GET, BOARD "/stats/history", SCOPE_READ, API_NEEDS_BOARD, "from to bucket integers", api_stats_history},
    {HTTP_GET, BOARD "/periods", SCOPE_READ, API_NEEDS_BOARD, "window limit cursor", api_periods},
    {HTTP_GET, BOARD "/compare", SCOPE_READ, API_NEEDS_BOARD, "window with limit integers", api_compare},
    {HTTP_GET, BOARD "/players/{player}/history", SCOPE_READ, API_NEEDS_BOARD, "window limit cursor integers",
     api_player_history},
    {HTTP_GET, GAME "/players/{player}/boards", SCOPE_READ, 0, "window limit cursor integers", api_player_boards},
    {HTTP_GET, GAME "/stats", SCOPE_READ, 0, "from to bucket board limit", api_game_statistics},
    {HTTP_GET, GAME "/hall-of-fame", SCOPE_READ, 0, "board window player top limit cursor integers", api_hall_of_fame},
    {HTTP_GET, GAME "/players/{player}/stats", SCOPE_READ, 0, "", api_player_statistics},
    {HTTP_GET, BOARD "/players", SCOPE_READ, API_NEEDS_BOARD, API_STANDING_PARAMETERS "ids", api_players},
    {HTTP_GET, BOARD "/players/{player}", SCOPE_READ, API_NEEDS_BOARD, API_STANDING_PARAMETERS, api_player},
    {HTTP_GET, BOARD "/players/{player}/around", SCOPE_READ, API_NEEDS_BOARD,
     API_STANDING_PARAMETERS "above below absent", api_around},
    {HTTP_PATCH, BOARD "/players/{player}", SCOPE_WRITE, API_NEEDS_BOARD, "window integers source",
     api_player_describe},
    {HTTP_DELETE, BOARD "/players/{player}", SCOPE_WRITE, API_NEEDS_BOARD, "", api_player_remove},
    {HTTP_DELETE, GAME "/players/{player}", SCOPE_ADMIN, 0, "", api_player_erase},
    {HTTP_DELETE, GAME "/cache", SCOPE_ADMIN, 0, "tag", api_cache_purge},
};

struct api {
    struct store *store;
    struct api_settings settings;
    struct crypto_key cursor_key;
    struct crypto_key token_key;
    bool is_draining;
    struct metrics *metrics;
    struct ev_loop *loop;
    ev_timer look;
    struct warming *warming;
    struct documents *documents;
};

const struct api_route *api_routes(size_t *ret_count)
{
    *ret_count = ARRAY_SIZE(routes);
    return routes;
}

_Static_assert(ARRAY_SIZE(routes) <= METRICS_ROUTES_MAX && (int)METRICS_ROUTES_MAX <= (int)L1_LABELS_MAX,
               "there is room for each");

size_t api_route_index(const struct api_call *call)
{
    return (size_t)(call->route - routes);
}

void api_count(struct api_call *call, enum api_cache outcome, int64_t age_us)
{
    metrics_answered(call->api->metrics, api_route_index(call), outcome, age_us);
}

void api_count_l2(struct api_call *call, bool is_refresh)
{
    struct metrics *metrics = call->api->metrics;
    size_t route = api_route_index(call);

    http_count(is_refresh ? &metrics->routes[route].l2_refreshes : &metrics->routes[route].l2_misses);
}

static void metrics_look(struct api *api)
{
    int64_t worker_age_us;
    enum worker_word worker = worker_word_get(api->store, &worker_age_us);
    const struct metrics_noted noted = {
        .l1 = *answers_counters(api->store),
        .submit_queue = submit_queued(api->store),
        .reads_waiting = standing_reads_waiting(api->store),
        .worker_age_us = worker == WORKER_SPOKE ? worker_age_us : -1,
        .can_write = db_can_write(store_db(api->store)),
        .is_redis_trusted = kv_is_trusted(store_kv(api->store)),
        .is_memory_trusted = answers_are_trusted(api->store),
    };

    metrics_note(api->metrics, &noted);
}

/* What is only kept goes first; then the reserve is set aside again, and requests are let in again. */
static void memory_recover(struct api *api)
{
    answers_forget(api->store);
    malloc_trim(0);
    if (memory_reserve())
        log_warn("memory-short",
                 LOG_TEXT("what", "new requests were refused for a moment, and what was kept in memory is gone"));
}

static void on_look(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct api *api = watcher->data;
    if (memory_is_short())
        memory_recover(api);
    memory_trim_look(api->settings.memory, api->settings.connections, clock_monotonic_us());
    worker_word_ask(api->store);
    metrics_look(api);
    warming_look(api->warming);
}

void api_metrics_render(struct api *api, struct buf *body)
{
    metrics_look(api);
    metrics_render(body, routes, ARRAY_SIZE(routes), &api->settings);
}

/* ---- matching ---- */

struct segments {
    struct slice items[8];
    int count;
};

static bool segments_split(struct slice path, struct segments *segments)
{
    segments->count = 0;
    for (size_t at = 1; at <= path.size;) {
        const char *slash = memchr(path.data + at, '/', path.size - at);
        size_t end = slash ? (size_t)(slash - path.data) : path.size;
        if (segments->count == 8)
            return false;
        segments->items[segments->count++] = (struct slice){path.data + at, end - at};
        at = end + 1;
    }
    return true;
}

static bool path_matches(const char *pattern, const struct segments *path)
{
    struct segments parts;

    if (!segments_split(slice_of(pattern), &parts) || parts.count != path->count)
        return false;
    for (int i = 0; i < parts.count; i++)
        if (parts.items[i].data[0] != '{' && !slice_equal(parts.items[i], path->items[i]))
            return false;
    return true;
}

static bool part_take(struct api_call *call, struct slice name, struct slice raw, struct error *error)
{
    struct slice text = arena_copy(call->arena, raw);
    size_t size;

    if (!text.data || !text_percent_decode(text, (char *)text.data, &size))
        return error_set(error, ERROR_BAD_REQUEST, "the path has a broken percent-escape");
    text.size = size;
    ((char *)text.data)[size] = 0;
    if (slice_is(name, "{player}")) {
        call->player = text;
        return player_check(text, "player", error);
    }
    bool is_game = slice_is(name, "{game}");
    *(is_game ? &call->game : &call->board_name) = text;
    bool is_new = call->route->method == HTTP_PUT;
    if (!name_is_valid(text))
        return error_set_field(error,
                               is_game  ? ERROR_GAME_NOT_FOUND
                               : is_new ? ERROR_INVALID_PARAMETER
                                        : ERROR_BOARD_NOT_FOUND,
                               is_game ? "game" : "board",
                               "a name is a letter or digit, then up to 63 of letters, digits, '.', '_', '-'");
    return true;
}

static bool parts_take(struct api_call *call, const struct segments *path, struct error *error)
{
    struct segments parts;

    segments_split(slice_of(call->route->path), &parts);
    for (int i = 0; i < parts.count; i++)
        if (parts.items[i].data[0] == '{' && !part_take(call, parts.items[i], path->items[i], error))
            return false;
    return true;
}

/* ---- the steps ---- */

static void call_handle(struct api_call *call)
{
    struct error error;

    /* The deadline has answered while the key or the board was looked up, and the header is gone with the connection: a
     * write that began now would be one without its Idempotency-Key. */
    if (http_is_answered(call->http)) {
        http_release(call->http);
        return;
    }
    if (!claim_check(call, &error) || !conditions_check(call, &error))
        api_fail(call, &error);
    else
        call->route->handle(call);
    http_release(call->http);
}

static bool is_conditional(const struct api_call *call)
{
    const struct http_conditions conditions = http_conditions_read(call->http);

    return http_conditions_any(&conditions);
}

static void on_board(void *context, const struct board *board, const struct error *error)
{
    struct api_call *call = context;

    if (error) {
        static const struct error nothing_to_do = {.code = ERROR_NONE};
        struct error claim_error;
        bool is_delete = call->route->handle == api_board_delete;
        if (call->key.scope == SCOPE_NONE && error_status(error->code) < 500)
            key_demand(call);
        else if (!claim_check(call, &claim_error))
            api_fail(call, &claim_error);
        else
            api_refuse(call,
                       is_delete && error->code == ERROR_BOARD_NOT_FOUND && !is_conditional(call) ? &nothing_to_do
                                                                                                  : error,
                       is_delete ? api_board_deleted : NULL);
        http_release(call->http);
        return;
    }
    call->board = *board;
    if (call->key.scope == SCOPE_NONE && !board->is_public) {
        key_demand(call);
        http_release(call->http);
        return;
    }
    call_handle(call);
}

static void call_board(struct api_call *call)
{
    if (call->route->flags & API_NEEDS_BOARD)
        store_board_find(call->store, call->game, call->board_name, call->key.scope != SCOPE_NONE,
                         call->has_token ? &call->token : NULL, on_board, call);
    else
        call_handle(call);
}

static void on_key(void *context, const struct api_key *key, const struct error *error)
{
    struct api_call *call = context;
    struct error refusal;

    if (error) {
        api_fail(call, error);
    } else if (!key_check(call, key, call->route->scope, &refusal)) {
        api_fail(call, &refusal);
    } else {
        call->key = *key;
        call_board(call);
        return;
    }
    http_release(call->http);
}

static void call_authorize(struct api_call *call)
{
    struct slice key = api_bearer(call);

    if (call->route->flags & API_OPEN) {
        call_handle(call);
        return;
    }
    if (call->is_authorized) {
        call_board(call);
        return;
    }
    if (http_is_trusted(call->http)) {
        call->key = (struct api_key){.scope = SCOPE_READ};
        call_board(call);
        return;
    }
    if (!key.data && call->route->scope == SCOPE_READ && call->route->flags & API_NEEDS_BOARD) {
        call_board(call); /* if it is public */
        return;
    }
    if (key.size) {
        store_key_find(call->store, key, call->has_token ? &call->token : NULL, on_key, call);
        return;
    }
    key_demand(call);
    http_release(call->http);
}

static void allow_header(struct http_request *http, const struct segments *path, bool is_options)
{
    struct buf allow;

    buf_init(&allow, 256);
    for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
        if (path_matches(routes[i].path, path))
            buf_printf(&allow, "%s%s%s", allow.size ? ", " : "", http_method_name(routes[i].method),
                       routes[i].method == HTTP_GET ? ", HEAD" : "");
    buf_append_text(&allow, is_options || allow.size ? ", OPTIONS" : "OPTIONS");
    http_reply_header(http, "Allow", allow.data);
    buf_done(&allow);
}

static bool call_route(struct api_call *call, struct error *error)
{
    struct http_request *http = call->http;
    enum http_method method = http->method == HTTP_HEAD ? HTTP_GET : http->method;
    struct segments path;
    bool is_there = false;

    if (slice_is(http->path, "*")) { /* OPTIONS: what some resource has */
        http_reply_header(http, "Allow", "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS");
        return error_set(error, ERROR_METHOD_NOT_ALLOWED, "the target * is of OPTIONS");
    }
    if (!segments_split(http->path, &path))
        return error_set(error, ERROR_NOT_FOUND, "there is nothing at this path");
    for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
        if (!path_matches(routes[i].path, &path))
            continue;
        is_there = true;
        if (routes[i].method == method) {
            call->route = &routes[i];
            if (parts_take(call, &path, error) && parameters_check(call, error) && token_check(call, error))
                return true;
            return false;
        }
    }
    if (!is_there)
        return error_set(error, ERROR_NOT_FOUND, "there is nothing at this path");
    allow_header(http, &path, method == HTTP_OPTIONS);
    return error_set(error, ERROR_METHOD_NOT_ALLOWED, "the resource has no %s", http_method_name(http->method));
}

/* NULL: out of memory, and that was answered. */
static struct api_call *call_new(struct api *api, struct http_request *http)
{
    struct api_call *call = arena_calloc(&http->arena, 1, sizeof(*call));

    if (!call) {
        http_reply_error(http, &(struct error){.code = ERROR_OVERLOADED, .message = "out of memory"});
        return NULL;
    }
    call->api = api;
    call->store = api->store;
    call->http = http;
    call->arena = &http->arena;
    http->application = call;
    http_keep(http);
    return call;
}

static void on_begin(void *context, struct http_request *http)
{
    struct api_call *call = call_new(context, http);
    struct error error;
    struct slice type = http_header(http, "Content-Type");
    bool is_ndjson = type.size >= 20 && strncasecmp(type.data, "application/x-ndjson", 20) == 0 &&
                     (type.size == 20 || type.data[20] == ';' || type.data[20] == ' ');

    if (!call)
        return;
    if (!call_route(call, &error)) {
        api_fail(call, &error);
        return;
    }
    if (!is_ndjson || call->route->handle != api_scores_post) {
        arriving_check(call);
        return;
    }
    http_body_stream(http);
    if (conditions_check(call, &error))
        api_stream_begin(call);
    else
        api_fail(call, &error);
}

static bool on_data(void *context, struct http_request *http, struct slice bytes)
{
    (void)context;
    return api_stream_data(http->application, bytes);
}

static void on_broken(void *context, struct http_request *http, const struct error *error)
{
    (void)context;
    api_stream_broken(http->application, error);
}

static void on_gone(void *context, struct http_request *http)
{
    (void)context;
    api_stream_abandon(http->application);
}

static void on_handle(void *context, struct http_request *http)
{
    struct api_call *call = http->application ? http->application : call_new(context, http);
    struct error error;

    if (!call)
        return;
    if (call->state) {
        api_stream_end(call); /* its body was streamed */
        return;
    }
    if (!call->route && !call_route(call, &error)) {
        if (error.code == ERROR_METHOD_NOT_ALLOWED && http->method == HTTP_OPTIONS) {
            struct buf none;
            buf_init(&none, 1);
            api_timing_header(call);
            http_reply(http, 204, NULL, &none);
        } else {
            api_fail(call, &error);
        }
        return;
    }
    http_hold(http); /* released when the handler has returned; the handler holds it for its own callbacks */
    call_authorize(call);
}

static void on_unavailable(void *context, const struct http_request *http, const struct error *error)
{
    const struct api_call *call = http->application;

    (void)context;
    log_warn("unavailable", LOG_TEXT("cause", error_cause_name(error_cause(error->code))),
             LOG_TEXT("method", http_method_name(http->method)),
             LOG_TEXT("route", call && call->route ? call->route->path : ""), LOG_TEXT("because", error->message));
}

static void on_end(void *context, struct http_request *http)
{
    struct api *api = context;
    const struct api_call *call = http->application;

    if (call && call->route && !http_is_internal(http))
        metrics_took(api->metrics, (size_t)(call->route - routes), clock_monotonic_us() - http->started_us);
}

/* ---- life ---- */

struct api *api_new(struct ev_loop *loop, struct store *store, const struct api_settings *settings)
{
    struct api *api = calloc(1, sizeof(*api));

    ASSERT(api != NULL);
    api->store = store;
    api->loop = loop;
    api->metrics = metrics_join();
    api->warming = warming_new(loop, store);
    api->documents = documents_new();
    ev_timer_init(&api->look, on_look, 0.5, 0.5);
    api->look.data = api;
    ev_timer_start(loop, &api->look);
    api->settings = *settings;
    answers_open(store, (size_t)settings->l1_bytes, settings->heartbeat_ms, page_free);
    l2_open(store, &(struct l2_settings){settings->l2_url, settings->l2_ttl_ms, settings->secret});
    crypto_derive(&api->cursor_key, settings->secret, "ladder cursor 1");
    crypto_derive(&api->token_key, settings->secret, "ladder token 1");
    return api;
}

void api_free(struct api **api)
{
    ev_timer_stop((*api)->loop, &(*api)->look);
    warming_free(&(*api)->warming);
    documents_free(&(*api)->documents);
    metrics_leave(&(*api)->metrics);
    free(*api);
    *api = NULL;
}

void api_start_draining(struct api *api)
{
    api->is_draining = true;
}

void api_set_server(struct api *api, struct http_server *server)
{
    warming_set_server(api->warming, server);
}

struct http_counters *api_http_counters(struct api *api)
{
    return &api->metrics->http;
}

struct http_application api_application(struct api *api)
{
    static const struct http_field past_caches[] = {{"Ladder-Cache", "bypass"}, {"Cache-Status", "ladder; fwd=bypass"}};
    static const struct http_field no_reads[] = {{"Ladder-Cache", "bypass"}, {"Cache-Status", "ladder; fwd=method"}};

    return (struct http_application){.context = api,
                                     .begin = on_begin,
                                     .data = on_data,
                                     .handle = on_handle,
                                     .unavailable = on_unavailable,
                                     .end = on_end,
                                     .broken = on_broken,
                                     .gone = on_gone,
                                     .fields = past_caches,
                                     .field_count = ARRAY_SIZE(past_caches),
                                     .write_fields = no_reads,
                                     .write_field_count = ARRAY_SIZE(no_reads)};
}

const struct crypto_key *api_cursor_key(const struct api *api)
{
    return &api->cursor_key;
}

const struct crypto_key *api_token_key(const struct api *api)
{
    return &api->token_key;
}

const struct api_settings *api_settings_of(const struct api *api)
{
    return &api->settings;
}

struct documents *api_documents(const struct api *api)
{
    return api->documents;
}

struct ev_loop *api_loop(const struct api *api)
{
    return api->loop;
}

bool api_is_draining(const struct api *api)
{
    return api->is_draining;
}
