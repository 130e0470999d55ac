/*
 * within.c -- requests without a connection: within another one, or of our own. Their answer goes to a callback.
 */
#include <microhttpd.h>

#include "http/guard.h"
#include "http/private.h"

/* What came in a body has not to fit into a header: 500 ids of 64 bytes, all of them escaped, do. */
enum { TARGET_BYTES_MAX = 131072 };

void within_answer(struct http_exchange *exchange, int status, struct slice body)
{
    struct http_request *parent = exchange->parent;

    exchange->status = status;
    if (body.size > 0 && body.data[body.size - 1] == '\n')
        body.size--; /* it is embedded in another answer */
    exchange->within_done(exchange->within_context, status, body);
    if (parent && !exchange_charge(parent->exchange, QUOTA_PERCENT_LARGE) && !http_is_answered(parent)) {
        struct error error;
        memory_refuse(&error);
        http_reply_error(parent, &error);
    }
    http_release(&exchange->request);
    if (parent)
        http_release(parent);
}

bool http_is_internal(const struct http_request *request)
{
    return request->exchange->within_done && !request->exchange->parent;
}

bool http_is_trusted(const struct http_request *request)
{
    return request->exchange->is_trusted;
}

static void begin(struct http_server *server, struct http_request *parent, struct slice target, bool is_trusted,
                  http_within_fn *done, void *context)
{
    struct http_exchange *exchange = exchange_new(server);
    struct http_request *request = &exchange->request;
    struct error error;

    exchange->parent = parent;
    exchange->is_trusted = is_trusted;
    exchange->within_done = done;
    exchange->within_context = context;
    exchange->state = EXCHANGE_HANDLING;
    exchange->holds = 1;
    server->exchanges++;
    if (parent)
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
    } else if (!guard_target(request->target, TARGET_BYTES_MAX, &error) || !request_parameters(request, rest, &error)) {
        http_reply_error(request, &error);
    } else {
        server->application.handle(server->application.context, request);
    }
}

void http_request_within(struct http_request *parent, struct slice target, http_within_fn *done, void *context)
{
    begin(parent->exchange->server, parent, target, false, done, context);
}

void http_request_alone(struct http_server *server, struct slice target, bool is_trusted, http_within_fn *done,
                        void *context)
{
    begin(server, NULL, target, is_trusted, done, context);
}
