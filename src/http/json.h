/*
 * json.h -- reading JSON bodies: the rules for hostile input in one place.
 *
 * A document is refused when it holds a NUL byte (the parser would skip it), a duplicate key, more than JSON_BODY_DEPTH_MAX
 * levels, or is not one RFC 8259 value. Fields are read by name; what was not asked for is refused by json_object_only.
 * Every error names the field by JSON pointer and, where there is one, the limit. Values are borrowed from the
 * document, and the document borrows the text that it was parsed from.
 */
#ifndef HTTP_JSON_H
#define HTTP_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

struct json_t; /* jansson's */

enum { JSON_KEYS_MAX = 64, JSON_POINTER_MAX = 64 };

struct json_document {
    struct json_t *root; /* owned; NULL: none */
    struct slice text;   /* borrowed until the document is freed */
};

bool json_document_parse(struct json_document *document, struct slice text, struct error *error);
/* The same where the body has a list of at most count_max items and little else: what has more than twice as many values
 * is refused before it is parsed, because values cost far more memory and time than the bytes that they take. */
bool json_list_parse(struct json_document *document, struct slice text, size_t count_max, struct error *error);
/* The same of one line of a body, counted from 1: an error of syntax names it. */
bool json_line_parse(struct json_document *document, struct slice text, int64_t line, struct error *error);
void json_document_free(struct json_document *document);

/* How far json_array_object has read the text of an array. */
struct json_reached {
    const struct json_t *array; /* NULL: of none */
    struct slice text;
    size_t next, at; /* the next item, and the offset before it */
};

/* An object somewhere in a document; `pointer` is where ("" for the root), for errors. */
struct json_object {
    const struct json_t *value;
    char pointer[JSON_POINTER_MAX];
    struct slice text;           /* its own part of the document's text */
    struct json_reached reached; /* of the array whose items are being read */
};

bool json_root_object(const struct json_document *document, struct json_object *ret_object, struct error *error);
/* Refuses keys that are not in the NULL-terminated list. */
bool json_object_only(const struct json_object *object, const char *const *names, struct error *error);
bool json_has(const struct json_object *object, const char *name);
bool json_is_null_member(const struct json_object *object, const char *name);

/* Each returns false and fills *error when the member is missing (and is_needed) or of another type or range. When it
 * is missing and not needed: true, and *ret_value is left as it was. */
bool json_read_text(const struct json_object *object, const char *name, bool is_needed, struct slice *ret_value,
                    struct error *error);
/* Integers only: 1.0 and 1e2 are refused; a string of digits is accepted, for callers whose numbers lose bits past
 * 2^53. */
bool json_read_int64(const struct json_object *object, const char *name, bool is_needed, int64_t *ret_value,
                     struct error *error);
bool json_read_bool(const struct json_object *object, const char *name, bool is_needed, bool *ret_value,
                    struct error *error);
/* Any value, byte for byte as it stands in the text, without the white space around it; a copy in the arena. null is like
 * a member that is missing. Refused from bytes_max + 1 bytes on. */
bool json_read_raw(const struct json_object *object, const char *name, size_t bytes_max, struct arena *arena,
                   struct slice *ret_value, struct error *error);
/* An object that json_read_texts has taken, written without spaces and unneeded escapes; a copy in the arena. */
bool json_read_compact(const struct json_object *object, const char *name, size_t bytes_max, struct arena *arena,
                       struct slice *ret_value, struct error *error);
/* An object of at most count_max texts or nulls (data NULL), in its order. Missing: *ret_count is 0. */
bool json_read_texts(const struct json_object *object, const char *name, size_t count_max, struct slice *ret_names,
                     struct slice *ret_values, size_t *ret_count, struct error *error);
/* The object that is a member of one. */
bool json_object_in(const struct json_object *object, const char *name, struct json_object *ret_member,
                    struct error *error);
/* An array's length, and its items. json_array_object reads items in ascending order in time linear in the array. */
bool json_read_array(const struct json_object *object, const char *name, size_t count_max, size_t *ret_count,
                     struct error *error);
bool json_array_object(struct json_object *object, const char *name, size_t index, struct json_object *ret_item,
                       struct error *error);
bool json_array_text(const struct json_object *object, const char *name, size_t index, struct slice *ret_text,
                     struct error *error);
/* The root is an array. */
bool json_root_is_array(const struct json_document *document);

#endif
