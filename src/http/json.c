#include "http/json.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "http/json_number.h"

/* 0.1, written with 17 digits, is six times as long; with a comma behind it less. */
enum { REAL_GROWTH_MAX = 6 };

/* Before the parser sees it. Depth: its own limit is 2048, which costs that much stack for nothing. Numbers: see
 * json_number.h; *ret_has_too_large says that there are such, and where `copy` is not NULL, a copy of the text, they
 * are replaced there. Returns whether the depth is fine. */
static bool text_scan(struct slice text, char *copy, bool *ret_has_too_large)
{
    int depth = 0;
    bool is_string = false;

    *ret_has_too_large = false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (is_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                is_string = false;
        } else if (c == '"') {
            is_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_BODY_DEPTH_MAX)
                return false;
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            bool is_real, is_too_large;
            size_t end = json_number_end(text, i, &is_real, &is_too_large);
            if (is_too_large && copy)
                json_number_replace(copy, i, end);
            *ret_has_too_large = *ret_has_too_large || is_too_large;
            i = end - 1;
        }
    }
    return true;
}

static bool refuse_text(const json_error_t *fault, int64_t first_line, struct error *error)
{
    long long line = first_line + fault->line - 1;

    switch (json_error_code(fault)) {
    case json_error_duplicate_key:
        return error_set(error, ERROR_INVALID_BODY, "line %lld, column %d: %.120s", line, fault->column, fault->text);
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return error_set(error, ERROR_INVALID_BODY, "line %lld, column %d: \\u0000 is not allowed", line,
                         fault->column);
    default:
        return error_set(error, ERROR_INVALID_BODY, "not JSON at line %lld, column %d: %.120s", line, fault->column,
                         fault->text);
    }
}

bool json_line_parse(struct json_document *document, struct slice text, int64_t line, struct error *error)
{
    json_error_t fault;
    bool has_too_large;
    char *copy = NULL;

    document->root = NULL;
    if (text.size == 0)
        return error_set(error, ERROR_INVALID_BODY, "the body is empty; a JSON object is needed");
    if (memchr(text.data, 0, text.size))
        return error_set(error, ERROR_INVALID_BODY, "the body holds a NUL byte");
    if (!text_scan(text, NULL, &has_too_large))
        return error_set(error, ERROR_INVALID_BODY, "the body is nested deeper than %d levels", JSON_BODY_DEPTH_MAX);
    if (has_too_large) {
        copy = malloc(text.size);
        if (!copy)
            return error_set(error, ERROR_OVERLOADED, "out of memory");
        memcpy(copy, text.data, text.size);
        text_scan(text, copy, &has_too_large);
    }
    document->root = json_loadb(copy ? copy : text.data, text.size, JSON_REJECT_DUPLICATES, &fault);
    free(copy);
    return document->root != NULL || refuse_text(&fault, line, error);
}

bool json_document_parse(struct json_document *document, struct slice text, struct error *error)
{
    return json_line_parse(document, text, 1, error);
}

void json_document_free(struct json_document *document)
{
    json_decref(document->root);
    document->root = NULL;
}

bool json_root_is_array(const struct json_document *document)
{
    return json_is_array(document->root);
}

bool json_root_object(const struct json_document *document, struct json_object *ret_object, struct error *error)
{
    if (!json_is_object(document->root))
        return error_set(error, ERROR_INVALID_BODY, "the body must be a JSON object");
    *ret_object = (struct json_object){.value = document->root};
    return true;
}

static bool refuse(const struct json_object *object, const char *name, struct error *error, const char *what)
{
    char pointer[2 * JSON_POINTER_MAX];
    size_t size = strlen(object->pointer);

    /* RFC 6901: '~' and '/' within a name are ~0 and ~1. */
    memcpy(pointer, object->pointer, size);
    pointer[size++] = '/';
    for (const char *c = name; *c && size < ERROR_FIELD_MAX; c++) {
        if (*c == '~' || *c == '/')
            pointer[size++] = '~';
        pointer[size++] = *c == '~' ? '0' : *c == '/' ? '1' : *c;
    }
    pointer[size] = 0;
    return error_set_field(error, ERROR_INVALID_BODY, pointer, "%.60s: %s", name, what);
}

bool json_object_only(const struct json_object *object, const char *const *names, struct error *error)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object->value, key, value)
    {
        bool is_known = false;
        for (int i = 0; names[i] && !is_known; i++)
            is_known = strcmp(names[i], key) == 0;
        if (!is_known)
            return refuse(object, key, error, "there is no such field");
    }
    return true;
}

static const json_t *member(const struct json_object *object, const char *name)
{
    return json_object_get(object->value, name);
}

bool json_has(const struct json_object *object, const char *name)
{
    return member(object, name) != NULL;
}

bool json_is_null_member(const struct json_object *object, const char *name)
{
    return json_is_null(member(object, name));
}

bool json_read_text(const struct json_object *object, const char *name, bool is_needed, struct slice *ret_value,
                    struct error *error)
{
    const json_t *value = member(object, name);

    if (!value)
        return !is_needed || refuse(object, name, error, "the field is needed");
    if (!json_is_string(value))
        return refuse(object, name, error, "must be a string");
    *ret_value = (struct slice){json_string_value(value), json_string_length(value)};
    return true;
}

bool json_read_int64(const struct json_object *object, const char *name, bool is_needed, int64_t *ret_value,
                     struct error *error)
{
    const json_t *value = member(object, name);

