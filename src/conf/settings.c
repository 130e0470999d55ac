/*
 * settings.c -- see settings.h. The only file that knows libyaml.
 *
 * The document is section: {name: value | [values]}. Anything else is refused with its line: a setting that is not read
 * because it was misspelt is worse than a server that does not start.
 */
#include "conf/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "base/assert.h"
#include "base/text.h"

enum kind { KIND_INT, KIND_BOOL, KIND_TEXT, KIND_SECRET, KIND_LIST };

struct row {
    enum kind kind;
    const char *section;
    const char *name;
    size_t offset;
    int64_t min, max, fallback;
    const char *text_fallback;
    const char *unit;
    const char *help;
};

static const struct row rows[] = {
#define INT(s, n, d, lo, hi, u, h) {KIND_INT, #s, #n, offsetof(struct settings, s##_##n), lo, hi, d, NULL, u, h},
#define BOOL(s, n, d, h) {KIND_BOOL, #s, #n, offsetof(struct settings, s##_##n), 0, 1, d, NULL, "", h},
#define TEXT(s, n, d, h) {KIND_TEXT, #s, #n, offsetof(struct settings, s##_##n), 0, 0, 0, d, "", h},
#define SECRET(s, n, h) {KIND_SECRET, #s, #n, offsetof(struct settings, s##_##n), 0, 0, 0, "", "", h},
#define LIST(s, n, h) {KIND_LIST, #s, #n, offsetof(struct settings, s##_##n), 0, 0, 0, NULL, "", h},
#include "conf/settings.tbl.h"
#undef INT
#undef BOOL
#undef TEXT
#undef SECRET
#undef LIST
};

enum { SECRET_BYTES_MIN = 16, SHOWN_BYTES_MAX = 80, WHERE_BYTES_MAX = SHOWN_BYTES_MAX + 24 };

static void *place(struct settings *settings, const struct row *row)
{
    return (char *)settings + row->offset;
}

void settings_init(struct settings *settings)
{
    memset(settings, 0, sizeof(*settings));
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].kind == KIND_INT)
            *(int64_t *)place(settings, &rows[i]) = rows[i].fallback;
        else if (rows[i].kind == KIND_BOOL)
            *(bool *)place(settings, &rows[i]) = rows[i].fallback != 0;
        else if (rows[i].kind != KIND_LIST)
            snprintf(place(settings, &rows[i]), SETTINGS_TEXT_MAX, "%s", rows[i].text_fallback);
    }
}

static bool text_check(const struct row *row, const char *where, const char *text, settings_check_fn *check,
                       struct error *error)
{
    struct error reason;

    if (!check || check(row->section, row->name, text, &reason))
        return true;
    return error_set(error, ERROR_CONFIG, "%s: %s.%s: %s", where, row->section, row->name, reason.message);
}

/* `where` is "file:line" or the variable's name. */
static bool value_set(struct settings *settings, const struct row *row, const char *where, struct slice value,
                      settings_check_fn *check, struct error *error)
{
    int64_t number;
    struct settings_list *list;

    switch (row->kind) {
    case KIND_INT:
        if (!text_parse_int64(value, &number) || number < row->min || number > row->max)
            return error_set(error, ERROR_CONFIG,
                             "%s: %s.%s: \"%.40s\" is not an integer of the range (allowed: %lld to %lld%s%s)", where,
                             row->section, row->name, value.data, (long long)row->min, (long long)row->max,
                             row->unit[0] ? " " : "", row->unit);
        *(int64_t *)place(settings, row) = number;
        return true;
    case KIND_BOOL:
        if (!slice_is(value, "true") && !slice_is(value, "false"))
            return error_set(error, ERROR_CONFIG, "%s: %s.%s: \"%.40s\" is not a truth value (allowed: true, false)",
                             where, row->section, row->name, value.data);
        *(bool *)place(settings, row) = slice_is(value, "true");
        return true;
    case KIND_TEXT:
    case KIND_SECRET:
        if (memchr(value.data, 0, value.size))
            return error_set(error, ERROR_CONFIG, "%s: %s.%s: the text holds a NUL", where, row->section, row->name);
        if (value.size >= SETTINGS_TEXT_MAX)
            return error_set(error, ERROR_CONFIG, "%s: %s.%s: the text is too long (allowed: up to %d bytes)", where,
                             row->section, row->name, SETTINGS_TEXT_MAX - 1);
        if (row->kind == KIND_SECRET && value.size > 0 && value.size < SECRET_BYTES_MIN)
            return error_set(error, ERROR_CONFIG, "%s: %s.%s: the secret is too short (allowed: %d bytes or more)",
                             where, row->section, row->name, SECRET_BYTES_MIN);
        memcpy(place(settings, row), value.data, value.size);
        ((char *)place(settings, row))[value.size] = 0;
        return text_check(row, where, place(settings, row), check, error);
    case KIND_LIST:
        list = place(settings, row);
        if (memchr(value.data, 0, value.size))
            return error_set(error, ERROR_CONFIG, "%s: %s.%s: the text holds a NUL", where, row->section, row->name);
        if (list->count == SETTINGS_LIST_MAX || value.size >= SETTINGS_TEXT_MAX)
            return error_set(error, ERROR_CONFIG,
                             "%s: %s.%s: too many or too long items (allowed: %d of up to %d bytes)", where,
                             row->section, row->name, SETTINGS_LIST_MAX, SETTINGS_TEXT_MAX - 1);
        memcpy(list->items[list->count], value.data, value.size);
        list->items[list->count][value.size] = 0;
        return text_check(row, where, list->items[list->count++], check, error);
    }
    return false;
}

