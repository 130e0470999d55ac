/*
 * import_time.h -- how the times of a file to import are written.
 *
 * Pure values; any thread.
 */
#ifndef CLI_IMPORT_TIME_H
#define CLI_IMPORT_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum import_time_form {
    IMPORT_TIME_AUTO,     /* whichever of the usual forms a value has: see import_time_read */
    IMPORT_TIME_RFC3339,  /* RFC 3339 times and dates only */
    IMPORT_TIME_EPOCH,    /* seconds since 1970-01-01T00:00:00Z, possibly with a fraction */
    IMPORT_TIME_EPOCH_MS, /* milliseconds */
    IMPORT_TIME_EPOCH_US, /* microseconds */
    IMPORT_TIME_PATTERN   /* of strptime(3) */
};

enum { IMPORT_TIME_BYTES_MAX = 64 };

struct import_time_format {
    enum import_time_form form;
    const char *pattern; /* borrowed; IMPORT_TIME_PATTERN only */
};

/* text: "auto", "rfc3339", "epoch", "epoch-ms", "epoch-us", or a pattern such as "%d/%m/%Y %H:%M". NULL: auto.
 * ERROR_INVALID_PARAMETER. */
bool import_time_format_parse(const char *text, struct import_time_format *ret_format, struct error *error);

/*
 * Microseconds since 1970. false: the value does not have the format, or is no real time of the years 0001 to 9999.
 * A value without an offset is UTC. auto takes, besides RFC 3339: 2024-01-31, 20240131, 2024-01-31 10:00,
 * 2024-01-31 10:00:00 (with "T" or a space, a fraction, and an offset as in Z, +02, +0200, +02:00 or " UTC"), ten digits
 * as seconds since 1970 and thirteen as milliseconds.
 */
bool import_time_read(const struct import_time_format *format, struct slice text, int64_t *ret_time_us);

#endif
