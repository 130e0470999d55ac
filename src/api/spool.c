#include "api/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"

enum { TEXT_BYTES_MAX = 64 << 20 }; /* a chunk of results, and what closes them */

/* What a file takes of the quota, while somebody has it open. */
struct spool_hold {
    struct quota *all;
    int64_t bytes;
    int uses;
};

void spool_closed(void *context)
{
    struct spool_hold *hold = context;

    if (--hold->uses > 0)
        return;
    quota_take(hold->all, &hold->bytes, 0);
    free(hold);
}

void spool_init(struct spool *spool, const char *directory, int64_t bytes_max, struct quota *all)
{
    struct spool_hold *hold = malloc(sizeof(*hold));

    ASSERT(hold != NULL);
    *hold = (struct spool_hold){.all = all, .uses = 1};
    *spool = (struct spool){.directory = directory, .bytes_max = bytes_max, .all = all, .fd = -1, .hold = hold};
    buf_init(&spool->text, TEXT_BYTES_MAX);
}

void spool_done(struct spool *spool)
{
    buf_done(&spool->text);
    if (spool->fd >= 0)
        close(spool->fd);
    spool->fd = -1;
    spool_closed(spool->hold);
}

bool spool_has_room(struct spool *spool, size_t pending, struct error *error)
{
    int64_t size = (int64_t)(spool_size(spool) + pending);
    int64_t wanted = (size / SPOOL_ROOM_BYTES + 2) * SPOOL_ROOM_BYTES;

    if (size >= spool->bytes_max)
        return error_set(error, ERROR_BODY_TOO_LARGE,
                         "the results have reached server.spool_bytes_max, %lld bytes: ask for results=errors, or send "
                         "shorter streams",
                         (long long)spool->bytes_max);
    if ((spool->fd < 0 && size + SPOOL_ROOM_BYTES <= SPOOL_MEMORY_BYTES) || wanted <= spool->hold->bytes ||
        quota_hold(spool->all, &spool->hold->bytes, wanted, 100))
        return true;
    return error_set(error, ERROR_OVERLOADED,
                     "the results of all streams together have reached server.spool_bytes, %lld bytes",
                     (long long)spool->all->max);
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
    if ((int64_t)spool->filed > spool->hold->bytes)
        quota_take(spool->all, &spool->hold->bytes, (int64_t)spool->filed);
    buf_done(&spool->text);
    return true;
}

bool spool_add(struct spool *spool, struct slice text, struct error *error)
{
    size_t before = spool->text.size;

    buf_append_slice(&spool->text, text);
    if (spool->text.is_overflown) {
        spool->text.is_overflown = spool->text.is_short = false;
        return error_set(error, ERROR_OVERLOADED, "out of memory");
    }
    if (spool->fd < 0 && spool->text.size <= SPOOL_MEMORY_BYTES)
        return true;
    if (spool_flush(spool, error))
        return true;
    spool->text.size = before;
    return false;
}

int spool_file(struct spool *spool, struct spool_hold **ret_hold, struct error *error)
{
    if (!spool_flush(spool, error))
        return -1;
    int fd = fcntl(spool->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        file_fail(spool, error);
        return -1;
    }
    spool->hold->uses++;
    *ret_hold = spool->hold;
    return fd;
}
