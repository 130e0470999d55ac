#include "cli/csv.h"

#include <stdlib.h>

#include "base/assert.h"

void csv_init(struct csv *csv, FILE *in)
{
    *csv = (struct csv){.in = in, .block = malloc(CSV_BLOCK), .next_line = 1};
    ASSERT(csv->block != NULL);
    buf_init(&csv->row, (size_t)CSV_FIELD_MAX * CSV_FIELDS_MAX);
}

void csv_done(struct csv *csv)
{
    free(csv->block);
    csv->block = NULL;
    buf_done(&csv->row);
}

static int block_next(struct csv *csv)
{
    csv->at = 0;
    csv->end = fread(csv->block, 1, CSV_BLOCK, csv->in);
    csv->bytes += (int64_t)csv->end;
    return csv->end ? (uint8_t)csv->block[csv->at++] : EOF;
}

/* The next byte, or EOF. */
static inline int take(struct csv *csv)
{
    return csv->at < csv->end ? (uint8_t)csv->block[csv->at++] : block_next(csv);
}

struct slice csv_field(const struct csv *csv, size_t index)
{
    ASSERT(index < csv->count);
    size_t start = index ? csv->ends[index - 1] : 0;

    return (struct slice){csv->row.data ? csv->row.data + start : "", csv->ends[index] - start};
}

static enum csv_outcome bad(struct csv *csv, struct error *error, const char *what)
{
    error_set(error, ERROR_INVALID_BODY, "line %lld: %s", (long long)csv->line, what);
    return CSV_BAD;
}

/* Reads one field; *ret_end is what ended it: ',', '\n' or EOF. */
static enum csv_outcome read_field(struct csv *csv, int *ret_end, struct error *error)
{
    char *field = buf_reserve(&csv->row, CSV_FIELD_MAX);
    size_t size = 0;
    int c = take(csv);
    bool is_quoted = c == '"';

    if (!field)
        return bad(csv, error, "out of memory");
    if (is_quoted)
        c = take(csv);
    for (;; c = take(csv)) {
        if (is_quoted && c == EOF)
            return bad(csv, error, "a quote is not closed");
        if (is_quoted && c == '"') {
            c = take(csv);
            if (c != '"') { /* the closing one */
                if (c == '\r')
                    c = take(csv);
                if (c != ',' && c != '\n' && c != EOF)
                    return bad(csv, error, "there is text behind a closing quote");
                break;
            }
        } else if (!is_quoted && (c == ',' || c == '\n' || c == EOF)) {
            break;
        } else if (!is_quoted && c == '"') {
            return bad(csv, error, "there is a quote inside an unquoted field");
        }
        if (c == '\n')
            csv->next_line++;
        if (size == CSV_FIELD_MAX)
            return bad(csv, error, "a field is longer than 4096 bytes");
        field[size++] = (char)c;
    }
    if (!is_quoted && c != ',' && size > 0 && field[size - 1] == '\r')
        size--;
    csv->row.size += size;
    if (c == '\n')
        csv->next_line++;
    *ret_end = c;
    return CSV_ROW;
}

/* Spreadsheets put U+FEFF in front of the header: it belongs to no field. */
static bool mark_skip(struct csv *csv)
{
    int c = take(csv);

    if (c == 0xEF)
        return take(csv) == 0xBB && take(csv) == 0xBF;
    if (c != EOF)
        csv->at--;
    return true;
}

enum csv_outcome csv_next(struct csv *csv, struct error *error)
{
    int end;

    if (!csv->has_begun) {
        csv->has_begun = true;
        csv->line = csv->next_line;
        if (!mark_skip(csv))
            return bad(csv, error, "a byte order mark is cut");
    }
    do {
        csv->count = 0;
        csv->line = csv->next_line;
        buf_reset(&csv->row);
        do {
            if (csv->count == CSV_FIELDS_MAX)
                return bad(csv, error, "more than 256 fields");
            if (read_field(csv, &end, error) == CSV_BAD)
                return CSV_BAD;
            csv->ends[csv->count++] = csv->row.size;
        } while (end == ',');
        if (ferror(csv->in))
            return bad(csv, error, "the file cannot be read");
    } while (end == '\n' && csv->count == 1 && csv->row.size == 0);
    return end == EOF && csv->count == 1 && csv->row.size == 0 ? CSV_END : CSV_ROW;
}

void csv_append(struct buf *buf, struct slice text)
{
    bool is_plain = !text.size || text.data[0] != ' ';

    for (size_t i = 0; i < text.size; i++)
        is_plain =
            is_plain && text.data[i] != '"' && text.data[i] != ',' && text.data[i] != '\n' && text.data[i] != '\r';
    if (is_plain) {
        buf_append_slice(buf, text);
        return;
    }
    buf_append_byte(buf, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"')
            buf_append_byte(buf, '"');
        buf_append_byte(buf, text.data[i]);
    }
    buf_append_byte(buf, '"');
}
