/*
 * compress.h -- bytes in a smaller form, gzip or brotli: whole, or in pieces as they come.
 *
 * FAST is for what is sent once, SMALL for what is kept and sent often: two to ten times as long for a tenth less
 * (docs/decisions/0085-compression.md has figures). The same bytes compressed the same way, whole or in the same pieces,
 * give the same result. One thread.
 */
#ifndef BASE_COMPRESS_H
#define BASE_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum compress_coding { COMPRESS_GZIP, COMPRESS_BROTLI };
enum compress_effort { COMPRESS_FAST, COMPRESS_SMALL };

/* false: it would not become smaller by a tenth, or memory is short; `out` is then empty. out: initialised here, the
 * caller's. */
bool compress_body(enum compress_coding coding, enum compress_effort effort, struct slice body, struct buf *out);

/* The other way, from brotli: false unless the body has exactly `size` bytes. body: initialised by the caller,
 * empty. */
bool compress_restore(struct slice coded, size_t size, struct buf *body);

struct compressor;

/* The bytes so far can be read by the receiver; or these are the last ones. */
enum compress_step { COMPRESS_MORE, COMPRESS_FLUSH, COMPRESS_END };

/* NULL: memory is short. */
struct compressor *compressor_new(enum compress_coding coding, enum compress_effort effort);
void compressor_free(struct compressor **compressor);
/*
 * Takes from the front of *in, which shrinks, and writes at most `size` bytes to `out`; *ret_written says how many. Call
 * it again with the same step while it writes `size` bytes or leaves input; once it writes less, the step is done. A
 * step that began goes on until it is done. false: memory is short; the compressor is of no more use.
 */
bool compressor_run(struct compressor *compressor, enum compress_step step, struct slice *in, uint8_t *out, size_t size,
                    size_t *ret_written);

#endif
