#include "board/sort_key.h"

#include <stdio.h>
#include <string.h>

size_t sort_key_encode_integer(int64_t value, uint8_t *out)
{
    uint64_t magnitude = value < 0 ? ~(uint64_t)value : (uint64_t)value;
    size_t count = 0;

    while (magnitude >> (8 * count) != 0 && ++count < 8)
        ;
    out[0] = (uint8_t)(value < 0 ? 0x7f - count : 0x80 + count);
    for (size_t i = 0; i < count; i++)
        out[1 + i] = (uint8_t)((uint64_t)value >> (8 * (count - 1 - i)));
    return 1 + count;
}

size_t sort_key_encode(const struct sort_key *key, uint8_t *out)
{
    size_t size = sort_key_encode_integer(key->k1, out);

    size += sort_key_encode_integer(key->k2, out + size);
    size += sort_key_encode_integer(key->k3, out + size);
    return size;
}

static bool integer_decode(struct slice bytes, size_t *at, int64_t *ret_value)
{
    if (*at >= bytes.size)
        return false;
    uint8_t head = (uint8_t)bytes.data[(*at)++];
    bool is_negative = head < 0x80;
    size_t count = is_negative ? 0x7fu - head : head - 0x80u;

    if (count > 8 || bytes.size - *at < count)
        return false;
    uint64_t sign = is_negative ? UINT64_MAX : 0, value = sign;
    for (const char *byte = bytes.data + *at, *end = byte + count; byte < end; byte++)
        value = value << 8 | (uint8_t)*byte;
    *at += count;
    *ret_value = (int64_t)value;
    /* One value has one coding: a longer one, or the other sign's, is not ours. */
    uint64_t magnitude = value ^ sign;
    return magnitude <= INT64_MAX && (count == 0 || magnitude >> (8 * (count - 1)) != 0);
}

bool sort_key_decode_integer(struct slice bytes, int64_t *ret_value)
{
    size_t at = 0;

    return integer_decode(bytes, &at, ret_value) && at == bytes.size;
}

bool sort_key_decode(struct slice member, struct sort_key *ret_key, size_t *ret_size)
{
    size_t at = 0;

    if (!integer_decode(member, &at, &ret_key->k1) || !integer_decode(member, &at, &ret_key->k2) ||
        !integer_decode(member, &at, &ret_key->k3))
        return false;
    *ret_size = at;
    return true;
}

size_t sort_key_score_text(int64_t k1, char out[static SORT_KEY_SCORE_TEXT_MAX])
{
    return (size_t)snprintf(out, SORT_KEY_SCORE_TEXT_MAX, "%.17g", (double)k1);
}

static int integer_compare(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

int sort_key_compare(const struct sort_key *a, struct slice player_a, const struct sort_key *b, struct slice player_b)
{
    int order = integer_compare(a->k1, b->k1);

    if (order == 0)
        order = integer_compare(a->k2, b->k2);
    if (order == 0)
        order = integer_compare(a->k3, b->k3);
    if (order == 0) {
        size_t shorter = player_a.size < player_b.size ? player_a.size : player_b.size;
        order = shorter ? memcmp(player_a.data, player_b.data, shorter) : 0;
    }
    if (order == 0)
        order = integer_compare((int64_t)player_a.size, (int64_t)player_b.size);
    return order;
}
