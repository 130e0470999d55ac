/*
 * server.c -- see server.h.
 *
 * One exchange:
 *
 *   HEADER --guard ok--> BODY --last byte--> HANDLING --http_reply--> ANSWERING --sent--> (next request or close)
 *                                  |              parked: the connection is suspended in the daemon
 *                                  +-- refused: answered at once, connection closed
 *
 * Rules of the library that shape this file: an answer queued in the handler's first call closes the connection, so the
 * first call only looks; a resume is noticed by the next MHD_run only, and costs a walk over all suspended connections,
 * so resumes are collected and followed by one run; a zero timeout means bytes wait in the library: run again at once.
 */
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "base/text.h"
#include "http/guard.h"

enum { REAP_MS = 250 };

enum exchange_state { EXCHANGE_HEADER, EXCHANGE_BODY, EXCHANGE_HANDLING, EXCHANGE_ANSWERING, EXCHANGE_OVER };

struct reply_header {
    const char *name;
    const char *value;
};

/* One open connection: only what the deadlines need. */
struct peer {
    struct http_server *server;
    struct peer *next, **pprev;
    int fd;
    struct http_exchange *exchange; /* borrowed; NULL between requests */
    int64_t quiet_since_us;         /* since then no request is under way */
    int64_t bytes_at_quiet;         /* what the kernel had received then; more means a header has begun */
    int64_t header_since_us;        /* 0: not begun */
    bool had_request;
    bool is_reaped;
};

struct http_exchange {
    struct http_request request;
    struct http_server *server;
    struct MHD_Connection *connection; /* NULL once it is over */
    struct peer *peer;                 /* NULL once it is over */
    enum exchange_state state;
    int holds; /* the daemon's own, and http_hold's */
    bool is_parked;
    bool is_streamed;
    bool is_paused;
    bool is_resuming; /* in this turn */
    bool is_first_call_done;
    bool must_close;
    bool has_target_error;
    int64_t phase_since_us; /* of the body, the answer, … */
    int64_t body_bytes;
    int64_t body_bytes_max;
    struct MHD_Response *response; /* owned until queued */
    int status;
    struct reply_header headers[HTTP_REPLY_HEADERS_MAX];
    int header_count;
    struct error target_error;
};

struct http_server {
    struct http_settings settings;
    struct http_application application;
    struct ev_loop *loop;
    struct MHD_Daemon *daemon;
    ev_io readable;
    ev_prepare prepare;
    ev_idle idle; /* started while the daemon must be run again at once */
    ev_timer reaper;
    struct peer *peers;
    struct http_counters counters;
    int exchanges;
    bool must_run;
    bool is_draining;
};

static const char *const method_names[] = {"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"};

const char *http_method_name(enum http_method method)
{
    return method_names[method];
}

/* ---- the request's face ---- */

struct slice http_header(const struct http_request *request, const char *name)
{
    const char *value = request->exchange->connection
                            ? MHD_lookup_connection_value(request->exchange->connection, MHD_HEADER_KIND, name)
                            : NULL;

    return slice_of(value);
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

    ASSERT(exchange->holds > 0);
    if (--exchange->holds > 0)
        return;
    if (exchange->server->application.end)
        exchange->server->application.end(exchange->server->application.context, request);
    exchange->server->exchanges--;
    if (exchange->response)
        MHD_destroy_response(exchange->response);
    buf_done(&request->body);
    arena_done(&request->arena);
    free(exchange);
}

bool http_is_answered(const struct http_request *request)
{
    return request->exchange->status != 0 || request->exchange->state == EXCHANGE_OVER;
}

static void exchange_resume(struct http_exchange *exchange)
{
    if (!exchange->is_parked)
        return;
    exchange->is_parked = false;
    MHD_resume_connection(exchange->connection);
    exchange->server->must_run = true;
}

void http_reply_header(struct http_request *request, const char *name, const char *value)
{
    struct http_exchange *exchange = request->exchange;

    if (exchange->header_count == HTTP_REPLY_HEADERS_MAX)
        return;
    exchange->headers[exchange->header_count++] = (struct reply_header){
        arena_strdup(&request->arena, name), arena_strdup(&request->arena, value)};
}

