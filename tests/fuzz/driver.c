/*
 * driver.c -- runs a target without a fuzzer: on each file of the given directories, whole and cut off at every byte; then
 * on random changes of them, for LADDER_TEST_FUZZ_MS (2,000). It does not know what an input reached, as libFuzzer does
 * (scripts/fuzz), but needs no other compiler, so it runs with every build. What broke is printed in hexadecimal.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

enum { FILE_BYTES_MAX = 1 << 20, CUT_BYTES_MAX = 512, CHANGED_BYTES_MAX = 4096, KEPT_MAX = 4096 };

/* What is being tried, for whoever asks why it crashed. */
static const uint8_t *tried;
static size_t tried_size;

static struct {
    uint8_t *data;
    size_t size;
} kept[KEPT_MAX];
static size_t kept_count;
static uint64_t dice_state;

static void on_crash(int number)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * CHANGED_BYTES_MAX + 1];
    size_t size = tried_size < CHANGED_BYTES_MAX ? tried_size : CHANGED_BYTES_MAX;

    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[tried[i] >> 4];
        text[2 * i + 1] = digits[tried[i] & 15];
    }
    text[2 * size] = '\n';
    if (write(STDERR_FILENO, "the input: ", 11) < 0 || write(STDERR_FILENO, text, 2 * size + 1) < 0)
        _exit(3);
    signal(number, SIG_DFL);
    raise(number);
}

/* From a block of its own size, so that a sanitizer sees a read behind its end. */
static void try_input(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    ASSERT(copy != NULL);
    memcpy(copy, data, size);
    tried = copy;
    tried_size = size;
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static size_t dice(size_t sides)
{
    dice_state = dice_state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(dice_state >> 33) % sides;
}

static size_t insert(uint8_t *data, size_t size, const uint8_t *bytes, size_t count)
{
    size_t at = dice(size + 1);

    if (size + count > CHANGED_BYTES_MAX)
        return size;
    memmove(data + at + count, data + at, size - at);
    memcpy(data + at, bytes, count);
    return size + count;
}

/* One change; the new size. */
static size_t change(uint8_t *data, size_t size)
{
    static const char *const words[] = {"\"",       "\\",
                                        "\\u0000",  "{",
                                        "}",        "[",
                                        "]",        ",",
                                        ":",        "\n",
                                        "\r\n",     "%",
                                        "%00",      "%ff",
                                        "-",        "0",
                                        ".",        "9223372036854775808",
                                        "1e999",    "\xff",
                                        "\xc0\x80", "\xed\xa0\x80",
                                        ";q=",      "*",
                                        "/",        "?",
                                        "&",        "=",
                                        " "};
    const uint8_t random[] = {(uint8_t)dice(256), 0};
    size_t other = dice(kept_count), from, count;

    switch (dice(6)) {
    case 0:
        if (size)
            data[dice(size)] ^= (uint8_t)(1u << dice(8));
        return size;
    case 1:
        if (size)
            data[dice(size)] = random[0];
        return size;
    case 2:
        if (size < 2)
            return size;
        from = dice(size);
        count = 1 + dice(size - from);
        memmove(data + from, data + from + count, size - from - count);
        return size - count;
    case 3:
        return insert(data, size, random, 1 + dice(2));
    case 4: {
        const char *word = words[dice(sizeof(words) / sizeof(words[0]))];
        return insert(data, size, (const uint8_t *)word, strlen(word));
    }
    default:
        if (kept[other].size == 0)
            return size;
        from = dice(kept[other].size);
        return insert(data, size, kept[other].data + from, 1 + dice(kept[other].size - from));
    }
}

static long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static unsigned long run_changed(long limit_ms)
{
    unsigned long runs = 0;

    for (long end = now_ms() + limit_ms; runs % 64 || now_ms() < end; runs++) {
        uint8_t data[CHANGED_BYTES_MAX];
        size_t from = dice(kept_count), size = kept[from].size;
        memcpy(data, kept[from].data, size);
        for (size_t times = 1 + dice(8); times > 0; times--)
            size = change(data, size);
        try_input(data, size);
    }
    return runs;
}

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
        try_input(data, cut);
        if (cut == size)
            break;
    }
    if (kept_count < KEPT_MAX && size <= CHANGED_BYTES_MAX) {
        kept[kept_count].data = malloc(size + 1);
        ASSERT(kept[kept_count].data != NULL);
        memcpy(kept[kept_count].data, data, size);
        kept[kept_count++].size = size;
    }
    free(data);
    return 1;
}

int main(int argc, char **argv)
{
    const char *limit = getenv("LADDER_TEST_FUZZ_MS");
    const char *seed = getenv("LADDER_TEST_SEED");
    int files = 0;

    for (int number = SIGILL; number <= SIGSEGV; number++)
        if (number == SIGILL || number == SIGABRT || number == SIGBUS || number == SIGFPE || number == SIGSEGV)
            signal(number, on_crash);
    dice_state = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);

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
    if (files == 0)
        return 2; /* an empty corpus tests nothing */
    unsigned long runs = run_changed(limit ? strtol(limit, NULL, 10) : 2000);
    printf("%d files, %lu changed\n", files, runs);
    for (size_t i = 0; i < kept_count; i++)
        free(kept[i].data);
    return 0;
}