    if (!value)
        return !is_needed || refuse(object, name, error, "the field is needed");
    if (json_is_integer(value)) {
        *ret_value = json_integer_value(value);
        return true;
    }
    if (json_is_string(value) &&
        text_parse_int64((struct slice){json_string_value(value), json_string_length(value)}, ret_value))
        return true;
    return refuse(object, name, error, "must be an integer from -9223372036854775808 to 9223372036854775807");
}

bool json_read_bool(const struct json_object *object, const char *name, bool is_needed, bool *ret_value,
                    struct error *error)
{
    const json_t *value = member(object, name);

    if (!value)
        return !is_needed || refuse(object, name, error, "the field is needed");
    if (!json_is_boolean(value))
        return refuse(object, name, error, "must be true or false");
    *ret_value = json_is_true(value);
    return true;
}

/* Down to JSON_BODY_DEPTH_MAX levels. */
static bool holds_too_large(const json_t *value)
{
    const char *key;
    json_t *member_value;
    size_t index;

    if (json_is_real(value))
        return fabs(json_real_value(value)) >= JSON_NUMBER_TOO_LARGE;
    json_object_foreach((json_t *)value, key, member_value) if (holds_too_large(member_value)) return true;
    json_array_foreach(value, index, member_value) if (holds_too_large(member_value)) return true;
    return false;
}

bool json_read_raw_object(const struct json_object *object, const char *name, size_t bytes_max, struct arena *arena,
                          struct slice *ret_value, struct error *error)
{
    const json_t *value = member(object, name);

    if (value && !json_is_object(value))
        return refuse(object, name, error, "must be an object");
    return json_read_raw(object, name, bytes_max, arena, ret_value, error);
}

bool json_read_raw(const struct json_object *object, const char *name, size_t bytes_max, struct arena *arena,
                   struct slice *ret_value, struct error *error)
{
    const json_t *value = member(object, name);
    char what[64];

    if (!value || json_is_null(value))
        return true;
    if (holds_too_large(value))
        return refuse(object, name, error, "holds a number beyond 64 bits, or from 1e308 on");
    /* 17 digits bring every double back; everything else comes back as it was, but for spaces. */
    const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17);
    size_t size = json_dumpb(value, NULL, 0, flags);
    char *out = size <= REAL_GROWTH_MAX * bytes_max ? arena_alloc(arena, size + 1) : NULL;
    if (size <= REAL_GROWTH_MAX * bytes_max && !out)
        return error_set(error, ERROR_OVERLOADED, "out of memory");
    if (out) {
        json_dumpb(value, out, size, flags);
        size = json_numbers_shorten(out, size);
        out[size] = 0;
    }
    snprintf(what, sizeof(what), "has %zu bytes, the limit is %zu", size, bytes_max);
    if (size > bytes_max)
        return refuse(object, name, error, what);
    *ret_value = (struct slice){out, size};
    return true;
}

bool json_read_texts(const struct json_object *object, const char *name, size_t count_max, struct slice *ret_names,
                     struct slice *ret_values, size_t *ret_count, struct error *error)
{
    const json_t *texts = member(object, name);
    const char *key;
    json_t *value;

    *ret_count = 0;
    if (!texts)
        return true;
    if (!json_is_object(texts))
        return refuse(object, name, error, "must be an object");
    if (json_object_size(texts) > count_max) {
        char what[48];
        snprintf(what, sizeof(what), "has more than %zu members", count_max);
        return refuse(object, name, error, what);
    }
    json_object_foreach((json_t *)texts, key, value)
    {
        if (!json_is_string(value) && !json_is_null(value))
            return refuse(object, name, error, "its members must be strings or null");
        ret_names[*ret_count] = slice_of(key);
        ret_values[(*ret_count)++] = json_is_null(value)
                                         ? (struct slice){NULL, 0}
                                         : (struct slice){json_string_value(value), json_string_length(value)};
    }
    return true;
}

bool json_read_array(const struct json_object *object, const char *name, size_t count_max, size_t *ret_count,
                     struct error *error)
{
    const json_t *value = member(object, name);
    char what[64];

    if (!value)
        return refuse(object, name, error, "the field is needed");
    if (!json_is_array(value))
        return refuse(object, name, error, "must be an array");
    snprintf(what, sizeof(what), "has %zu items, the limit is %zu", json_array_size(value), count_max);
    if (json_array_size(value) > count_max)
        return refuse(object, name, error, what);
    *ret_count = json_array_size(value);
    return true;
}

bool json_object_in(const struct json_object *object, const char *name, struct json_object *ret_member,
                    struct error *error)
{
    ret_member->value = member(object, name);
    snprintf(ret_member->pointer, sizeof(ret_member->pointer), "/%.30s", name);
    if (!json_is_object(ret_member->value))
        return error_set_field(error, ERROR_INVALID_BODY, ret_member->pointer, "must be an object");
    return true;
}

bool json_array_object(const struct json_object *object, const char *name, size_t index, struct json_object *ret_item,
                       struct error *error)
{
    ret_item->value = json_array_get(member(object, name), index);
    snprintf(ret_item->pointer, sizeof(ret_item->pointer), "/%.30s/%zu", name, index);
    if (!json_is_object(ret_item->value))
        return error_set_field(error, ERROR_INVALID_BODY, ret_item->pointer, "must be an object");
    return true;
}

bool json_array_text(const struct json_object *object, const char *name, size_t index, struct slice *ret_text,
                     struct error *error)
{
    const json_t *value = json_array_get(member(object, name), index);

    if (!json_is_string(value))
        return refuse(object, name, error, "must hold strings only");
    *ret_text = (struct slice){json_string_value(value), json_string_length(value)};
    return true;
}
