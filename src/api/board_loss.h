/*
 * board_loss.h -- the refusal of a PUT that would take windows or facets away that hold entries.
 */
#ifndef API_BOARD_LOSS_H
#define API_BOARD_LOSS_H

#include "api/api.h"

/* Counts what board `board_id` would lose with these windows and facets (array literals of PostgreSQL, which must live
 * in the call's arena), and refuses the call with 409. The refusal is kept under the call's Idempotency-Key. */
void board_loss_refuse(struct api_call *call, int64_t board_id, const char *windows, const char *facets);

#endif
