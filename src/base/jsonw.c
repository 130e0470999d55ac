#include "base/jsonw.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"

void jsonw_init(struct jsonw *json, struct buf *buf)
{
    *json = (struct jsonw){.buf = buf};
}

/* What stands before a value: a comma, unless it is the first or follows its key. */
static void value_begin(struct jsonw *json)
{
    ASSERT(json->is_after_key || !json->is_object[json->depth]);
    ASSERT(json->depth > 0 || !json->has_items[0]);
    if (json->is_after_key)
        json->is_after_key = false;
    else if (json->has_items[json->depth])
        buf_append_byte(json->buf, ',');
    json->has_items[json->depth] = true;
}

static void open_with(struct jsonw *json, char bracket)
{
    value_begin(json);
    ASSERT(json->depth < JSONW_DEPTH_MAX);
    json->has_items[++json->depth] = false;
    json->is_object[json->depth] = bracket == '{';
    buf_append_byte(json->buf, bracket);
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

void jsonw_key(struct jsonw *json, const char *key)
{
    ASSERT(json->is_object[json->depth] && !json->is_after_key);
    if (json->has_items[json->depth])
        buf_append_byte(json->buf, ',');
    json->has_items[json->depth] = true;
    json->is_after_key = true;
    buf_append_byte(json->buf, '"');
    buf_append_text(json->buf, key);
    buf_append(json->buf, "\":", 2);
}

void jsonw_string(struct jsonw *json, struct slice text)
{
    static const char hex[] = "0123456789abcdef";
    size_t plain = 0;

    value_begin(json);
    buf_append_byte(json->buf, '"');
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        buf_append(json->buf, text.data + plain, i - plain);
        plain = i + 1;
        if (c == '"' || c == '\\') {
            char escape[2] = {'\\', (char)c};
            buf_append(json->buf, escape, 2);
        } else {
            char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
            buf_append(json->buf, escape, 6);
        }
    }
    buf_append(json->buf, text.data + plain, text.size - plain);
    buf_append_byte(json->buf, '"');
}

void jsonw_text(struct jsonw *json, const char *text)
{
    jsonw_string(json, slice_of(text));
}

void jsonw_int64(struct jsonw *json, int64_t value)
{
    value_begin(json);
    if (json->integers_as_strings)
        buf_append_byte(json->buf, '"');
    buf_append_int64(json->buf, value);
    if (json->integers_as_strings)
        buf_append_byte(json->buf, '"');
}

void jsonw_number(struct jsonw *json, int64_t value)
{
    value_begin(json);
    buf_append_int64(json->buf, value);
}

void jsonw_double(struct jsonw *json, double value)
{
    char text[40];

    value_begin(json);
    if (!isfinite(value)) {
        buf_append_text(json->buf, "null");
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
    buf_append_text(json->buf, text);
}

void jsonw_bool(struct jsonw *json, bool value)
{
    value_begin(json);
    buf_append_text(json->buf, value ? "true" : "false");
}

void jsonw_null(struct jsonw *json)
{
    value_begin(json);
    buf_append_text(json->buf, "null");
}

void jsonw_time(struct jsonw *json, int64_t time_us)
{
    char text[CLOCK_TEXT_MAX + 2];
    size_t size = clock_format(time_us, text + 1);

    text[0] = '"'; /* nothing in it needs an escape */
    text[size + 1] = '"';
    value_begin(json);
    buf_append(json->buf, text, size + 2);
}

void jsonw_raw(struct jsonw *json, struct slice value)
{
    value_begin(json);
    buf_append_slice(json->buf, value);
}
