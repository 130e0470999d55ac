#include "cache/l2.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/compress.h"
#include "base/text.h"

enum { FORMAT = 3, HEAD_SIZE = 38 + L2_TAGS * L2_NONCE_SIZE, TOOK_MS_MAX = 60000 };
enum coding { CODING_NONE, CODING_BROTLI };

static void put(uint8_t *at, uint64_t value, int size)
{
    for (int i = size - 1; i >= 0; i--, value >>= 8)
        at[i] = (uint8_t)value;
}

static uint64_t get(const uint8_t *at, int size)
{
    uint64_t value = 0;

    for (int i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

void l2_name(const struct crypto_key *key, struct slice scope, struct slice query, char out[static L2_NAME_SIZE + 1])
{
    uint8_t hash[CRYPTO_MAC_SIZE];
    char size[24];

    snprintf(size, sizeof(size), "%zu:", scope.size);
    const struct slice parts[] = {slice_of(size), scope, query};
    crypto_mac_parts(key, parts, ARRAY_SIZE(parts), hash);
    text_base64url_encode(hash, sizeof(hash), out);
}

static void mac_make(const struct crypto_key *key, const char *name, struct slice bytes,
                     uint8_t out[static CRYPTO_MAC_SIZE])
{
    const struct slice parts[] = {slice_of(name), bytes};

    crypto_mac_parts(key, parts, ARRAY_SIZE(parts), out);
}

bool l2_encode(const struct crypto_key *key, const char *name, const struct l2_value *value, struct slice body,
               struct buf *out)
{
    uint8_t head[HEAD_SIZE] = {'L', '2', FORMAT}, mac[CRYPTO_MAC_SIZE];
    int64_t took_ms = value->took_ms < TOOK_MS_MAX ? value->took_ms : TOOK_MS_MAX;
    struct buf smaller;

    buf_init(out, HEAD_SIZE + L2_BODY_BYTES_MAX + CRYPTO_MAC_SIZE);
    if (body.size > L2_BODY_BYTES_MAX)
        return false;
    bool is_smaller = compress_body(COMPRESS_BROTLI, COMPRESS_SMALL, body, &smaller);
    head[3] = is_smaller ? CODING_BROTLI : CODING_NONE;
    put(head + 4, (uint64_t)value->status, 2);
    put(head + 6, (uint64_t)value->until_ms, 8);
    put(head + 14, (uint64_t)value->made_ms, 8);
    put(head + 22, (uint64_t)took_ms, 4);
    put(head + 26, body.size, 4);
    put(head + 30, (uint64_t)value->lsn, 8);
    memcpy(head + 38, value->nonces, sizeof(value->nonces));
    buf_append(out, (const char *)head, sizeof(head));
    buf_append_slice(out, is_smaller ? buf_slice(&smaller) : body);
    mac_make(key, name, buf_slice(out), mac);
    buf_append(out, (const char *)mac, sizeof(mac));
    if (is_smaller)
        buf_done(&smaller);
    return !out->is_overflown;
}

bool l2_decode(const struct crypto_key *key, const char *name, struct slice bytes, struct l2_value *ret_value,
               struct buf *body, struct slice *ret_brotli)
{
    const uint8_t *at = (const uint8_t *)bytes.data;
    uint8_t mac[CRYPTO_MAC_SIZE];

    buf_init(body, L2_BODY_BYTES_MAX + 1);
    *ret_brotli = (struct slice){bytes.data, 0};
    if (bytes.size < HEAD_SIZE + CRYPTO_MAC_SIZE || bytes.size > HEAD_SIZE + L2_BODY_BYTES_MAX + CRYPTO_MAC_SIZE ||
        at[0] != 'L' || at[1] != '2' || at[2] != FORMAT)
        return false;
    struct slice signed_part = {bytes.data, bytes.size - CRYPTO_MAC_SIZE};
    struct slice coded = {bytes.data + HEAD_SIZE, signed_part.size - HEAD_SIZE};
    size_t size = get(at + 26, 4);
    mac_make(key, name, signed_part, mac);
    if (!crypto_equal(mac, at + signed_part.size, sizeof(mac)) || size > L2_BODY_BYTES_MAX)
        return false;
    *ret_value = (struct l2_value){.status = (int)get(at + 4, 2),
                                   .until_ms = (int64_t)get(at + 6, 8),
                                   .made_ms = (int64_t)get(at + 14, 8),
                                   .took_ms = (int64_t)get(at + 22, 4),
                                   .lsn = (int64_t)get(at + 30, 8)};
    memcpy(ret_value->nonces, at + 38, sizeof(ret_value->nonces));
    if (at[3] == CODING_BROTLI) {
        *ret_brotli = coded;
        return compress_restore(coded, size, body);
    }
    if (at[3] != CODING_NONE || coded.size != size)
        return false;
    buf_append_slice(body, coded);
    return !body->is_overflown;
}

bool l2_is_due(const struct l2_value *value, int64_t now_ms, double chance)
{
    return (double)now_ms - (double)value->took_ms * log(chance) >= (double)value->until_ms;
}

int64_t l2_ttl_ms(int64_t ttl_ms, double chance)
{
    return ttl_ms - (int64_t)((double)(ttl_ms / 5) * chance);
}
