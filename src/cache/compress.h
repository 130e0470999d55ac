/*
 * compress.h -- a body in a smaller form.
 */
#ifndef CACHE_COMPRESS_H
#define CACHE_COMPRESS_H

#include <stdbool.h>

#include "base/buf.h"

enum compress_coding { COMPRESS_GZIP, COMPRESS_BROTLI };

/* false: it would not become smaller by a tenth, or memory is short; `out` is then empty. out: initialised here, the
 * caller's. */
bool compress_body(enum compress_coding coding, struct slice body, struct buf *out);

/* The other way, from brotli: false unless the body has exactly `size` bytes. body: initialised by the caller,
 * empty. */
bool compress_restore(struct slice coded, size_t size, struct buf *body);

#endif
