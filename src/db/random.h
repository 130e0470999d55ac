/*
 * random.h -- numbers for spreading things evenly (pauses, choices among servers), not for secrets.
 *
 * xorshift64 over a state that the caller keeps. Pure; any thread, a state one at a time.
 */
#ifndef DB_RANDOM_H
#define DB_RANDOM_H

#include <stdint.h>

/* The next number, at least 0 and below 1. state: seeded by the caller, never 0. */
double random_unit(uint64_t *state);

#endif
