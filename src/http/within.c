/*
 * within.c -- requests within a request: no connection, no header of their own; their answer goes to a callback.
 */
#include <microhttpd.h>

#include "http/guard.h"
#include "http/private.h"

void within_answer(struct http_exchange *exchange, int status, struct slice body)
{
    struct http_request *parent = exchange->parent;

    exchange->status = status;
    exchange->within_done(exchange->within_context, status, body);
    http_release(&exchange->request);
    http_release(parent);
}

void http_request_within(struct http_request *parent, struct slice target, http_within_fn *done, void *context)
{
    struct http_server *server = parent->exchange->server;
    struct http_exchange *exchange = exchange_new(server);
    struct http_request *request = &exchange->request;
    struct error error;

    exchange->parent = parent;
    exchange->within_done = done;
    exchange->within_context = context;
    exchange->state = EXCHANGE_HANDLING;
    exchange->holds = 1;
    server->exchanges++;
    http_hold(parent);
    buf_init(&request->body, 0);
    request->exchange = exchange;
    request->method = HTTP_GET;
    request->started_us = server->now_us;
    request->target = arena_copy(&request->arena, target);
    const char *query = request->target.data ? memchr(request->target.data, '?', target.size) : NULL;
    request->path = request->target;
    if (query)
        request->path.size = (size_t)(query - request->target.data);
    struct slice rest = query ? (struct slice){query + 1, target.size - request->path.size - 1} : (struct slice){"", 0};
    if (!request->target.data) {
        error_set(&error, ERROR_OVERLOADED, "out of memory");
        http_reply_error(request, &error);
    } else if (!guard_target(request->target, server->settings.uri_bytes_max, &error) ||
               !request_parameters(request, rest, &error)) {
        http_reply_error(request, &error);
    } else {
        server->application.handle(server->application.context, request);
    }
}
