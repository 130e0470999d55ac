/*
 * schema_files.h -- the files that the schema is made from: migrations, functions, views.
 *
 * Read whole, each with the checksum that the ledger in the database remembers. One thread.
 */
#ifndef CLI_SCHEMA_FILES_H
#define CLI_SCHEMA_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/crypto.h"
#include "base/error.h"

enum {
    SCHEMA_FILES_MAX = 1000,
    SCHEMA_FILE_BYTES_MAX = 4 << 20,
    SCHEMA_CHECKSUM_TEXT = 2 * CRYPTO_HASH_SIZE + 1,
    SCHEMA_PATH_MAX = 1024
};

struct schema_file {
    char name[128]; /* "0001_initial.up.sql", "10_epoch.sql" */
    char *text;
    char checksum[SCHEMA_CHECKSUM_TEXT];
};

struct schema_files {
    struct schema_file items[SCHEMA_FILES_MAX];
    size_t count;
};

/* The directory that has migrations/ and sql/: ../share/ladder of the program where it is installed; in a build
 * directory, where it was compiled from. path: room for it. */
const char *schema_directory(char path[static SCHEMA_PATH_MAX]);

/* Adds the files root/sub/…suffix to `files`, sorted by name. False: one can't be read, or is too large; *error says
 * which. What was read is the caller's to free either way. */
bool schema_files_load(const char *root, const char *sub, const char *suffix, struct schema_files *files,
                       struct error *error);
void schema_files_free(struct schema_files *files);

/* The number that a migration's name begins with. */
int schema_version(const struct schema_file *file);
/* False: a name without a number, or two with the same; *error says which. files: sorted. */
bool schema_versions_check(const struct schema_files *files, struct error *error);

#endif
