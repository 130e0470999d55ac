#include "cli/import_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/assert.h"

enum { INPUT_BLOCK = 131072 };

/* ---- decompression, as FILEs of stdio (fopencookie) ---- */

struct gzip {
    gzFile file;
    struct import_input *input;
};

static ssize_t gzip_read(void *context, char *out, size_t size)
{
    struct gzip *gzip = context;
    int status = Z_OK, count = gzread(gzip->file, out, (unsigned)(size < INPUT_BLOCK ? size : INPUT_BLOCK));

    if (count <= 0)
        gzerror(gzip->file, &status);
    if (count >= 0 && status != Z_BUF_ERROR)
        return count;
    gzip->input->fault = status == Z_BUF_ERROR ? "the gzip data end too early" : "the gzip data are damaged";
    errno = EIO;
    return -1;
}

static int gzip_close(void *context)
{
    struct gzip *gzip = context;

    gzclose(gzip->file);
    free(gzip);
    return 0;
}

struct zstd {
    ZSTD_DCtx *decoder;
    int file;
    size_t due; /* 0: a frame has just ended */
    ZSTD_inBuffer in;
    struct import_input *input;
    char block[INPUT_BLOCK];
};

static ssize_t zstd_fail(struct zstd *zstd, const char *fault)
{
    zstd->input->fault = fault;
    errno = EIO;
    return -1;
}

static ssize_t zstd_read(void *context, char *out, size_t size)
{
    struct zstd *zstd = context;
    ZSTD_outBuffer to = {out, size, 0};

    while (to.pos == 0 && size > 0) {
        bool is_end = false;
        if (zstd->in.pos == zstd->in.size) {
            ssize_t count = read(zstd->file, zstd->block, INPUT_BLOCK);
            if (count < 0)
                return -1;
            zstd->in = (ZSTD_inBuffer){zstd->block, (size_t)count, 0};
            is_end = count == 0;
        }
        if (is_end && zstd->due == 0)
            return 0;
        zstd->due = ZSTD_decompressStream(zstd->decoder, &to, &zstd->in);
        if (ZSTD_isError(zstd->due))
            return zstd_fail(zstd, "the Zstandard data are damaged");
        if (is_end && to.pos == 0)
            return zstd_fail(zstd, "the Zstandard data end too early");
    }
    return (ssize_t)to.pos;
}

static int zstd_close(void *context)
{
    struct zstd *zstd = context;

    ZSTD_freeDCtx(zstd->decoder);
    close(zstd->file);
    free(zstd);
    return 0;
}

static FILE *gzip_open(struct import_input *input, int file)
{
    struct gzip *gzip = malloc(sizeof(*gzip));

    ASSERT(gzip != NULL);
    *gzip = (struct gzip){.file = gzdopen(file, "rb"), .input = input};
    ASSERT(gzip->file != NULL);
    gzbuffer(gzip->file, INPUT_BLOCK);
    return fopencookie(gzip, "r", (cookie_io_functions_t){.read = gzip_read, .close = gzip_close});
}

static FILE *zstd_open(struct import_input *input, int file)
{
    struct zstd *zstd = malloc(sizeof(*zstd));

    ASSERT(zstd != NULL);
    zstd->decoder = ZSTD_createDCtx();
    ASSERT(zstd->decoder != NULL);
    zstd->file = file;
    zstd->due = 0;
    zstd->in = (ZSTD_inBuffer){NULL, 0, 0};
    zstd->input = input;
    return fopencookie(zstd, "r", (cookie_io_functions_t){.read = zstd_read, .close = zstd_close});
}

/* ---- the file ---- */

bool import_input_fault(const struct import_input *input, const char *path, struct error *error)
{
    return error_set(error, ERROR_CONFIG, "%.150s: cannot be read: %s", path,
                     input->fault ? input->fault : strerror(errno));
}

/* Into a file without a name. */
static bool file_copy(struct import_input *input, int from, const char *path, struct error *error)
{
    char bytes[65536];
    FILE *copy = tmpfile();
    ssize_t size;

    if (!copy)
        return error_set(error, ERROR_CONFIG, "%.150s: no temporary file: %s", path, strerror(errno));
    while ((size = read(from, bytes, sizeof(bytes))) > 0 && fwrite(bytes, 1, (size_t)size, copy) == (size_t)size)
        ;
    bool is_ok = size == 0 && fflush(copy) == 0;
    if (size < 0)
        import_input_fault(input, path, error);
    else if (!is_ok)
        error_set(error, ERROR_CONFIG, "%.150s: the temporary file cannot be written: %s", path, strerror(errno));
    input->file = is_ok ? dup(fileno(copy)) : -1;
    fclose(copy);
    return input->file >= 0;
}

static enum import_compression compression_of(int file)
{
    uint8_t start[4] = {0};
    ssize_t size = pread(file, start, sizeof(start), 0);

    if (size >= 2 && start[0] == 0x1F && start[1] == 0x8B)
        return IMPORT_GZIP;
    return size == 4 && memcmp(start, "\x28\xB5\x2F\xFD", 4) == 0 ? IMPORT_ZSTD : IMPORT_PLAIN;
}

bool import_input_open(struct import_input *input, const char *path, struct error *error)
{
    struct stat status;
    bool is_standard = strcmp(path, "-") == 0;
    int file = is_standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    bool is_ok = file >= 0 && fstat(file, &status) == 0;

    *input = (struct import_input){.file = -1};
    if (!is_ok) {
        import_input_fault(input, path, error);
    } else if (S_ISREG(status.st_mode) && !is_standard) {
        input->file = file;
        file = -1;
    } else {
        is_ok = file_copy(input, file, path, error);
    }
    if (file >= 0)
        close(file);
    if (is_ok)
        input->compression = compression_of(input->file);
    return is_ok && import_input_rewind(input, path, error);
}

bool import_input_rewind(struct import_input *input, const char *path, struct error *error)
{
    if (input->text)
        fclose(input->text);
    input->text = NULL;
    input->fault = NULL;
    int file = lseek(input->file, 0, SEEK_SET) == 0 ? dup(input->file) : -1;
    if (file < 0)
        return import_input_fault(input, path, error);
    input->text = input->compression == IMPORT_GZIP   ? gzip_open(input, file)
                  : input->compression == IMPORT_ZSTD ? zstd_open(input, file)
                                                      : fdopen(file, "r");
    ASSERT(input->text != NULL);
    setvbuf(input->text, NULL, _IOFBF, INPUT_BLOCK);
    return true;
}

void import_input_close(struct import_input *input)
{
    if (input->text)
        fclose(input->text);
    if (input->file >= 0)
        close(input->file);
    *input = (struct import_input){.file = -1};
}
