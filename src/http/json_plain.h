/*
 * json_plain.h -- a list of texts, read without the parser.
 *
 * Where a body is a list of texts and nothing else, and none of them has an escape, the texts can be borrowed from the
 * body as they are. That costs some 0.3 us a KiB; the parser, which copies each byte, takes 10. Any thread, no
 * allocation.
 */
#ifndef HTTP_JSON_PLAIN_H
#define HTTP_JSON_PLAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/*
 * Reads {"name": ["text", ...]}. ret_texts: room for count_max; they borrow from the body. false: it is something else,
 * which says nothing about whether it is right: json.h reads it. Where this is true, json.h reads the same texts.
 */
bool json_plain_texts(struct slice body, const char *name, size_t count_max, struct slice *ret_texts,
                      size_t *ret_count);

#endif
