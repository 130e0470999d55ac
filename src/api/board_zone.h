/*
 * board_zone.h -- the time zone of a PUT: a name of the tz database.
 */
#ifndef API_BOARD_ZONE_H
#define API_BOARD_ZONE_H

#include "api/definition.h"

typedef void board_zone_fn(void *context);

/* Spells the definition's time zone as the tz database does and calls `done`, or refuses the call with 400 and the
 * nearest names. A board that has another zone already, from before there was this check, may be sent back as it is. */
void board_zone_check(struct api_call *call, struct definition *definition, board_zone_fn *done, void *context);

#endif
