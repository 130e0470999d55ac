/*
 * request.c -- see request.h: what the application sees of an exchange, and how it answers.
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/jsonw.h"
#include "base/memory.h"
#include "base/text.h"
#include "http/private.h"

static const char *const method_names[] = {"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"};

bool method_parse(const char *text, enum http_method *ret_method)
{
    for (int i = 0; i < HTTP_METHOD_COUNT; i++)
        if (strcmp(text, method_names[i]) == 0) {
            *ret_method = (enum http_method)i;
            return true;
        }
    return false;
}

const char *http_method_name(enum http_method method)
{
    return method_names[method];
}

struct slice http_header(const struct http_request *request, const char *name)
{
    const struct http_exchange *exchange = request->exchange;

    if (exchange->within_done && !exchange->parent)
        return (struct slice){NULL, 0};
    if (exchange->parent)
        return strcasecmp(name, "Authorization") == 0 || strcasecmp(name, "Ladder-Token") == 0
                   ? http_header(exchange->parent, name)
                   : (struct slice){NULL, 0};
    const char *value = request->exchange->connection
                            ? MHD_lookup_connection_value(request->exchange->connection, MHD_HEADER_KIND, name)
                            : NULL;

    return slice_of(value);
}

struct slice http_cookie(const struct http_request *request, const char *name)
{
    const struct http_exchange *exchange = request->exchange;

    if (exchange->parent)
        return http_cookie(exchange->parent, name);
    return slice_of(exchange->connection ? MHD_lookup_connection_value(exchange->connection, MHD_COOKIE_KIND, name)
                                         : NULL);
}

/* The values of a header field that may come more than once. */
struct forwarded {
    struct slice values[HTTP_HEADERS_MAX];
    size_t count;
};

static enum MHD_Result on_forwarded(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct forwarded *forwarded = context;

    (void)kind;
    if (strcasecmp(name, "X-Forwarded-For") == 0 && value && forwarded->count < ARRAY_SIZE(forwarded->values))
        forwarded->values[forwarded->count++] = slice_of(value);
    return MHD_YES;
}

bool http_client_address(const struct http_request *request, uint8_t ret_address[static HTTP_ADDRESS_BYTES])
{
    const struct http_exchange *exchange = request->exchange;
    struct forwarded forwarded;

    _Static_assert((int)HTTP_ADDRESS_BYTES == (int)ORIGIN_ADDRESS_BYTES, "they are the same");
    if (exchange->parent)
        return http_client_address(exchange->parent, ret_address);
    if (!exchange->peer || !exchange->peer->has_address)
        return false;
    forwarded.count = 0;
    MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, on_forwarded, &forwarded);
    memcpy(ret_address, exchange->peer->address, ORIGIN_ADDRESS_BYTES);
    origins_client(exchange->server->settings.origins, ret_address, forwarded.values, forwarded.count);
    return true;
}

const struct http_parameter *http_parameter(const struct http_request *request, const char *name)
{
    for (int i = 0; i < request->parameter_count; i++)
        if (slice_is(request->parameters[i].name, name))
            return &request->parameters[i];
    return NULL;
}

void http_hold(struct http_request *request)
{
    request->exchange->holds++;
}

void http_release(struct http_request *request)
{
    struct http_exchange *exchange = request->exchange;
    struct http_server *server = exchange->server;

    ASSERT(exchange->holds > 0);
    if (--exchange->holds > 0) {
        exchange_slim(exchange);
        return;
    }
    if (server->application.end)
        server->application.end(server->application.context, request);
    server->exchanges--;
    exchange_free(exchange);
    if (server->exchanges == 0 && server->is_stopped)
        server_free(server);
}

bool http_is_answered(const struct http_request *request)
{
    return request->exchange->status != 0 || request->exchange->state == EXCHANGE_OVER;
}

bool http_is_over(const struct http_request *request)
{
    return request->exchange->state == EXCHANGE_OVER;
}

