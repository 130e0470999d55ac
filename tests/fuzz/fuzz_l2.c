/*
 * Values of the second cache: bytes from Redis; signed ones, so that what is behind the MAC is reached; and, of one input in
 * sixteen, since making a value costs twenty times what reading one does, the way there and back.
 */
#include "fuzz.h"

#include "base/crypto.h"
#include "cache/l2.h"

static const char name[] = "abcdefghijklmnopqrstuv";

static void try(const struct crypto_key *key, struct slice bytes)
{
    struct l2_value value;
    struct buf body;
    struct slice brotli;

    if (l2_decode(key, name, bytes, &value, &body, &brotli))
        ASSERT(body.size <= L2_BODY_BYTES_MAX && value.status >= 0 && brotli.size <= bytes.size);
    buf_done(&body);
}

/* The input with a MAC that is right. */
static void try_signed(const struct crypto_key *key, struct slice bytes)
{
    uint8_t mac[CRYPTO_MAC_SIZE];
    struct buf text;

    buf_init(&text, sizeof(name) + bytes.size + CRYPTO_MAC_SIZE);
    buf_append_text(&text, name);
    buf_append_slice(&text, bytes);
    crypto_mac(key, buf_slice(&text), mac);
    buf_append(&text, mac, sizeof(mac));
    try(key, (struct slice){text.data + strlen(name), text.size - strlen(name)});
    buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct crypto_key key;
    static bool has_key;
    struct l2_value value = {.status = (int)(size % 600), .until_ms = (int64_t)size * 12345, .took_ms = (int64_t)size},
                    back;
    struct buf bytes, body;
    struct slice brotli;

    if (!has_key) {
        ASSERT(crypto_start());
        crypto_derive(&key, SLICE("a secret of the fuzzer"), "l2");
        has_key = true;
    }
    try(&key, fuzz_slice(data, size));
    try_signed(&key, fuzz_slice(data, size));
    if (size > 0 && data[0] % 16 != 0)
        return 0;
    memcpy(value.nonces, data, size < sizeof(value.nonces) ? size : sizeof(value.nonces));
    if (!l2_encode(&key, name, &value, fuzz_slice(data, size), &bytes)) {
        buf_done(&bytes);
        return 0;
    }
    ASSERT(l2_decode(&key, name, buf_slice(&bytes), &back, &body, &brotli));
    ASSERT(body.size == size && (size == 0 || memcmp(body.data, data, size) == 0));
    ASSERT(back.status == value.status && back.until_ms == value.until_ms &&
           memcmp(back.nonces, value.nonces, sizeof(value.nonces)) == 0);
    buf_done(&body);
    size_t at = size % bytes.size;
    bytes.data[at] ^= 1;
    ASSERT(!l2_decode(&key, name, buf_slice(&bytes), &back, &body, &brotli));
    buf_done(&body);
    buf_done(&bytes);
    return 0;
}
