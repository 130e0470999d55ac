/*
 * primary_clock.h -- what time it is for the primary, as well as this process can tell.
 *
 * Which period is the current one is decided by one clock, the primary's: it stamps the submissions, so the servers'
 * clocks may differ. A reader's server must not ask it each time, so it estimates: every answer that brings the
 * primary's clock bounds it from below, and the largest of the last one to two minutes is no further behind than the
 * fastest of those answers was on its way. It counts on from there by the monotonic clock: a step of our own clock
 * changes nothing.
 *
 * One estimate a process. Any thread, never blocks.
 */
#ifndef DB_PRIMARY_CLOCK_H
#define DB_PRIMARY_CLOCK_H

#include <stdint.h>

/* Microseconds since 1970. Before the first answer: this machine's clock. */
int64_t primary_clock_us(void);
/* An answer of the primary has arrived that said so. */
void primary_clock_saw(int64_t at_us);
/* Another primary leads, with another clock. */
void primary_clock_forget(void);

#endif
