#include "db/array.h"

#include <string.h>

#include "base/assert.h"

enum { HEADER_SIZE = 20, HAS_NULL_AT = 4, COUNT_AT = 12 };

static void put32(char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(value >> (24 - 8 * i));
}

static void append32(struct buf *buf, uint32_t value)
{
    char bytes[4];

    put32(bytes, value);
    buf_append(buf, bytes, sizeof(bytes));
}

void db_array_init(struct db_array *array, enum db_type type, size_t bytes_max)
{
    buf_init(&array->bytes, bytes_max);
    array->count = 0;
    append32(&array->bytes, 1);
    append32(&array->bytes, 0);
    append32(&array->bytes, (uint32_t)type);
    append32(&array->bytes, 0);
    append32(&array->bytes, 1);
}

void db_array_done(struct db_array *array)
{
    buf_done(&array->bytes);
}

void db_array_int8(struct db_array *array, int64_t value)
{
    char bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (char)((uint64_t)value >> (56 - 8 * i));
    db_array_bytes(array, (struct slice){bytes, sizeof(bytes)});
}

void db_array_int4(struct db_array *array, int32_t value)
{
    char bytes[4];

    put32(bytes, (uint32_t)value);
    db_array_bytes(array, (struct slice){bytes, sizeof(bytes)});
}

void db_array_bytes(struct db_array *array, struct slice bytes)
{
    append32(&array->bytes, (uint32_t)bytes.size);
    buf_append_slice(&array->bytes, bytes);
    array->count++;
}

void db_array_null(struct db_array *array)
{
    append32(&array->bytes, UINT32_MAX);
    array->count++;
    if (!array->bytes.is_overflown)
        put32(array->bytes.data + HAS_NULL_AT, 1);
}

struct db_parameter db_array_parameter(struct db_array *array)
{
    ASSERT(!array->bytes.is_overflown && array->bytes.size >= HEADER_SIZE);
    put32(array->bytes.data + COUNT_AT, (uint32_t)array->count);
    /* An empty array has no dimension. */
    if (array->count == 0) {
        put32(array->bytes.data, 0);
        return (struct db_parameter){.data = array->bytes.data, .size = 12, .format = DB_BINARY};
    }
    return (struct db_parameter){.data = array->bytes.data, .size = (int)array->bytes.size, .format = DB_BINARY};
}
