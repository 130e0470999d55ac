/*
 * cursor.h -- where a page ended, as text that only we can have written.
 *
 * A cursor names its board, its period and the last entry of the page by its whole sort key: the next page starts after
 * that key, wherever it now stands, so no entry that did not move is skipped or shown twice; and because it names the
 * period, it goes on in the old one after a reset; one of a facet's standing names the facet too. It also holds the
 * view of the first page (ranking, fields, limit, form of the integers), so that the next page has the same columns
 * and ranks when the client sends nothing but the cursor. base64url of a version byte, the fields, and a MAC.
 *
 * Versions 1 and 2 held no view. They are still read: has_view is then false.
 */
#ifndef BOARD_CURSOR_H
#define BOARD_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/error.h"
#include "board/board.h"

enum { CURSOR_TEXT_MAX = 384, CURSOR_LIMIT_MAX = UINT16_MAX };

/* How the entries of the page are shown. */
struct cursor_view {
    enum ranking ranking;
    int limit; /* 1 to CURSOR_LIMIT_MAX */
    bool subscore, achieved_at, metadata, percentile, total;
    bool integers_as_strings, source;
};

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
    bool has_view;              /* false: of a version that held none; `view` is zero then */
    struct cursor_view view;
};

/* Returns the length; out is NUL-terminated. The cursor must have a view. */
size_t cursor_encode(const struct cursor *cursor, const struct crypto_key *key, char out[static CURSOR_TEXT_MAX]);
/* ERROR_INVALID_CURSOR for anything that we did not write. */
bool cursor_decode(struct slice text, const struct crypto_key *key, struct cursor *ret_cursor, struct error *error);

#endif
