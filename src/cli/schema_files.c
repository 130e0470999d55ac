#include "cli/schema_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/text.h"

static int file_compare(const void *a, const void *b)
{
    return strcmp(((const struct schema_file *)a)->name, ((const struct schema_file *)b)->name);
}

static bool file_load(const char *directory, struct schema_file *file, struct error *error)
{
    char path[SCHEMA_PATH_MAX + sizeof(file->name)];
    uint8_t hash[CRYPTO_HASH_SIZE];

    snprintf(path, sizeof(path), "%s/%s", directory, file->name);
    FILE *in = fopen(path, "r");
    if (!in)
        return error_set(error, ERROR_CONFIG, "%.200s: cannot be read: %s", path, strerror(errno));
    file->text = malloc(SCHEMA_FILE_BYTES_MAX);
    ASSERT(file->text != NULL);
    size_t size = fread(file->text, 1, SCHEMA_FILE_BYTES_MAX - 1, in);
    bool is_whole = !ferror(in) && getc(in) == EOF;
    fclose(in);
    if (!is_whole)
        return error_set(error, ERROR_CONFIG, "%.200s: cannot be read whole (at most %d bytes)", path,
                         SCHEMA_FILE_BYTES_MAX - 1);
    file->text[size] = 0;
    crypto_digest((struct slice){file->text, size}, hash);
    text_hex_encode(hash, sizeof(hash), file->checksum);
    return true;
}

static bool ends_with(const char *name, const char *end)
{
    size_t size = strlen(name), end_size = strlen(end);

    return size > end_size && strcmp(name + size - end_size, end) == 0;
}

bool schema_files_load(const char *root, const char *sub, const char *suffix, struct schema_files *files,
                       struct error *error)
{
    char directory[SCHEMA_PATH_MAX];

    snprintf(directory, sizeof(directory), "%s/%s", root, sub);
    DIR *dir = opendir(directory);
    if (!dir)
        return error_set(error, ERROR_CONFIG, "%.200s: cannot be read: %s (--directory)", directory, strerror(errno));
    bool is_ok = true;
    for (struct dirent *entry = readdir(dir); entry && is_ok; entry = readdir(dir)) {
        if (!ends_with(entry->d_name, suffix))
            continue;
        ASSERT(files->count < SCHEMA_FILES_MAX);
        struct schema_file *file = &files->items[files->count++];
        snprintf(file->name, sizeof(file->name), "%.127s", entry->d_name);
        is_ok = file_load(directory, file, error);
    }
    closedir(dir);
    qsort(files->items, files->count, sizeof(files->items[0]), file_compare);
    return is_ok;
}

int schema_version(const struct schema_file *file)
{
    return atoi(file->name);
}

/* Sorted: two of one number stand side by side. */
bool schema_versions_check(const struct schema_files *files, struct error *error)
{
    for (size_t i = 0; i < files->count; i++) {
        if (schema_version(&files->items[i]) <= 0)
            return error_set(error, ERROR_CONFIG, "%s: a migration's name begins with its number, 0001 or more",
                             files->items[i].name);
        if (i && schema_version(&files->items[i]) == schema_version(&files->items[i - 1]))
            return error_set(error, ERROR_CONFIG, "%s and %s have the same number", files->items[i - 1].name,
                             files->items[i].name);
    }
    return true;
}

void schema_files_free(struct schema_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->items[i].text);
    files->count = 0;
}

const char *schema_directory(char path[static SCHEMA_PATH_MAX])
{
    char program[SCHEMA_PATH_MAX / 2];
    ssize_t size = readlink("/proc/self/exe", program, sizeof(program) - 1);

    program[size > 0 ? size : 0] = 0;
    char *slash = strrchr(program, '/');
    if (slash) {
        *slash = 0;
        snprintf(path, SCHEMA_PATH_MAX, "%s/../share/ladder", program);
        if (access(path, R_OK) == 0)
            return path;
    }
    return LADDER_SOURCE_DIRECTORY;
}
