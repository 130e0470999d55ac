/*
 * own_answer.c -- what the library would answer by itself is answered by us.
 *
 * libmicrohttpd refuses some requests before its handler sees them: a Content-Length that is no number, a header that
 * does not fit into its memory, an unknown version, a malformed chunk. It queues a page of HTML for them, and for a bad
 * Content-Length it even sends two headers (0.9.75 builds the header once when it refuses, and again when the request
 * is complete). It offers no hook for these answers, but it queues them with its public MHD_queue_response, and a
 * program's own definition of a library's function comes first (ld.so(8)). So this one sees every answer: ours pass, one
 * of the library's is replaced by a problem document, after which the socket takes no more bytes.
 *
 * Where the library is bound to its own function (a static or -Bsymbolic build of it), its answers go out as they are:
 * test_what_the_library_refuses_itself fails then.
 */
#include <dlfcn.h>
#include <microhttpd.h>

#include "base/assert.h"
#include "http/private.h"

static _Thread_local bool is_ours;

/* What status the library chose, and where in the request it is, say why. */
static void refusal_of(unsigned status, const struct http_exchange *exchange, struct error *error)
{
    bool is_in_body = exchange && exchange->is_first_call_done;

    switch (status) {
    case MHD_HTTP_URI_TOO_LONG:
        error_set(error, ERROR_URI_TOO_LONG, "the request line is longer than the limit");
        break;
    case MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE:
        error_set(error, ERROR_HEADERS_TOO_LARGE, "the header is larger than the limit");
        break;
    case MHD_HTTP_HTTP_VERSION_NOT_SUPPORTED:
        error_set(error, ERROR_VERSION_NOT_SUPPORTED, "send HTTP/1.1");
        break;
    case MHD_HTTP_CONTENT_TOO_LARGE:
        error_set(error, ERROR_BODY_TOO_LARGE,
                  is_in_body ? "the size of a chunk leaves 64 bits" : "the Content-Length leaves 64 bits");
        break;
    case MHD_HTTP_BAD_REQUEST:
        error_set(error, ERROR_BAD_REQUEST,
                  is_in_body ? "the chunked body is malformed"
                             : "the header is malformed: its first line, a field, or the Content-Length");
        break;
    default:
        error_set(error, ERROR_INTERNAL, "the request could not be read");
        break;
    }
}

enum MHD_Result answer_queue(struct MHD_Connection *connection, int status, struct MHD_Response *response)
{
    is_ours = true;
    enum MHD_Result result = MHD_queue_response(connection, (unsigned)status, response);
    is_ours = false;
    return result;
}

_MHD_EXTERN enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned int status_code,
                                               struct MHD_Response *response)
{
    typedef enum MHD_Result queue_fn(struct MHD_Connection *, unsigned int, struct MHD_Response *);
    static _Atomic(queue_fn *) library;
    queue_fn *queue = library;

    if (!queue) {
        void *symbol = dlsym(RTLD_NEXT, "MHD_queue_response");
        ASSERT(symbol != NULL);
        memcpy(&queue, &symbol, sizeof(queue));
        library = queue;
    }
    if (!is_ours) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        struct peer *peer = info ? info->socket_context : NULL;
        struct error error;
        if (peer) {
            http_count(&peer->server->counters->refused);
            refusal_of(status_code, peer->exchange, &error);
            peer_answer(peer, &error);
        }
    }
    is_ours = false; /* queueing may go on to the next request, and to an answer of the library's */
    return queue(connection, status_code, response);
}