/* ---- the file ---- */

struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    char path[SHOWN_BYTES_MAX]; /* as errors show it */
    struct settings *settings;
    settings_check_fn *check;
    struct error *error;
    bool is_seen[ARRAY_SIZE(rows)];
};

/* A long path loses its front: its end names the file, and the line number and the range behind it must fit too. */
static void path_show(const char *path, char out[static SHOWN_BYTES_MAX])
{
    size_t size = strlen(path);

    if (size < SHOWN_BYTES_MAX)
        memcpy(out, path, size + 1);
    else
        snprintf(out, SHOWN_BYTES_MAX, "...%s", path + size - (SHOWN_BYTES_MAX - 4));
}

static bool read_fail(struct reader *reader, const char *what)
{
    return error_set(reader->error, ERROR_CONFIG, "%s:%zu: %s", reader->path, reader->event.start_mark.line + 1, what);
}

static bool next(struct reader *reader)
{
    yaml_event_delete(&reader->event);
    if (!yaml_parser_parse(&reader->parser, &reader->event)) {
        memset(&reader->event, 0, sizeof(reader->event));
        return error_set(reader->error, ERROR_CONFIG, "%s:%zu: not YAML: %.120s", reader->path,
                         reader->parser.problem_mark.line + 1,
                         reader->parser.problem ? reader->parser.problem : "unknown problem");
    }
    if (reader->event.type == YAML_ALIAS_EVENT)
        return read_fail(reader, "aliases are not allowed");
    const yaml_char_t *anchor =
        reader->event.type == YAML_SCALAR_EVENT           ? reader->event.data.scalar.anchor
        : reader->event.type == YAML_MAPPING_START_EVENT  ? reader->event.data.mapping_start.anchor
        : reader->event.type == YAML_SEQUENCE_START_EVENT ? reader->event.data.sequence_start.anchor
                                                          : NULL;
    if (anchor)
        return read_fail(reader, "anchors are not allowed");
    return true;
}

static struct slice scalar(const struct reader *reader)
{
    return (struct slice){(const char *)reader->event.data.scalar.value, reader->event.data.scalar.length};
}

static bool read_value(struct reader *reader, size_t index)
{
    const struct row *row = &rows[index];
    char where[WHERE_BYTES_MAX];

    if (reader->is_seen[index])
        return error_set(reader->error, ERROR_CONFIG, "%s:%zu: %s.%s: the setting is there twice", reader->path,
                         reader->event.start_mark.line + 1, row->section, row->name);
    reader->is_seen[index] = true;
    if (!next(reader))
        return false;
    snprintf(where, sizeof(where), "%s:%zu", reader->path, reader->event.start_mark.line + 1);
    if (row->kind != KIND_LIST) {
        if (reader->event.type != YAML_SCALAR_EVENT)
            return error_set(reader->error, ERROR_CONFIG, "%s: %s.%s: must be one value", where, row->section,
                             row->name);
        return value_set(reader->settings, row, where, scalar(reader), reader->check, reader->error);
    }
    if (reader->event.type != YAML_SEQUENCE_START_EVENT)
        return error_set(reader->error, ERROR_CONFIG, "%s: %s.%s: must be a list", where, row->section, row->name);
    ((struct settings_list *)place(reader->settings, row))->count = 0;
    for (;;) {
        if (!next(reader))
            return false;
        if (reader->event.type == YAML_SEQUENCE_END_EVENT)
            return true;
        if (reader->event.type != YAML_SCALAR_EVENT)
            return read_fail(reader, "a list holds texts only");
        snprintf(where, sizeof(where), "%s:%zu", reader->path, reader->event.start_mark.line + 1);
        if (!value_set(reader->settings, row, where, scalar(reader), reader->check, reader->error))
            return false;
    }
}

static bool section_is_known(struct slice section)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (slice_is(section, rows[i].section))
            return true;
    return false;
}

