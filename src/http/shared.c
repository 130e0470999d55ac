/*
 * shared.c -- answers that are made once and sent many times.
 */
#include <microhttpd.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/memory.h"
#include "http/private.h"

/* A 304 has the Content-Length of what it stands for; the library takes that from a body, which it does not send
 * then. */
static char unsent[8 << 20];

struct http_body {
    struct buf bytes;
    int uses;
    int senders;        /* exchanges whose answer it is; these hold it too */
    int64_t held_bytes; /* of the quota, while there are any */
};

struct http_body *http_body_new(struct buf *bytes)
{
    struct http_body *body = malloc(sizeof(*body));

    ASSERT(body != NULL);
    *body = (struct http_body){.bytes = *bytes, .uses = 1};
    buf_init(bytes, bytes->bytes_max);
    return body;
}

struct slice http_body_slice(const struct http_body *body)
{
    return buf_slice(&body->bytes);
}

static void body_let_go(void *context)
{
    struct http_body *body = context;

    if (--body->uses > 0)
        return;
    buf_done(&body->bytes);
    free(body);
}

void http_body_free(struct http_body **body)
{
    if (*body)
        body_let_go(*body);
    *body = NULL;
}

struct http_body *http_body_share(struct http_body *body)
{
    body->uses++;
    return body;
}

bool body_send(struct http_body *body)
{
    return body->senders++ == 0;
}

bool body_sent(struct http_body *body)
{
    return --body->senders == 0;
}

int64_t *body_held(struct http_body *body)
{
    return &body->held_bytes;
}

struct MHD_Response *response_of(struct http_body *body)
{
    struct MHD_Response *response = MEMORY_HANDLED(
        MHD_create_response_from_buffer_with_free_callback_cls(body->bytes.size, body->bytes.data, body_let_go, body));
    if (response)
        body->uses++;
    return response;
}

static ssize_t nothing_read(void *context, uint64_t position, char *out, size_t size)
{
    (void)context;
    (void)position;
    (void)out;
    (void)size;
    return MHD_CONTENT_READER_END_OF_STREAM;
}

/* An answer without a body whose size is not told must be chunked for the library to keep the connection. Clients do not
 * expect that of a 304, and behind the header of an answer to HEAD the library sends the last chunk (libmicrohttpd 0.9.75):
 * the client would take it for the next answer. So this response closes the connection. */
struct MHD_Response *response_of_unknown_size(void)
{
    struct MHD_Response *response =
        MEMORY_HANDLED(MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1, nothing_read, NULL, NULL));

    if (response)
        MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    return response;
}

struct http_shared {
    int status;
    struct MHD_Response *response; /* the library counts its users */
    int uses;                      /* its owner, and requests that have not passed it on yet */
    struct slice body;             /* the response's, as long as we hold it */
    struct http_body *whole;       /* the same; NULL: nothing of it is sent */
};

struct http_shared *http_shared_new(int status, const struct http_field *fields, size_t count, struct http_body *body)
{
    struct http_shared *shared = calloc(1, sizeof(*shared));

    ASSERT(shared != NULL);
    shared->status = status;
    shared->uses = 1;
    shared->body = body ? buf_slice(&body->bytes) : SLICE("");
    if (!body) {
        ASSERT(status == 304);
        shared->response = response_of_unknown_size();
    } else if (status == 304 || shared->body.size == 0) {
        ASSERT(shared->body.size <= sizeof(unsent));
        shared->body.data = unsent;
        shared->response =
            MEMORY_HANDLED(MHD_create_response_from_buffer(shared->body.size, unsent, MHD_RESPMEM_PERSISTENT));
    } else {
        shared->response = response_of(body);
        shared->whole = http_body_share(body);
    }
    if (!shared->response || !response_field(shared->response, "X-Content-Type-Options", "nosniff") ||
        !response_fields(shared->response, fields, count))
        http_shared_free(&shared);
    return shared;
}

void http_shared_free(struct http_shared **shared)
{
    if (!*shared)
        return;
    if (--(*shared)->uses == 0) {
        if ((*shared)->response)
            MHD_destroy_response((*shared)->response);
        http_body_free(&(*shared)->whole);
        free(*shared);
    }
    *shared = NULL;
}

static enum MHD_Result field_copy(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    return response_field(context, name, value) ? MHD_YES : MHD_NO;
}

/* One of its own for an exchange, which says that the connection closes. NULL: out of memory. */
static struct MHD_Response *response_closing(const struct http_shared *shared)
{
    struct MHD_Response *response = MEMORY_HANDLED(
        MHD_create_response_from_buffer(shared->body.size, (char *)shared->body.data, MHD_RESPMEM_MUST_COPY));
    int count = MHD_get_response_headers(shared->response, NULL, NULL);

    if (response && MHD_get_response_headers(shared->response, field_copy, response) == count &&
        response_field(response, "Connection", "close"))
        return response;
    if (response)
        MHD_destroy_response(response);
    return NULL;
}

void http_reply_shared(struct http_request *request, struct http_shared *shared)
{
    struct http_exchange *exchange = request->exchange;

    if (http_is_answered(request))
        return;
    if (!shared || request->arena.is_short) {
        reply_short(exchange);
        return;
    }
    if (exchange->within_done) {
        within_answer(exchange, shared->status, shared->body);
        return;
    }
    if (shared->whole && !answer_charge_shared(exchange, shared->status, shared->whole, false))
        return;
    if (exchange->must_close || exchange->server->is_draining) {
        struct MHD_Response *response = response_closing(shared);
        if (response)
            reply_queue(exchange, shared->status, response);
        else
            reply_short(exchange);
        return;
    }
    shared->uses++;
    exchange->shared = shared; /* until it is queued, which may be after the owner has let go */
    reply_queue(exchange, shared->status, shared->response);
}
