#include "base/jsonw.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/put.h"

void jsonw_init(struct jsonw *json, struct buf *buf)
{
    *json = (struct jsonw){.buf = buf};
}

/* What stands before a value, a comma unless it is the first or follows its key; and room for it. NULL on overflow. */
static char *value_begin(struct jsonw *json, size_t bytes_max)
{
    ASSERT(json->is_after_key || !json->is_object[json->depth]);
    ASSERT(json->depth > 0 || !json->has_items[0]);
    bool needs_comma = !json->is_after_key && json->has_items[json->depth];
    json->is_after_key = false;
    json->has_items[json->depth] = true;
    char *at = buf_reserve(json->buf, bytes_max + 1);
    return at && needs_comma ? put_byte(at, ',') : at;
}

static void value_write(struct jsonw *json, struct slice value)
{
    char *at = value_begin(json, value.size);

    if (at)
        buf_written(json->buf, put_bytes(at, value.data, value.size));
}

static void open_with(struct jsonw *json, char bracket)
{
    value_write(json, (struct slice){&bracket, 1});
    ASSERT(json->depth < JSONW_DEPTH_MAX);
    json->has_items[++json->depth] = false;
    json->is_object[json->depth] = bracket == '{';
}

static void close_with(struct jsonw *json, char bracket)
{
    ASSERT(json->depth > 0 && !json->is_after_key && json->is_object[json->depth] == (bracket == '}'));
    json->depth--;
    buf_append_byte(json->buf, bracket);
}

void jsonw_object_open(struct jsonw *json)
{
    open_with(json, '{');
}

void jsonw_object_close(struct jsonw *json)
{
    close_with(json, '}');
}

void jsonw_array_open(struct jsonw *json)
{
    open_with(json, '[');
}

void jsonw_array_close(struct jsonw *json)
{
    close_with(json, ']');
}

char *jsonw_members_begin(struct jsonw *json, size_t bytes_max)
{
    ASSERT(json->is_object[json->depth] && !json->is_after_key);
    char *at = buf_reserve(json->buf, bytes_max + 1);
    if (at && json->has_items[json->depth])
        at = put_byte(at, ',');
    json->has_items[json->depth] = true;
    return at;
}

void jsonw_members_end(struct jsonw *json, char *end)
{
    buf_written(json->buf, end);
}

void jsonw_key(struct jsonw *json, const char *key)
{
    size_t size = strlen(key);
    char *at = jsonw_members_begin(json, size + 3);

    if (at)
        jsonw_members_end(json, put_literal(put_bytes(put_byte(at, '"'), key, size), "\":"));
    json->is_after_key = true;
}

void jsonw_string(struct jsonw *json, struct slice text)
{
    char *at = value_begin(json, put_json_size(text));

    if (at)
        buf_written(json->buf, put_json_string(at, text));
}

void jsonw_text(struct jsonw *json, const char *text)
{
    jsonw_string(json, slice_of(text));
}

void jsonw_int64(struct jsonw *json, int64_t value)
{
    char text[PUT_INTEGER_MAX + 2] = "\"";
    char *end = put_int64(text + 1, value);

    if (json->integers_as_strings)
        value_write(json, (struct slice){text, (size_t)(put_byte(end, '"') - text)});
    else
        value_write(json, (struct slice){text + 1, (size_t)(end - text - 1)});
}

void jsonw_number(struct jsonw *json, int64_t value)
{
    char *at = value_begin(json, PUT_INTEGER_MAX);

    if (at)
        buf_written(json->buf, put_int64(at, value));
}

void jsonw_double(struct jsonw *json, double value)
{
    char text[40];

    if (!isfinite(value)) {
        jsonw_null(json);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    for (char *c = text; *c; c++)
        if (*c == ',')
            *c = '.';
    value_write(json, slice_of(text));
}

void jsonw_bool(struct jsonw *json, bool value)
{
    value_write(json, slice_of(value ? "true" : "false"));
}

void jsonw_null(struct jsonw *json)
{
    value_write(json, SLICE("null"));
}

void jsonw_time(struct jsonw *json, int64_t time_us)
{
    char text[CLOCK_TEXT_MAX + 2] = "\"";
    size_t size = clock_format(time_us, text + 1);

    text[size + 1] = '"'; /* nothing in it needs an escape */
    value_write(json, (struct slice){text, size + 2});
}

void jsonw_raw(struct jsonw *json, struct slice value)
{
    value_write(json, value);
}
