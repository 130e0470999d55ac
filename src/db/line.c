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

/* ---- values that libpq looks at only when it connects ---- */

static bool is_among(const char *const *words, struct slice value)
{
    for (; *words; words++)
        if (slice_is(value, *words))
            return true;
    return false;
}

/* NULL: fine. Never the value: where the string is cut wrongly, it may be a part of the password. */
static const char *value_fault(const PQconninfoOption *option, struct slice value)
{
    static const char *const integers[] = {
        "connect_timeout",  "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
        "tcp_user_timeout", NULL};
    static const char *const ssl_modes[] = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full", NULL};
    static const char *const gss_modes[] = {"disable", "prefer", "require", NULL};
    static const char *const sessions[] = {"any",     "read-write",     "read-only", "primary",
                                           "standby", "prefer-standby", NULL};
    const char *key = option->keyword;
    int number;

    if (strcmp(key, "port") == 0 && !number_take(&number, value, 1, 65535))
        return "must be from 1 to 65535";
    if (is_among(integers, slice_of(key)) && !number_take(&number, value, -1, INT32_MAX))
        return "must be an integer";
    if (strcmp(key, "host") == 0 && memchr(value.data + 1, '@', value.size - 1))
        return "holds an \"@\" (in a user's name or a password, write %40)";
    if (strcmp(key, "sslmode") == 0 && !is_among(ssl_modes, value))
        return "must be disable, allow, prefer, require, verify-ca or verify-full";
    if ((strcmp(key, "gssencmode") == 0 || strcmp(key, "channel_binding") == 0) && !is_among(gss_modes, value))
        return "must be disable, prefer or require";
    if (strcmp(key, "target_session_attrs") == 0 && !is_among(sessions, value))
        return "must be any, read-write, read-only, primary, standby or prefer-standby";
    return NULL;
}

static int commas_count(const char *text)
{
    int count = 0;

    for (; *text; text++)
        count += *text == ',';
    return count;
}

static bool values_check(const char *name, const PQconninfoOption *options, int hosts, struct error *error)
{
    for (const PQconninfoOption *option = options; option->keyword; option++) {
        if (!option->val || !option->val[0])
            continue;
        bool is_list = strcmp(option->keyword, "host") == 0 || strcmp(option->keyword, "port") == 0;
        int count = is_list ? commas_count(option->val) + 1 : 1;
        if (is_list && count > 1 && count != hosts)
            return error_set(error, ERROR_CONFIG, "the connection string of \"%s\" has %d hosts and %d of \"%s\"", name,
                             hosts, count, option->keyword);
        for (int i = 0; i < count; i++) {
            struct slice value = is_list ? item_of(option->val, i) : slice_of(option->val);
            const char *fault = value.size ? value_fault(option, value) : NULL;
            if (fault)
                return error_set(error, ERROR_CONFIG, "the connection string of \"%s\": %s %s", name, option->keyword,
                                 fault);
        }
    }
    return true;
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
    is_ok = values_check(line.name, options, hosts, error);
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
