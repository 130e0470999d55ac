#include "base/crypto.h"

#include <sodium.h>

_Static_assert(CRYPTO_HASH_SIZE == crypto_generichash_BYTES, "BLAKE2b-256");
_Static_assert(CRYPTO_KEY_SIZE == crypto_generichash_KEYBYTES, "a BLAKE2b key");
_Static_assert(CRYPTO_MAC_SIZE >= crypto_generichash_BYTES_MIN, "a BLAKE2b MAC");

static uint8_t short_key[crypto_shorthash_KEYBYTES];

bool crypto_start(void)
{
    if (sodium_init() < 0)
        return false;
    randombytes_buf(short_key, sizeof(short_key));
    return true;
}

uint64_t crypto_hash_short(const void *bytes, size_t size)
{
    uint64_t hash;

    _Static_assert(sizeof(hash) == crypto_shorthash_BYTES, "SipHash-2-4");
    crypto_shorthash((uint8_t *)&hash, bytes, size, short_key);
    return hash;
}

void crypto_random(void *out, size_t size)
{
    randombytes_buf(out, size);
}

void crypto_digest(struct slice bytes, uint8_t out[static CRYPTO_HASH_SIZE])
{
    crypto_generichash(out, CRYPTO_HASH_SIZE, (const uint8_t *)bytes.data, bytes.size, NULL, 0);
}

void crypto_derive(struct crypto_key *key, struct slice secret, const char *purpose)
{
    uint8_t root[CRYPTO_HASH_SIZE];
    struct slice text = slice_of(purpose);

    crypto_digest(secret, root);
    crypto_generichash(key->bytes, sizeof(key->bytes), (const uint8_t *)text.data, text.size, root, sizeof(root));
    sodium_memzero(root, sizeof(root));
}

void crypto_mac(const struct crypto_key *key, struct slice bytes, uint8_t out[static CRYPTO_MAC_SIZE])
{
    crypto_generichash(out, CRYPTO_MAC_SIZE, (const uint8_t *)bytes.data, bytes.size, key->bytes, sizeof(key->bytes));
}

void crypto_mac_parts(const struct crypto_key *key, const struct slice *parts, size_t count,
                      uint8_t out[static CRYPTO_MAC_SIZE])
{
    crypto_generichash_state state;

    crypto_generichash_init(&state, key->bytes, sizeof(key->bytes), CRYPTO_MAC_SIZE);
    for (size_t i = 0; i < count; i++)
        crypto_generichash_update(&state, (const uint8_t *)parts[i].data, parts[i].size);
    crypto_generichash_final(&state, out, CRYPTO_MAC_SIZE);
}

void crypto_hmac_sha256(struct slice key, const struct slice *parts, size_t count,
                        uint8_t out[static CRYPTO_HMAC_SHA256_SIZE])
{
    crypto_auth_hmacsha256_state state;

    _Static_assert(CRYPTO_HMAC_SHA256_SIZE == crypto_auth_hmacsha256_BYTES, "HMAC-SHA256");
    crypto_auth_hmacsha256_init(&state, (const uint8_t *)key.data, key.size);
    for (size_t i = 0; i < count; i++)
        crypto_auth_hmacsha256_update(&state, (const uint8_t *)parts[i].data, parts[i].size);
    crypto_auth_hmacsha256_final(&state, out);
}

bool crypto_equal(const void *a, const void *b, size_t size)
{
    return sodium_memcmp(a, b, size) == 0;
}
