/*
 * short.c -- an answer for requests that found no memory. It is made at the start, one for each form that it may have, and
 * sending it allocates nothing that can fail. So a request is not answered with what is left of an answer.
 */
#include <errno.h>
#include <microhttpd.h>

#include "base/assert.h"
#include "base/jsonw.h"
#include "base/memory.h"
#include "http/private.h"

static const char why[] = "out of memory; a write may or may not have been taken";

bool response_field(struct MHD_Response *response, const char *name, const char *value)
{
    errno = 0;
    /* The library also refuses what is no field, which is not ours to answer for here. */
    return MEMORY_HANDLED(MHD_add_response_header(response, name, value)) == MHD_YES || errno != ENOMEM;
}

bool response_fields(struct MHD_Response *response, const struct http_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!response_field(response, fields[i].name, fields[i].value))
            return false;
    return true;
}

static bool is_read(const struct http_exchange *exchange)
{
    return exchange->request.method == HTTP_GET || exchange->request.method == HTTP_HEAD;
}

static void problem_write(struct buf *body)
{
    struct error error;
    struct jsonw json;

    error_set(&error, ERROR_OVERLOADED, "%s", why);
    jsonw_init(&json, body);
    http_problem(&json, &error);
}

static struct MHD_Response *answer_make(const struct http_server *server, bool reads, bool closes)
{
    static const struct http_field fields[] = {{"Content-Type", "application/problem+json"},
                                               {"X-Content-Type-Options", "nosniff"},
                                               {"Cache-Control", "no-store"},
                                               {"Retry-After", "1"}};
    const struct http_application *application = &server->application;
    struct buf body;

    buf_init(&body, 1024);
    problem_write(&body);
    buf_append_byte(&body, '\n');
    size_t size = body.size;
    struct MHD_Response *response = MHD_create_response_from_buffer(size, buf_take(&body), MHD_RESPMEM_MUST_FREE);
    ASSERT(response != NULL && response_fields(response, fields, ARRAY_SIZE(fields)) &&
           response_fields(response, reads ? application->fields : application->write_fields,
                           reads ? application->field_count : application->write_field_count) &&
           (!closes || response_field(response, "Connection", "close")));
    return response;
}

void short_answers_make(struct http_server *server)
{
    for (int i = 0; i < SHORT_ANSWERS; i++)
        server->short_answers[i] = answer_make(server, i % 2, i / 2);
}

void short_answers_free(struct http_server *server)
{
    for (int i = 0; i < SHORT_ANSWERS; i++)
        MHD_destroy_response(server->short_answers[i]);
}

void reply_short(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    bool closes = exchange->must_close || server->is_draining;
    struct error error;

    error_set(&error, ERROR_OVERLOADED, "%s", why);
    http_unavailable(&exchange->request, &error);
    if (exchange->within_done) {
        char text[512];
        struct buf body;
        buf_init_within(&body, text, sizeof(text));
        problem_write(&body);
        within_answer(exchange, error_status(error.code), buf_slice(&body));
        return;
    }
    exchange->is_response_lent = true;
    reply_queue(exchange, error_status(error.code), server->short_answers[is_read(exchange) + 2 * closes]);
}
