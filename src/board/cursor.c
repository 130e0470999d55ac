#include "board/cursor.h"

#include <string.h>

#include "base/assert.h"
#include "base/text.h"

/*
 *   version, window, 8 integers | view (3 and later) | size of the facet, facet (2 and later) | player | MAC
 *
 * A view is the ranking, a byte of flags and the limit in two bytes.
 */
enum {
    VERSION_PLAIN = 1,
    VERSION_FACET = 2,
    VERSION = 3,
    FIXED_SIZE = 2 + 8 * 8,
    VIEW_SIZE = 4,
    BYTES_MAX = FIXED_SIZE + VIEW_SIZE + FACET_TEXT_MAX + PLAYER_BYTES_MAX + CRYPTO_MAC_SIZE
};

enum {
    FLAG_SUBSCORE = 1,
    FLAG_ACHIEVED_AT = 2,
    FLAG_METADATA = 4,
    FLAG_PERCENTILE = 8,
    FLAG_TOTAL = 16,
    FLAG_STRINGS = 32,
    FLAG_SOURCE = 64
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

static size_t view_put(uint8_t *at, const struct cursor_view *view)
{
    ASSERT(view->limit > 0 && view->limit <= CURSOR_LIMIT_MAX);
    at[0] = (uint8_t)view->ranking;
    at[1] = (uint8_t)((view->subscore ? FLAG_SUBSCORE : 0) | (view->achieved_at ? FLAG_ACHIEVED_AT : 0) |
                      (view->metadata ? FLAG_METADATA : 0) | (view->percentile ? FLAG_PERCENTILE : 0) |
                      (view->total ? FLAG_TOTAL : 0) | (view->integers_as_strings ? FLAG_STRINGS : 0) |
                      (view->source ? FLAG_SOURCE : 0));
    at[2] = (uint8_t)(view->limit >> 8);
    at[3] = (uint8_t)view->limit;
    return VIEW_SIZE;
}

static struct cursor_view view_get(const uint8_t *at)
{
    return (struct cursor_view){.ranking = (enum ranking)at[0],
                                .limit = at[2] << 8 | at[3],
                                .subscore = at[1] & FLAG_SUBSCORE,
                                .achieved_at = at[1] & FLAG_ACHIEVED_AT,
                                .metadata = at[1] & FLAG_METADATA,
                                .percentile = at[1] & FLAG_PERCENTILE,
                                .total = at[1] & FLAG_TOTAL,
                                .integers_as_strings = at[1] & FLAG_STRINGS,
                                .source = at[1] & FLAG_SOURCE};
}

size_t cursor_encode(const struct cursor *cursor, const struct crypto_key *key, char out[static CURSOR_TEXT_MAX])
{
    uint8_t bytes[BYTES_MAX];
    size_t size = 0, facet_size = strlen(cursor->facet);

    bytes[size++] = VERSION;
    bytes[size++] = (uint8_t)cursor->window;
    size += put64(bytes + size, cursor->board_id);
    size += put64(bytes + size, cursor->period_id);
    size += put64(bytes + size, cursor->period_start_us);
    size += put64(bytes + size, cursor->period_end_us);
    size += put64(bytes + size, cursor->key.k1);
    size += put64(bytes + size, cursor->key.k2);
    size += put64(bytes + size, cursor->key.k3);
    size += put64(bytes + size, cursor->k1_max);
    size += view_put(bytes + size, &cursor->view);
    bytes[size++] = (uint8_t)facet_size;
    memcpy(bytes + size, cursor->facet, facet_size);
    size += facet_size;
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
    if (!crypto_equal(mac, bytes + size, CRYPTO_MAC_SIZE) || bytes[0] < VERSION_PLAIN || bytes[0] > VERSION)
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
    if (bytes[0] >= VERSION) {
        ret_cursor->has_view = true;
        ret_cursor->view = view_get(at);
        at += VIEW_SIZE;
    }
    if (bytes[0] >= VERSION_FACET) {
        size_t facet_size = *at++;
        memcpy(ret_cursor->facet, at, facet_size);
        at += facet_size;
    }
    ret_cursor->player_size = size - (size_t)(at - bytes);
    memcpy(ret_cursor->player, at, ret_cursor->player_size);
    return true;
}
