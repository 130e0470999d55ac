#include "base/hash.h"

#include <string.h>

#include "base/crypto.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static uint64_t seed;

void hash_seed(struct slice secret)
{
    struct crypto_key key;

    crypto_derive(&key, secret, "ladder hash 1");
    memcpy(&seed, key.bytes, sizeof(seed));
}

void hash_bytes(struct slice bytes, uint8_t out[static HASH_SIZE])
{
    XXH128_canonical_t canonical;

    XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(bytes.data, bytes.size, seed));
    memcpy(out, canonical.digest, HASH_SIZE);
}
