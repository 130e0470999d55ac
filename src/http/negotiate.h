/*
 * negotiate.h -- the fields by which a client says what it has and what it takes (RFC 9110, sections 12 and 13).
 *
 * All take a field's value as it came, data NULL when it is absent, and believe nothing of what they can't parse.
 */
#ifndef HTTP_NEGOTIATE_H
#define HTTP_NEGOTIATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum http_coding { HTTP_IDENTITY, HTTP_GZIP, HTTP_BROTLI, HTTP_CODING_COUNT };

const char *http_coding_name(enum http_coding coding); /* "identity", "gzip", "br" */

/* Accept-Encoding: how much a coding is wanted, 0 (not at all) to 1000. */
int http_coding_weight(struct slice accept, enum http_coding coding);
/* The coding that Accept-Encoding wants most, of equals the smallest; not one that is useless (compressed, it is no
 * smaller). */
enum http_coding http_coding_best(struct slice accept, const bool is_useless[static HTTP_CODING_COUNT]);

/*
 * If-None-Match, If-Match: is one of these opaque tags in the list, or is it `*`? tags: without quotes. With `is_weak`,
 * W/"a" equals "a"; without, a weak tag equals nothing. Returns the index of the tag, 0 for `*`, -1 for none.
 */
int http_tag_find(struct slice list, const char *const *tags, int count, bool is_weak);

/* If-Modified-Since: all three forms of a date; false for anything else. Microseconds since 1970. */
bool http_date_parse(struct slice text, int64_t *ret_us);

#endif
