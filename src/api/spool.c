#include "api/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

enum { TEXT_BYTES_MAX = 64 << 20 }; /* a chunk of results, and what closes them */

void spool_init(struct spool *spool, const char *directory, int64_t bytes_max)
{
    *spool = (struct spool){.directory = directory, .bytes_max = bytes_max, .fd = -1};
    buf_init(&spool->text, TEXT_BYTES_MAX);
}

void spool_done(struct spool *spool)
{
    buf_done(&spool->text);
    if (spool->fd >= 0)
        close(spool->fd);
    spool->fd = -1;
}

uint64_t spool_size(const struct spool *spool)
{
    return spool->filed + spool->text.size;
}

static bool file_fail(const struct spool *spool, struct error *error)
{
    log_error("spool-failed", LOG_TEXT("because", strerror(errno)), LOG_TEXT("directory", spool->directory));
    return error_set(error, ERROR_UNAVAILABLE, "the results cannot be kept: server.spool_directory cannot be written");
}

/* A write to the page cache: it does not wait for a disk. */
bool spool_flush(struct spool *spool, struct error *error)
{
    size_t at = 0;

    if (spool->fd < 0)
        spool->fd = open(spool->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (spool->fd < 0)
        return file_fail(spool, error);
    while (at < spool->text.size) {
        ssize_t written = pwrite(spool->fd, spool->text.data + at, spool->text.size - at, (off_t)(spool->filed + at));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return file_fail(spool, error); /* what was written behind `filed` does not count */
        at += (size_t)written;
    }
    spool->filed += at;
    buf_done(&spool->text);
    return true;
}

bool spool_add(struct spool *spool, struct slice text, struct error *error)
{
    size_t before = spool->text.size;

    buf_append_slice(&spool->text, text);
    if (spool->text.is_overflown) {
        spool->text.is_overflown = false;
        return error_set(error, ERROR_OVERLOADED, "out of memory");
    }
    if (spool->fd < 0 && spool->text.size <= SPOOL_MEMORY_BYTES)
        return true;
    if (spool_flush(spool, error))
        return true;
    spool->text.size = before;
    return false;
}

int spool_file(struct spool *spool, struct error *error)
{
    if (!spool_flush(spool, error))
        return -1;
    int fd = fcntl(spool->fd, F_DUPFD_CLOEXEC, 0);
    return fd >= 0 ? fd : (file_fail(spool, error), -1);
}
