/*
 * driver.c -- runs a target without a fuzzer: on each file of the given directories, whole and cut off at every byte.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

enum { FILE_BYTES_MAX = 1 << 20, CUT_BYTES_MAX = 512 };

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(FILE_BYTES_MAX);

    if (!file || !data) {
        perror(path);
        exit(2);
    }
    size_t size = fread(data, 1, FILE_BYTES_MAX, file);
    fclose(file);
    for (size_t cut = 0; cut <= size; cut = cut < CUT_BYTES_MAX ? cut + 1 : size < cut + 1 ? size + 1 : size) {
        /* A block of its own size, so that a sanitizer sees a read behind its end. */
        uint8_t *copy = malloc(cut ? cut : 1);
        ASSERT(copy != NULL);
        memcpy(copy, data, cut);
        LLVMFuzzerTestOneInput(copy, cut);
        free(copy);
        if (cut == size)
            break;
    }
    free(data);
    return 1;
}

int main(int argc, char **argv)
{
    int files = 0;

    for (int i = 1; i < argc; i++) {
        DIR *directory = opendir(argv[i]);
        if (!directory) {
            files += run_file(argv[i]);
            continue;
        }
        for (struct dirent *entry; (entry = readdir(directory));) {
            char path[4096];
            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
            files += run_file(path);
        }
        closedir(directory);
    }
    printf("%d files\n", files);
    return files ? 0 : 2; /* an empty corpus tests nothing */
}