void exchange_resume(struct http_exchange *exchange)
{
    if (!exchange->is_parked)
        return;
    exchange->is_parked = false;
    MHD_resume_connection(exchange->connection);
    exchange->server->must_run = true;
}

/* false: out of memory. */
static bool headers_grow(struct http_exchange *exchange)
{
    int room = exchange->header_room ? 2 * exchange->header_room : 16;
    struct reply_header *headers = arena_alloc(&exchange->request.arena, (size_t)room * sizeof(*headers));

    if (!headers)
        return false;
    if (exchange->header_count)
        memcpy(headers, exchange->headers, (size_t)exchange->header_count * sizeof(*headers));
    exchange->headers = headers;
    exchange->header_room = room;
    return true;
}

void http_reply_header(struct http_request *request, const char *name, const char *value)
{
    struct http_exchange *exchange = request->exchange;

    for (int i = 0; i < exchange->header_count; i++)
        if (strcasecmp(exchange->headers[i].name, name) == 0) {
            exchange->headers[i].value = arena_strdup(&request->arena, value);
            return;
        }
    if (exchange->header_count == exchange->header_room && !headers_grow(exchange))
        return;
    struct reply_header header = {arena_strdup(&request->arena, name), arena_strdup(&request->arena, value)};
    if (header.name && header.value)
        exchange->headers[exchange->header_count++] = header;
}

void reply_queue(struct http_exchange *exchange, int status, struct MHD_Response *response)
{
    exchange->response = response;
    exchange->status = status;
    http_count(&exchange->server->counters->status[status / 100 % 6]);
    exchange_resume(exchange);
}

static bool header_is_set(const struct http_exchange *exchange, const char *name)
{
    for (int i = 0; i < exchange->header_count; i++)
        if (strcasecmp(exchange->headers[i].name, name) == 0)
            return true;
    return false;
}

/* What every answer says that does not say it itself. false: out of memory. */
static bool fields_add(const struct http_exchange *exchange, struct MHD_Response *response)
{
    const struct http_application *application = &exchange->server->application;
    bool is_read = exchange->request.method == HTTP_GET || exchange->request.method == HTTP_HEAD;
    const struct http_field *fields = is_read ? application->fields : application->write_fields;
    size_t count = is_read ? application->field_count : application->write_field_count;

    for (size_t i = 0; i < count; i++)
        if (!header_is_set(exchange, fields[i].name) && !response_field(response, fields[i].name, fields[i].value))
            return false;
    return true;
}

/* false: out of memory. */
static bool reply_fields(const struct http_exchange *exchange, const char *content_type, struct MHD_Response *response)
{
    if ((content_type && !response_field(response, "Content-Type", content_type)) ||
        !response_field(response, "X-Content-Type-Options", "nosniff"))
        return false;
    for (int i = 0; i < exchange->header_count; i++)
        if (exchange->headers[i].value &&
            !response_field(response, exchange->headers[i].name, exchange->headers[i].value))
            return false;
    bool closes = exchange->must_close || exchange->server->is_draining;
    return fields_add(exchange, response) && (!closes || response_field(response, "Connection", "close"));
}

void reply_finish(struct http_exchange *exchange, int status, const char *content_type, struct MHD_Response *response)
{
    bool is_whole = response && !exchange->request.arena.is_short && reply_fields(exchange, content_type, response);

    if (is_whole) {
        reply_queue(exchange, status, response);
        return;
    }
    if (response)
        MHD_destroy_response(response);
    reply_short(exchange);
}

void reply_vary(struct http_request *request)
{
    const struct http_exchange *exchange = request->exchange;

    for (int i = 0; i < exchange->header_count; i++)
        if (strcasecmp(exchange->headers[i].name, "Vary") == 0) {
            http_reply_header(request, "Vary",
                              arena_printf(&request->arena, "Accept-Encoding, %s", exchange->headers[i].value));
            return;
        }
    http_reply_header(request, "Vary", "Accept-Encoding");
}

