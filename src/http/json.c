#include "http/json.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/text.h"
#include "http/json_number.h"
#include "http/json_scan.h"
#include "http/json_text.h"

enum { SCAN_MIN = 4096 }; /* bytes: what is larger is scanned before the parser sees it */

/* The values of a text that is JSON, or more. */
static size_t values_count(struct slice text, size_t enough)
{
    size_t count = 1;
    bool is_string = false;

    for (size_t i = 0; i < text.size && count <= enough; i++) {
        char c = text.data[i];
        if (is_string && c == '\\')
            i++;
        else if (c == '"')
            is_string = !is_string;
        else if (!is_string && (c == ',' || c == '[' || c == '{'))
            count++;
    }
    return count;
}

bool json_list_parse(struct json_document *document, struct slice text, size_t count_max, struct error *error)
{
    *document = (struct json_document){.text = text};
    if (values_count(text, 2 * count_max + 4) > 2 * count_max + 4)
        return error_set(error, ERROR_INVALID_BODY, "the body has too many values: its list may have %zu items",
                         count_max);
    return json_document_parse(document, text, error);
}

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
            bool is_too_large;
            size_t end = json_number_end(text, i, &is_too_large);
            if (is_too_large && copy)
                json_number_replace(copy, i, end);
            *ret_has_too_large = *ret_has_too_large || is_too_large;
            i = end - 1;
        }
    }
    return true;
}

/* The parser takes want of memory for a mistake in the text. */
static _Thread_local bool is_short;

static void *value_alloc(size_t size)
{
    void *memory = MEMORY_HANDLED(malloc(size));

    is_short = is_short || !memory;
    return memory;
}

static void parser_init(void)
{
    json_set_alloc_funcs(value_alloc, free);
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

/* The same of what the parser does not see. at: the offset of what is wrong. */
static bool refuse_at(struct slice text, int64_t first_line, size_t at, const char *what, struct error *error)
{
    long long line = first_line;
    int column = 1;

    for (size_t i = 0; i < at; i++) {
        bool is_end = text.data[i] == '\n', is_within = ((unsigned char)text.data[i] & 0xc0) == 0x80;
        line += is_end;
        column = is_end ? 1 : column + !is_within;
    }
    return error_set(error, ERROR_INVALID_BODY, "not JSON at line %lld, column %d: %s", line, column, what);
}

bool json_line_parse(struct json_document *document, struct slice text, int64_t line, struct error *error)
{
    json_error_t fault;
    bool has_too_large;
    size_t wrong_at;
    const char *what;
    char *copy = NULL;
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    *document = (struct json_document){.text = text};
    if (text.size == 0)
        return error_set(error, ERROR_INVALID_BODY, "the body is empty; a JSON object is needed");
    if (memchr(text.data, 0, text.size))
        return error_set(error, ERROR_INVALID_BODY, "the body holds a NUL byte");
    if (!text_scan(text, NULL, &has_too_large))
        return error_set(error, ERROR_INVALID_BODY, "the body is nested deeper than %d levels", JSON_BODY_DEPTH_MAX);
    if (text.size > SCAN_MIN && !json_scan(text, &wrong_at, &what))
        return refuse_at(text, line, wrong_at, what, error);
    if (has_too_large) {
        copy = MEMORY_HANDLED(malloc(text.size));
        if (!copy)
            return error_set(error, ERROR_OVERLOADED, "out of memory");
        memcpy(copy, text.data, text.size);
        text_scan(text, copy, &has_too_large);
    }
    pthread_once(&once, parser_init);
    is_short = false;
    document->root = json_loadb(copy ? copy : text.data, text.size, JSON_REJECT_DUPLICATES, &fault);
    free(copy);
    if (!document->root && is_short)
        return error_set(error, ERROR_OVERLOADED, "out of memory");
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
    *ret_object = (struct json_object){.value = document->root, .text = document->text};
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

static bool size_check(const struct json_object *object, const char *name, size_t size, size_t bytes_max,
                       struct error *error)
{
    char what[64];

    snprintf(what, sizeof(what), "has %zu bytes, the limit is %zu", size, bytes_max);
    return size <= bytes_max || refuse(object, name, error, what);
}

bool json_read_raw(const struct json_object *object, const char *name, size_t bytes_max, struct arena *arena,
                   struct slice *ret_value, struct error *error)
{
    const json_t *value = member(object, name);
    struct slice text;

    if (!value || json_is_null(value))
        return true;
    bool is_there = json_text_member(object->text, name, &text);
    ASSERT(is_there);
    if (!size_check(object, name, text.size, bytes_max, error))
        return false;
    *ret_value = arena_copy(arena, text);
    return ret_value->data || error_set(error, ERROR_OVERLOADED, "out of memory");
}

bool json_read_compact(const struct json_object *object, const char *name, size_t bytes_max, struct arena *arena,
                       struct slice *ret_value, struct error *error)
{
    const json_t *value = member(object, name);

    if (!value)
        return true;
    size_t size = json_dumpb(value, NULL, 0, JSON_COMPACT);
    if (size == 0)
        return error_set(error, ERROR_OVERLOADED, "out of memory");
    if (!size_check(object, name, size, bytes_max, error))
        return false;
    char *out = arena_alloc(arena, size + 1);
    if (!out)
        return error_set(error, ERROR_OVERLOADED, "out of memory");
    if (json_dumpb(value, out, size, JSON_COMPACT) != size)
        return error_set(error, ERROR_OVERLOADED, "out of memory");
    out[size] = 0;
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
    *ret_member = (struct json_object){.value = member(object, name)};
    snprintf(ret_member->pointer, sizeof(ret_member->pointer), "/%.30s", name);
    if (!json_is_object(ret_member->value))
        return error_set_field(error, ERROR_INVALID_BODY, ret_member->pointer, "must be an object");
    bool is_there = json_text_member(object->text, name, &ret_member->text);
    ASSERT(is_there);
    return true;
}

/* From where the last call for the same array ended, if the item is not before that. */
static struct slice item_text(struct json_object *object, const char *name, size_t index)
{
    struct json_reached *reached = &object->reached;
    const json_t *array = member(object, name);
    struct slice item = {"", 0};

    if (reached->array != array || index < reached->next) {
        *reached = (struct json_reached){.array = array};
        json_text_member(object->text, name, &reached->text);
    }
    for (; reached->next <= index; reached->next++)
        json_text_item(reached->text, &reached->at, &item);
    return item;
}

bool json_array_object(struct json_object *object, const char *name, size_t index, struct json_object *ret_item,
                       struct error *error)
{
    *ret_item = (struct json_object){.value = json_array_get(member(object, name), index)};
    snprintf(ret_item->pointer, sizeof(ret_item->pointer), "/%.30s/%zu", name, index);
    if (!json_is_object(ret_item->value))
        return error_set_field(error, ERROR_INVALID_BODY, ret_item->pointer, "must be an object");
    ret_item->text = item_text(object, name, index);
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
