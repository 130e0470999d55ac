#include "board/cursor.h"

#include <string.h>

#include "base/text.h"

/* Of VERSION_FACET: the facet's size in a byte and the facet stand in front of the player. */
enum {
    VERSION = 1,
    VERSION_FACET = 2,
    FIXED_SIZE = 2 + 8 * 8,
    BYTES_MAX = FIXED_SIZE + FACET_TEXT_MAX + PLAYER_BYTES_MAX + CRYPTO_MAC_SIZE
};

static size_t put64(uint8_t *at, int64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)((uint64_t)value >> (56 - 8 * i));
    return 8;
}

static int64_t get64(const uint8_t **at)
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value = value << 8 | *(*at)++;
    return (int64_t)value;
}

size_t cursor_encode(const struct cursor *cursor, const struct crypto_key *key, char out[static CURSOR_TEXT_MAX])
{
    uint8_t bytes[BYTES_MAX];
    size_t size = 0, facet_size = strlen(cursor->facet);

    bytes[size++] = facet_size ? VERSION_FACET : VERSION;
    bytes[size++] = (uint8_t)cursor->window;
    size += put64(bytes + size, cursor->board_id);
    size += put64(bytes + size, cursor->period_id);
    size += put64(bytes + size, cursor->period_start_us);
    size += put64(bytes + size, cursor->period_end_us);
    size += put64(bytes + size, cursor->key.k1);
    size += put64(bytes + size, cursor->key.k2);
    size += put64(bytes + size, cursor->key.k3);
    size += put64(bytes + size, cursor->k1_max);
    if (facet_size) {
        bytes[size++] = (uint8_t)facet_size;
        memcpy(bytes + size, cursor->facet, facet_size);
        size += facet_size;
    }
    memcpy(bytes + size, cursor->player, cursor->player_size);
    size += cursor->player_size;
    crypto_mac(key, (struct slice){(const char *)bytes, size}, bytes + size);
    return text_base64url_encode(bytes, size + CRYPTO_MAC_SIZE, out);
}

bool cursor_decode(struct slice text, const struct crypto_key *key, struct cursor *ret_cursor, struct error *error)
{
    uint8_t bytes[BYTES_MAX];
    uint8_t mac[CRYPTO_MAC_SIZE];
    size_t size;

    if (!text_base64url_decode(text, bytes, sizeof(bytes), &size) || size <= FIXED_SIZE + CRYPTO_MAC_SIZE)
        return error_set_field(error, ERROR_INVALID_CURSOR, "cursor", "the cursor is not one that this service made");
    size -= CRYPTO_MAC_SIZE;
    crypto_mac(key, (struct slice){(const char *)bytes, size}, mac);
    if (!crypto_equal(mac, bytes + size, CRYPTO_MAC_SIZE) || (bytes[0] != VERSION && bytes[0] != VERSION_FACET))
        return error_set_field(error, ERROR_INVALID_CURSOR, "cursor", "the cursor is not one that this service made");
    const uint8_t *at = bytes + 1;
    *ret_cursor = (struct cursor){.window = (enum window) * at++};
    ret_cursor->board_id = get64(&at);
    ret_cursor->period_id = get64(&at);
    ret_cursor->period_start_us = get64(&at);
    ret_cursor->period_end_us = get64(&at);
    ret_cursor->key.k1 = get64(&at);
    ret_cursor->key.k2 = get64(&at);
    ret_cursor->key.k3 = get64(&at);
    ret_cursor->k1_max = get64(&at);
    if (bytes[0] == VERSION_FACET) {
        size_t facet_size = *at++;
        memcpy(ret_cursor->facet, at, facet_size);
        at += facet_size;
    }
    ret_cursor->player_size = size - (size_t)(at - bytes);
    memcpy(ret_cursor->player, at, ret_cursor->player_size);
    return true;
}
