/*
 * server.c -- see server.h.
 *
 * One exchange:
 *
 *   HEADER --guard ok--> BODY --last byte--> HANDLING --http_reply--> ANSWERING --sent--> (next request or close)
 *      |                  ^  |                    parked: the connection is suspended in the daemon
 *      | may have a body  |  +-- refused, here or before: the rest is read and dropped, then the answer is sent
 *      +--> OPENING ------+
 *           parked while the application decides; a stream, or a client that waits for 100 (Continue), that is refused is
 *           answered here, connection closed
 *
 * A request whose body is large may have to wait in HANDLING for another turn of the loop before the application gets it
 * (large.c).
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
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/memory.h"
#include "http/authority.h"
#include "http/guard.h"
#include "http/private.h"

enum { REAP_MS = 250 };

/* ---- the target ---- */

/* raw: in origin form or in absolute form; the request has the origin form, which is the same resource. */
static bool target_read(struct http_exchange *exchange, struct slice raw, struct error *error)
{
    struct http_request *request = &exchange->request;
    int uri_bytes_max = exchange->server->settings.uri_bytes_max;
    size_t skip;

    exchange->line_target = raw;
    request->target = request->path = SLICE("");
    if (!authority_in_target(raw, &skip, error))
        return false;
    struct slice rest = {raw.data + skip, raw.size - skip};
    bool has_path = skip == 0 || (rest.size > 0 && rest.data[0] == '/');
    request->target = has_path ? arena_copy(&request->arena, rest)
                               : slice_of(arena_printf(&request->arena, "/%.*s", (int)rest.size, rest.data));
    if (!request->target.data) {
        request->target = request->path = SLICE("");
        return error_set(error, ERROR_OVERLOADED, "out of memory");
    }
    const char *query = memchr(request->target.data, '?', request->target.size);
    request->path = request->target;
    if (slice_is(raw, "*")) /* in asterisk form: OPTIONS alone may have it */
        return true;
    if (query)
        request->path.size = (size_t)(query - request->target.data);
    if (raw.size > (size_t)uri_bytes_max)
        return error_set(error, ERROR_URI_TOO_LONG, "the request target has %zu bytes, the limit is %d", raw.size,
                         uri_bytes_max);
    if (!guard_target(request->target, uri_bytes_max, error))
        return false;
    struct slice parameters = {query + 1, request->target.size - request->path.size - 1};
    return !query || request_parameters(request, parameters, error);
}

/* Called with the raw target, before the library unescapes it: this is where an exchange begins. */
static void *on_target(void *context, const char *target, struct MHD_Connection *connection)
{
    struct http_server *server = context;
    struct http_exchange *exchange = exchange_new(server);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    ASSERT(info != NULL);
    struct http_request *request = &exchange->request;
    exchange->connection = connection;
    exchange->peer = info->socket_context;
    exchange->peer->exchange = exchange;
    exchange->peer->header_since_us = 0;
    exchange->peer->had_request = true;
    exchange->holds = 1;
    exchange->phase_since_us = server->now_us;
    exchange->body_bytes_max = server->settings.body_bytes_max;
    exchange->body_limit_why = "";
    exchange->body_percent = QUOTA_PERCENT_LARGE;
    server->exchanges++;
    http_count(&server->counters->requests);
    request->exchange = exchange;
    request->started_us = exchange->phase_since_us;
    buf_init(&request->body, (size_t)server->settings.body_bytes_max);
    exchange->has_target_error = !target_read(exchange, slice_of(target), &exchange->target_error);
    return exchange;
}

/* ---- the daemon's callbacks ---- */

static enum MHD_Result exchange_answer(struct http_exchange *exchange)
{
    enum MHD_Result result = answer_queue(exchange->connection, exchange->status, exchange->response);

    exchange_response_drop(exchange);
    exchange->state = EXCHANGE_ANSWERING;
    exchange->phase_since_us = exchange->server->now_us;
    exchange_slim(exchange);
    return result;
}

/* In the first call: the connection closes behind the answer. */
static enum MHD_Result exchange_refuse(struct http_exchange *exchange, const struct error *error)
{
    http_count(&exchange->server->counters->refused);
    exchange->must_close = true;
    http_reply_error(&exchange->request, error);
    return exchange_answer(exchange);
}

void exchange_park(struct http_exchange *exchange)
{
    exchange->is_parked = true;
    MHD_suspend_connection(exchange->connection);
}

