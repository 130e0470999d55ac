/*
 * finish.c -- the form in which clients get JSON: it ends with a newline, and is folded for people who ask for that.
 */
#include <string.h>

#include "base/json_fold.h"
#include "http/private.h"

bool http_is_pretty(const struct http_request *request)
{
    const struct http_parameter *pretty = http_parameter(request, "pretty");

    return pretty && !request->exchange->within_done && (pretty->value.size == 0 || slice_is(pretty->value, "true"));
}

static bool body_fold(struct buf *body)
{
    struct buf folded;

    buf_init(&folded, HTTP_FOLDED_BYTES_MAX - 1);
    json_fold(buf_slice(body), &folded);
    if (folded.is_overflown) {
        buf_done(&folded);
        return false;
    }
    buf_done(body);
    *body = folded;
    return true;
}

bool http_json_finish(const struct http_request *request, struct buf *body)
{
    if (body->is_overflown || body->size == 0)
        return false;
    bool is_folded = http_is_pretty(request) && body_fold(body);
    if (body->data[body->size - 1] != '\n') {
        body->bytes_max++;
        buf_append_byte(body, '\n');
    }
    return is_folded;
}

bool http_is_json(const char *content_type)
{
    size_t size = content_type ? strlen(content_type) : 0;

    return size >= 4 && strcmp(content_type + size - 4, "json") == 0;
}
