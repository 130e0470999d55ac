/*
 * clock.h -- the only place that asks the kernel for the time, and the only text form of it.
 *
 * Times are int64 microseconds since 1970-01-01T00:00:00Z (realtime) or since an arbitrary start
 * (monotonic). Deadlines use the monotonic clock; nothing but scores and logs use the other.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum { CLOCK_TEXT_MAX = 40 };
#define CLOCK_LAST_US 253402300799000000LL /* 9999-12-31T23:59:59Z: the last second that is written */

int64_t clock_realtime_us(void);
int64_t clock_tick_us(
    void); /* realtime as of the kernel's last tick, some ms ago: what time(2), and so a Date field, goes by */
int64_t clock_monotonic_us(void);

/* "2026-01-01T00:00:00Z", with ".123456" (trailing zeros cut) only when not a whole second.
 * Years 0001 to 9999; outside of it the nearest is written. Returns the length, NUL-terminated. */
size_t clock_format(int64_t time_us, char text[static CLOCK_TEXT_MAX]);

/* RFC 3339: date, 'T' or 't' or space, time, up to 9 fraction digits (cut to microseconds), 'Z' or
 * offset +hh:mm; also a plain date "2026-01-01" (midnight UTC). Real dates only (no Feb 30); second
 * 60 is refused. Returns false on anything else. */
bool clock_parse(struct slice text, int64_t *ret_time_us);

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 IMF-fixdate). */
size_t clock_format_http(int64_t time_us, char text[static CLOCK_TEXT_MAX]);

#endif