static bool read_section(struct reader *reader)
{
    char section[64];
    struct slice name = scalar(reader);

    if (!section_is_known(name))
        return error_set(reader->error, ERROR_CONFIG, "%s:%zu: %.60s: there is no such section", reader->path,
                         reader->event.start_mark.line + 1, name.data);
    snprintf(section, sizeof(section), "%.*s", (int)name.size, name.data);
    if (!next(reader))
        return false;
    if (reader->event.type == YAML_SCALAR_EVENT && reader->event.data.scalar.length == 0)
        return true; /* `section:` with all of it commented out */
    if (reader->event.type != YAML_MAPPING_START_EVENT)
        return read_fail(reader, "a section holds `name: value`");
    for (;;) {
        if (!next(reader))
            return false;
        if (reader->event.type == YAML_MAPPING_END_EVENT)
            return true;
        if (reader->event.type != YAML_SCALAR_EVENT)
            return read_fail(reader, "a setting's name must be a text");
        size_t index = 0;
        while (index < ARRAY_SIZE(rows) &&
               (strcmp(rows[index].section, section) != 0 || !slice_is(scalar(reader), rows[index].name)))
            index++;
        if (index == ARRAY_SIZE(rows))
            return error_set(reader->error, ERROR_CONFIG, "%s:%zu: %s.%.60s: there is no such setting", reader->path,
                             reader->event.start_mark.line + 1, section, scalar(reader).data);
        if (!read_value(reader, index))
            return false;
    }
}

static bool read_document(struct reader *reader)
{
    bool seen[8] = {false};
    const char *names[8];
    size_t count = 0;

    if (!next(reader) || !next(reader))
        return false;
    if (reader->event.type == YAML_STREAM_END_EVENT)
        return true; /* nothing but comments */
    if (!next(reader))
        return false;
    if (reader->event.type == YAML_SCALAR_EVENT && reader->event.data.scalar.length == 0)
        return true;
    if (reader->event.type != YAML_MAPPING_START_EVENT)
        return read_fail(reader, "the file holds `section:` with settings under it");
    for (;;) {
        if (!next(reader))
            return false;
        if (reader->event.type == YAML_MAPPING_END_EVENT)
            break;
        if (reader->event.type != YAML_SCALAR_EVENT)
            return read_fail(reader, "a section's name must be a text");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
            if (!slice_is(scalar(reader), rows[i].section))
                continue;
            size_t at = 0;
            while (at < count && strcmp(names[at], rows[i].section) != 0)
                at++;
            if (at == count && count < ARRAY_SIZE(names))
                names[count++] = rows[i].section;
            if (at < ARRAY_SIZE(seen) && seen[at])
                return read_fail(reader, "the section is there twice");
            if (at < ARRAY_SIZE(seen))
                seen[at] = true;
            break;
        }
        if (!read_section(reader))
            return false;
    }
    if (!next(reader) || !next(reader))
        return false;
    return reader->event.type == YAML_STREAM_END_EVENT || read_fail(reader, "the file holds more than one document");
}

static bool file_read(struct settings *settings, const char *path, settings_check_fn *check, struct error *error)
{
    struct reader reader = {.settings = settings, .check = check, .error = error};
    char *text = malloc(SETTINGS_FILE_BYTES_MAX + 1);
    FILE *file = fopen(path, "r");
    bool is_ok = false;

    ASSERT(text != NULL);
    path_show(path, reader.path);
    if (!file) {
        error_set(error, ERROR_CONFIG, "%s: cannot be read: %s", reader.path, strerror(errno));
        goto out;
    }
    size_t size = fread(text, 1, SETTINGS_FILE_BYTES_MAX + 1, file);
    bool has_failed = ferror(file) != 0; /* a directory opens, and only then can't be read */
    int reason = errno;
    fclose(file);
    if (has_failed) {
        error_set(error, ERROR_CONFIG, "%s: cannot be read: %s", reader.path, strerror(reason));
        goto out;
    }
    if (size > SETTINGS_FILE_BYTES_MAX) {
        error_set(error, ERROR_CONFIG, "%s: the file is larger than %d bytes", reader.path, SETTINGS_FILE_BYTES_MAX);
        goto out;
    }
    /* The parser's time is quadratic in the depth; no setting is deeper than three. */
    int depth = 0;
    for (size_t i = 0; i < size; i++) {
        depth += (text[i] == '[' || text[i] == '{') - (text[i] == ']' || text[i] == '}');
        if (depth > 16) {
            error_set(error, ERROR_CONFIG, "%s: nested too deep", reader.path);
            goto out;
        }
    }
    ASSERT(yaml_parser_initialize(&reader.parser));
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, size);
    is_ok = read_document(&reader);
    yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
out:
    free(text);
    return is_ok;
}

