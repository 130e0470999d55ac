#include "board/sums.h"

#include <gmp.h>
#include <string.h>

#include "base/assert.h"

__extension__ typedef unsigned __int128 magnitude;

enum { PLACES = 6, LIMBS_MAX = 6 };

static magnitude magnitude_of(sums_total value)
{
    return value < 0 ? -(magnitude)value : (magnitude)value;
}

static void squares_add(struct sums *sums, magnitude value, uint64_t high)
{
    magnitude low = (magnitude)sums->squares[0] + (uint64_t)value;
    magnitude middle = (magnitude)sums->squares[1] + (uint64_t)(value >> 64) + (uint64_t)(low >> 64);

    sums->squares[0] = (uint64_t)low;
    sums->squares[1] = (uint64_t)middle;
    sums->squares[2] += high + (uint64_t)(middle >> 64);
}

void sums_add(struct sums *sums, int64_t k1)
{
    sums->total += k1;
    squares_add(sums, magnitude_of(k1) * magnitude_of(k1), 0);
}

/* ~x = -x - 1, and its square is x^2 + 2x + 1. */
void sums_complement(struct sums *sums, int64_t entries)
{
    sums_total more = 2 * sums->total + entries;

    squares_add(sums, (magnitude)more, more < 0 ? UINT64_MAX : 0);
    sums->total = -sums->total - entries;
}

/* ---- bytes ---- */

static void put(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const char *at)
{
    uint64_t value = 0;

    for (int i = 7; i >= 0; i--)
        value = value << 8 | (uint8_t)at[i];
    return value;
}

void sums_encode(const struct sums *sums, uint8_t out[static SUMS_SIZE])
{
    put(out, (uint64_t)sums->total);
    put(out + 8, (uint64_t)(sums->total >> 64));
    for (int i = 0; i < 3; i++)
        put(out + 16 + 8 * i, sums->squares[i]);
}

bool sums_decode(struct slice bytes, struct sums *ret_sums)
{
    if (bytes.size != SUMS_SIZE)
        return false;
    ret_sums->total = (sums_total)((magnitude)get(bytes.data + 8) << 64 | get(bytes.data));
    for (int i = 0; i < 3; i++)
        ret_sums->squares[i] = get(bytes.data + 16 + 8 * i);
    sums_total sign = ret_sums->total >> 96;
    return (sign == 0 || sign == -1) && ret_sums->squares[2] >> 32 == 0;
}

/* ---- texts ---- */

/* The last `places` digits stand behind the point. */
static size_t decimal_text(bool is_negative, magnitude value, int places, char out[static SUMS_TEXT_MAX])
{
    char digits[SUMS_TEXT_MAX];
    size_t at = sizeof(digits), size;

    for (int count = 0; value > 0 || count <= places; count++) {
        if (places > 0 && count == places)
            digits[--at] = '.';
        digits[--at] = (char)('0' + (int)(value % 10));
        value /= 10;
    }
    if (is_negative)
        digits[--at] = '-';
    size = sizeof(digits) - at;
    memcpy(out, digits + at, size);
    out[size] = 0;
    return size;
}

size_t sums_total_text(const struct sums *sums, char out[static SUMS_TEXT_MAX])
{
    return decimal_text(sums->total < 0, magnitude_of(sums->total), 0, out);
}

size_t sums_mean_text(const struct sums *sums, int64_t entries, char out[static SUMS_TEXT_MAX])
{
    magnitude count = (magnitude)entries, rounded = (2000000 * magnitude_of(sums->total) + count) / (2 * count);

    ASSERT(entries > 0);
    return decimal_text(sums->total < 0 && rounded > 0, rounded, PLACES, out);
}

/*
 * With d = n * sum of squares - square of the sum, it is sqrt(d) / n. In millionths, and half up: the whole root of
 * 4 * 10^12 * d, plus n, divided by 2n. Whole roots are enough, because no half lies between two of them.
 */
size_t sums_deviation_text(const struct sums *sums, int64_t entries, char out[static SUMS_TEXT_MAX])
{
    magnitude total = magnitude_of(sums->total);
    mp_limb_t squares[3], sum[2] = {(mp_limb_t)total, (mp_limb_t)(total >> 64)};
    mp_limb_t value[LIMBS_MAX] = {0}, square[4], root[LIMBS_MAX] = {0};
    mp_size_t size = 5, root_size;

    _Static_assert(sizeof(mp_limb_t) == sizeof(uint64_t), "limbs are of 64 bits");
    ASSERT(entries > 0 && entries <= SUMS_ENTRIES_MAX);
    for (int i = 0; i < 3; i++)
        squares[i] = sums->squares[i];
    value[3] = mpn_mul_1(value, squares, 3, (mp_limb_t)entries);
    mpn_sqr(square, sum, 2);
    if (mpn_cmp(value, square, 4) < 0) /* of no numbers: what is no sum at all has no deviation either */
        return decimal_text(false, 0, PLACES, out);
    mpn_sub_n(value, value, square, 4);
    value[4] = mpn_mul_1(value, value, 4, UINT64_C(4000000000000));
    while (size > 0 && value[size - 1] == 0)
        size--;
    if (size == 0)
        return decimal_text(false, 0, PLACES, out);
    mpn_sqrtrem(root, NULL, value, size);
    root_size = (size + 1) / 2;
    root[root_size] = mpn_add_1(root, root, root_size, (mp_limb_t)entries);
    mpn_divrem_1(root, 0, root, root_size + 1, 2 * (mp_limb_t)entries);
    return decimal_text(false, (magnitude)root[1] << 64 | root[0], PLACES, out);
}
