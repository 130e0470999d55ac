#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static const struct {
    int status;
    const char *slug;
    const char *title;
} rows[] = {
#define ERROR(name, status, slug, title) {status, slug, title},
#include "base/error.tbl.h"
#undef ERROR
};

/* What a library says in several lines is one here: whoever greps a log, or reads cron's mail, gets it whole. */
static void unbreak(char text[static ERROR_MESSAGE_MAX])
{
    char line[ERROR_MESSAGE_MAX];
    size_t size = 0;

    for (const char *in = text; *in && size + 2 < sizeof(line);) {
        if (*in != '\n') {
            line[size++] = *in++;
            continue;
        }
        in += strspn(in, "\n\t ");
        if (*in && size) {
            line[size++] = ';';
            line[size++] = ' ';
        }
    }
    line[size] = 0;
    memcpy(text, line, size + 1);
}

__attribute__((format(printf, 4, 0))) static void fill(struct error *error, enum error_code code, const char *field,
                                                       const char *format, va_list arguments)
{
    if (!error)
        return;
    error->code = code;
    snprintf(error->field, sizeof(error->field), "%s", field);
    vsnprintf(error->message, sizeof(error->message), format, arguments);
    /* A cut, here or by the caller's precision (%.60s), may fall into a character: what goes out must be UTF-8. */
    error->field[text_keep_utf8(error->field, strlen(error->field))] = 0;
    error->message[text_keep_utf8(error->message, strlen(error->message))] = 0;
    if (strchr(error->message, '\n'))
        unbreak(error->message);
}

bool error_set(struct error *error, enum error_code code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fill(error, code, "", format, arguments);
    va_end(arguments);
    return false;
}

bool error_set_field(struct error *error, enum error_code code, const char *field, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fill(error, code, field, format, arguments);
    va_end(arguments);
    return false;
}

int error_status(enum error_code code)
{
    return rows[code].status;
}

bool error_is_refusal(enum error_code code)
{
    return error_status(code) < 500 || code == ERROR_ITEM_FAILED;
}

const char *error_slug(enum error_code code)
{
    return rows[code].slug;
}

const char *error_title(enum error_code code)
{
    return rows[code].title;
}

enum error_cause error_cause(enum error_code code)
{
    if (error_status(code) != 503)
        return ERROR_CAUSE_COUNT;
    return code == ERROR_OVERLOADED    ? ERROR_CAUSE_QUEUE
           : code == ERROR_MEMORY_FULL ? ERROR_CAUSE_MEMORY
           : code == ERROR_DEADLINE    ? ERROR_CAUSE_DEADLINE
                                       : ERROR_CAUSE_DEPENDENCY;
}

const char *error_cause_name(enum error_cause cause)
{
    static const char *const names[ERROR_CAUSE_COUNT] = {"queue", "memory", "deadline", "dependency"};

    return names[cause];
}
