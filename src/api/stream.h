/*
 * stream.h -- POST /scores as NDJSON of any length.
 *
 *     body --> lines --> chunk --> intake --> PostgreSQL, Redis
 *                          |
 *                          +--> results --> spool --> answer
 *
 * Lines are taken in chunks, one chunk at a time, in the order sent. While a chunk is under way at most 64 KiB more are
 * read; then the client waits. Results wait in the spool until the last byte of the body is in, because HTTP/1.1
 * clients do not read before; from then on they are sent as chunks are taken. When nothing was taken for
 * server.answer_timeout_ms the stream fails: no further line is submitted, and the answer names each that was not
 * taken. If none was taken, the answer is the error alone.
 *
 * Under an Idempotency-Key the body is cut at the same lines each time. Each chunk has a key of its own, derived from
 * the client's and the chunk's number, and a fingerprint of all lines so far; it is claimed in the chunk's transaction.
 * A repeat gets the kept results of the chunks that were taken, and the others are taken.
 */
#ifndef API_STREAM_H
#define API_STREAM_H

#include "api/intake.h"

#endif
