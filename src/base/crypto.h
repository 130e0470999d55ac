/*
 * crypto.h -- the few keyed and unkeyed hashes that we use, all libsodium's.
 */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum { CRYPTO_HASH_SIZE = 32, CRYPTO_KEY_SIZE = 32, CRYPTO_MAC_SIZE = 16, CRYPTO_HMAC_SHA256_SIZE = 32 };

struct crypto_key {
    uint8_t bytes[CRYPTO_KEY_SIZE];
};

bool crypto_start(void); /* once, before anything else; false: the machine has no randomness */

void crypto_random(void *out, size_t size);
void crypto_digest(struct slice bytes, uint8_t out[static CRYPTO_HASH_SIZE]); /* BLAKE2b-256 */
/* Key from the configured secret, one a purpose ("cursor", "token"): BLAKE2b keyed derivation. */
void crypto_derive(struct crypto_key *key, struct slice secret, const char *purpose);
void crypto_mac(const struct crypto_key *key, struct slice bytes, uint8_t out[static CRYPTO_MAC_SIZE]);
/* Of the parts, one behind the other, as if they were one text. Allocates nothing. */
void crypto_mac_parts(const struct crypto_key *key, const struct slice *parts, size_t count,
                      uint8_t out[static CRYPTO_MAC_SIZE]);
/* For messages to others, who have it in every language's library; the key may have any length. */
void crypto_hmac_sha256(struct slice key, const struct slice *parts, size_t count,
                        uint8_t out[static CRYPTO_HMAC_SHA256_SIZE]);
/* SipHash under a key drawn at the start: for hash tables whose keys strangers choose. */
uint64_t crypto_hash_short(const void *bytes, size_t size);
bool crypto_equal(const void *a, const void *b, size_t size); /* constant time */

#endif
