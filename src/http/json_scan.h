/*
 * json_scan.h -- whether a text is JSON, without the parser.
 *
 * The parser makes a value of each part of a text before it finds that the last byte is wrong: some 10 us a KiB. This
 * reads at some 1 us a KiB, makes nothing, and says where the text is wrong. So a large text that is wrong costs little.
 * Linear in the size of the text; any thread.
 */
#ifndef HTTP_JSON_SCAN_H
#define HTTP_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum { JSON_BODY_DEPTH_MAX = 8 };

/* Whether the text, without NUL bytes, is an array or an object of RFC 8259 in UTF-8, without lone surrogates. What is nested deeper
 * than JSON_BODY_DEPTH_MAX is not looked at. false: *ret_at is the offset of what is wrong, up to the text's size, and
 * *ret_what, a constant, says what is expected there. */
bool json_scan(struct slice text, size_t *ret_at, const char **ret_what);

#endif
