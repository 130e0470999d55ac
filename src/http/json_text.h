/*
 * json_text.h -- where the values stand in a JSON text.
 *
 * The parser gives values, but not their place in the text. These functions find the text of a member or of an item, so
 * that a value can be kept byte for byte. They expect text that the parser has accepted; on any other text the result
 * means nothing, but no byte outside the text is read. Nothing is allocated: the slices borrow from the text. Linear in
 * the size of the text; any thread.
 */
#ifndef HTTP_JSON_TEXT_H
#define HTTP_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* The value of the member whose name is `name` (UTF-8, compared with the member's name after its escapes are
 * resolved), without the white space around it. false: `object` is no object or has no such member. */
bool json_text_member(struct slice object, const char *name, struct slice *ret_value);

/* The items of an array, one a call: *at is 0 for the first and is moved behind each item. false: `array` is no array or
 * has no further item. */
bool json_text_item(struct slice array, size_t *at, struct slice *ret_item);

#endif
