/*
 * json_number.h -- the numbers in a JSON text, before the parser has seen it and after it has written one.
 *
 * The parser refuses a whole text for one number that is beyond 64 bits or a double, and says neither which field it
 * belongs to nor spares the other items of a batch. So such a number is replaced, before it parses, by one that no
 * field takes: JSON_NUMBER_TOO_LARGE, which is a real, and the least of those that are replaced.
 */
#ifndef HTTP_JSON_NUMBER_H
#define HTTP_JSON_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

#define JSON_NUMBER_TOO_LARGE 1e308

/* Where the number of RFC 8259 that begins at `at` (a digit or '-') ends, or what looked like one; always beyond `at`.
 * *ret_is_real: a number that has a fraction or an exponent. *ret_is_too_large: an integer beyond 64 bits, or a real
 * that is not below JSON_NUMBER_TOO_LARGE. Both false when it is no number. */
size_t json_number_end(struct slice text, size_t at, bool *ret_is_real, bool *ret_is_too_large);

/* Overwrites a number that is too large, text[at..end), with JSON_NUMBER_TOO_LARGE of its sign, and spaces. */
void json_number_replace(char *text, size_t at, size_t end);

/* Writes the reals of `text`, JSON without spaces, in the fewest digits that give the same double: 0.1, not
 * 0.10000000000000001. In place; returns the new size. */
size_t json_numbers_shorten(char *text, size_t size);

#endif
