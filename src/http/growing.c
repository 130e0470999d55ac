/*
 * growing.c -- an answer that is a file, sent while it is written.
 *
 * The library asks for the next bytes when the client has taken the last ones. When there are none yet, the connection
 * is suspended until the file has grown. The exchange and the library's response each have a reference: the client may
 * leave before the file is whole, and the exchange may end before the response is destroyed.
 */
#include <microhttpd.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "http/private.h"

enum { BLOCK_BYTES = 16384 };

struct growing {
    int fd;
    int uses;
    uint64_t size;
    bool is_whole;
    uint64_t taken; /* when the deadline was last moved */
    struct http_exchange *exchange;
};

static void growing_let_go(void *context)
{
    struct growing *growing = context;

    if (--growing->uses > 0)
        return;
    close(growing->fd);
    free(growing);
}

void growing_drop(struct growing **growing)
{
    if (*growing)
        growing_let_go(*growing);
    *growing = NULL;
}

/* Called only while the connection, and so the exchange, is there. */
static ssize_t on_more(void *context, uint64_t position, char *buffer, size_t room)
{
    struct growing *growing = context;
    struct http_exchange *exchange = growing->exchange;

    if (position - growing->taken >= HTTP_TAKEN_BYTES) {
        growing->taken = position;
        exchange->phase_since_us = clock_monotonic_us();
    }
    if (position == growing->size && !growing->is_whole) {
        exchange_park(exchange);
        return 0;
    }
    uint64_t left = growing->size - position;
    ssize_t size = left ? pread(growing->fd, buffer, left < room ? (size_t)left : room, (off_t)position) : 0;
    if (size > 0)
        return size;
    return left ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
}

void http_reply_file(struct http_request *request, int status, const char *content_type, int fd, uint64_t size,
                     bool is_whole)
{
    struct http_exchange *exchange = request->exchange;

    if (http_is_answered(request)) {
        close(fd);
        return;
    }
    struct growing *growing = malloc(sizeof(*growing));
    ASSERT(growing != NULL);
    *growing = (struct growing){.fd = fd, .uses = 2, .size = size, .is_whole = is_whole, .exchange = exchange};
    exchange->growing = growing;
    reply_finish(exchange, status, content_type,
                 MHD_create_response_from_callback(is_whole ? size : MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_more, growing,
                                                   growing_let_go));
}

void http_reply_grown(struct http_request *request, uint64_t size, bool is_whole)
{
    struct http_exchange *exchange = request->exchange;

    if (!exchange->growing)
        return;
    exchange->growing->size = size;
    exchange->growing->is_whole = is_whole;
    if (exchange->state == EXCHANGE_ANSWERING && exchange->is_parked) {
        exchange->phase_since_us = clock_monotonic_us();
        exchange_resume(exchange);
    }
}
