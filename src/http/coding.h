/*
 * coding.h -- answers in a smaller form, as far as the server's time allows.
 *
 * Every answer worth it is compressed, for clients that accept gzip or brotli: at a fast level the first time, and at a
 * better one where the result is kept. Up to HTTP_CODED_WHOLE_MAX bytes that is done at once; a larger answer is
 * compressed while it is sent, a piece for each time the socket takes more, so that it never holds up its loop. What
 * all this takes is measured and comes out of a budget (server.compress_percent of each loop's time, a second's worth at
 * most saved up); without budget, answers go out as they are.
 *
 * http_reply does this by itself; whoever keeps answers uses the functions here. One thread: the loop's.
 */
#ifndef HTTP_CODING_H
#define HTTP_CODING_H

#include "base/compress.h"
#include "http/negotiate.h"
#include "http/request.h"

enum { HTTP_CODED_WHOLE_MAX = 128 << 10 };

/* In which coding this client gets an answer of so many bytes; HTTP_IDENTITY: it is too small, or the client accepts no
 * other. is_useless: see http_coding_best. */
enum http_coding http_coding_of(const struct http_request *request, size_t size,
                                const bool is_useless[static HTTP_CODING_COUNT]);
/* Whether there is budget left. */
bool http_may_code(const struct http_request *request);

/* `body` compressed, at once. NULL: there is no budget, or, with *ret_is_useless, it would not become smaller. */
struct http_body *http_body_code(const struct http_request *request, const struct http_body *body,
                                 enum http_coding coding, enum compress_effort effort, bool *ret_is_useless);

/*
 * A compressed form that comes into being while it is first sent. Its maker keeps one reference, the answer under way
 * another. It is complete once an answer was sent whole, and abandoned when its client left before.
 */
struct http_making;
struct http_making *http_making_new(void);
void http_making_free(struct http_making **making);
bool http_making_is_abandoned(const struct http_making *making);
/* The complete form, once: the caller's. NULL: it is not complete, or was taken. */
struct http_body *http_making_take(struct http_making *making);

/* Answers with `body`, which is compressed while it is sent. making: where the result is kept as well; NULL: nowhere. */
void http_reply_coded(struct http_request *request, int status, const struct http_field *fields, size_t count,
                      struct http_body *body, enum http_coding coding, struct http_making *making);

#endif