/*
 * Nothing of the body is read yet; the application may have answered. An answer before the first byte of the body closes
 * the connection behind it, and where the client is just sending the body, the reset that follows may overtake the
 * answer. So a body that is refused is read and dropped first; but not that of a stream, which may have no end, nor one
 * over its limit, nor one that the client does not send yet.
 */
static enum MHD_Result exchange_open(struct http_exchange *exchange)
{
    bool is_answered = exchange->status != 0;
    bool is_too_long = !exchange->is_streamed && exchange->body_length > exchange->body_bytes_max;

    if (is_answered && (exchange->is_streamed || exchange->is_awaited || is_too_long)) {
        exchange->must_close = true;
        return exchange_answer(exchange);
    }
    if (!is_answered && exchange->is_paused) {
        exchange_park(exchange);
        return MHD_YES;
    }
    struct error error;
    if (!is_answered && exchange->has_body && !body_coding_read(exchange, &error))
        return exchange_refuse(exchange, &error);
    if (!is_answered && is_too_long) {
        error_set(&error, ERROR_BODY_TOO_LARGE, "the body has %lld bytes, the limit%s is %lld",
                  (long long)exchange->body_length, exchange->body_limit_why, (long long)exchange->body_bytes_max);
        return exchange_refuse(exchange, &error);
    }
    exchange->must_close = false;
    exchange->is_paused = false;
    exchange->state = EXCHANGE_BODY;
    exchange->phase_since_us = exchange->server->now_us;
    return MHD_YES;
}

static enum MHD_Result exchange_begin(struct http_exchange *exchange, const char *method, const char *version)
{
    struct http_server *server = exchange->server;
    struct http_request *request = &exchange->request;
    struct guard_line line = {method, exchange->line_target.data, exchange->line_target.size, version};
    struct guard_result guard;
    struct error error = {.code = ERROR_NONE};