/* The body in the coding that suits the client and its header fields; taken. Where the answer has an entity tag, that is
 * of the body as it is. NULL: out of memory. */
static struct MHD_Response *response_make(struct http_request *request, struct buf *body)
{
    struct http_exchange *exchange = request->exchange;
    int64_t bytes_min = exchange->server->settings.compress_bytes_min;

    if (bytes_min > 0 && (int64_t)body->size >= bytes_min && !header_is_set(exchange, "ETag")) {
        enum http_coding coding;
        reply_vary(request);
        struct MHD_Response *response = response_fitting(request, body, &coding);
        if (response) {
            http_reply_header(request, "Content-Encoding", http_coding_name(coding));
            return response;
        }
        if (body->is_short)
            return NULL;
    }
    size_t size = body->size;
    char *data = buf_take(body);
    if (!data)
        return MEMORY_HANDLED(MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT));
    struct MHD_Response *response = MEMORY_HANDLED(MHD_create_response_from_buffer(size, data, MHD_RESPMEM_MUST_FREE));
    if (!response)
        free(data);
    return response;
}

void http_reply(struct http_request *request, int status, const char *content_type, struct buf *body)
{
    struct http_exchange *exchange = request->exchange;

    if (http_is_answered(request)) {
        buf_done(body);
        return;
    }
    if (body->is_short || request->arena.is_short) {
        buf_done(body);
        reply_short(exchange);
        return;
    }
    if (body->is_overflown) {
        struct error error;
        buf_done(body);
        error_set(&error, ERROR_INTERNAL, "the answer is too large");
        http_reply_error(request, &error);
        return;
    }
    if (exchange->within_done) {
        struct buf own = *body;
        buf_init(body, own.bytes_max);
        within_answer(exchange, status, buf_slice(&own));
        buf_done(&own);
        return;
    }
    if (http_is_json(content_type))
        http_json_finish(request, body);
    if (body->is_short) {
        buf_done(body);
        reply_short(exchange);
        return;
    }
    if (!answer_charge(exchange, status, body->size, (int64_t)body->size > HTTP_CODED_WHOLE_MAX)) {
        buf_done(body);
        return;
    }
    struct MHD_Response *response = response_make(request, body);
    reply_finish(exchange, status, content_type, response);
}

void http_problem_open(struct jsonw *json, const struct error *error)
{
    jsonw_object_open(json);
    jsonw_key(json, "type");
    char type[96];
    snprintf(type, sizeof(type), "urn:ladder:problem:%s", error_slug(error->code));
    jsonw_text(json, type);
    jsonw_key(json, "title");
    jsonw_text(json, error_title(error->code));
    jsonw_key(json, "status");
    jsonw_number(json, error_status(error->code));
    jsonw_key(json, "detail");
    jsonw_text(json, error->message);
}

void http_problem(struct jsonw *json, const struct error *error)
{
    http_problem_open(json, error);
    if (error->field[0]) {
        bool is_pointer = error->field[0] == '/';
        jsonw_key(json, "errors");
        jsonw_array_open(json);
        jsonw_object_open(json);
        jsonw_key(json, is_pointer ? "pointer" : "parameter");
        jsonw_text(json, error->field);
        jsonw_key(json, "detail");
        jsonw_text(json, error->message);
        jsonw_object_close(json);
        jsonw_array_close(json);
    }
    jsonw_object_close(json);
}

void http_unavailable(struct http_request *request, const struct error *error)
{
    struct http_server *server = request->exchange->server;
    enum error_cause cause = error_cause(error->code);

    if (cause == ERROR_CAUSE_COUNT)
        return;
    http_count(&server->counters->unavailable[cause]);
    if (server->application.unavailable)
        server->application.unavailable(server->application.context, request, error);
}