static void reply_finish(struct http_exchange *exchange, int status, const char *content_type, struct MHD_Response *response)
{
    ASSERT(response != NULL);
    if (content_type)
        MHD_add_response_header(response, "Content-Type", content_type);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    for (int i = 0; i < exchange->header_count; i++)
        if (exchange->headers[i].name && exchange->headers[i].value)
            MHD_add_response_header(response, exchange->headers[i].name, exchange->headers[i].value);
    if (exchange->must_close || exchange->server->is_draining)
        MHD_add_response_header(response, "Connection", "close");
    exchange->response = response;
    exchange->status = status;
    exchange->server->counters.status[status / 100 % 6]++;
    exchange_resume(exchange);
}

void http_reply(struct http_request *request, int status, const char *content_type, struct buf *body)
{
    struct http_exchange *exchange = request->exchange;

    if (http_is_answered(request)) {
        buf_done(body);
        return;
    }
    if (body->is_overflown) {
        struct error error;
        buf_done(body);
        error_set(&error, ERROR_INTERNAL, "the answer is too large");
        http_reply_error(request, &error);
        return;
    }
    size_t size = body->size;
    char *data = buf_take(body);
    struct MHD_Response *response = data ? MHD_create_response_from_buffer(size, data, MHD_RESPMEM_MUST_FREE)
                                         : MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    reply_finish(exchange, status, content_type, response);
}

void http_reply_file(struct http_request *request, int status, const char *content_type, int fd, uint64_t size)
{
    if (http_is_answered(request)) {
        close(fd);
        return;
    }
    reply_finish(request->exchange, status, content_type, MHD_create_response_from_fd64(size, fd));
}

void http_problem(struct jsonw *json, const struct error *error)
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

void http_reply_error(struct http_request *request, const struct error *error)
{
    struct buf body;
    struct jsonw json;
    int status = error_status(error->code);

    if (http_is_answered(request))
        return;
    buf_init(&body, 4096);
    jsonw_init(&json, &body);
    http_problem(&json, error);
    if (status == 503 || status == 429)
        http_reply_header(request, "Retry-After", "1");
    if (status == 401)
        http_reply_header(request, "WWW-Authenticate", "Bearer realm=\"ladder\"");
    http_reply_header(request, "Cache-Control", "no-store");
    http_reply(request, status, "application/problem+json", &body);
}

void http_stream_pause(struct http_request *request)
{
    request->exchange->is_paused = true;
}

void http_stream_resume(struct http_request *request)
{
    request->exchange->is_paused = false;
    request->exchange->phase_since_us = clock_monotonic_us();
    exchange_resume(request->exchange);
}

/* ---- the target ---- */

static bool parameters_parse(struct http_request *request, struct slice query, struct error *error)
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

/* Called with the raw target, before the library unescapes it: this is where an exchange begins. */
static void *on_target(void *context, const char *target, struct MHD_Connection *connection)
{
    struct http_server *server = context;
    struct http_exchange *exchange = calloc(1, sizeof(*exchange));
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    ASSERT(exchange != NULL && info != NULL);
    struct http_request *request = &exchange->request;
    exchange->server = server;
    exchange->connection = connection;
    exchange->peer = info->socket_context;
    exchange->peer->exchange = exchange;
    exchange->peer->header_since_us = 0;
    exchange->peer->had_request = true;
    exchange->holds = 1;
    exchange->phase_since_us = clock_monotonic_us();
    exchange->body_bytes_max = server->settings.body_bytes_max;
    server->exchanges++;
    server->counters.requests++;
    request->exchange = exchange;
    request->started_us = exchange->phase_since_us;
    arena_init(&request->arena, HTTP_ARENA_BYTES_MAX);
    buf_init(&request->body, (size_t)server->settings.body_bytes_max);
    request->target = arena_copy(&request->arena, slice_of(target));
    const char *query = memchr(request->target.data, '?', request->target.size);
    request->path = request->target;
    if (query)
        request->path.size = (size_t)(query - request->target.data);
    exchange->has_target_error = !guard_target(request->target, server->settings.uri_bytes_max, &exchange->target_error);
    if (!exchange->has_target_error && query)
        exchange->has_target_error = !parameters_parse(
            request, (struct slice){query + 1, request->target.size - request->path.size - 1}, &exchange->target_error);
    return exchange;
}

