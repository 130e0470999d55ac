/*
 * dispatch.c -- from a request to its handler: a table of steps.
 *
 * The first three need the header only: of a request with a body they run before its first byte is kept, and so does
 * the check of its key (arriving.c). A step may wait for a look-up, whose callback goes on with the next step.
 *
 * Names of other tenants can't be probed: a key that opens another game gets 403 whatever exists there, and a read
 * without a key gets one and the same 401 for a private board, an absent board and an absent game.
 */
#include <string.h>
#include <strings.h>

#include "api/arriving.h"
#include "api/checks.h"
#include "api/context.h"
#include "api/metrics.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "http/condition.h"

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

enum step_result {
    STEP_DONE,
    STEP_FAILED, /* *error says why: the call is to be answered with it */
    STEP_WAITS   /* for a callback, which goes on, or answers and releases the request */
};

typedef enum step_result step_fn(struct api_call *call, struct error *error);

static void call_go(struct api_call *call);

static enum step_result step_end(bool is_done)
{
    return is_done ? STEP_DONE : STEP_FAILED;
}

static void allow_header(const struct api_call *call, const struct segments *path, bool is_options)
{
    const struct api *api = call->api;
    struct buf allow;

    buf_init(&allow, 256);
    for (size_t i = 0; i < api->route_count; i++)
        if (path_matches(api->routes[i].path, path))
            buf_printf(&allow, "%s%s%s", allow.size ? ", " : "", http_method_name(api->routes[i].method),
                       api->routes[i].method == HTTP_GET ? ", HEAD" : "");
    buf_append_text(&allow, is_options || allow.size ? ", OPTIONS" : "OPTIONS");
    http_reply_header(call->http, "Allow", allow.data);
    buf_done(&allow);
}

/* The route of this path and method; NULL: the path has none. ret_is_there: it has one of another method. */
static const struct api_route *route_find(const struct api *api, const struct segments *path, enum http_method method,
                                          bool *ret_is_there)
{
    *ret_is_there = false;
    for (size_t i = 0; i < api->route_count; i++) {
        if (!path_matches(api->routes[i].path, path))
            continue;
        *ret_is_there = true;
        if (api->routes[i].method == method)
            return &api->routes[i];
    }
    return NULL;
}

static enum step_result step_route(struct api_call *call, struct error *error)
{
    struct http_request *http = call->http;
    enum http_method method = http->method == HTTP_HEAD ? HTTP_GET : http->method;
    struct segments path;
    bool is_there;

    if (slice_is(http->path, "*")) { /* OPTIONS: what some resource has */
        http_reply_header(http, "Allow", "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS");
        return step_end(error_set(error, ERROR_METHOD_NOT_ALLOWED, "the target * is of OPTIONS"));
    }
    bool is_path = segments_split(http->path, &path);
    call->route = is_path ? route_find(call->api, &path, method, &is_there) : NULL;
    if (call->route)
        return step_end(parts_take(call, &path, error));
    if (!is_path || !is_there)
        return step_end(error_set(error, ERROR_NOT_FOUND, "there is nothing at this path"));
    allow_header(call, &path, method == HTTP_OPTIONS);
    return step_end(
        error_set(error, ERROR_METHOD_NOT_ALLOWED, "the resource has no %s", http_method_name(http->method)));
}

static enum step_result step_parameters(struct api_call *call, struct error *error)
{
    return step_end(parameters_check(call, error));
}

static enum step_result step_token(struct api_call *call, struct error *error)
{
    return step_end(token_check(call, error));
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
        call_go(call);
        return;
    }
    http_release(call->http);
}

static enum step_result step_key(struct api_call *call, struct error *error)
{
    struct slice key = api_bearer(call);

    if (call->route->flags & API_OPEN || call->is_authorized)
        return STEP_DONE;
    if (http_is_trusted(call->http)) {
        call->key = (struct api_key){.scope = SCOPE_READ};
        return STEP_DONE;
    }
    if (!key.data && call->route->scope == SCOPE_READ && call->route->flags & API_NEEDS_BOARD)
        return STEP_DONE; /* if the board is public: on_board */
    if (!key.size)
        return step_end(key_missing(error));
    store_key_find(call->store, key, call->has_token ? &call->token : NULL, on_key, call);
    return STEP_WAITS;
}

static bool is_conditional(const struct api_call *call)
{
    const struct http_conditions conditions = http_conditions_read(call->http);

    return http_conditions_any(&conditions);
}