    exchange->is_first_call_done = true;
    if (memory_is_short()) {
        error_set(&error, ERROR_OVERLOADED, "the server is short of memory");
        return exchange_refuse(exchange, &error);
    }
    if (exchange->has_target_error)
        return exchange_refuse(exchange, &exchange->target_error);
    if (!guard_header(exchange->connection, &line, server->settings.header_bytes_max, &guard, &error))
        return exchange_refuse(exchange, &error);
    if (!method_parse(method, &request->method)) {
        error_set(&error, ERROR_METHOD_NOT_ALLOWED,
                  "the method is not one of GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS");
        http_reply_header(request, "Allow", "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS");
        return exchange_refuse(exchange, &error);
    }
    if (slice_is(request->path, "*") && request->method != HTTP_OPTIONS) {
        error_set(&error, ERROR_BAD_REQUEST, "the target * is of OPTIONS");
        return exchange_refuse(exchange, &error);
    }
    exchange->has_body = guard.has_body;
    bool may_have_body = request->method == HTTP_PUT || request->method == HTTP_POST || request->method == HTTP_PATCH;
    if (guard.has_body && !may_have_body) {
        error_set(&error, ERROR_BAD_REQUEST, "%s takes no body", method);
        return exchange_refuse(exchange, &error);
    }
    if (!may_have_body) {
        exchange->state = EXCHANGE_BODY;
        return MHD_YES;
    }
    exchange->state = EXCHANGE_OPENING;
    exchange->body_length = guard.is_length_known ? guard.content_length : -1;
    exchange->is_awaited = guard.has_body && guard.expects_continue;
    exchange->must_close = exchange->is_awaited; /* if it is answered here */
    if (server->application.begin)
        server->application.begin(server->application.context, request);
    return exchange_open(exchange);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *data_size, void **con_cls)
{
    struct http_exchange *exchange = *con_cls;
    struct http_server *server = context;

    (void)url;
    if (!exchange)
        return MHD_NO;
    if (!exchange->is_first_call_done)
        return exchange_begin(exchange, method, version);
    if (exchange->state == EXCHANGE_OPENING)
        return exchange_open(exchange);
    if (exchange->state == EXCHANGE_BODY && *data_size > 0) {
        body_data(exchange, data, data_size);
        return MHD_YES;
    }
    if (exchange->state == EXCHANGE_BODY) {
        struct error error;
        body_end(exchange);
        exchange->state = EXCHANGE_HANDLING;
        exchange->phase_since_us = server->now_us;
        if (exchange->has_body && !guard_trailers(connection, &error)) {
            exchange->must_close = true;
            if (!exchange->is_streamed) /* else its lines are taken already: the answer must say so */
                http_reply_error(&exchange->request, &error);
        }
        exchange->is_due = true;
    }
    if (exchange->is_due && exchange->status == 0 && large_goes(exchange)) {
        exchange->is_due = false;
        large_handle(exchange);
    }
    if (exchange->status != 0 && exchange->response)
        return exchange_answer(exchange);
    if (exchange->state == EXCHANGE_HANDLING) {
        exchange_charge(exchange, QUOTA_PERCENT_LARGE);
        exchange_park(exchange);
    }
    return MHD_YES;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode code)
{
    struct http_exchange *exchange = *con_cls;

    (void)context;
    (void)connection;
    (void)code;
    if (!exchange)
        return;
    *con_cls = NULL;
    fault_spin();
    exchange->peer->exchange = NULL;
    exchange->peer->quiet_since_us = exchange->server->now_us;
    /* The library knows the size of a header exactly (but for empty lines before it, which make the next one seem
     * begun); of a body it does not, so then the kernel is asked. */
    const union MHD_ConnectionInfo *header =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (!exchange->has_body && !exchange->must_close && header)
        exchange->peer->bytes_consumed += (int64_t)header->header_size;
    else
        exchange->peer->bytes_consumed = peer_bytes_received(exchange->peer);
    exchange->peer = NULL;
    exchange->connection = NULL;
    exchange->is_parked = false;
    body_drop(exchange);
    large_leave(exchange);
    exchange_sent(exchange);
    bool is_cut = exchange->is_streamed && (exchange->state == EXCHANGE_BODY || exchange->state == EXCHANGE_OPENING);
    exchange->state = EXCHANGE_OVER;
    if (is_cut && exchange->server->application.gone)
        exchange->server->application.gone(exchange->server->application.context, &exchange->request);
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
        LIST_INSERT_HEAD(&server->peers, peer, link);
        received_join(peer);
        http_count(&server->counters->connections);
        quota_take(server->settings.connections, &peer->counted, 1);
        peer->origin = server->accepted;
        server->accepted = NULL;
        peer->has_address = server->accepted_address && origin_address(server->accepted_address, peer->address);
        listener_began(&server->listener);
        *socket_context = peer;
    } else {
        struct peer *peer = *socket_context;
        if (!peer)
            return;
        received_leave(peer);
        quota_take(server->settings.connections, &peer->counted, 0);
        origins_leave(server->settings.origins, peer->origin);
        LIST_REMOVE(peer, link);
        free(peer);
        *socket_context = NULL;
        listener_ended(&server->listener);
    }
}

static void on_reap(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct http_server *server = watcher->data;
    struct peer *peer;
    int64_t now_us = clock_monotonic_us();

    (void)loop;
    (void)events;
    LIST_FOREACH(peer, &server->peers, link)
        peer_check(peer, now_us);
    server->must_run = true;
}

/* ---- the loop ---- */

/* on_connection hears of it; unless the daemon refuses it, and then has closed it. */
static void on_accepted(void *context, int fd, const struct sockaddr *address, socklen_t size)
{
    struct http_server *server = context;
    struct error error;

    if (!origins_enter(server->settings.origins, address, &server->accepted)) {
        error_set(&error, ERROR_TOO_MANY_CONNECTIONS, "the address has %d connections already",
                  origins_max(server->settings.origins));
        http_count(&server->counters->connections_refused);
        stranger_refuse(server, fd, &error);
        return;
    }
    server->accepted_address = address;
    (void)MHD_add_connection(server->daemon, fd, address, size);
    server->accepted_address = NULL;
    origins_leave(server->settings.origins, server->accepted); /* on_connection did not take it */
    server->accepted = NULL;
    server->must_run = true;
}

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
    server->now_us = clock_monotonic_us();
    server->large_bytes = 0;
    for (struct http_exchange *exchange; (exchange = large_next(server));)
        exchange_resume(exchange);
    server->must_run = false;
    received_run(server);
    if (server->must_run || large_is_due(server) ||
        (MHD_get_timeout(server->daemon, &timeout_ms) == MHD_YES && timeout_ms == 0)) {
        server->must_run = true;
        ev_idle_start(loop, &server->idle);
    } else {
        ev_idle_stop(loop, &server->idle);
    }
}

/* ---- life ---- */

