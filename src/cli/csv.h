/*
 * csv.h -- a streaming reader of RFC 4180 CSV: quotes, doubled quotes, line ends of both kinds, newlines within quotes,
 * a byte order mark.
 *
 * Hostile input: a field has at most CSV_FIELD_MAX bytes, a row at most CSV_FIELDS_MAX fields. One thread.
 */
#ifndef CLI_CSV_H
#define CLI_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"

enum { CSV_FIELD_MAX = 4096, CSV_FIELDS_MAX = 256, CSV_BLOCK = 65536 };

struct csv {
    FILE *in;       /* borrowed; read ahead by up to a block */
    char *block;    /* owned */
    size_t at, end; /* what of the block is still to be read */
    struct buf row; /* the fields' bytes, one behind the other */
    size_t ends[CSV_FIELDS_MAX];
    size_t count;  /* fields of the row that was read last */
    int64_t line;  /* where that row began, from 1 */
    int64_t bytes; /* how much of the file was taken into blocks */
    int64_t next_line;
    bool has_begun;
};

/* Reads on from where `in` stands: its next bytes are the first row. */
void csv_init(struct csv *csv, FILE *in);
void csv_done(struct csv *csv);

enum csv_outcome { CSV_ROW, CSV_END, CSV_BAD };
/* CSV_BAD: *error says what and on which line; the reader can't go on. Empty lines are skipped. */
enum csv_outcome csv_next(struct csv *csv, struct error *error);
/* Borrowed until the next csv_next. index < count. */
struct slice csv_field(const struct csv *csv, size_t index);

/* Appends one field, quoted where that is needed: csv_next reads the same text again. */
void csv_append(struct buf *buf, struct slice text);

#endif
