/*
 * import_input.h -- the bytes of a file to import: plain, or compressed with gzip or Zstandard, from a file, a pipe or
 * standard input.
 *
 * The compression is known by the first bytes, not by the name. What cannot be read twice is copied to a temporary file
 * first. One thread.
 */
#ifndef CLI_IMPORT_INPUT_H
#define CLI_IMPORT_INPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"

enum import_compression { IMPORT_PLAIN, IMPORT_GZIP, IMPORT_ZSTD };

struct import_input {
    int file; /* owned; -1: none */
    enum import_compression compression;
    FILE *text;        /* owned: the bytes, decompressed. A read error: import_input_fault */
    const char *fault; /* static; NULL: none, or one of the file itself (errno) */
};

/* path: of a file, or "-". Whether it fails or not: import_input_close. ERROR_CONFIG. */
bool import_input_open(struct import_input *input, const char *path, struct error *error);
/* Back to the first byte: text is another FILE afterwards. */
bool import_input_rewind(struct import_input *input, const char *path, struct error *error);
/* After a failed read: fills *error and returns false. */
bool import_input_fault(const struct import_input *input, const char *path, struct error *error);
void import_input_close(struct import_input *input);

#endif
