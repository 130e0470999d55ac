/*
 * clock.c -- see clock.h. The calendar arithmetic is Howard Hinnant's "chrono-compatible low-level date algorithms":
 * years begin in March, so that the leap day is the last, and 400 years are one era of 146097 days.
 */
#include "base/clock.h"

#include <string.h>
#include <time.h>

#include "base/put.h"

enum { SECOND_US = 1000000 };

int64_t clock_realtime_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

int64_t clock_tick_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

int64_t clock_monotonic_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;

    *ret_day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int)(month + (month < 10 ? 3 : -9));
    *ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2));
}

/* Years 0001 to 9999. */
static const int64_t time_us_min = -62135596800LL * SECOND_US;
static const int64_t time_us_max = 253402300799LL * SECOND_US + 999999;

static void split(int64_t time_us, int64_t *ret_days, int64_t *ret_second, int *ret_us)
{
    if (time_us < time_us_min)
        time_us = time_us_min;
    if (time_us > time_us_max)
        time_us = time_us_max;
    int64_t second = time_us / SECOND_US;
    *ret_us = (int)(time_us % SECOND_US);
    if (*ret_us < 0) {
        *ret_us += SECOND_US;
        second--;
    }
    *ret_days = second / 86400;
    *ret_second = second % 86400;
    if (*ret_second < 0) {
        *ret_second += 86400;
        (*ret_days)--;
    }
}

/* A page has a hundred times, and printf takes a quarter of a microsecond for each. */
static char *put_pair(char *at, int value, char end)
{
    return put_byte(put_two_digits(at, value), end);
}

size_t clock_format(int64_t time_us, char text[static CLOCK_TEXT_MAX])
{
    static _Thread_local int64_t known_days = INT64_MIN;
    static _Thread_local char date[sizeof("2026-01-01T") - 1];
    int64_t days, second;
    int us;

    split(time_us, &days, &second, &us);
    /* The times of one page are mostly of few days, so the date of the last is kept. */
    if (days != known_days) {
        int year, month, day;
        civil_from_days(days, &year, &month, &day);
        put_pair(put_pair(put_pair(put_two_digits(date, year / 100), year % 100, '-'), month, '-'), day, 'T');
        known_days = days;
    }
    char *at = put_bytes(text, date, sizeof(date));
    at = put_pair(at, (int)(second / 3600), ':');
    at = put_pair(at, (int)(second / 60 % 60), ':');
    at = put_pair(at, (int)(second % 60), us ? '.' : 'Z');
    if (us) {
        at = put_two_digits(put_two_digits(put_two_digits(at, us / 10000), us / 100 % 100), us % 100);
        while (at[-1] == '0')
            at--;
        *at++ = 'Z';
    }
    *at = 0;
    return (size_t)(at - text);
}

size_t clock_format_http(int64_t time_us, char text[static CLOCK_TEXT_MAX])
{
    static const char *const day_names[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char *const month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t days, second;
    int year, month, day, us;

    split(time_us, &days, &second, &us);
    civil_from_days(days, &year, &month, &day);
    char *at = put_literal(put_bytes(text, day_names[(days % 7 + 7) % 7], 3), ", ");
    at = put_pair(at, day, ' ');
    at = put_byte(put_bytes(at, month_names[month - 1], 3), ' ');
    at = put_pair(put_two_digits(at, year / 100), year % 100, ' ');
    at = put_pair(at, (int)(second / 3600), ':');
    at = put_pair(at, (int)(second / 60 % 60), ':');
    at = put_literal(put_two_digits(at, (int)(second % 60)), " GMT");
    *at = 0;
    return (size_t)(at - text);
}

/* Exactly `count` digits at *at. */
static bool digits(struct slice text, size_t *at, int count, int *ret_value)
{
    int value = 0;

    for (int i = 0; i < count; i++) {
        if (*at >= text.size || text.data[*at] < '0' || text.data[*at] > '9')
            return false;
        value = value * 10 + (text.data[(*at)++] - '0');
    }
    *ret_value = value;
    return true;
}

static bool is_char(struct slice text, size_t *at, const char *set)
{
    return *at < text.size && text.data[*at] && strchr(set, text.data[*at]) && ++*at;
}

static bool parse_fraction(struct slice text, size_t *at, int *ret_us)
{
    int count = 0;

    *ret_us = 0;
    while (*at < text.size && text.data[*at] >= '0' && text.data[*at] <= '9' && count < 9) {
        if (count < 6)
            *ret_us = *ret_us * 10 + (text.data[*at] - '0');
        count++;
        (*at)++;
    }
    for (int i = count; i < 6; i++)
        *ret_us *= 10;
    return count > 0;
}

bool clock_parse(struct slice text, int64_t *ret_time_us)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day, hour = 0, minute = 0, second = 0, us = 0, offset = 0;
    size_t at = 0;

    if (!digits(text, &at, 4, &year) || !is_char(text, &at, "-") || !digits(text, &at, 2, &month) ||
        !is_char(text, &at, "-") || !digits(text, &at, 2, &day) || year < 1 || month < 1 || month > 12)
        return false;
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day < 1 || day > month_days[month - 1] + (month == 2 && is_leap))
        return false;
    if (at < text.size) {
        if (!is_char(text, &at, "Tt ") || !digits(text, &at, 2, &hour) || !is_char(text, &at, ":") ||
            !digits(text, &at, 2, &minute) || !is_char(text, &at, ":") || !digits(text, &at, 2, &second) || hour > 23 ||
            minute > 59 || second > 59)
            return false;
        if (is_char(text, &at, ".") && !parse_fraction(text, &at, &us))
            return false;
        if (!is_char(text, &at, "Zz")) {
            int sign = is_char(text, &at, "+") ? 1 : is_char(text, &at, "-") ? -1 : 0;
            int offset_hour, offset_minute;
            if (!sign || !digits(text, &at, 2, &offset_hour) || !is_char(text, &at, ":") ||
                !digits(text, &at, 2, &offset_minute) || offset_hour > 23 || offset_minute > 59)
                return false;
            offset = sign * (offset_hour * 60 + offset_minute);
        }
        if (at != text.size)
            return false;
    }
    int64_t seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + (minute - offset) * 60 + second;
    *ret_time_us = seconds * SECOND_US + us;
    return *ret_time_us >= time_us_min && *ret_time_us <= time_us_max;
}
