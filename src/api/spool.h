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

enum { SPOOL_MEMORY_BYTES = 256 << 10 };

struct spool {
    const char *directory;
    int64_t bytes_max; /* for its owner to look at */
    struct buf text;   /* not in the file yet */
    int fd;            /* -1: none yet */
    uint64_t filed;    /* bytes in the file */
};

void spool_init(struct spool *spool, const char *directory, int64_t bytes_max);
void spool_done(struct spool *spool);
uint64_t spool_size(const struct spool *spool);
/* false: the file cannot be written, which is logged, or memory is short; nothing was added then. */
bool spool_add(struct spool *spool, struct slice text, struct error *error);
/* Moves all to the file; a descriptor of the caller's own, -1 after filling *error. */
int spool_file(struct spool *spool, struct error *error);
bool spool_flush(struct spool *spool, struct error *error);

#endif
