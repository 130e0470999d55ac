/*
 * body.c -- the body of a request on its way from the daemon to the application: counted, decoded, kept or passed on.
 *
 *   daemon --bytes--> inflater --at most 16 KiB--> body_take --> request->body, or the application's stream
 *              ^          |                           |
 *              |          +- BODY_TURN_BYTES decoded  +- paused
 *              +-- the connection is suspended: the same bytes come again after the resume
 *
 * A few bytes of gzip can decode to megabytes, so an exchange decodes BODY_TURN_BYTES in one turn of the loop and goes
 * on in the next one. Meanwhile at least one byte must stay with the library, which otherwise takes the body for
 * complete. Where zlib has already taken the last byte, this byte is `held`: left with the library, and skipped when it
 * comes again.
 */
#include <strings.h>

#include "base/clock.h"
#include "http/private.h"

enum { BODY_TURN_BYTES = 65536 };

/* ---- the coding ---- */

static bool value_is(struct slice value, const char *name)
{
    return value.size == strlen(name) && strncasecmp(value.data, name, value.size) == 0;
}

bool body_coding_read(struct http_exchange *exchange, struct error *error)
{
    struct slice value = http_header(&exchange->request, "Content-Encoding");

    while (value.size > 0 && (value.data[value.size - 1] == ' ' || value.data[value.size - 1] == '\t'))
        value.size--;
    exchange->is_gzip = value_is(value, "gzip") || value_is(value, "x-gzip");
    if (exchange->is_gzip || value.size == 0 || value_is(value, "identity"))
        return true;
    http_reply_header(&exchange->request, "Accept-Encoding", "gzip, identity");
    return error_set(error, ERROR_UNSUPPORTED_MEDIA_TYPE,
                     "the Content-Encoding \"%.*s\" is not supported: send gzip, or no coding",
                     value.size < 64 ? (int)value.size : 64, value.data);
}

/* ---- decoded bytes ---- */

static void body_refuse(struct http_exchange *exchange, const struct error *error)
{
    buf_done(&exchange->request.body);
    exchange_charge(exchange, QUOTA_PERCENT_LARGE);
    exchange->must_close = true;
    http_reply_error(&exchange->request, error);
}

static void body_too_large(struct http_exchange *exchange)
{
    struct error error;

    error_set(&error, ERROR_BODY_TOO_LARGE, "the body%s is larger than the limit%s of %lld bytes",
              exchange->is_gzip ? " or what it decodes to" : "", exchange->body_limit_why,
              (long long)exchange->body_bytes_max);
    body_refuse(exchange, &error);
}

static void body_keep(struct http_exchange *exchange, struct slice bytes)
{
    struct http_request *request = &exchange->request;
    struct error error;

    exchange->body_bytes += (int64_t)bytes.size;
    if (exchange->body_bytes > exchange->body_bytes_max) {
        body_too_large(exchange);
        return;
    }
    buf_append_slice(&request->body, bytes);
    if (request->body.is_overflown) {
        error_set(&error, ERROR_OVERLOADED, "out of memory");
        body_refuse(exchange, &error);
    } else if (!exchange_charge(exchange, exchange->body_percent)) {
        memory_refuse(&error);
        body_refuse(exchange, &error);
    }
}

/* false: the application has paused the stream and took nothing. */
static bool body_take(struct http_exchange *exchange, struct slice bytes)
{
    const struct http_application *application = &exchange->server->application;

    if (!exchange->is_streamed) {
        body_keep(exchange, bytes);
        return true;
    }
    if (!application->data(application->context, &exchange->request, bytes))
        return false;
    if (!exchange->is_hurried)
        exchange->phase_since_us = clock_monotonic_us();
    return true;
}

/* ---- gzip ---- */

void body_drop(struct http_exchange *exchange)
{
    inflater_free(&exchange->inflater);
    exchange->decoded = (struct slice){"", 0};
}

/* The lines of a stream may have been taken already: the application says so in its answer. */
static void body_broken(struct http_exchange *exchange, const struct error *error)
{
    const struct http_application *application = &exchange->server->application;

    exchange->is_broken = true;
    body_drop(exchange);
    if (exchange->is_streamed)
        application->broken(application->context, &exchange->request, error);
    else
        body_refuse(exchange, error);
}

/* Another step is due in this turn. */
static bool may_decode(struct http_exchange *exchange)
{
    if (exchange->turn_us != exchange->server->now_us) {
        exchange->turn_us = exchange->server->now_us;
        exchange->turn_bytes = 0;
    }
    return exchange->turn_bytes < BODY_TURN_BYTES;
}

/* One step of decoding. false: there is nothing more to decode. */
static bool body_decode(struct http_exchange *exchange, struct slice *in)
{
    struct error error;
    size_t before = in->size;

    if (!exchange->inflater)
        exchange->inflater = inflater_new();
    bool is_ok = exchange->inflater ? inflater_run(exchange->inflater, in, &exchange->decoded, &error)
                                    : error_set(&error, ERROR_OVERLOADED, "out of memory");
    exchange->coded_bytes += (int64_t)(before - in->size);
    exchange->turn_bytes += exchange->decoded.size;
    if (!is_ok)
        body_broken(exchange, &error);
    else if (!exchange->is_streamed && exchange->coded_bytes > exchange->body_bytes_max)
        body_too_large(exchange);
    return in->size > 0 || exchange->decoded.size > 0;
}

/* true: all of `in` is decoded and taken, or is of no use any more. */
static bool coded_take(struct http_exchange *exchange, struct slice *in)
{
    while (exchange->status == 0 && !exchange->is_broken) {
        if (exchange->decoded.size > 0 && !body_take(exchange, exchange->decoded))
            return false;
        exchange->decoded.size = 0;
        if (exchange->status != 0)
            break;
        if (!may_decode(exchange))
            return false;
        if (!body_decode(exchange, in))
            return true;
    }
    body_drop(exchange);
    return true;
}

static void coded_data(struct http_exchange *exchange, const char *data, size_t *size)
{
    struct slice in = {data, *size};

    exchange->is_turn_over = false;
    if (exchange->is_byte_held)
        in = (struct slice){in.data + 1, in.size - 1};
    exchange->is_byte_held = false;
    if (coded_take(exchange, &in)) {
        *size = 0;
        return;
    }
    exchange->is_byte_held = in.size == 0;
    *size = in.size > 0 ? in.size : 1;
    exchange_park(exchange);
    if (!exchange->is_paused) {
        exchange->is_turn_over = true;
        exchange_resume(exchange);
    }
}

/* ---- the whole ---- */

static void data_pass(struct http_exchange *exchange, const char *data, size_t *size)
{
    if (exchange->status != 0 || exchange->is_broken) {
        *size = 0; /* refused already: the rest of the body goes nowhere, until the deadline */
    } else if (exchange->is_gzip) {
        coded_data(exchange, data, size);
    } else if (body_take(exchange, (struct slice){data, *size})) {
        *size = 0;
    } else if (exchange->is_paused) {
        exchange_park(exchange);
    }
}

void body_data(struct http_exchange *exchange, const char *data, size_t *size)
{
    size_t before = *size;

    data_pass(exchange, data, size);
    exchange->received_bytes += (int64_t)(before - *size);
}

void body_end(struct http_exchange *exchange)
{
    struct error error;

    if (exchange->is_gzip && exchange->has_body && exchange->status == 0 && !exchange->is_broken &&
        !(exchange->inflater && inflater_is_whole(exchange->inflater))) {
        error_set(&error, ERROR_INVALID_BODY, "the gzip body is truncated");
        body_broken(exchange, &error);
    }
    body_drop(exchange);
}
