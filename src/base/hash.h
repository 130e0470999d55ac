/*
 * hash.h -- a fast hash for telling contents apart (XXH3, 128 bits). Not for secrets: see crypto.h.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#include "base/slice.h"

enum { HASH_SIZE = 16 };

/* Draws the seed from a secret, so that nobody outside can look for two contents with one hash. Once, at the start;
 * servers with the same secret give the same hashes. */
void hash_seed(struct slice secret);
void hash_bytes(struct slice bytes, uint8_t out[static HASH_SIZE]);

#endif