void http_reply_error(struct http_request *request, const struct error *error)
{
    struct http_exchange *exchange = request->exchange;
    struct buf body;
    struct jsonw json;
    int status = error_status(error->code);

    if (http_is_answered(request))
        return;
    http_unavailable(request, error);
    if (exchange->state == EXCHANGE_OPENING || exchange->state == EXCHANGE_BODY) {
        exchange->has_refusal = true;
        exchange->refusal = *error;
    }
    buf_init(&body, 4096);
    jsonw_init(&json, &body);
    http_problem(&json, error);
    if (status == 503)
        http_reply_header(request, "Retry-After", "1");
    if (status == 401)
        http_reply_header(request, "WWW-Authenticate", "Bearer realm=\"ladder\"");
    http_reply_header(request, "Cache-Control", "no-store");
    http_reply(request, status, "application/problem+json", &body);
}

void http_keep(struct http_request *request)
{
    request->exchange->kept = arena_mark(&request->arena);
}

void http_body_stream(struct http_request *request)
{
    request->exchange->is_streamed = true;
    request->exchange->must_close = true; /* with an answer before the body; until the body is read */
}

void http_body_limit(struct http_request *request, int64_t bytes_max, const char *why)
{
    request->exchange->body_percent = QUOTA_PERCENT_ANONYMOUS;
    if (bytes_max >= request->exchange->body_bytes_max)
        return;
    request->exchange->body_bytes_max = bytes_max;
    request->exchange->body_limit_why = why;
}

void http_stream_pause(struct http_request *request)
{
    request->exchange->is_paused = true;
}

void http_stream_resume(struct http_request *request)
{
    request->exchange->is_paused = false;
    if (!request->exchange->is_hurried)
        request->exchange->phase_since_us = clock_monotonic_us();
    exchange_resume(request->exchange);
}

void http_stream_hurry(struct http_request *request, const struct error *error)
{
    struct http_exchange *exchange = request->exchange;

    if (exchange->is_hurried)
        return;
    exchange->is_hurried = true;
    exchange->has_refusal = true;
    exchange->refusal = *error;
    exchange->phase_since_us = clock_monotonic_us();
}

/* ---- the query ---- */

bool request_parameters(struct http_request *request, struct slice query, struct error *error)
{
    size_t at = 0;

    while (at < query.size) {
        const char *ampersand = memchr(query.data + at, '&', query.size - at);
        size_t end = ampersand ? (size_t)(ampersand - query.data) : query.size;
        struct slice pair = {query.data + at, end - at};
        at = end + 1;
        if (pair.size == 0)
            continue;
        if (request->parameter_count == HTTP_PARAMETERS_MAX)
            return error_set(error, ERROR_INVALID_PARAMETER, "more than %d query parameters", HTTP_PARAMETERS_MAX);
        const char *equals = memchr(pair.data, '=', pair.size);
        struct slice parts[2] = {{pair.data, equals ? (size_t)(equals - pair.data) : pair.size}, {"", 0}};
        if (equals)
            parts[1] = (struct slice){equals + 1, pair.size - parts[0].size - 1};
        for (int i = 0; i < 2; i++) {
            struct slice copy = arena_copy(&request->arena, parts[i]);
            size_t size;
            if (!copy.data)
                return error_set(error, ERROR_OVERLOADED, "out of memory");
            for (size_t c = 0; c < copy.size; c++)
                if (copy.data[c] == '+')
                    ((char *)copy.data)[c] = ' ';
            if (!text_percent_decode(copy, (char *)copy.data, &size))
                return error_set(error, ERROR_BAD_REQUEST, "the query has a broken percent-escape");
            copy.size = size;
            ((char *)copy.data)[size] = 0;
            if (!text_is_utf8(copy))
                return error_set(error, ERROR_BAD_REQUEST, "the query is not UTF-8");
            parts[i] = copy;
        }
        for (int i = 0; i < request->parameter_count; i++)
            if (slice_equal(request->parameters[i].name, parts[0]))
                return error_set_field(error, ERROR_INVALID_PARAMETER, parts[0].data, "the parameter is there twice");
        request->parameters[request->parameter_count++] = (struct http_parameter){parts[0], parts[1]};
    }
    return true;
}
