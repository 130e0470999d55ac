/*
 * json_number.h -- the numbers in a JSON text, before the parser sees it.
 *
 * The parser refuses a whole text for one number that is beyond 64 bits or a double, and says neither which field it
 * belongs to nor spares the other items of a batch. So the parser is given a copy in which 1e308 stands for each such
 * number: a real, which no field of a number takes. A field that keeps its value byte for byte (json_read_raw) takes it
 * from the text as it was sent.
 */
#ifndef HTTP_JSON_NUMBER_H
#define HTTP_JSON_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* Where the number of RFC 8259 that begins at `at` (a digit or '-') ends, or what looked like one; always beyond `at`.
 * *ret_is_too_large: an integer beyond 64 bits, or a real from 1e308 on. False when it is no number. */
size_t json_number_end(struct slice text, size_t at, bool *ret_is_too_large);

/* Overwrites a number that is too large, text[at..end), with 1e308 of its sign, and spaces. */
void json_number_replace(char *text, size_t at, size_t end);

#endif