/* ---- the daemon's callbacks ---- */

static bool method_parse(const char *text, enum http_method *ret_method)
{
    for (int i = 0; i < HTTP_METHOD_COUNT; i++)
        if (strcmp(text, method_names[i]) == 0) {
            *ret_method = (enum http_method)i;
            return true;
        }
    return false;
}

static enum MHD_Result exchange_answer(struct http_exchange *exchange)
{
    struct MHD_Response *response = exchange->response;
    enum MHD_Result result = MHD_queue_response(exchange->connection, (unsigned)exchange->status, response);

    exchange->response = NULL;
    MHD_destroy_response(response);
    exchange->state = EXCHANGE_ANSWERING;
    exchange->phase_since_us = clock_monotonic_us();
    return result;
}

/* In the first call: the connection closes behind the answer. */
static enum MHD_Result exchange_refuse(struct http_exchange *exchange, const struct error *error)
{
    exchange->server->counters.refused++;
    exchange->must_close = true;
    http_reply_error(&exchange->request, error);
    return exchange_answer(exchange);
}

static enum MHD_Result exchange_begin(struct http_exchange *exchange, const char *method, const char *version)
{
    struct http_server *server = exchange->server;
    struct http_request *request = &exchange->request;
    struct guard_result guard;
    struct error error = {.code = ERROR_NONE};

    exchange->is_first_call_done = true;
    if (exchange->has_target_error)
        return exchange_refuse(exchange, &exchange->target_error);
    if (!guard_header(exchange->connection, version, &guard, &error))
        return exchange_refuse(exchange, &error);
    if (!method_parse(method, &request->method)) {
        error_set(&error, ERROR_METHOD_NOT_ALLOWED, "the method is not one of GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS");
        http_reply_header(request, "Allow", "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS");
        return exchange_refuse(exchange, &error);
    }
    bool may_have_body = request->method == HTTP_PUT || request->method == HTTP_POST || request->method == HTTP_PATCH;
    if (guard.has_body && !may_have_body) {
        error_set(&error, ERROR_BAD_REQUEST, "%s takes no body", method);
        return exchange_refuse(exchange, &error);
    }
    exchange->is_streamed = may_have_body && server->application.begin(server->application.context, request) == HTTP_BODY_STREAM;
    if (!exchange->is_streamed && guard.is_length_known && guard.content_length > exchange->body_bytes_max) {
        error_set(&error, ERROR_BODY_TOO_LARGE, "the body has %lld bytes, the limit is %lld", (long long)guard.content_length,
                  (long long)exchange->body_bytes_max);
        return exchange_refuse(exchange, &error);
    }
    exchange->state = EXCHANGE_BODY;
    return MHD_YES;
}

static void exchange_park(struct http_exchange *exchange)
{
    exchange->is_parked = true;
    MHD_suspend_connection(exchange->connection);
}

static enum MHD_Result exchange_data(struct http_exchange *exchange, const char *data, size_t *size)
{
    struct http_server *server = exchange->server;
    struct http_request *request = &exchange->request;

    exchange->body_bytes += (int64_t)*size;
    if (exchange->status != 0) {
        *size = 0; /* refused already: the rest of the body goes nowhere, until the deadline */
        return MHD_YES;
    }
    if (exchange->is_streamed) {
        if (!server->application.data(server->application.context, request, (struct slice){data, *size})) {
            exchange->body_bytes -= (int64_t)*size;
            if (exchange->is_paused)
                exchange_park(exchange);
            return MHD_YES;
        }
        exchange->phase_since_us = clock_monotonic_us();
    } else if (exchange->body_bytes > exchange->body_bytes_max) {
        struct error error;
        error_set(&error, ERROR_BODY_TOO_LARGE, "the body is larger than the limit of %lld bytes", (long long)exchange->body_bytes_max);
        exchange->must_close = true;
        http_reply_error(request, &error);
    } else {
        buf_append(&request->body, data, *size);
    }
    *size = 0;
    return MHD_YES;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *data_size, void **con_cls)
{
    struct http_exchange *exchange = *con_cls;
    struct http_server *server = context;

    (void)connection;
    (void)url;
    if (!exchange)
        return MHD_NO;
    if (!exchange->is_first_call_done)
        return exchange_begin(exchange, method, version);
    if (exchange->state == EXCHANGE_BODY && *data_size > 0)
        return exchange_data(exchange, data, data_size);
    if (exchange->state == EXCHANGE_BODY) {
        exchange->state = EXCHANGE_HANDLING;
        exchange->phase_since_us = clock_monotonic_us();
        if (exchange->status == 0)
            server->application.handle(server->application.context, &exchange->request);
    }
    if (exchange->status != 0 && exchange->response)
        return exchange_answer(exchange);
    if (exchange->state == EXCHANGE_HANDLING)
        exchange_park(exchange);
    return MHD_YES;
}

