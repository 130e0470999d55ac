/*
 * import_source.h -- a CSV file, read as submissions: which columns mean what, and which rows are wanted.
 *
 * The file may be larger than memory, and compressed (import_input.h). One thread.
 */
#ifndef CLI_IMPORT_SOURCE_H
#define CLI_IMPORT_SOURCE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/crypto.h"
#include "board/board.h"
#include "cli/csv.h"
#include "cli/import_input.h"
#include "cli/import_rejects.h"
#include "cli/import_time.h"

enum { SOURCE_CONDITIONS_MAX = 8, SOURCE_METADATA_MAX = 8, SOURCE_HASH_TEXT = 2 * CRYPTO_HASH_SIZE + 1 };

/* A row as it is submitted; slices are borrowed from the source until the next row. */
struct submission {
    struct slice player;
    int64_t score, subscore, at_us;
    struct slice facets;   /* a JSON object; data NULL: no --facet is given */
    struct slice metadata; /* a JSON value; data NULL: the row has none */
    bool takes_metadata;   /* the options name columns of metadata */
    int64_t line;          /* where it begins in the file, from 1 */
};

/* What the caller says. Strings are borrowed; NULL: not given. */
struct source_options {
    const char *path;                         /* or "-" */
    const char *player;                       /* a column */
    const char *score;                        /* a column, or a number for all */
    const char *subscore;                     /* the same; NULL: 0 */
    const char *at;                           /* a column; NULL: the moment of source_open */
    const char *at_format;                    /* import_time.h; NULL: auto */
    const char *from, *until;                 /* RFC 3339 time or date: rows of [from, until) are wanted */
    const char *where[SOURCE_CONDITIONS_MAX]; /* COLUMN=VALUE or COLUMN!=VALUE: rows that meet all are wanted */
    size_t where_count;
    const char *facet[FACETS_MAX]; /* NAME=COLUMN; where the column is empty, a row says nothing of it */
    size_t facet_count;
    const char *metadata[SOURCE_METADATA_MAX]; /* NAME=COLUMN: a string of the entry's metadata, unless empty */
    size_t metadata_count;
    const char *metadata_json; /* a column with the whole metadata as JSON; not together with the above */
    bool is_exported;          /* the columns are those of ladder export, its facets too: source_is_exported */
};

/* Fills in the columns of ladder export. false: the caller named some himself. */
bool source_is_exported(struct source_options *options);

/* Where a value comes from: a column, or a constant. */
struct source_origin {
    int column; /* -1: constant */
    int64_t constant;
};

struct source_condition {
    struct slice column_name, value; /* borrowed from the option */
    bool is_equal;
    int column;
};

/* NAME=COLUMN */
struct source_member {
    char name[NAME_BYTES_MAX + 1];
    const char *column_name; /* of the option */
    int column;
};

struct source {
    struct source_options options;
    struct import_input input;
    struct csv csv;
    size_t columns;
    int player_column, at_column;
    struct source_origin score, subscore;
    struct source_condition conditions[SOURCE_CONDITIONS_MAX];
    struct source_member facets[FACETS_MAX], metadata[SOURCE_METADATA_MAX];
    int metadata_json_column;              /* -1: none */
    struct buf facets_text, metadata_text; /* of the row */
    struct arena arena;                    /* of the row's metadata */
    struct import_time_format at_format;
    enum reject_reason reason; /* of a bad row */
    int64_t from_us, until_us;
    int64_t now_us;              /* of rows without a time: one for the whole import */
    int64_t size_bytes;          /* of the file, decompressed */
    char hash[SOURCE_HASH_TEXT]; /* hex, of the file's bytes, decompressed, and of how they are read: another of either
                                    is another import */
};

/* Checks the options, reads the file once for its hash, then its header. Whether it fails or not: source_close. */
bool source_open(struct source *source, const struct source_options *options, struct error *error);
void source_close(struct source *source);
/* Back to the first row. */
bool source_rewind(struct source *source, struct error *error);

/* UNWANTED: a row that --where, --from or --until leaves out. BAD_ROW: *error names the column, source->reason the kind
 * of fault, source->csv.line the line; the next row may be good. FAILED: *error says why nothing more can be read. */
enum source_outcome { SOURCE_ROW, SOURCE_UNWANTED, SOURCE_BAD_ROW, SOURCE_END, SOURCE_FAILED };
enum source_outcome source_next(struct source *source, struct submission *ret_row, struct error *error);

/* How much of the file is read, 0 to 1. */
double source_share(const struct source *source);

#endif
