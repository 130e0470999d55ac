#include "edge/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/crypto.h"
#include "base/text.h"

enum { WORD_MAX = 1024 };

/* The next word without its quotes; false at the end, or when a quote is left open. */
static bool word_next(const char **rest, char word[static WORD_MAX], bool *ret_is_open)
{
    const char *at = *rest + strspn(*rest, " ");
    size_t size = 0;
    bool is_quoted = false;

    *ret_is_open = false;
    if (!*at)
        return false;
    for (; *at && (is_quoted || *at != ' '); at++) {
        if (*at == '\'')
            is_quoted = !is_quoted;
        else if (size < WORD_MAX - 1)
            word[size++] = *at;
    }
    word[size] = 0;
    *rest = at;
    *ret_is_open = is_quoted;
    return !is_quoted;
}

/* {env:NAME} by its value. The caller frees it; NULL: *error. */
static char *environment_fill(const char *text, struct error *error)
{
    struct buf out;
    char name[128];

    buf_init(&out, 65536);
    for (const char *at; (at = strstr(text, "{env:")); text = at + 1) {
        buf_append(&out, text, (size_t)(at - text));
        size_t size = strcspn(at + 5, "}");
        if (size == 0 || size >= sizeof(name) || at[5 + size] != '}') {
            buf_done(&out);
            error_set(error, ERROR_CONFIG, "{env:…} is not closed, or names nothing");
            return NULL;
        }
        memcpy(name, at + 5, size);
        name[size] = 0;
        const char *value = getenv(name);
        if (!value) {
            buf_done(&out);
            error_set(error, ERROR_CONFIG, "the environment has no %s", name);
            return NULL;
        }
        buf_append_text(&out, value);
        at += 5 + size;
    }
    buf_append_text(&out, text);
    char *filled = strndup(out.data ? out.data : "", out.size);
    buf_done(&out);
    ASSERT(filled != NULL);
    return filled;
}

static bool text_take(char **place, const char *text, struct error *error)
{
    char *filled = environment_fill(text, error);

    if (!filled)
        return false;
    if (strpbrk(filled, "\r\n")) {
        free(filled);
        return error_set(error, ERROR_CONFIG, "a line break is not allowed");
    }
    free(*place);
    *place = filled;
    return true;
}

static bool option_take(struct edge_target *target, const char *word, struct error *error)
{
    int64_t count;

    if (strncmp(word, "method=", 7) == 0) {
        const char *name = word + 7;
        if (!*name || strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != strlen(name))
            return error_set(error, ERROR_CONFIG, "\"%.40s\" is not a method", name);
        return text_take(&target->method, name, error);
    }
    if (strncmp(word, "header=", 7) == 0) {
        if (target->header_count == EDGE_HEADERS_MAX)
            return error_set(error, ERROR_CONFIG, "more than %d headers", EDGE_HEADERS_MAX);
        if (!strchr(word + 7, ':') || word[7] == ':')
            return error_set(error, ERROR_CONFIG, "\"%.40s\" is not a header", word + 7);
        return text_take(&target->headers[target->header_count++], word + 7, error);
    }
    if (strncmp(word, "body=", 5) == 0)
        return text_take(&target->body, word + 5, error);
    if (strncmp(word, "tags_max=", 9) == 0 && text_parse_int64(slice_of(word + 9), &count) && count >= 1 &&
        count <= EDGE_TAGS_MAX) {
        target->tags_max = (size_t)count;
        return true;
    }
    return error_set(error, ERROR_CONFIG, "\"%.40s\" is none of method=, header=, body=, tags_max= (1 to %d)", word,
                     EDGE_TAGS_MAX);
}

static bool url_take(struct edge_target *target, const char *word, struct error *error)
{
    bool is_varnish = strncmp(word, "varnish+", 8) == 0;
    const char *url = is_varnish ? word + 8 : word;
    uint8_t hash[CRYPTO_HASH_SIZE];

    size_t scheme = strncasecmp(url, "http://", 7) == 0 ? 7 : strncasecmp(url, "https://", 8) == 0 ? 8 : 0;
    if (scheme == 0 || strchr("/?#", url[scheme]))
        return error_set(error, ERROR_CONFIG, "\"%.60s\" is no URL of an edge: [varnish+]http[s]://host[:port][/path]",
                         word);
    crypto_digest(slice_of(url), hash);
    text_hex_encode(hash, (EDGE_ID_MAX - 1) / 2, target->id);
    size_t host = scheme + strcspn(url + scheme, "/?#");
    const char *user = memrchr(url, '@', host);
    const char *from = user ? user + 1 : url + scheme;
    snprintf(target->name, sizeof(target->name), "%.*s%.*s", (int)scheme, url, (int)(url + host - from), from);
    return text_take(&target->url, url, error) &&
           (!is_varnish ||
            (option_take(target, "method=BAN", error) && option_take(target, "header=Surrogate-Key: {tags}", error)));
}

static bool target_read(struct edge_target *target, const char *line, struct error *error)
{
    char word[WORD_MAX];
    bool is_open, is_ok;

    target->tags_max = EDGE_TAGS_DEFAULT;
    if (!word_next(&line, word, &is_open))
        return error_set(error, ERROR_CONFIG, is_open ? "a quote is not closed" : "there is no URL");
    is_ok = url_take(target, word, error);
    while (is_ok && word_next(&line, word, &is_open))
        is_ok = option_take(target, word, error);
    if (is_ok && is_open)
        return error_set(error, ERROR_CONFIG, "a quote is not closed");
    return is_ok && (target->method || text_take(&target->method, "POST", error));
}

struct edge_target *edge_target_parse(const char *line, struct error *error)
{
    struct edge_target *target = calloc(1, sizeof(*target));

    ASSERT(target != NULL);
    if (!target_read(target, line, error))
        edge_target_free(&target);
    return target;
}

void edge_target_free(struct edge_target **ptarget)
{
    struct edge_target *target = *ptarget;

    if (!target)
        return;
    free(target->url);
    free(target->method);
    free(target->body);
    for (size_t i = 0; i < target->header_count; i++)
        free(target->headers[i]);
    free(target);
    *ptarget = NULL;
}

void edge_template_write(const char *template, const char *const *tags, size_t count, struct buf *out)
{
    static const struct {
        const char *name, *before, *between, *after;
    } forms[] = {{"{tags}", "", " ", ""}, {"{commas}", "", ",", ""}, {"{json}", "\"", "\",\"", "\""}};

    while (*template) {
        size_t form = 0;
        while (form < ARRAY_SIZE(forms) && strncmp(template, forms[form].name, strlen(forms[form].name)) != 0)
            form++;
        if (form == ARRAY_SIZE(forms)) {
            buf_append(out, template ++, 1);
            continue;
        }
        /* Tags are names of games and boards: letters, digits and ._-/: need no escaping anywhere. */
        buf_append_text(out, count ? forms[form].before : "");
        for (size_t i = 0; i < count; i++) {
            buf_append_text(out, i ? forms[form].between : "");
            buf_append_text(out, tags[i]);
        }
        buf_append_text(out, count ? forms[form].after : "");
        template += strlen(forms[form].name);
    }
}
