/*
 * key_id.h -- the public part of an API key, lk_<id>_<secret>, and its signature.
 *
 *   id:  20 digits drawn at random | 11 digits of their MAC        (a digit: 0-9, A-Z or a-z)
 *
 * The MAC is the first 8 bytes of an HMAC-SHA256 under the secret of the installation (ladder.key_secret), so that a server
 * knows an id that was made up without a query. Keys of before, and those made by hand, have ids of other lengths, without a
 * MAC. Pure; any thread.
 */
#ifndef BOARD_KEY_ID_H
#define BOARD_KEY_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    KEY_ID_RANDOM_DIGITS = 20,
    KEY_ID_MAC_DIGITS = 11, /* 62^11 > 2^64 */
    KEY_ID_SIGNED_DIGITS = KEY_ID_RANDOM_DIGITS + KEY_ID_MAC_DIGITS,
    KEY_ID_MAX = 32, /* with its NUL */
    KEY_SECRET_SIZE = 32
};

struct key_secret {
    uint8_t bytes[KEY_SECRET_SIZE];
};

extern const char key_digits[62 + 1];

/* The id of a key as it was sent. false: it is not of the form of a key. */
bool key_id_parse(struct slice text, char id[static KEY_ID_MAX]);
/* Has it the length of one with a MAC? */
bool key_id_has_mac(const char *id);
/* id: KEY_ID_RANDOM_DIGITS, to which the MAC is added, and a NUL. */
void key_id_sign(const struct key_secret *secret, char id[static KEY_ID_MAX]);
/* Has it a MAC, and is it that of the secret? The MACs are compared in constant time. */
bool key_id_verify(const struct key_secret *secret, const char *id);

#endif
