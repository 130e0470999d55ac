/*
 * text.h -- checks and codings of bytes that came from outside.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

bool text_is_utf8(struct slice text); /* strict: no overlongs, surrogates, > U+10FFFF */
/* Takes out, in place, whatever is not UTF-8: a character that a cut left in halves, or stray bytes. Returns the new
 * size. */
size_t text_keep_utf8(char *text, size_t size);
bool text_has_control(struct slice text); /* U+0000-001F, U+007F, U+0080-009F (text is UTF-8) */

/* Whole slice is one decimal integer: optional '-', digits, no '+', no spaces; in int64 range. */
bool text_parse_int64(struct slice text, int64_t *ret_value);
bool text_parse_uint64(struct slice text, uint64_t *ret_value);
/* Whole slice is a plain decimal number (digits, '.', no exponent, no inf/nan). */
bool text_parse_decimal(struct slice text, double *ret_value);

/* base64url without padding (RFC 4648 section 5). encode: out holds text_base64url_size(size) + 1.
 * decode: strict (no padding, no stray bits, no other characters); false when it does not fit. */
size_t text_base64url_size(size_t bytes_size);
size_t text_base64url_encode(const void *bytes, size_t size, char *out);
bool text_base64url_decode(struct slice text, void *out, size_t out_max, size_t *ret_size);

/* The other base64 (RFC 4648 section 4): '+' and '/', padded to fours. encode: out holds (size + 2) / 3 * 4 + 1. */
size_t text_base64_encode(const void *bytes, size_t size, char *out);
bool text_base64_decode(struct slice text, void *out, size_t out_max, size_t *ret_size);

/* Lower-case hex; out holds 2 * size + 1. */
void text_hex_encode(const void *bytes, size_t size, char *out);

/* Percent-decodes in one pass into out (at most size bytes, may be text.data itself).
 * false: a bad or cut-off escape. '+' stays '+'. */
bool text_percent_decode(struct slice text, char *out, size_t *ret_size);

#endif
