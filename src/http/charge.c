/*
 * charge.c -- the memory that requests have, counted against one quota of the process (server.memory_bytes).
 *
 *   body as it was received, the request's arena, the answer until it is sent, what the application says (http_charge)
 *
 * An exchange counts what it has when that changes: as its body comes, when it is parked, when it is answered, when its
 * connection is done with the answer, and when it ends. What is there is always counted; who finds that all together
 * have too much gives up what can still be given up: a body that is arriving, an answer to a read. Large ones may not
 * take the last part of the quota, so that small answers, /metrics among them, go out meanwhile. An answer that
 * several exchanges send is counted once, while any of them does. Of the arena of a request that is answered only what
 * the application needs until the end is left, because the client may take its time. What a request within another one has ends up in the
 * arena of that one.
 */
#include "http/private.h"

enum {
    PERCENT = 100,
    SMALL_BYTES = 65536,      /* answers that may use all of the quota */
    TINY_BYTES = 4096,        /* and those that are sent in any case */
    ARENA_BYTES_KEPT = 4096,  /* the first block, which free exchanges have too */
    INFLATER_BYTES = 57344,   /* zlib's window and state, and ours */
    COMPRESSOR_BYTES = 524288 /* an estimate: gzip has 256 KiB, brotli by the size of its input */
};

static bool quota_is_kept(const struct http_server *server, int percent)
{
    const struct quota *quota = server->settings.memory;

    return !quota || quota_used(quota) <= quota->max / PERCENT * percent;
}

static int64_t exchange_bytes(const struct http_exchange *exchange)
{
    const struct http_request *request = &exchange->request;
    int64_t arena = (int64_t)request->arena.used_bytes;

    return (int64_t)request->body.capacity + (arena > ARENA_BYTES_KEPT ? arena : 0) + exchange->answer_bytes +
           exchange->application_bytes + (exchange->inflater ? INFLATER_BYTES : 0);
}

bool exchange_charge(struct http_exchange *exchange, int percent)
{
    int64_t bytes = exchange_bytes(exchange), before = exchange->held_bytes;

    if (exchange->within_done || bytes == before)
        return true;
    quota_take(exchange->server->settings.memory, &exchange->held_bytes, bytes);
    return bytes < before || quota_is_kept(exchange->server, percent);
}

void exchange_charge_nothing(struct http_exchange *exchange)
{
    quota_take(exchange->server->settings.memory, &exchange->held_bytes, 0);
}

bool http_charge(struct http_request *request, int64_t bytes)
{
    request->exchange->application_bytes = bytes;
    return exchange_charge(request->exchange, QUOTA_PERCENT_LARGE);
}

bool memory_refuse(struct error *error)
{
    return error_set(error, ERROR_MEMORY_FULL, "all requests together have reached server.memory_bytes");
}

/* A read is refused, so that its answer is not kept for a client that may not read it; a write has happened. */
static bool must_send(const struct http_exchange *exchange, int status, size_t size)
{
    bool is_read = exchange->request.method == HTTP_GET || exchange->request.method == HTTP_HEAD;

    return status >= 400 || !is_read || size <= TINY_BYTES;
}

static int percent_of(size_t size)
{
    return size <= SMALL_BYTES ? PERCENT : QUOTA_PERCENT_LARGE;
}

static bool answer_refuse(struct http_exchange *exchange)
{
    struct error error;

    exchange_sent(exchange);
    exchange->header_count = 0; /* they describe what is not sent */
    memory_refuse(&error);
    http_reply_error(&exchange->request, &error);
    return false;
}

bool answer_charge(struct http_exchange *exchange, int status, size_t size, bool is_coded)
{
    exchange->answer_bytes = (int64_t)size + (is_coded ? COMPRESSOR_BYTES : 0);
    return exchange_charge(exchange, percent_of(size)) || must_send(exchange, status, size) || answer_refuse(exchange);
}

bool answer_charge_shared(struct http_exchange *exchange, int status, struct http_body *body, bool is_coded)
{
    size_t size = http_body_slice(body).size;

    exchange->answer_bytes = is_coded ? COMPRESSOR_BYTES : 0;
    exchange_charge(exchange, PERCENT);
    exchange->sent = http_body_share(body);
    if (body_send(body))
        quota_take(exchange->server->settings.memory, body_held(body), (int64_t)size);
    return quota_is_kept(exchange->server, percent_of(size)) || must_send(exchange, status, size) ||
           answer_refuse(exchange);
}

void exchange_slim(struct http_exchange *exchange)
{
    if (exchange->state != EXCHANGE_ANSWERING || exchange->holds > 1 || !exchange->kept)
        return;
    arena_release(&exchange->request.arena, exchange->kept);
    exchange_charge(exchange, PERCENT);
}

void exchange_sent(struct http_exchange *exchange)
{
    if (exchange->sent && body_sent(exchange->sent))
        quota_take(exchange->server->settings.memory, body_held(exchange->sent), 0);
    http_body_free(&exchange->sent);
    exchange->answer_bytes = 0;
    exchange_charge(exchange, PERCENT);
}