static bool socket_listen(const char *address, int port, bool is_alone, int *ret_fd, int *ret_port, struct error *error)
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
    /* Without SO_REUSEPORT the kernel refuses bind or listen while another socket listens; once this one does, the option
     * lets the process's other loops join. */
    if (!is_alone)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&storage, size) != 0 || listen(fd, 4096) != 0) {
        bool is_taken = errno == EADDRINUSE && is_alone;
        error_set_field(
            error, ERROR_CONFIG, "server.port", "cannot listen on %s port %d: %s%s", address, port, strerror(errno),
            is_taken ? ": another process listens there (server.share_port lets processes share a port)" : "");
        close(fd);
        return false;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    getsockname(fd, (struct sockaddr *)&storage, &size);
    *ret_port = ntohs(storage.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
    *ret_fd = fd;
    return true;
}

bool http_listen(const char *address, int port, int *ret_fd, int *ret_port, struct error *error)
{
    return socket_listen(address, port, false, ret_fd, ret_port, error);
}

bool http_listen_alone(const char *address, int port, int *ret_fd, int *ret_port, struct error *error)
{
    return socket_listen(address, port, true, ret_fd, ret_port, error);
}

/*
 * The library's memory of a connection: the request line and the header as they come, a record for each field and
 * parameter, and a copy of the cookies.
 */
static size_t connection_bytes(const struct http_settings *settings)
{
    enum { RECORD_BYTES = 72, SLACK_BYTES = 1024 };

    return (size_t)settings->uri_bytes_max + 2 * (size_t)settings->header_bytes_max +
           (HTTP_HEADERS_MAX + HTTP_PARAMETERS_MAX) * RECORD_BYTES + SLACK_BYTES;
}

struct http_server *http_server_new(struct ev_loop *loop, const struct http_settings *settings,
                                    const struct http_application *application)
{
    struct http_server *server = calloc(1, sizeof(*server));

    ASSERT(server != NULL);
    server->settings = *settings;
    server->counters = settings->counters;
    server->application = *application;
    server->loop = loop;
    server->must_run = true;
    server->now_us = clock_monotonic_us();
    large_init(server);
    /* clang-format off */
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, on_request, server,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)settings->connections_max,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, connection_bytes(settings),
        MHD_OPTION_CONNECTION_TIMEOUT, 0u,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, server,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_END);
    /* clang-format on */
    if (!server->daemon) {
        free(server);
        return NULL;
    }
    short_answers_make(server);
    ev_io_init(&server->readable, on_readable, MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
               EV_READ);
    ev_prepare_init(&server->prepare, on_prepare);
    ev_idle_init(&server->idle, on_idle);
    ev_timer_init(&server->reaper, on_reap, REAP_MS / 1000.0, REAP_MS / 1000.0);
    server->readable.data = server->prepare.data = server->reaper.data = server;
    ev_set_priority(&server->prepare, EV_MAXPRI); /* before whatever sends what its handlers queued */
    ev_io_start(loop, &server->readable);
    ev_prepare_start(loop, &server->prepare);
    ev_timer_start(loop, &server->reaper);
    listener_init(&server->listener, loop, settings->listen_fd, settings->connections_max, on_accepted, server);
    return server;
}

void http_server_drain(struct http_server *server)
{
    if (server->is_draining)
        return;
    server->is_draining = true;
    listener_close(&server->listener);
}

bool http_server_is_idle(const struct http_server *server)
{
    return server->exchanges == 0;
}

void server_free(struct http_server *server)
{
    exchanges_free(server);
    short_answers_free(server);
    free(server->peer_of);
    free(server);
}

void http_server_free(struct http_server **pserver)
{
    struct http_server *server = *pserver;
    struct peer *peer;

    if (!server)
        return;
    /* A suspended connection at the daemon's stop is undefined: resume them all. */
    LIST_FOREACH(peer, &server->peers, link)
        if (peer->exchange && peer->exchange->is_parked)
            exchange_resume(peer->exchange);
    listener_close(&server->listener);
    MHD_stop_daemon(server->daemon);
    ev_io_stop(server->loop, &server->readable);
    ev_prepare_stop(server->loop, &server->prepare);
    ev_idle_stop(server->loop, &server->idle);
    ev_timer_stop(server->loop, &server->reaper);
    large_done(server);
    *pserver = NULL;
    server->is_stopped = true;
    if (server->exchanges == 0)
        server_free(server);
}
