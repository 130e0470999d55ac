#include "http/negotiate.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

const char *http_coding_name(enum http_coding coding)
{
    static const char *const names[] = {"identity", "gzip", "br"};

    return names[coding];
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct slice trim(struct slice text)
{
    while (text.size && is_space(text.data[0]))
        text = (struct slice){text.data + 1, text.size - 1};
    while (text.size && is_space(text.data[text.size - 1]))
        text.size--;
    return text;
}

/* The next part up to a separator; false at the end. */
static bool part_next(struct slice *rest, char separator, struct slice *ret_part)
{
    if (!rest->data)
        return false;
    const char *end = memchr(rest->data, separator, rest->size);
    size_t size = end ? (size_t)(end - rest->data) : rest->size;
    *ret_part = trim((struct slice){rest->data, size});
    *rest = end ? (struct slice){end + 1, rest->size - size - 1} : (struct slice){NULL, 0};
    return true;
}

static bool is_name(struct slice text, const char *name)
{
    return text.size == strlen(name) && strncasecmp(text.data, name, text.size) == 0;
}

/* qvalue = "0" [ "." 0*3DIGIT ] / "1" [ "." 0*3("0") ], in thousandths; -1 for anything else. */
static int weight_parse(struct slice text)
{
    int weight = 0;

    if (text.size < 1 || text.size > 5 || (text.data[0] != '0' && text.data[0] != '1') ||
        (text.size > 1 && text.data[1] != '.'))
        return -1;
    for (size_t i = 2; i < 5; i++) {
        char digit = i < text.size ? text.data[i] : '0';
        if (digit < '0' || digit > '9')
            return -1;
        weight = weight * 10 + (digit - '0');
    }
    if (text.data[0] == '1')
        return weight == 0 ? 1000 : -1;
    return weight;
}

int http_coding_weight(struct slice accept, enum http_coding coding)
{
    int by_name = -1, by_star = -1;
    struct slice item, parameter;

    if (!accept.data)
        return coding == HTTP_IDENTITY ? 1000 : 0;
    while (part_next(&accept, ',', &item)) {
        struct slice name;
        int weight = 1000;
        if (!part_next(&item, ';', &name))
            continue;
        while (part_next(&item, ';', &parameter))
            if (parameter.size >= 2 && (parameter.data[0] == 'q' || parameter.data[0] == 'Q') &&
                parameter.data[1] == '=')
                weight = weight_parse((struct slice){parameter.data + 2, parameter.size - 2});
        if (weight < 0)
            continue;
        if (is_name(name, http_coding_name(coding)) || (coding == HTTP_GZIP && is_name(name, "x-gzip")))
            by_name = weight;
        else if (is_name(name, "*"))
            by_star = weight;
    }
    if (by_name >= 0)
        return by_name;
    if (by_star >= 0)
        return by_star;
    return coding == HTTP_IDENTITY ? 1 : 0; /* acceptable where nothing forbids it, but anything named comes first */
}

enum http_coding http_coding_best(struct slice accept, const bool is_useless[static HTTP_CODING_COUNT])
{
    enum http_coding best = HTTP_IDENTITY;

    if (!accept.data)
        return best;
    int best_weight = http_coding_weight(accept, HTTP_IDENTITY);
    for (int coding = HTTP_GZIP; coding < HTTP_CODING_COUNT; coding++) {
        int weight = http_coding_weight(accept, (enum http_coding)coding);
        if (weight > 0 && weight >= best_weight && !is_useless[coding]) {
            best = (enum http_coding)coding;
            best_weight = weight;
        }
    }
    return best;
}

int http_tag_find(struct slice list, const char *const *tags, int count, bool is_weak)
{
    size_t at = 0;

    if (!list.data)
        return -1;
    struct slice whole = trim(list);
    if (slice_is(whole, "*"))
        return 0;
    /* entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE; a tag may have commas inside. */
    while (at < list.size) {
        if (is_space(list.data[at]) || list.data[at] == ',') {
            at++;
            continue;
        }
        bool is_tag_weak = list.size - at > 2 && list.data[at] == 'W' && list.data[at + 1] == '/';
        at += is_tag_weak ? 2 : 0;
        if (at >= list.size || list.data[at] != '"')
            return -1;
        const char *end = memchr(list.data + at + 1, '"', list.size - at - 1);
        if (!end)
            return -1;
        struct slice tag = {list.data + at + 1, (size_t)(end - list.data) - at - 1};
        for (int i = 0; i < count && (is_weak || !is_tag_weak); i++)
            if (slice_is(tag, tags[i]))
                return i;
        at = (size_t)(end - list.data) + 1;
    }
    return -1;
}

bool http_date_parse(struct slice text, int64_t *ret_us)
{
    /* IMF-fixdate, RFC 850, asctime; always GMT. */
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                        "%a %b %e %H:%M:%S %Y"};
    char copy[64];

    if (!text.data || text.size >= sizeof(copy))
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm tm = {0};
        const char *end = strptime(copy, forms[i], &tm);
        if (end && *end == 0) {
            int day = tm.tm_mday;
            *ret_us = (int64_t)timegm(&tm) * 1000000;
            return tm.tm_mday == day; /* there is no 31 February */
        }
    }
    return false;
}
