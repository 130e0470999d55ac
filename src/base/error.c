#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

static void fill(struct error *error, enum error_code code, const char *field, const char *format, va_list arguments)
{
    if (!error)
        return;
    error->code = code;
    snprintf(error->field, sizeof(error->field), "%s", field);
    vsnprintf(error->message, sizeof(error->message), format, arguments);
    /* A cut in the middle of a character would not be UTF-8: take the whole of it off. */
    size_t size = strlen(error->message);
    if (size == sizeof(error->message) - 1)
        while (size > 0 && (error->message[size - 1] & 0x80)) {
            bool is_lead = (error->message[--size] & 0x40) != 0;
            error->message[size] = 0;
            if (is_lead)
                break;
        }
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

const char *error_slug(enum error_code code)
{
    return rows[code].slug;
}

const char *error_title(enum error_code code)
{
    return rows[code].title;
}
