/*
 * zone.h -- the names of the tz database: which one is meant, and which are near one that is none.
 *
 * Pure; a list belongs to one thread.
 */
#ifndef BOARD_ZONE_H
#define BOARD_ZONE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "board/board.h"

enum { ZONES_NEAR = 3 };

struct zones {
    char (*names)[TIME_ZONE_BYTES_MAX + 1]; /* owned */
    size_t count;
};

/* Adds a name; longer ones than TIME_ZONE_BYTES_MAX are left out. */
void zones_add(struct zones *zones, const char *name);
void zones_free(struct zones *zones);
/* The name that `text` spells in whatever letter case, as the tz database spells it; NULL: there is none. Valid until
 * the list changes. */
const char *zones_find(const struct zones *zones, struct slice text);
/* The names nearest to `text`, the nearest first: by the number of letters to change, in the whole name or in what is
 * behind its last slash. Returns how many, at most ZONES_NEAR. text: at most TIME_ZONE_BYTES_MAX bytes count. */
size_t zones_near(const struct zones *zones, struct slice text, const char *ret_names[static ZONES_NEAR]);

#endif
