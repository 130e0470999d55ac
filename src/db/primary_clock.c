#include "db/primary_clock.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"

enum { SPAN_US = 60000000 };
#define UNKNOWN INT64_MIN

/* Of each span of a minute the largest of (primary's clock - our monotonic one); this span's and the one before
 * count. */
static atomic_flag is_noting = ATOMIC_FLAG_INIT;
static int64_t span_from_us, span_largest = UNKNOWN, span_before = UNKNOWN; /* under is_noting */
static _Atomic int64_t ahead_us = UNKNOWN;

int64_t primary_clock_us(void)
{
    int64_t ahead = ahead_us;

    return ahead == UNKNOWN ? clock_realtime_us() : clock_monotonic_us() + ahead;
}

void primary_clock_saw(int64_t at_us)
{
    int64_t now_us = clock_monotonic_us();
    int64_t ahead = at_us - now_us;

    if (atomic_flag_test_and_set(&is_noting))
        return; /* another thread notes one as good */
    if (now_us - span_from_us >= SPAN_US) {
        span_before = now_us - span_from_us < 2 * SPAN_US ? span_largest : UNKNOWN;
        span_largest = UNKNOWN;
        span_from_us = now_us;
    }
    if (ahead > span_largest)
        span_largest = ahead;
    ahead_us = span_before > span_largest ? span_before : span_largest;
    atomic_flag_clear(&is_noting);
}

void primary_clock_forget(void)
{
    while (atomic_flag_test_and_set(&is_noting))
        ;
    span_largest = span_before = UNKNOWN;
    ahead_us = UNKNOWN;
    atomic_flag_clear(&is_noting);
}