static int64_t bytes_received(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof(info);

    memset(&info, 0, sizeof(info));
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return 0;
    return (int64_t)info.tcpi_bytes_received;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **con_cls, enum MHD_RequestTerminationCode code)
{
    struct http_exchange *exchange = *con_cls;

    (void)context;
    (void)connection;
    (void)code;
    if (!exchange)
        return;
    *con_cls = NULL;
    exchange->peer->exchange = NULL;
    exchange->peer->quiet_since_us = clock_monotonic_us();
    exchange->peer->bytes_at_quiet = bytes_received(exchange->peer->fd);
    exchange->peer = NULL;
    exchange->connection = NULL;
    exchange->is_parked = false;
    exchange->state = EXCHANGE_OVER;
    http_release(&exchange->request);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        struct peer *peer = calloc(1, sizeof(*peer));
        ASSERT(peer != NULL);
        peer->server = server;
        peer->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        peer->quiet_since_us = clock_monotonic_us();
        peer->pprev = &server->peers;
        peer->next = server->peers;
        if (peer->next)
            peer->next->pprev = &peer->next;
        server->peers = peer;
        server->counters.connections++;
        *socket_context = peer;
    } else {
        struct peer *peer = *socket_context;
        if (!peer)
            return;
        *peer->pprev = peer->next;
        if (peer->next)
            peer->next->pprev = peer->pprev;
        free(peer);
        *socket_context = NULL;
    }
}

/* ---- deadlines ---- */

static void peer_reap(struct peer *peer)
{
    if (peer->is_reaped)
        return;
    peer->is_reaped = true;
    peer->server->counters.reaped++;
    shutdown(peer->fd, SHUT_RDWR);
}

static void peer_check(struct peer *peer, int64_t now_us)
{
    const struct http_settings *settings = &peer->server->settings;
    struct http_exchange *exchange = peer->exchange;

    if (!exchange) {
        if (peer->header_since_us == 0 && bytes_received(peer->fd) > peer->bytes_at_quiet)
            peer->header_since_us = now_us;
        bool is_late = peer->header_since_us ? now_us - peer->header_since_us > settings->header_timeout_ms * 1000LL
                                             : now_us - peer->quiet_since_us > settings->idle_timeout_ms * 1000LL;
        if (is_late || (peer->server->is_draining && peer->header_since_us == 0))
            peer_reap(peer);
        return;
    }
    int64_t phase_us = now_us - exchange->phase_since_us;
    if (exchange->state == EXCHANGE_HEADER && phase_us > settings->header_timeout_ms * 1000LL) {
        peer_reap(peer);
    } else if (exchange->state == EXCHANGE_BODY && !exchange->is_paused && phase_us > settings->body_timeout_ms * 1000LL) {
        peer_reap(peer);
    } else if (exchange->state == EXCHANGE_HANDLING && exchange->status == 0 && phase_us > settings->answer_timeout_ms * 1000LL) {
        struct error error;
        error_set(&error, ERROR_UNAVAILABLE, "the answer took too long; a write may or may not have happened");
        http_reply_error(&exchange->request, &error);
    } else if (exchange->state == EXCHANGE_ANSWERING && phase_us > settings->idle_timeout_ms * 1000LL) {
        peer_reap(peer);
    }
}

