/*
 * spool.h -- text that is written before anybody may read it: in memory while it is short, then in an unlinked file.
 *
 * HTTP/1.1 clients do not read an answer before they have sent their request, so what is known of the answer has to
 * wait. One thread.
 */
#ifndef API_SPOOL_H
#define API_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/quota.h"

/* ROOM: what the results of a chunk of lines take, but for odd ones. */
enum { SPOOL_MEMORY_BYTES = 320 << 10, SPOOL_ROOM_BYTES = 256 << 10 };

struct spool {
    const char *directory;
    int64_t bytes_max; /* of this spool */
    struct quota *all; /* of the files of all spools */
    struct buf text;   /* not in the file yet */
    int fd;            /* -1: none yet */
    uint64_t filed;    /* bytes in the file */
    struct spool_hold *hold;
};

void spool_init(struct spool *spool, const char *directory, int64_t bytes_max, struct quota *all);
void spool_done(struct spool *spool);
uint64_t spool_size(const struct spool *spool);
/* false: the file cannot be written, which is logged, or memory is short; nothing was added then. */
bool spool_add(struct spool *spool, struct slice text, struct error *error);
/* Whether it may grow by `pending` and some SPOOL_ROOM_BYTES more: false after filling *error, where it, or all spools, have reached their
 * limit. What is added after that has room; more than that is taken all the same. */
bool spool_has_room(struct spool *spool, size_t pending, struct error *error);
/* Moves all to the file; a descriptor of the caller's own, -1 after filling *error. When it is closed, the caller tells
 * spool_closed: the file is there until both have let go. */
int spool_file(struct spool *spool, struct spool_hold **ret_hold, struct error *error);
void spool_closed(void *hold);
bool spool_flush(struct spool *spool, struct error *error);

#endif
