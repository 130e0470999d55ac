/*
 * log.h -- one line of logfmt an event on standard error.
 *
 *   time=2026-01-01T00:00:00Z level=info event=started port=7000 pid=1234
 *
 * Values are quoted when they need it; control bytes and invalid UTF-8 are escaped, so a client can
 * never forge a line. Lines are cut at LOG_LINE_MAX. Any thread; each line is one write(2).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum { LOG_LINE_MAX = 2048 };
enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

struct log_field {
    const char *key;
    enum { LOG_FIELD_END, LOG_FIELD_TEXT, LOG_FIELD_SLICE, LOG_FIELD_INT, LOG_FIELD_DOUBLE } kind;
    const char *text;
    struct slice slice;
    int64_t integer;
    double real;
};

#define LOG_TEXT(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_TEXT, .text = (v)})
#define LOG_SLICE(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_SLICE, .slice = (v)})
#define LOG_INT(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_INT, .integer = (int64_t)(v)})
#define LOG_DOUBLE(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_DOUBLE, .real = (v)})
#define LOG_END ((struct log_field){.kind = LOG_FIELD_END})

void log_set_level(enum log_level level);
bool log_level_parse(struct slice text, enum log_level *ret_level); /* debug info warn error */
bool log_is_on(enum log_level level);
void log_write(enum log_level level, const char *event, const struct log_field *fields);

/* At least one field. */
#define LOG(level, event, ...)                                                                                         \
    do {                                                                                                               \
        if (log_is_on(level))                                                                                          \
            log_write(level, event, (const struct log_field[]){__VA_ARGS__, LOG_END});                                 \
    } while (0)
#define log_debug(event, ...) LOG(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...) LOG(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_warn(event, ...) LOG(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_error(event, ...) LOG(LOG_LEVEL_ERROR, event, __VA_ARGS__)

#endif
