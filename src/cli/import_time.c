#include "cli/import_time.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"

enum { SECOND_US = 1000000 };
#define FIRST_US (-62135596800LL * SECOND_US) /* 0001-01-01T00:00:00Z */

bool import_time_format_parse(const char *text, struct import_time_format *ret_format, struct error *error)
{
    static const char *const names[] = {"auto", "rfc3339", "epoch", "epoch-ms", "epoch-us"};

    *ret_format = (struct import_time_format){IMPORT_TIME_AUTO, NULL};
    if (!text)
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(text, names[i]) == 0) {
            ret_format->form = (enum import_time_form)i;
            return true;
        }
    *ret_format = (struct import_time_format){IMPORT_TIME_PATTERN, text};
    /* %s of strptime(3) is local time: epoch is not. */
    return (strchr(text, '%') && !strstr(text, "%s")) ||
           error_set(error, ERROR_INVALID_PARAMETER,
                     "--at-format: \"%.60s\" is not auto, rfc3339, epoch, epoch-ms, epoch-us or a pattern of "
                     "strptime(3) such as %%d/%%m/%%Y",
                     text);
}

static bool in_range(int64_t time_us)
{
    return time_us >= FIRST_US && time_us <= CLOCK_LAST_US + SECOND_US - 1;
}

static bool epoch_read(struct slice text, int64_t unit_us, int64_t *ret_time_us)
{
    int64_t count;
    double seconds;

    if (text_parse_int64(text, &count))
        return !__builtin_mul_overflow(count, unit_us, ret_time_us) && in_range(*ret_time_us);
    if (unit_us != SECOND_US || !text_parse_decimal(text, &seconds) || fabs(seconds) > 1e12)
        return false;
    *ret_time_us = llround(seconds * SECOND_US);
    return in_range(*ret_time_us);
}

static bool pattern_read(const char *pattern, struct slice text, int64_t *ret_time_us)
{
    char value[IMPORT_TIME_BYTES_MAX + 1];
    struct tm parts = {.tm_mday = 1, .tm_year = 70};

    snprintf(value, sizeof(value), "%.*s", (int)text.size, text.data);
    const char *end = strptime(value, pattern, &parts);
    if (!end || *end || strlen(value) != text.size)
        return false;
    int64_t offset_s = parts.tm_gmtoff;
    struct tm real = parts;
    int64_t seconds = timegm(&real);
    /* 30 February would be 1 March. */
    if (real.tm_mday != parts.tm_mday || real.tm_mon != parts.tm_mon)
        return false;
    if (__builtin_mul_overflow(seconds - offset_s, SECOND_US, ret_time_us))
        return false;
    return in_range(*ret_time_us);
}

static size_t digits_count(struct slice text)
{
    size_t count = 0;

    while (count < text.size && text.data[count] >= '0' && text.data[count] <= '9')
        count++;
    return count;
}

/* An offset as RFC 3339 has it. */
static bool offset_write(struct slice zone, char out[static 8])
{
    bool has_sign = zone.size >= 3 && (zone.data[0] == '+' || zone.data[0] == '-');

    if (zone.size == 0 || slice_is(zone, " UTC") || slice_is(zone, "UTC"))
        snprintf(out, 8, "Z");
    else if (has_sign && zone.size == 3)
        snprintf(out, 8, "%.3s:00", zone.data);
    else if (has_sign && zone.size == 5)
        snprintf(out, 8, "%.3s:%.2s", zone.data, zone.data + 3);
    else if (zone.size <= 6)
        snprintf(out, 8, "%.*s", (int)zone.size, zone.data);
    else
        return false;
    return true;
}

/* A date and a time that RFC 3339 would have with seconds and an offset. */
static bool date_time_read(struct slice text, int64_t *ret_time_us)
{
    char whole[IMPORT_TIME_BYTES_MAX + 16], offset[8];
    size_t at = 11;

    if (text.size < 16)
        return false;
    while (at < text.size && ((text.data[at] >= '0' && text.data[at] <= '9') || strchr(":.", text.data[at])))
        at++;
    if (!offset_write((struct slice){text.data + at, text.size - at}, offset))
        return false;
    snprintf(whole, sizeof(whole), "%.*s%s%s", (int)at, text.data, at == 16 ? ":00" : "", offset);
    return clock_parse(slice_of(whole), ret_time_us);
}

static bool auto_read(struct slice text, int64_t *ret_time_us)
{
    char date[16];

    if (clock_parse(text, ret_time_us))
        return true;
    if (digits_count(text) < text.size)
        return date_time_read(text, ret_time_us);
    if (text.size == 8) {
        snprintf(date, sizeof(date), "%.4s-%.2s-%.2s", text.data, text.data + 4, text.data + 6);
        return clock_parse(slice_of(date), ret_time_us);
    }
    return (text.size == 10 && epoch_read(text, SECOND_US, ret_time_us)) ||
           (text.size == 13 && epoch_read(text, SECOND_US / 1000, ret_time_us));
}

bool import_time_read(const struct import_time_format *format, struct slice text, int64_t *ret_time_us)
{
    if (text.size == 0 || text.size > IMPORT_TIME_BYTES_MAX)
        return false;
    switch (format->form) {
    case IMPORT_TIME_AUTO:
        return auto_read(text, ret_time_us);
    case IMPORT_TIME_RFC3339:
        return clock_parse(text, ret_time_us);
    case IMPORT_TIME_EPOCH:
        return epoch_read(text, SECOND_US, ret_time_us);
    case IMPORT_TIME_EPOCH_MS:
        return epoch_read(text, SECOND_US / 1000, ret_time_us);
    case IMPORT_TIME_EPOCH_US:
        return epoch_read(text, 1, ret_time_us);
    case IMPORT_TIME_PATTERN:
        return pattern_read(format->pattern, text, ret_time_us);
    }
    return false;
}
