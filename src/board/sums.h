/*
 * sums.h -- exact sums over the scores of a standing, and what follows from them: its mean, its standard deviation.
 *
 * What is added up is k1 (sort_key.h) and its square: of 2^32 entries at most, so 96 and 160 bits are enough. On a desc
 * board k1 is not the score but its complement; sums_complement makes the sums of one from those of the other.
 *
 * As bytes, the way ladder.lua keeps them: the total (16, two's complement), then the squares (24), each with the lowest
 * byte first.
 *
 * Pure functions: any thread. Nothing is allocated.
 */
#ifndef BOARD_SUMS_H
#define BOARD_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum { SUMS_SIZE = 40, SUMS_TEXT_MAX = 48 };
#define SUMS_ENTRIES_MAX (INT64_C(1) << 32)

__extension__ typedef __int128 sums_total;

struct sums {
    sums_total total;
    uint64_t squares[3]; /* the lowest first */
};

void sums_add(struct sums *sums, int64_t k1);
void sums_complement(struct sums *sums, int64_t entries); /* of ~x for each x */

void sums_encode(const struct sums *sums, uint8_t out[static SUMS_SIZE]);
bool sums_decode(struct slice bytes, struct sums *ret_sums); /* false: of no 2^32 numbers */

/*
 * Decimal texts, NUL-terminated; each returns the length. The mean and the deviation (of all entries, not of a sample) have
 * six digits behind the point, half away from zero: the same digits as ladder.mean_of and ladder.deviation_of of
 * sql/functions/73_statistics.sql. entries: 1 to 2^32.
 */
size_t sums_total_text(const struct sums *sums, char out[static SUMS_TEXT_MAX]);
size_t sums_mean_text(const struct sums *sums, int64_t entries, char out[static SUMS_TEXT_MAX]);
size_t sums_deviation_text(const struct sums *sums, int64_t entries, char out[static SUMS_TEXT_MAX]);

#endif
