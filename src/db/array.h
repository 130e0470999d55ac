/*
 * array.h -- builds the binary form of a one-dimensional PostgreSQL array, element by element.
 *
 *     int32 dimensions (1), int32 has_null, int32 element type, int32 length, int32 lower bound (1),
 *     then for each element: int32 size (-1: null), bytes               all big-endian
 */
#ifndef DB_ARRAY_H
#define DB_ARRAY_H

#include <stdint.h>

#include "base/buf.h"
#include "db/connection.h"

struct db_array {
    struct buf bytes;
    int32_t count;
};

enum db_type { DB_INT8 = 20, DB_INT4 = 23, DB_TYPE_TEXT = 25, DB_BYTEA = 17 };

void db_array_init(struct db_array *array, enum db_type type, size_t bytes_max);
void db_array_done(struct db_array *array);
void db_array_int8(struct db_array *array, int64_t value);
void db_array_int4(struct db_array *array, int32_t value);
void db_array_bytes(struct db_array *array, struct slice bytes); /* text, bytea */
void db_array_null(struct db_array *array);
/* As a parameter; borrowed from the array. */
struct db_parameter db_array_parameter(struct db_array *array);

/* The other parameters. */
static inline struct db_parameter db_text_parameter(const char *text)
{
    return (struct db_parameter){.data = text, .format = DB_TEXT};
}

#endif
