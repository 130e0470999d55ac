#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

static _Atomic int level_now = LOG_LEVEL_INFO;
static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level level)
{
    level_now = (int)level;
}

bool log_level_parse(struct slice text, enum log_level *ret_level)
{
    for (int i = LOG_LEVEL_DEBUG; i <= LOG_LEVEL_ERROR; i++)
        if (slice_is(text, level_names[i])) {
            *ret_level = (enum log_level)i;
            return true;
        }
    return false;
}

bool log_is_on(enum log_level level)
{
    return (int)level >= level_now;
}

struct line {
    char text[LOG_LINE_MAX];
    size_t size;
};

static void put(struct line *line, const char *text, size_t size)
{
    size_t room = sizeof(line->text) - 1 - line->size; /* the newline's */

    if (size > room)
        size = room;
    memcpy(line->text + line->size, text, size);
    line->size += size;
}

static void put_value(struct line *line, struct slice value)
{
    static const char hex[] = "0123456789abcdef";
    bool is_utf8 = text_is_utf8(value);
    bool is_plain = value.size > 0 && is_utf8 && !text_has_control(value);

    for (size_t i = 0; i < value.size && is_plain; i++)
        is_plain = value.data[i] != ' ' && value.data[i] != '"' && value.data[i] != '=' && value.data[i] != '\\';
    if (is_plain) {
        put(line, value.data, value.size);
        return;
    }
    put(line, "\"", 1);
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        /* In valid UTF-8, U+0080 to U+009F are c2 80 to c2 9f. */
        bool is_c1 = is_utf8 && c == 0xc2 && i + 1 < value.size && (unsigned char)value.data[i + 1] < 0xa0;
        if (c == '"' || c == '\\') {
            char escape[2] = {'\\', (char)c};
            put(line, escape, 2);
        } else if (c < 0x20 || c == 0x7f || is_c1 || (c >= 0x80 && !is_utf8)) {
            char escape[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
            put(line, escape, 4);
            if (is_c1) {
                unsigned char d = (unsigned char)value.data[++i];
                char second[4] = {'\\', 'x', hex[d >> 4], hex[d & 15]};
                put(line, second, 4);
            }
        } else {
            put(line, value.data + i, 1);
        }
    }
    put(line, "\"", 1);
}

static void put_key(struct line *line, const char *key)
{
    if (line->size)
        put(line, " ", 1);
    put(line, key, strlen(key));
    put(line, "=", 1);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    struct line line = {.size = 0};
    char text[64];

    put_key(&line, "time");
    /* Always six digits: lines sort and align as text. */
    int64_t now_us = clock_realtime_us();
    put(&line, text, clock_format(now_us - now_us % 1000000, text) - 1);
    put(&line, text, (size_t)snprintf(text, sizeof(text), ".%06dZ", (int)(now_us % 1000000)));
    put_key(&line, "level");
    put_value(&line, slice_of(level_names[level]));
    put_key(&line, "event");
    put_value(&line, slice_of(event));
    for (; fields->kind != LOG_FIELD_END; fields++) {
        put_key(&line, fields->key);
        if (fields->kind == LOG_FIELD_TEXT) {
            put_value(&line, slice_of(fields->text));
        } else if (fields->kind == LOG_FIELD_SLICE) {
            put_value(&line, fields->slice);
        } else {
            int size = fields->kind == LOG_FIELD_INT ? snprintf(text, sizeof(text), "%lld", (long long)fields->integer)
                                                     : snprintf(text, sizeof(text), "%.6g", fields->real);
            put(&line, text, (size_t)size);
        }
    }
    line.text[line.size++] = '\n';
    /* A log that can't be written must not stop the service. */
    ssize_t written = write(STDERR_FILENO, line.text, line.size);
    (void)written;
}
