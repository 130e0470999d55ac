/*
 * growing.c -- an answer that is a file, sent while it is written.
 *
 * The library asks for the next bytes when the client has taken the last ones. When there are none yet, the connection
 * is suspended until the file has grown. The exchange and the library's response each have a reference: the client may
 * leave before the file is whole, and the exchange may end before the response is destroyed.
 *
 * A client that accepts gzip or brotli gets the file compressed: a block for each time the socket takes more. At the end
 * of what is written so far the compressor is flushed, so the client reads each result as soon as without compression.
 */
#include <microhttpd.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/memory.h"
#include "http/private.h"

enum { BLOCK_BYTES = 16384 };

struct growing {
    void (*closed)(void *context);
    void *closed_context;
    int fd;
    int uses;
    uint64_t size;
    bool is_whole;
    uint64_t taken;    /* when the deadline was last moved */
    uint64_t position; /* how much of the file was read */
    struct http_exchange *exchange;
    /* NULL: the file is sent as it is. `left` of `block` is for the compressor, whose step goes on while it is_busy. */
    struct compressor *compressor;
    enum compress_step step;
    bool is_busy;
    struct slice left;
    char block[BLOCK_BYTES];
};

static void growing_let_go(void *context)
{
    struct growing *growing = context;

    if (--growing->uses > 0)
        return;
    close(growing->fd);
    growing->closed(growing->closed_context);
    compressor_free(&growing->compressor);
    free(growing);
}

void growing_drop(struct growing **growing)
{
    if (*growing)
        growing_let_go(*growing);
    *growing = NULL;
}

/* Called only while the connection, and so the exchange, is there. Reads at most `room` bytes; 0: there are none yet, and
 * the client waits; or END_OF_STREAM, or END_WITH_ERROR. */
static ssize_t file_read(struct growing *growing, char *out, size_t room)
{
    uint64_t left = growing->size - growing->position;

    if (left == 0 && growing->is_whole)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (left == 0) {
        exchange_park(growing->exchange);
        return 0;
    }
    ssize_t size = pread(growing->fd, out, left < room ? (size_t)left : room, (off_t)growing->position);
    if (size <= 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    growing->position += (uint64_t)size;
    if (growing->position - growing->taken >= HTTP_TAKEN_BYTES) {
        growing->taken = growing->position;
        growing->exchange->phase_since_us = clock_monotonic_us();
    }
    return size;
}

static ssize_t on_more(void *context, uint64_t position, char *out, size_t room)
{
    (void)position;
    return file_read(context, out, room);
}

/* ---- compressed ---- */

/* The next step of the compressor. 1: it begins; else as file_read. */
static ssize_t step_begin(struct growing *growing)
{
    if (growing->step == COMPRESS_END)
        return MHD_CONTENT_READER_END_OF_STREAM;
    ssize_t size = file_read(growing, growing->block, sizeof(growing->block));
    if (size == 0 || size == MHD_CONTENT_READER_END_WITH_ERROR)
        return size;
    growing->left = (struct slice){growing->block, size > 0 ? (size_t)size : 0};
    growing->step = growing->position < growing->size ? COMPRESS_MORE
                    : growing->is_whole               ? COMPRESS_END
                                                      : COMPRESS_FLUSH;
    growing->is_busy = true;
    return 1;
}

static ssize_t on_more_coded(void *context, uint64_t position, char *out, size_t room)
{
    struct growing *growing = context;
    size_t written = 0;

    (void)position;
    while (written == 0) {
        ssize_t begun = growing->is_busy ? 1 : step_begin(growing);
        if (begun != 1)
            return begun;
        if (!coding_run(growing->exchange->server, growing->compressor, growing->step, &growing->left, out, room,
                        &written))
            return MHD_CONTENT_READER_END_WITH_ERROR;
        growing->is_busy = growing->left.size > 0 || written == room;
    }
    return (ssize_t)written;
}

void http_reply_file(struct http_request *request, int status, const char *content_type, int fd, uint64_t size,
                     bool is_whole, void (*closed)(void *context), void *context)
{
    struct http_exchange *exchange = request->exchange;

    if (http_is_answered(request)) {
        close(fd);
        closed(context);
        return;
    }
    struct growing *growing = calloc(1, sizeof(*growing));
    ASSERT(growing != NULL);
    *growing = (struct growing){.fd = fd, .uses = 2, .size = size, .is_whole = is_whole, .exchange = exchange};
    growing->closed = closed;
    growing->closed_context = context;
    growing->compressor = compressor_fitting(request, is_whole ? size : SIZE_MAX);
    exchange->growing = growing;
    answer_charge(exchange, status, 0, growing->compressor != NULL);
    struct MHD_Response *response = MEMORY_HANDLED(
        MHD_create_response_from_callback(is_whole && !growing->compressor ? size : MHD_SIZE_UNKNOWN, BLOCK_BYTES,
                                          growing->compressor ? on_more_coded : on_more, growing, growing_let_go));
    if (!response)
        growing_let_go(growing);
    reply_finish(exchange, status, content_type, response);
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