/* There is no such board, or it cannot be looked up. */
static void board_refuse(struct api_call *call, const struct error *error)
{
    static const struct error nothing_to_do = {.code = ERROR_NONE};
    bool is_delete = call->route->handle == api_board_delete;
    struct error claim_error;

    if (call->key.scope == SCOPE_NONE && error_status(error->code) < 500)
        key_demand(call);
    else if (!claim_check(call, &claim_error))
        api_fail(call, &claim_error);
    else
        api_refuse(call,
                   is_delete && error->code == ERROR_BOARD_NOT_FOUND && !is_conditional(call) ? &nothing_to_do : error,
                   is_delete ? api_board_deleted : NULL);
}

static void on_board(void *context, const struct board *board, const struct error *error)
{
    struct api_call *call = context;

    if (error) {
        board_refuse(call, error);
    } else if (call->key.scope == SCOPE_NONE && !board->is_public) {
        key_demand(call);
    } else {
        call->board = *board;
        call_go(call);
        return;
    }
    http_release(call->http);
}

static enum step_result step_board(struct api_call *call, struct error *error)
{
    (void)error;
    if (call->route->flags & API_OPEN || !(call->route->flags & API_NEEDS_BOARD))
        return STEP_DONE;
    store_board_find(call->store, call->game, call->board_name, call->key.scope != SCOPE_NONE,
                     call->has_token ? &call->token : NULL, on_board, call);
    return STEP_WAITS;
}

static enum step_result step_claim(struct api_call *call, struct error *error)
{
    return step_end(claim_check(call, error));
}

static enum step_result step_conditions(struct api_call *call, struct error *error)
{
    return step_end(conditions_check(call, error));
}

static enum step_result step_handle(struct api_call *call, struct error *error)
{
    (void)error;
    call->route->handle(call);
    return STEP_DONE;
}

/* In this order. A step that a route has no use for does nothing, by the route's flags. */
static step_fn *const steps[] = {
    step_route,      /* 404, 405; the parts of the path */
    step_parameters, /* query parameters: only those that the route knows */
    step_token,      /* Ladder-Token */
    step_key,        /* 401, 403 */
    step_board,      /* 404, and 401 for a private one */
    step_claim,      /* Idempotency-Key */
    step_conditions, /* If-Match and the like, where the route does not know them: 412 */
    step_handle,
};

enum { HEAD_STEPS = 3 /* they need the header only, and never wait */ };

static enum step_result steps_run(struct api_call *call, size_t until, struct error *error)
{
    enum step_result result = STEP_DONE;

    while (result == STEP_DONE && call->step < until)
        result = steps[call->step++](call, error);
    if (result == STEP_FAILED)
        call->step--; /* the next attempt fails at the same step */
    return result;
}

/* The steps that are left. The request is held, and released in the end; a handler holds it for its own callbacks. */
static void call_go(struct api_call *call)
{
    struct error error;

    /* The deadline may have answered while the key or the board was looked up, and the header is gone with the
     * connection: a write that began now would be one without its Idempotency-Key. */
    enum step_result result = http_is_answered(call->http) ? STEP_DONE : steps_run(call, ARRAY_SIZE(steps), &error);
    if (result == STEP_WAITS)
        return;
    if (result == STEP_FAILED)
        api_fail(call, &error);
    http_release(call->http);
}

/* ---- the server's callbacks ---- */

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

static bool is_ndjson(struct http_request *http)
{
    static const char ndjson[] = "application/x-ndjson";
    struct slice type = http_header(http, "Content-Type");
    size_t size = sizeof(ndjson) - 1;

    return type.size >= size && strncasecmp(type.data, ndjson, size) == 0 &&
           (type.size == size || type.data[size] == ';' || type.data[size] == ' ');
}

static void on_begin(void *context, struct http_request *http)
{
    struct api_call *call = call_new(context, http);
    struct error error;

    if (!call)
        return;
    if (steps_run(call, HEAD_STEPS, &error) == STEP_FAILED) {
        api_fail(call, &error);
        return;
    }
    if (!is_ndjson(http) || call->route->handle != api_scores_post) {
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

static void options_answer(struct api_call *call)
{
    struct buf none;

    buf_init(&none, 1);
    api_timing_header(call);
    http_reply(call->http, 204, NULL, &none);
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
    if (steps_run(call, HEAD_STEPS, &error) == STEP_FAILED) {
        if (error.code == ERROR_METHOD_NOT_ALLOWED && http->method == HTTP_OPTIONS)
            options_answer(call);
        else
            api_fail(call, &error);
        return;
    }
    http_hold(http);
    call_go(call);
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
        metrics_took(api->metrics, api_route_index(call), clock_monotonic_us() - http->started_us);
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