/* ---- the environment ---- */

static void variable_name(const struct row *row, char out[static 96])
{
    snprintf(out, 96, "LADDER_%s_%s", row->section, row->name);
    for (char *c = out; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
}

static bool environment_check(struct error *error)
{
    char variable[96], prefix[96];

    for (char **at = environ; *at; at++) {
        if (strncmp(*at, "LADDER_", 7) != 0)
            continue;
        size_t size = strcspn(*at, "=");
        bool has_section = false, is_known = false;
        for (size_t i = 0; i < ARRAY_SIZE(rows) && !is_known; i++) {
            variable_name(&rows[i], variable);
            snprintf(prefix, sizeof(prefix), "%.*s", (int)(8 + strlen(rows[i].section)), variable);
            has_section = has_section || strncmp(*at, prefix, strlen(prefix)) == 0;
            is_known = strlen(variable) == size && strncmp(*at, variable, size) == 0;
        }
        if (has_section && !is_known)
            return error_set(error, ERROR_CONFIG, "%.*s: there is no such setting", (int)(size < 80 ? size : 80), *at);
    }
    return true;
}

static bool environment_read(struct settings *settings, settings_check_fn *check, struct error *error)
{
    char variable[96];

    if (!environment_check(error))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        variable_name(&rows[i], variable);
        const char *value = getenv(variable);
        if (!value)
            continue;
        if (rows[i].kind != KIND_LIST) {
            if (!value_set(settings, &rows[i], variable, slice_of(value), check, error))
                return false;
            continue;
        }
        ((struct settings_list *)place(settings, &rows[i]))->count = 0;
        while (*value) {
            size_t size = strcspn(value, ",");
            if (size && !value_set(settings, &rows[i], variable, (struct slice){value, size}, check, error))
                return false;
            value += size + (value[size] == ',');
        }
    }
    return true;
}

bool settings_load(struct settings *settings, const char *path, settings_check_fn *check, struct error *error)
{
    settings_init(settings);
    return (!path || file_read(settings, path, check, error)) && environment_read(settings, check, error);
}

const char *settings_default_path(void)
{
    static const char *const paths[] = {"config/ladder.yaml", "/etc/ladder/ladder.yaml"};
    const char *named = getenv("LADDER_CONFIG");

    if (named && named[0])
        return named;
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        if (access(paths[i], R_OK) == 0)
            return paths[i];
    return NULL;
}

/* What is before `from`, and stars; returns what follows. */
static const char *masked_print(const char *text, const char *from, const char *to, FILE *out)
{
    fprintf(out, "%.*s***", (int)(from - text), text);
    return to;
}

/* postgresql://user:PASSWORD@host, redis://:PASSWORD@host, libpq's password=PASSWORD, and sentinels' sentinel_password=, which
 * goes to the end. */
static void text_print(const char *text, FILE *out)
{
    static const char word[] = "password=", sentinels[] = "sentinel_password=";
    const char *authority = strstr(text, "://"), *from = NULL;

    if (authority) {
        size_t size = strcspn(authority + 3, "/?# ");
        const char *to = memrchr(authority + 3, '@', size);
        from = to ? memchr(authority + 3, ':', (size_t)(to - authority - 3)) : NULL;
        if (from)
            text = masked_print(text, from + 1, to, out);
    }
    if ((from = strstr(text, sentinels))) {
        from += strlen(sentinels);
        text = masked_print(text, from, from + strlen(from), out);
    } else if ((from = strstr(text, word))) {
        from += strlen(word);
        text = masked_print(text, from, from + (*from == '\'' ? strlen(from) : strcspn(from, " &")), out);
    }
    fprintf(out, "%s", text);
}

void settings_print(const struct settings *settings, FILE *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct row *row = &rows[i];
        const void *value = (const char *)settings + row->offset;
        const struct settings_list *list = value;
        fprintf(out, "%s.%s = ", row->section, row->name);
        if (row->kind == KIND_INT)
            fprintf(out, "%lld  # %lld to %lld%s%s. ", (long long)*(const int64_t *)value, (long long)row->min,
                    (long long)row->max, row->unit[0] ? " " : "", row->unit);
        else if (row->kind == KIND_BOOL)
            fprintf(out, "%s  # ", *(const bool *)value ? "true" : "false");
        else if (row->kind == KIND_LIST)
            for (size_t item = 0; item <= list->count; item++) {
                text_print(item < list->count ? list->items[item] : "  # ", out);
                fprintf(out, "%s", item + 1 < list->count ? "," : "");
            }
        else {
            text_print(row->kind == KIND_TEXT ? value : *(const char *)value ? "***" : "", out);
            fprintf(out, "  # ");
        }
        fprintf(out, "%s\n", row->help);
    }
}
