/*
 * zones.h -- which time zones there are: the names of the tz database as the primary has it.
 *
 * Listing them takes PostgreSQL some 50 ms, so a loop lists them once, and again for a name that it does not know when
 * the list is older than ZONES_TTL_S: a newer tz database may have it.
 */
#ifndef STORE_ZONES_H
#define STORE_ZONES_H

#include "store/store.h"

enum { ZONES_TTL_S = 60 };

/* name: as the tz database spells it, borrowed until the continuation returns; NULL: *error says why. */
typedef void store_zone_fn(void *context, const char *name, const struct error *error);
/* text must live until the continuation is called, which may be before this returns. A text that is no name:
 * ERROR_INVALID_BODY of the field /time_zone, with the nearest names. */
void store_zone_find(struct store *store, struct slice text, store_zone_fn *done, void *context);

#endif
