#include "http/json.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* Depth before the parser sees it: its own limit is 2048, which costs that much stack for nothing. */
static bool depth_is_ok(struct slice text)
{
    int depth = 0;
    bool is_string = false;

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
        }
    }
    return true;
}

bool json_document_parse(struct json_document *document, struct slice text, struct error *error)
{
    json_error_t parse_error;

    document->root = NULL;
    if (text.size == 0)
        return error_set(error, ERROR_INVALID_BODY, "the body is empty; a JSON object is needed");
    if (memchr(text.data, 0, text.size))
        return error_set(error, ERROR_INVALID_BODY, "the body holds a NUL byte");
    if (!depth_is_ok(text))
        return error_set(error, ERROR_INVALID_BODY, "the body is nested deeper than %d levels", JSON_BODY_DEPTH_MAX);
    document->root = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, &parse_error);
    if (!document->root)
        return error_set(error, ERROR_INVALID_BODY, "not JSON at line %d, column %d: %.120s", parse_error.line,
                         parse_error.column, parse_error.text);
    return true;
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

bool json_read_raw_object(const struct json_object *object, const char *name, size_t bytes_max, struct arena *arena,
                          struct slice *ret_value, struct error *error)
{
    const json_t *value = member(object, name);
    char what[64];

    if (!value)
        return true;
    if (!json_is_object(value))
        return refuse(object, name, error, "must be an object");
    /* 17 digits bring every double back; everything else comes back as it was, but for spaces. */
    const size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(17);
    size_t size = json_dumpb(value, NULL, 0, flags);
    snprintf(what, sizeof(what), "has %zu bytes, the limit is %zu", size, bytes_max);
    if (size > bytes_max)
        return refuse(object, name, error, what);
    char *out = arena_alloc(arena, size + 1);
    if (!out)
        return error_set(error, ERROR_OVERLOADED, "out of memory");
    json_dumpb(value, out, size, flags);
    out[size] = 0;
    *ret_value = (struct slice){out, size};
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
