/*
 * stream.h -- POST /scores as NDJSON of any length.
 *
 * Lines are taken in chunks as they arrive; while a chunk is under way at most another one is read, then the client has
 * to wait (backpressure). Results go to an unlinked file, because HTTP/1.1 clients do not read an answer before they
 * have sent their request; the answer is that file.
 */
#ifndef API_STREAM_H
#define API_STREAM_H

#include "api/intake.h"

/* One line into an item of an intake. */
void api_stream_line(struct intake *intake, size_t index, struct slice line);
void api_render_item(struct api_call *call, struct jsonw *json, const struct intake_item *item,
                     const struct submit_result *result);
/* Of two tokens, one that shows both writes. before NULL: none yet. */
struct token token_later(const struct token *before, const struct token *after);

#endif
