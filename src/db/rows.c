/* rows.c -- reading what a call brought; see connection.h. */
#include <libpq-fe.h>

#include "base/assert.h"
#include "base/text.h"
#include "db/connection.h"

int db_row_count(struct db_rows rows)
{
    return rows.result ? PQntuples(rows.result) : 0;
}

bool db_is_null(struct db_rows rows, int row, int column)
{
    return PQgetisnull(rows.result, row, column);
}

const char *db_text(struct db_rows rows, int row, int column)
{
    return PQgetvalue(rows.result, row, column);
}

int db_size(struct db_rows rows, int row, int column)
{
    return PQgetlength(rows.result, row, column);
}

int64_t db_int64(struct db_rows rows, int row, int column)
{
    int64_t value = 0;

    if (!db_is_null(rows, row, column))
        ASSERT(text_parse_int64(slice_of(db_text(rows, row, column)), &value));
    return value;
}

bool db_bool(struct db_rows rows, int row, int column)
{
    return db_text(rows, row, column)[0] == 't';
}

size_t db_bytes(struct db_rows rows, int row, int column, void *out, size_t out_max)
{
    const char *text = db_text(rows, row, column);
    size_t size = (size_t)db_size(rows, row, column);
    uint8_t *bytes = out;
    size_t count = 0;

    ASSERT(size >= 2 && text[0] == '\\' && text[1] == 'x');
    for (size_t i = 2; i + 1 < size && count < out_max; i += 2) {
        int high = text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10;
        int low = text[i + 1] <= '9' ? text[i + 1] - '0' : text[i + 1] - 'a' + 10;
        bytes[count++] = (uint8_t)(high << 4 | low);
    }
    return count;
}
