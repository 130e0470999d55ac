/*
 * jsonw.h -- writes JSON straight into a buf: no tree, commas and escapes by itself.
 *
 * Calls that do not fit the state are programmer errors and assert: a value where a key is due, a key anywhere but in
 * an object or behind another key, the other kind's closing bracket, a second value at the top. Depth is limited to
 * JSONW_DEPTH_MAX. Overflow is the buf's sticky flag.
 */
#ifndef BASE_JSONW_H
#define BASE_JSONW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum { JSONW_DEPTH_MAX = 16 };

struct jsonw {
    struct buf *buf; /* borrowed */
    int depth;
    bool has_items[JSONW_DEPTH_MAX + 1]; /* a comma is due before the next item */
    bool is_object[JSONW_DEPTH_MAX + 1]; /* keys are due here */
    bool is_after_key;
    bool integers_as_strings; /* jsonw_int64 writes "123" instead of 123 */
};

void jsonw_init(struct jsonw *json, struct buf *buf);

void jsonw_object_open(struct jsonw *json);
void jsonw_object_close(struct jsonw *json);
void jsonw_array_open(struct jsonw *json);
void jsonw_array_close(struct jsonw *json);
void jsonw_key(struct jsonw *json, const char *key); /* key: plain ASCII literal, not escaped */

void jsonw_string(struct jsonw *json, struct slice text); /* valid UTF-8; escaped per RFC 8259 */
void jsonw_text(struct jsonw *json, const char *text);
void jsonw_int64(struct jsonw *json, int64_t value);  /* obeys integers_as_strings */
void jsonw_number(struct jsonw *json, int64_t value); /* always a number: counts, ranks, limits */
void jsonw_double(struct jsonw *json, double value);  /* shortest that round-trips; NaN, Inf: null */
void jsonw_bool(struct jsonw *json, bool value);
void jsonw_null(struct jsonw *json);
void jsonw_time(struct jsonw *json, int64_t time_us);   /* RFC 3339 UTC string, see base/clock.h */
void jsonw_raw(struct jsonw *json, struct slice value); /* already JSON: copied as it is */

/*
 * Members of the open object in one stretch, by hand (base/put.h): room for bytes_max bytes, NULL on overflow; then the
 * place behind them. There is at least one member, a comma between any two, and none around them.
 */
char *jsonw_members_begin(struct jsonw *json, size_t bytes_max);
void jsonw_members_end(struct jsonw *json, char *end);

#endif
