/*
 * shared.c -- answers that are made once and sent many times.
 */
#include <microhttpd.h>
#include <stdlib.h>

#include "base/assert.h"
#include "http/private.h"

/* A 304 has the Content-Length of what it stands for; the library takes that from a body, which it does not send then. */
static char unsent[8 << 20];

struct http_shared {
    int status;
    struct MHD_Response *response; /* the library counts its users */
    int uses;                      /* its owner, and requests that have not passed it on yet */
    size_t size;
    char *body; /* the response's, as long as we hold it */
};

struct http_shared *http_shared_new(int status, const struct http_field *fields, size_t count, struct slice body)
{
    struct http_shared *shared = calloc(1, sizeof(*shared));

    ASSERT(shared != NULL);
    shared->status = status;
    shared->uses = 1;
    shared->size = body.size;
    shared->body = unsent;
    if (status == 304 || body.size == 0) {
        ASSERT(body.size <= sizeof(unsent));
        shared->response = MHD_create_response_from_buffer(body.size, unsent, MHD_RESPMEM_PERSISTENT);
    } else {
        shared->body = malloc(body.size);
        if (!shared->body) {
            free(shared);
            return NULL;
        }
        memcpy(shared->body, body.data, body.size);
        shared->response = MHD_create_response_from_buffer(body.size, shared->body, MHD_RESPMEM_MUST_FREE);
    }
    ASSERT(shared->response != NULL);
    MHD_add_response_header(shared->response, "X-Content-Type-Options", "nosniff");
    for (size_t i = 0; i < count; i++)
        MHD_add_response_header(shared->response, fields[i].name, fields[i].value);
    return shared;
}

void http_shared_free(struct http_shared **shared)
{
    if (!*shared)
        return;
    if (--(*shared)->uses == 0) {
        MHD_destroy_response((*shared)->response);
        free(*shared);
    }
    *shared = NULL;
}

static enum MHD_Result field_copy(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    MHD_add_response_header(context, name, value);
    return MHD_YES;
}

void http_reply_shared(struct http_request *request, struct http_shared *shared)
{
    struct http_exchange *exchange = request->exchange;

    if (http_is_answered(request))
        return;
    if (exchange->within_done) {
        within_answer(exchange, shared->status, (struct slice){shared->body, shared->size});
        return;
    }
    if (exchange->must_close || exchange->server->is_draining) {
        /* One of its own, that says so. */
        struct MHD_Response *response =
            MHD_create_response_from_buffer(shared->size, shared->body, MHD_RESPMEM_MUST_COPY);
        if (!response) {
            struct error error;
            error_set(&error, ERROR_OVERLOADED, "out of memory");
            http_reply_error(request, &error);
            return;
        }
        MHD_get_response_headers(shared->response, field_copy, response);
        MHD_add_response_header(response, "Connection", "close");
        reply_queue(exchange, shared->status, response);
        return;
    }
    shared->uses++;
    exchange->shared = shared; /* until it is queued, which may be after the owner has let go */
    reply_queue(exchange, shared->status, shared->response);
}
