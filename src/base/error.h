/*
 * error.h -- how a function says that it failed.
 *
 * A function that can fail returns bool (or a small enum) and takes a `struct error *` last, which
 * it fills exactly when it fails. The message is for people: it names the field and the limit, and
 * never holds SQL, a path or a secret. Whoever gives up on the operation logs it; nobody else does.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>

enum error_code {
#define ERROR(name, status, slug, title) ERROR_##name,
#include "base/error.tbl.h"
#undef ERROR
    ERROR_CODE_COUNT
};

enum { ERROR_FIELD_MAX = 64, ERROR_MESSAGE_MAX = 256 };

struct error {
    enum error_code code;
    char field[ERROR_FIELD_MAX];     /* JSON pointer or parameter name, or ""; UTF-8, whatever was cut */
    char message[ERROR_MESSAGE_MAX]; /* one sentence; UTF-8, whatever was cut */
};

/* Fills *error and returns false, so that a caller can `return error_set(...)`.
 * A NULL error is allowed: the caller only wants to know that it failed. */
bool error_set(struct error *error, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, naming the offending field. */
bool error_set_field(struct error *error, enum error_code code, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

int error_status(enum error_code code); /* HTTP status, 200 to 599 */
/* Is it an answer to this one item, which a repeat would get again? Otherwise it is a failure of something else. */
bool error_is_refusal(enum error_code code);
const char *error_slug(enum error_code code); /* static, never NULL */
/* Why an answer is 503: the label of a counter, and the word of a log line. ERROR_CAUSE_COUNT: it is not 503. */
enum error_cause {
    ERROR_CAUSE_QUEUE,
    ERROR_CAUSE_MEMORY,
    ERROR_CAUSE_DEADLINE,
    ERROR_CAUSE_DEPENDENCY,
    ERROR_CAUSE_COUNT
};
enum error_cause error_cause(enum error_code code);
const char *error_cause_name(enum error_cause cause); /* "queue", "memory", "deadline", "dependency" */
const char *error_title(enum error_code code);        /* static, never NULL */

#endif
