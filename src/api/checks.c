#include "api/checks.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool parameter_is_known(const char *known, struct slice name)
{
    while (*known) {
        size_t size = strcspn(known, " ");
        if (slice_equal((struct slice){known, size}, name))
            return true;
        known += size + (known[size] == ' ');
    }
    return false;
}

/* "a b c " as people read it: "a, b, c". */
static void parameters_list(const char *known, char *out, size_t size)
{
    size_t at = 0;

    for (; *known && at + 2 < size; known++) {
        bool is_space = *known == ' ';
        if (is_space && !known[1])
            break;
        if (is_space)
            out[at++] = ',';
        out[at++] = *known;
    }
    out[at] = 0;
}

/* What every JSON answer knows. */
static bool is_pretty(const struct api_call *call, struct slice name)
{
    return slice_is(name, "pretty") && !(call->route->flags & API_FIXED_FORM);
}

bool parameters_check(struct api_call *call, struct error *error)
{
    const struct http_request *http = call->http;

    for (int i = 0; i < http->parameter_count; i++)
        if (!is_pretty(call, http->parameters[i].name) &&
            !parameter_is_known(call->route->parameters, http->parameters[i].name)) {
            char field[ERROR_FIELD_MAX], known[ERROR_MESSAGE_MAX];
            snprintf(field, sizeof(field), "%.60s", http->parameters[i].name.data);
            parameters_list(call->route->parameters, known, sizeof(known));
            return error_set_field(error, ERROR_INVALID_PARAMETER, field, "there is no such query parameter here%s%s",
                                   known[0] ? "; there are " : "", known);
        }
    struct slice integers = api_text(call, "integers");
    if (integers.data && !slice_is(integers, "string") && !slice_is(integers, "number"))
        return error_set_field(error, ERROR_INVALID_PARAMETER, "integers", "must be number or string");
    call->integers_as_strings = slice_is(integers, "string");
    struct slice source = api_text(call, "source");
    if (source.data && !slice_is(source, "true") && !slice_is(source, "false"))
        return error_set_field(error, ERROR_INVALID_PARAMETER, "source", "must be true or false");
    call->shows_source = slice_is(source, "true");
    struct slice results = api_text(call, "results");
    if (results.data && !slice_is(results, "all") && !slice_is(results, "errors"))
        return error_set_field(error, ERROR_INVALID_PARAMETER, "results", "must be all or errors");
    struct slice pretty = api_text(call, "pretty");
    if (pretty.size && !slice_is(pretty, "true") && !slice_is(pretty, "false"))
        return error_set_field(error, ERROR_INVALID_PARAMETER, "pretty", "must be true or false");
    return true;
}

bool token_check(struct api_call *call, struct error *error)
{
    struct slice text = http_header(call->http, "Ladder-Token");

    if (text.data) {
        call->has_token = true;
        return token_decode(text, api_token_key(call->api), &call->token, error);
    }
    /* Nobody chose to show it: one that is no good any more is no mistake of the client's. */
    text = http_cookie(call->http, API_TOKEN_COOKIE);
    struct error ignored;
    call->has_token = text.data && token_decode(text, api_token_key(call->api), &call->token, &ignored);
    return true;
}

bool claim_check(struct api_call *call, struct error *error)
{
    struct slice key = http_header(call->http, "Idempotency-Key");
    struct buf text;

    if (!key.data || call->http->method == HTTP_GET || call->http->method == HTTP_HEAD)
        return true;
    /* The draft wants a quoted string; bare ones are common. */
    if (key.size >= 2 && key.data[0] == '"' && key.data[key.size - 1] == '"')
        key = (struct slice){key.data + 1, key.size - 2};
    if (key.size < 1 || key.size > 255)
        return error_set_field(error, ERROR_INVALID_PARAMETER, "Idempotency-Key",
                               "the key has 1 to 255 characters, not %zu", key.size);
    call->has_claim = true;
    buf_init(&text, 1024);
    buf_printf(&text, "%lld\n", (long long)call->key.game_id);
    buf_append_slice(&text, key);
    crypto_digest(buf_slice(&text), call->claim.key);
    buf_done(&text);
    buf_init(&text, 128 << 20);
    buf_printf(&text, "%s %s\n", http_method_name(call->http->method), call->http->target.data);
    buf_append_slice(&text, buf_slice(&call->http->body));
    crypto_digest(buf_slice(&text), call->claim.hash);
    buf_done(&text);
    return true;
}

bool key_check(const struct api_call *call, const struct api_key *key, enum scope scope, struct error *error)
{
    if (key->game_id == 0)
        return error_set(error, ERROR_UNAUTHORIZED, "the API key is unknown or revoked");
    if (!slice_is(call->game, key->game))
        return error_set(error, ERROR_FORBIDDEN, "the API key is of another game");
    return key->scope >= scope || error_set(error, ERROR_FORBIDDEN, "this needs a key of scope %s, the key has %s",
                                            scope_name(scope), scope_name(key->scope));
}

bool key_missing(struct error *error)
{
    return error_set(error, ERROR_UNAUTHORIZED, "send an API key as `Authorization: Bearer …`");
}

void key_demand(struct api_call *call)
{
    struct error error;

    key_missing(&error);
    api_fail(call, &error);
}

bool conditions_check(struct api_call *call, struct error *error)
{
    bool is_read = call->http->method == HTTP_GET || call->http->method == HTTP_HEAD;

    if (is_read || call->route->flags & API_CONDITIONAL ||
        (!http_header(call->http, "If-Match").data && !http_header(call->http, "If-None-Match").data))
        return true;
    return error_set(error, ERROR_PRECONDITION_FAILED,
                     "only boards can be changed conditionally; the request was not carried out");
}

struct slice api_bearer(const struct api_call *call)
{
    struct slice header = http_header(call->http, "Authorization");

    if (!header.data)
        return header;
    /* The scheme's case does not matter (RFC 9110 section 11.1). */
    bool is_bearer = header.size > 7 && strncasecmp(header.data, "Bearer ", 7) == 0;
    return is_bearer ? (struct slice){header.data + 7, header.size - 7} : SLICE("");
}
