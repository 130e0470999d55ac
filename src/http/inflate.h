/*
 * inflate.h -- decodes gzip (RFC 1952) from input that arrives in pieces, at most INFLATE_STEP_BYTES of output a step.
 *
 *     struct inflater *inflater = inflater_new();
 *     for each piece of input:
 *         do inflater_run(inflater, &piece, &out, &error) and use `out`, while out.size > 0 or piece.size > 0
 *     at the end of the input: inflater_is_whole(inflater)
 *
 * A body is one member or several in a row. Bytes behind the last member that do not start another member are an error,
 * zeros too. The checksum and the size at the end of each member are verified. A decoder takes about 56 KiB, whatever
 * the input is: zlib's state, its window of 32 KiB and the output of one step. One thread.
 */
#ifndef HTTP_INFLATE_H
#define HTTP_INFLATE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

enum { INFLATE_STEP_BYTES = 16384 };

struct inflater;

/* NULL: out of memory. */
struct inflater *inflater_new(void);
void inflater_free(struct inflater **inflater); /* NULL: nothing */
/*
 * One step: takes input from the front of *in, which shrinks, and sets *ret_out to the output, 0 to INFLATE_STEP_BYTES
 * bytes that stay valid until the next call. Once *in is empty and *ret_out too, the decoder has no more output until
 * there is more input. false: ERROR_INVALID_BODY, or ERROR_OVERLOADED (out of memory); the decoder can only be freed.
 */
bool inflater_run(struct inflater *inflater, struct slice *in, struct slice *ret_out, struct error *error);
/* Whether the input so far is whole members, at least one. */
bool inflater_is_whole(const struct inflater *inflater);

#endif
