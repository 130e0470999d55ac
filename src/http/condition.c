#include "http/condition.h"

#include <microhttpd.h>
#include <strings.h>

#include "base/hash.h"
#include "base/text.h"
#include "http/negotiate.h"
#include "http/private.h"

/* ---- tags ---- */

void http_tag_of(struct slice body, char tag[static HTTP_TAG_MAX])
{
    uint8_t hash[HASH_SIZE];

    hash_bytes(body, hash);
    text_base64url_encode(hash, HTTP_TAG_BYTES, tag);
}

/* ---- lists of several lines ---- */

struct joined {
    const char *name;
    struct buf *text; /* NULL: they are only counted */
    int count;
};

static enum MHD_Result on_line(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct joined *joined = context;

    (void)kind;
    if (strcasecmp(name, joined->name) != 0)
        return MHD_YES;
    if (joined->text)
        buf_printf(joined->text, "%s%s", joined->count ? ", " : "", value ? value : "");
    joined->count++;
    return MHD_YES;
}

/* A list may come in several lines, which mean the same as one (RFC 9110, 5.3); the library shows the first. */
static struct slice list_read(struct http_request *request, const char *name)
{
    struct slice first = http_header(request, name);
    struct joined lines = {.name = name};
    struct buf text;

    if (!first.data)
        return first;
    MHD_get_connection_values(request->exchange->connection, MHD_HEADER_KIND, on_line, &lines);
    if (lines.count < 2)
        return first;
    buf_init(&text, HTTP_ARENA_BYTES_MAX);
    lines = (struct joined){.name = name, .text = &text};
    MHD_get_connection_values(request->exchange->connection, MHD_HEADER_KIND, on_line, &lines);
    first = arena_copy(&request->arena, buf_slice(&text));
    buf_done(&text);
    return first.data ? first : SLICE("");
}

struct http_conditions http_conditions_read(struct http_request *request)
{
    return (struct http_conditions){
        .if_match = list_read(request, "If-Match"),
        .if_none_match = list_read(request, "If-None-Match"),
        .if_modified_since = http_header(request, "If-Modified-Since"),
        .if_unmodified_since = http_header(request, "If-Unmodified-Since"),
    };
}

bool http_conditions_any(const struct http_conditions *conditions)
{
    return conditions->if_match.data || conditions->if_none_match.data || conditions->if_modified_since.data ||
           conditions->if_unmodified_since.data;
}

bool http_conditions_keep(struct http_conditions *conditions, struct arena *arena)
{
    struct slice *const fields[] = {&conditions->if_match, &conditions->if_none_match, &conditions->if_modified_since,
                                    &conditions->if_unmodified_since};

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (fields[i]->data)
            *fields[i] = arena_copy(arena, *fields[i]);
    return !arena->is_exhausted;
}

/* ---- whether they hold ---- */

enum http_verdict http_conditions_check(const struct http_conditions *conditions, const struct http_state *state,
                                        bool is_read, int *ret_form)
{
    int count = state->exists ? state->tag_count : 0;
    int64_t date_us;
    bool is_dated = state->exists && state->valid_since_us > 0;

    *ret_form = 0;
    if (conditions->if_match.data) {
        /* Strong: a change must not be built on what only looks the same. */
        if (http_tag_find(conditions->if_match, state->tags, count, false) < 0 || !state->exists)
            return HTTP_FAILED;
    } else if (is_dated && http_date_parse(conditions->if_unmodified_since, &date_us) &&
               date_us < state->valid_since_us) {
        return HTTP_FAILED;
    }
    if (conditions->if_none_match.data) {
        int form = http_tag_find(conditions->if_none_match, state->tags, count, true);
        if (form < 0 || !state->exists)
            return HTTP_PASS;
        *ret_form = form;
        return is_read ? HTTP_NOT_MODIFIED : HTTP_FAILED;
    }
    if (is_read && is_dated && http_date_parse(conditions->if_modified_since, &date_us) &&
        date_us >= state->valid_since_us)
        return HTTP_NOT_MODIFIED;
    return HTTP_PASS;
}
