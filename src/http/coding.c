#include "http/coding.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/memory.h"
#include "http/private.h"

/* BLOCK_BYTES: what MHD asks for at a time. SLICE_BYTES: what is taken in at a time; it bounds how long the loop is held. */
enum { BLOCK_BYTES = 16 << 10, SLICE_BYTES = 64 << 10, SECOND_US = 1000000, PERCENT = 100 };

/* ---- the budget ---- */

static int64_t cpu_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

static bool budget_has(struct http_server *server)
{
    struct coding_budget *budget = &server->coding;
    int64_t now_us = clock_monotonic_us(), percent = server->settings.compress_percent;

    budget->left_us += (now_us - budget->refilled_us) * percent / PERCENT;
    if (budget->left_us > SECOND_US * percent / PERCENT)
        budget->left_us = SECOND_US * percent / PERCENT;
    budget->refilled_us = now_us;
    return budget->left_us > 0;
}

static void budget_spend(struct http_server *server, int64_t since_us)
{
    int64_t took_us = cpu_us() - since_us;

    server->coding.left_us -= took_us;
    http_add(&server->counters->compress_us, (uint64_t)took_us);
}

bool http_may_code(const struct http_request *request)
{
    return budget_has(request->exchange->server);
}

/* ---- at once ---- */

static enum compress_coding compress_coding_of(enum http_coding coding)
{
    ASSERT(coding != HTTP_IDENTITY);
    return coding == HTTP_GZIP ? COMPRESS_GZIP : COMPRESS_BROTLI;
}

enum http_coding http_coding_of(const struct http_request *request, size_t size,
                                const bool is_useless[static HTTP_CODING_COUNT])
{
    int64_t bytes_min = request->exchange->server->settings.compress_bytes_min;

    if (bytes_min == 0 || size < (size_t)bytes_min || request->exchange->within_done)
        return HTTP_IDENTITY;
    return http_coding_best(http_header(request, "Accept-Encoding"), is_useless);
}

static struct http_body *body_code(struct http_server *server, struct slice body, enum http_coding coding,
                                   enum compress_effort effort, bool *ret_is_useless)
{
    int64_t since_us = cpu_us();
    struct buf smaller;

    *ret_is_useless = !compress_body(compress_coding_of(coding), effort, body, &smaller);
    budget_spend(server, since_us);
    if (*ret_is_useless)
        return NULL;
    http_add(&server->counters->compressed_in, body.size);
    http_add(&server->counters->compressed_out, smaller.size);
    return http_body_new(&smaller);
}

struct http_body *http_body_code(const struct http_request *request, const struct http_body *body,
                                 enum http_coding coding, enum compress_effort effort, bool *ret_is_useless)
{
    struct http_server *server = request->exchange->server;

    *ret_is_useless = false;
    if (budget_has(server))
        return body_code(server, http_body_slice(body), coding, effort, ret_is_useless);
    http_count(&server->counters->compress_skipped);
    return NULL;
}

/* ---- while it is sent ---- */

struct http_making {
    struct buf bytes;
    int uses;
    bool is_complete, is_abandoned;
};

struct http_making *http_making_new(void)
{
    struct http_making *making = calloc(1, sizeof(*making));

    ASSERT(making != NULL);
    buf_init(&making->bytes, HTTP_FOLDED_BYTES_MAX);
    making->uses = 1;
    return making;
}

void http_making_free(struct http_making **making)
{
    if (*making && --(*making)->uses == 0) {
        buf_done(&(*making)->bytes);
        free(*making);
    }
    *making = NULL;
}

bool http_making_is_abandoned(const struct http_making *making)
{
    return making->is_abandoned;
}

struct http_body *http_making_take(struct http_making *making)
{
    if (!making->is_complete)
        return NULL;
    making->is_complete = false;
    return http_body_new(&making->bytes);
}

struct sending {
    struct http_server *server;
    struct compressor *compressor;
    struct http_body *body;
    size_t taken; /* of the body */
    bool is_ended;
    struct http_making *making; /* NULL: nowhere */
};

/* The next compressed bytes; 0: there are no more, -1: memory is short. */
static ssize_t sending_run(struct sending *sending, uint8_t *out, size_t size)
{
    const struct slice body = http_body_slice(sending->body);
    size_t written = 0;

    while (written == 0 && !sending->is_ended) {
        size_t left = body.size - sending->taken, part = left < SLICE_BYTES ? left : SLICE_BYTES;
        struct slice in = {body.data + sending->taken, part};
        enum compress_step step = part == left ? COMPRESS_END : COMPRESS_MORE;
        if (!compressor_run(sending->compressor, step, &in, out, size, &written))
            return -1;
        sending->taken += part - in.size;
        sending->is_ended = step == COMPRESS_END && in.size == 0 && written < size;
    }
    return (ssize_t)written;
}

static void making_add(struct http_making *making, const uint8_t *bytes, size_t size, bool is_last)
{
    buf_append(&making->bytes, (const char *)bytes, size);
    making->is_complete = is_last && !making->bytes.is_overflown;
}

