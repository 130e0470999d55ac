/*
 * cursor.h -- where a page ended, as text that only we can have written.
 *
 * A cursor names its board, its period and the last entry of the page by its whole sort key: the next page starts after
 * that key, wherever it now stands, so no entry that did not move is skipped or shown twice; and because it names the
 * period, it goes on in the old one after a reset; one of a facet's standing names the facet too. base64url of a
 * version byte, the fields, and a MAC.
 */
#ifndef BOARD_CURSOR_H
#define BOARD_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/error.h"
#include "board/board.h"

enum { CURSOR_TEXT_MAX = 384 };

struct cursor {
    int64_t board_id;
    int64_t period_id;
    int64_t period_start_us; /* INT64_MIN: -infinity */
    int64_t period_end_us;   /* INT64_MAX: infinity */
    enum window window;
    struct sort_key key; /* of the last entry */
    int64_t k1_max;      /* entries beyond it do not belong (INT64_MAX: none) */
    char player[PLAYER_BYTES_MAX + 1];
    size_t player_size;
    char facet[FACET_TEXT_MAX]; /* "country:BR"; "": the whole board */
};

/* Returns the length; out is NUL-terminated. */
size_t cursor_encode(const struct cursor *cursor, const struct crypto_key *key, char out[static CURSOR_TEXT_MAX]);
/* ERROR_INVALID_CURSOR for anything that we did not write. */
bool cursor_decode(struct slice text, const struct crypto_key *key, struct cursor *ret_cursor, struct error *error);

#endif
