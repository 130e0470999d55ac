#include "api/link.h"

#include <string.h>

static bool is_plain(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c && strchr("-._~:", c));
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n';
}

/* Takes `token`, and white space behind it, from the end of `text`. */
static bool end_take(struct slice *text, struct slice token)
{
    struct slice rest = *text;

    while (rest.size > 0 && is_space(rest.data[rest.size - 1]))
        rest.size--;
    if (rest.size < token.size || memcmp(rest.data + rest.size - token.size, token.data, token.size) != 0)
        return false;
    rest.size -= token.size;
    *text = rest;
    return true;
}

/* The text of the last member of the root object, compact or folded, where that is `next`; data NULL: it is not, or it
 * is null. Every cursor consists of characters that a query may have as they are. */
static struct slice next_of(struct slice body)
{
    const struct slice none = {NULL, 0};

    if (!end_take(&body, SLICE("}")) || !end_take(&body, SLICE("\"")))
        return none;
    struct slice next = {body.data + body.size, 0};
    while (body.size > 0 && is_plain(body.data[body.size - 1])) {
        body.size--;
        next.data--;
        next.size++;
    }
    bool is_member = end_take(&body, SLICE("\"")) && end_take(&body, SLICE(":")) && end_take(&body, SLICE("\"next\""));
    return next.size > 0 && is_member ? next : none;
}

struct text {
    char *at, *end;
    bool is_cut;
};

static void text_add(struct text *text, char c)
{
    if (text->at == text->end)
        text->is_cut = true;
    else
        *text->at++ = c;
}

static void text_add_all(struct text *text, struct slice part)
{
    for (size_t i = 0; i < part.size; i++)
        text_add(text, part.data[i]);
}

/* `kept`: characters that stay as they are, besides the plain ones. */
static void text_add_escaped(struct text *text, struct slice part, const char *kept)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < part.size; i++) {
        char c = part.data[i];
        if (is_plain(c) || (c && strchr(kept, c))) {
            text_add(text, c);
            continue;
        }
        text_add(text, '%');
        text_add(text, digits[(uint8_t)c >> 4]);
        text_add(text, digits[(uint8_t)c & 15]);
    }
}

static bool holds_view(const struct api_call *call)
{
    return call->route->flags & API_NEXT_ALONE;
}

void link_next(const struct api_call *call, struct slice body, char out[static LINK_TEXT_MAX])
{
    /* What a list calls its cursor: the history of statistics goes on with `from`, that of a game backwards. */
    const struct slice name = call->route->flags & API_NEXT_IS_FROM ? SLICE("from")
                              : call->route->flags & API_NEXT_IS_TO ? SLICE("to")
                                                                    : SLICE("cursor");
    const struct http_request *http = call->http;
    struct text text = {out, out + LINK_TEXT_MAX - 1, false};
    struct slice next = next_of(body);

    out[0] = 0;
    if (!next.data)
        return;
    text_add(&text, '<');
    text_add_escaped(&text, http->path, "/%!$&'()*+,;=@"); /* as it came, escaped already */
    text_add(&text, '?');
    for (int i = 0; i < http->parameter_count && !holds_view(call); i++) {
        const struct http_parameter *parameter = &http->parameters[i];
        if (slice_equal(parameter->name, name))
            continue;
        text_add_escaped(&text, parameter->name, "");
        text_add(&text, '=');
        text_add_escaped(&text, parameter->value, "");
        text_add(&text, '&');
    }
    if (holds_view(call) && http_is_pretty(http))
        text_add_all(&text, SLICE("pretty=true&"));
    text_add_all(&text, name);
    text_add(&text, '=');
    text_add_all(&text, next);
    text_add_all(&text, SLICE(">; rel=\"next\""));
    *text.at = 0;
    if (text.is_cut)
        out[0] = 0;
}