static ssize_t on_read(void *context, uint64_t position, char *out, size_t size)
{
    struct sending *sending = context;
    int64_t since_us = cpu_us();

    (void)position;
    ssize_t written = sending_run(sending, (uint8_t *)out, size);
    budget_spend(sending->server, since_us);
    if (written < 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (sending->making)
        making_add(sending->making, (uint8_t *)out, (size_t)written, sending->is_ended);
    http_add(&sending->server->counters->compressed_out, (uint64_t)written);
    return written == 0 ? MHD_CONTENT_READER_END_OF_STREAM : written;
}

static void on_sent(void *context)
{
    struct sending *sending = context;

    if (sending->making && !sending->is_ended)
        sending->making->is_abandoned = true;
    http_making_free(&sending->making);
    http_body_free(&sending->body);
    compressor_free(&sending->compressor);
    free(sending);
}

static struct MHD_Response *response_coded(const struct http_exchange *exchange, struct http_body *body,
                                           enum http_coding coding, struct http_making *making)
{
    if (exchange->request.method == HTTP_HEAD) {
        if (making)
            making->is_abandoned = true; /* nobody makes it */
        return response_of_unknown_size();
    }
    struct http_server *server = exchange->server;
    struct sending *sending = calloc(1, sizeof(*sending));
    struct compressor *compressor = compressor_new(compress_coding_of(coding), COMPRESS_FAST);

    ASSERT(sending != NULL && compressor != NULL);
    *sending =
        (struct sending){.server = server, .compressor = compressor, .body = http_body_share(body), .making = making};
    if (making)
        making->uses++;
    http_add(&server->counters->compressed_in, http_body_slice(body).size);
    struct MHD_Response *response =
        MEMORY_HANDLED(MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_read, sending, on_sent));
    if (!response)
        on_sent(sending);
    return response;
}

void http_reply_coded(struct http_request *request, int status, const struct http_field *fields, size_t count,
                      struct http_body *body, enum http_coding coding, struct http_making *making)
{
    struct http_exchange *exchange = request->exchange;

    if (http_is_answered(request))
        return;
    ASSERT(!exchange->within_done);
    if (!answer_charge_shared(exchange, status, body, true)) {
        if (making)
            making->is_abandoned = true; /* nobody makes it */
        return;
    }
    struct MHD_Response *response = response_coded(exchange, body, coding, making);
    bool closes = exchange->must_close || exchange->server->is_draining;
    if (response && !request->arena.is_short && response_field(response, "X-Content-Type-Options", "nosniff") &&
        response_fields(response, fields, count) && (!closes || response_field(response, "Connection", "close"))) {
        reply_queue(exchange, status, response);
        return;
    }
    if (response)
        MHD_destroy_response(response);
    reply_short(exchange);
}

/* ---- of http_reply ---- */

struct MHD_Response *response_fitting(struct http_request *request, struct buf *body, enum http_coding *ret_coding)
{
    static const bool is_useless[HTTP_CODING_COUNT];
    struct http_server *server = request->exchange->server;
    enum http_coding coding = http_coding_of(request, body->size, is_useless);
    struct MHD_Response *response;
    struct http_body *smaller;
    bool is_of_no_use;

    *ret_coding = HTTP_IDENTITY;
    if (coding == HTTP_IDENTITY)
        return NULL;
    if (!budget_has(server)) {
        http_count(&server->counters->compress_skipped);
        return NULL;
    }
    if (body->size > HTTP_CODED_WHOLE_MAX) {
        struct http_body *whole = http_body_new(body);
        response = response_coded(request->exchange, whole, coding, NULL);
        http_body_free(&whole);
    } else {
        smaller = body_code(server, buf_slice(body), coding, COMPRESS_FAST, &is_of_no_use);
        if (!smaller)
            return NULL;
        buf_done(body);
        response = response_of(smaller);
        http_body_free(&smaller);
    }
    body->is_short = !response; /* it is gone */
    *ret_coding = coding;
    return response;
}

/* ---- of http_reply_file ---- */

struct compressor *compressor_fitting(struct http_request *request, size_t size)
{
    static const bool is_useless[HTTP_CODING_COUNT];
    struct http_server *server = request->exchange->server;
    int64_t bytes_min = server->settings.compress_bytes_min;

    if (bytes_min == 0 || size < (size_t)bytes_min)
        return NULL;
    reply_vary(request);
    enum http_coding coding = http_coding_of(request, size, is_useless);
    if (coding == HTTP_IDENTITY)
        return NULL;
    if (!budget_has(server)) {
        http_count(&server->counters->compress_skipped);
        return NULL;
    }
    struct compressor *compressor = compressor_new(compress_coding_of(coding), COMPRESS_FAST);
    if (compressor)
        http_reply_header(request, "Content-Encoding", http_coding_name(coding));
    return compressor;
}

bool coding_run(struct http_server *server, struct compressor *compressor, enum compress_step step, struct slice *in,
                char *out, size_t size, size_t *ret_written)
{
    int64_t since_us = cpu_us();
    size_t before = in->size;

    bool is_ok = compressor_run(compressor, step, in, (uint8_t *)out, size, ret_written);
    budget_spend(server, since_us);
    http_add(&server->counters->compressed_in, before - in->size);
    http_add(&server->counters->compressed_out, *ret_written);
    return is_ok;
}
