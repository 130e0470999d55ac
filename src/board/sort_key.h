/*
 * sort_key.h -- the exact order of a board, as bytes.
 *
 * The place of an entry is the row comparison (k1, k2, k3, player), ascending is better:
 *
 *     k1 = score      complemented (~) on a desc board: reverses all of int64, nothing overflows
 *     k2 = subscore   complemented likewise
 *     k3 = time       microseconds since 1970, complemented where the later one wins a tie
 *
 * A sort key is these three, coded so that memcmp of the bytes is that comparison, and a Redis member is the key
 * followed by the player. One coded integer is a header byte and the fewest big-endian bytes that hold it:
 *
 *     v >= 0:  header 0x80 + n, then the n significant bytes of v        0 -> 80    5 -> 81 05   300 -> 82 01 2c
 *     v <  0:  header 0x7f - n, then the n significant bytes of v's      -1 -> 7f  -2 -> 7e fe
 *              two's complement, n for ~v
 *
 * A longer number is further from zero and so is its header; among equals the bytes decide. Small scores make short
 * members: most keys are 12 bytes instead of 24, which is a tenth of a standing's memory.
 *
 * Redis orders a set by double, then by bytes. The double nearest to k1 never contradicts k1 (rounding is monotone),
 * and where two k1 share a double the bytes decide: so the set's order is exactly ours.
 *
 * Pure functions: any thread.
 */
#ifndef BOARD_SORT_KEY_H
#define BOARD_SORT_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    SORT_KEY_INTEGER_MAX = 9,                /* bytes of one coded integer */
    SORT_KEY_MAX = 3 * SORT_KEY_INTEGER_MAX, /* bytes of a key without the player */
    PLAYER_BYTES_MAX = 64,
    MEMBER_MAX = SORT_KEY_MAX + PLAYER_BYTES_MAX,
    SORT_KEY_SCORE_TEXT_MAX = 32,
};

struct sort_key {
    int64_t k1;
    int64_t k2;
    int64_t k3;
};

/* Writes at most SORT_KEY_INTEGER_MAX bytes, returns how many. */
size_t sort_key_encode_integer(int64_t value, uint8_t *out);

/* Writes at most SORT_KEY_MAX bytes, returns how many. */
size_t sort_key_encode(const struct sort_key *key, uint8_t *out);

/* Reads one coded integer, which is all that there is. false: it is none of ours. */
bool sort_key_decode_integer(struct slice bytes, int64_t *ret_value);

/* Reads the key at the front of a member. false: not one of ours. ret_size is the key's length: the player follows. */
bool sort_key_decode(struct slice member, struct sort_key *ret_key, size_t *ret_size);

/* The double nearest to k1, as Redis wants it: %.17g. Returns the length. */
size_t sort_key_score_text(int64_t k1, char out[static SORT_KEY_SCORE_TEXT_MAX]);

/* <0, 0, >0: the definition, to which bytes, SQL and Redis are held. */
int sort_key_compare(const struct sort_key *a, struct slice player_a, const struct sort_key *b, struct slice player_b);

#endif
