#include "db/line.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "base/text.h"
#include "db/choice.h"

static bool name_take(char out[static DB_NAME_MAX], struct slice text)
{
    bool is_ok = text.size > 0 && text.size < DB_NAME_MAX;

    for (size_t i = 0; i < text.size && is_ok; i++) {
        char c = text.data[i];
        is_ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                c == '-';
    }
    if (is_ok)
        snprintf(out, DB_NAME_MAX, "%.*s", (int)text.size, text.data);
    return is_ok;
}

static bool number_take(int *out, struct slice text, int min, int max)
{
    int64_t value;

    if (!text_parse_int64(text, &value) || value < min || value > max)
        return false;
    *out = (int)value;
    return true;
}

enum word { WORD_OURS, WORD_WRONG, WORD_LIBPQ };

static enum word word_take(struct db_line *line, struct slice word)
{
    const char *equals = memchr(word.data, '=', word.size);
    struct slice key = {word.data, equals ? (size_t)(equals - word.data) : 0};
    struct slice value = {word.data + key.size + 1, equals ? word.size - key.size - 1 : 0};
    bool is_ok;

    if (slice_is(key, "name")) {
        is_ok = name_take(line->name, value);
    } else if (slice_is(key, "zone")) {
        is_ok = name_take(line->zone, value);
    } else if (slice_is(key, "weight")) {
        is_ok = number_take(&line->weight, value, 1, CHOICE_WEIGHT_MAX);
    } else if (slice_is(key, "connections")) {
        is_ok = number_take(&line->connections, value, 1, 64);
    } else if (slice_is(key, "connections_min")) {
        is_ok = number_take(&line->connections_min, value, 0, 64);
    } else if (slice_is(key, "pooled")) {
        line->is_pooled = slice_is(value, "yes");
        is_ok = line->is_pooled || slice_is(value, "no");
    } else {
        return WORD_LIBPQ;
    }
    return is_ok ? WORD_OURS : WORD_WRONG;
}

static bool line_add(const struct db_line *line, struct db_line *lines, int *count, struct error *error)
{
    for (int i = 0; i < *count; i++)
        if (strcmp(lines[i].name, line->name) == 0)
            return error_set(error, ERROR_CONFIG, "there are two servers with the name \"%s\"", line->name);
    if (*count == DB_SERVERS_MAX)
        return error_set(error, ERROR_CONFIG, "there are more than %d servers", DB_SERVERS_MAX);
    lines[(*count)++] = *line;
    return true;
}

/* The index-th item of "a,b,c"; of a single item, that one always, as libpq does with ports. */
static struct slice item_of(const char *list, int index)
{
    const char *at = list;

    if (!strchr(list, ','))
        return slice_of(list);
    for (int i = 0; i < index; i++) {
        const char *comma = strchr(at, ',');
        if (!comma)
            return SLICE("");
        at = comma + 1;
    }
    return (struct slice){at, strcspn(at, ",")};
}

static bool append(char out[static DB_CONNINFO_MAX], const char *key, struct slice value)
{
    size_t size = strlen(out);

    size += (size_t)snprintf(out + size, DB_CONNINFO_MAX - size, "%s%s='", size ? " " : "", key);
    for (size_t i = 0; i < value.size && size + 4 < DB_CONNINFO_MAX; i++) {
        if (value.data[i] == '\'' || value.data[i] == '\\')
            out[size++] = '\\';
        out[size++] = value.data[i];
    }
    if (size + 2 >= DB_CONNINFO_MAX)
        return false;
    memcpy(out + size, "'", 2);
    return true;
}

/* The connection string of one of several hosts. */
static bool host_take(struct db_line *line, const PQconninfoOption *options, int index)
{
    bool is_ok = true;

    line->conninfo[0] = 0;
    for (const PQconninfoOption *option = options; option->keyword && is_ok; option++) {
        bool is_list = strcmp(option->keyword, "host") == 0 || strcmp(option->keyword, "hostaddr") == 0 ||
                       strcmp(option->keyword, "port") == 0;
        if (!option->val || !option->val[0] || strcmp(option->keyword, "target_session_attrs") == 0)
            continue; /* each is asked who it is */
        struct slice value = is_list ? item_of(option->val, index) : slice_of(option->val);
        if (value.size)
            is_ok = append(line->conninfo, option->keyword, value);
    }
    return is_ok;
}

static int host_count(const PQconninfoOption *options)
{
    int count = 1;

    for (const PQconninfoOption *option = options; option->keyword; option++) {
        int here = 1;
        if (!option->val || (strcmp(option->keyword, "host") != 0 && strcmp(option->keyword, "hostaddr") != 0))
            continue;
        for (const char *at = option->val; *at; at++)
            here += *at == ',';
        count = here > count ? here : count;
    }
    return count;
}

bool db_line_parse(const char *text, const char *fallback, struct db_line *lines, int *count, struct error *error)
{
    struct db_line line = {.weight = 1, .connections_min = -1};
    char *why = NULL;
    bool is_ok = true;

    snprintf(line.name, sizeof(line.name), "%s", fallback);
    for (;;) {
        text += strspn(text, " ");
        struct slice word = {text, strcspn(text, " ")};
        enum word kind = word.size ? word_take(&line, word) : WORD_LIBPQ;
        if (kind == WORD_WRONG)
            return error_set(error, ERROR_CONFIG,
                             "\"%.*s\" is not a server's name, zone, weight, number of connections, or pooled=yes",
                             (int)(word.size < 60 ? word.size : 60), word.data);
        if (kind == WORD_LIBPQ)
            break;
        text += word.size;
    }
    if (strlen(text) >= DB_CONNINFO_MAX)
        return error_set(error, ERROR_CONFIG, "the connection string of \"%s\" is too long", line.name);
    PQconninfoOption *options = PQconninfoParse(text, &why);
    if (!options) {
        /* libpq's text can hold the password. */
        PQfreemem(why);
        return error_set(error, ERROR_CONFIG,
                         "the connection string of \"%s\" is not one that libpq understands (allowed: postgresql://... "
                         "or key=value words)",
                         line.name);
    }
    int hosts = host_count(options);
    for (int i = 0; i < hosts && is_ok; i++) {
        struct db_line one = line;
        if (hosts == 1) {
            strcpy(one.conninfo, text);
        } else {
            char number[12];
            snprintf(number, sizeof(number), "-%d", i + 1);
            snprintf(one.name + strlen(one.name), sizeof(one.name) - strlen(one.name), "%s", number);
            is_ok = host_take(&one, options, i) ||
                    error_set(error, ERROR_CONFIG, "the connection string of \"%s\" is too long", line.name);
        }
        is_ok = is_ok && line_add(&one, lines, count, error);
    }
    PQconninfoFree(options);
    return is_ok;
}