static void on_reap(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct http_server *server = watcher->data;
    int64_t now_us = clock_monotonic_us();

    (void)loop;
    (void)events;
    for (struct peer *peer = server->peers; peer; peer = peer->next)
        peer_check(peer, now_us);
    server->must_run = true;
}

/* ---- the loop ---- */

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    ((struct http_server *)watcher->data)->must_run = true;
}

static void on_idle(struct ev_loop *loop, ev_idle *watcher, int events)
{
    (void)loop;
    (void)watcher;
    (void)events;
}

static void on_prepare(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    struct http_server *server = watcher->data;
    MHD_UNSIGNED_LONG_LONG timeout_ms;

    (void)events;
    if (!server->must_run)
        return;
    server->must_run = false;
    MHD_run(server->daemon);
    if (server->must_run || (MHD_get_timeout(server->daemon, &timeout_ms) == MHD_YES && timeout_ms == 0)) {
        server->must_run = true;
        ev_idle_start(loop, &server->idle);
    } else {
        ev_idle_stop(loop, &server->idle);
    }
}

/* ---- life ---- */

bool http_listen(const char *address, int port, int *ret_fd, int *ret_port, struct error *error)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
    socklen_t size = sizeof(*v4);
    int on = 1;

    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
    } else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        size = sizeof(*v6);
    } else {
        return error_set_field(error, ERROR_CONFIG, "server.listen", "\"%s\" is not a numeric address", address);
    }
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(error, ERROR_CONFIG, "no socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&storage, size) != 0 || listen(fd, 4096) != 0) {
        error_set_field(error, ERROR_CONFIG, "server.port", "cannot listen on %s port %d: %s", address, port, strerror(errno));
        close(fd);
        return false;
    }
    getsockname(fd, (struct sockaddr *)&storage, &size);
    *ret_port = ntohs(storage.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
    *ret_fd = fd;
    return true;
}

struct http_server *http_server_new(struct ev_loop *loop, const struct http_settings *settings,
                                    const struct http_application *application)
{
    struct http_server *server = calloc(1, sizeof(*server));

    ASSERT(server != NULL);
    server->settings = *settings;
    server->application = *application;
    server->loop = loop;
    server->must_run = true;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, server,
        MHD_OPTION_LISTEN_SOCKET, settings->listen_fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)settings->connections_max,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(settings->header_bytes_max + settings->uri_bytes_max + 1024),
        MHD_OPTION_CONNECTION_TIMEOUT, 0u,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, server,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_END);
    if (!server->daemon) {
        free(server);
        return NULL;
    }
    ev_io_init(&server->readable, on_readable, MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, EV_READ);
    ev_prepare_init(&server->prepare, on_prepare);
    ev_idle_init(&server->idle, on_idle);
    ev_timer_init(&server->reaper, on_reap, REAP_MS / 1000.0, REAP_MS / 1000.0);
    server->readable.data = server->prepare.data = server->reaper.data = server;
    ev_set_priority(&server->prepare, EV_MAXPRI); /* before whatever sends what its handlers queued */
    ev_io_start(loop, &server->readable);
    ev_prepare_start(loop, &server->prepare);
    ev_timer_start(loop, &server->reaper);
    return server;
}

void http_server_drain(struct http_server *server)
{
    if (server->is_draining)
        return;
    server->is_draining = true;
    int fd = MHD_quiesce_daemon(server->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
}

bool http_server_is_idle(const struct http_server *server)
{
    return server->exchanges == 0;
}

void http_server_free(struct http_server **pserver)
{
    struct http_server *server = *pserver;

    if (!server)
        return;
    /* A suspended connection at the daemon's stop is undefined: resume them all. */
    for (struct peer *peer = server->peers; peer; peer = peer->next)
        if (peer->exchange && peer->exchange->is_parked)
            exchange_resume(peer->exchange);
    MHD_stop_daemon(server->daemon);
    ev_io_stop(server->loop, &server->readable);
    ev_prepare_stop(server->loop, &server->prepare);
    ev_idle_stop(server->loop, &server->idle);
    ev_timer_stop(server->loop, &server->reaper);
    free(server);
    *pserver = NULL;
}

const struct http_counters *http_server_counters(const struct http_server *server)
{
    return &server->counters;
}
