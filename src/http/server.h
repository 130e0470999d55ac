/*
 * server.h -- the HTTP side of one event loop: a libmicrohttpd daemon on a socket of its own.
 *
 * libmicrohttpd is run by the loop (external epoll, no threads). What its parser lets pass and should not (see guard.h)
 * is refused here; its timers, which restart with every byte, are replaced by absolute deadlines: for the header, the
 * body, the answer and the idle time between.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/quota.h"
#include "http/origins.h"
#include "http/request.h"

struct ev_loop;
struct http_server;

struct http_application {
    void *context;
    /* The header of a PUT, POST or PATCH is complete, and nothing of its body is kept yet. Here, or after
     * http_stream_pause until http_stream_resume, the application may answer, give the body a limit of its own
     * (http_body_limit) or take it as it arrives (http_body_stream). An answer means that nothing of the body is kept:
     * to a stream, and to a client that waits for 100 (Continue), it is sent at once, and the connection closes;
     * otherwise it is sent when the body has ended. May be NULL. */
    void (*begin)(void *context, struct http_request *request);
    /* Some of a streamed body. false: paused before anything was taken; the same bytes come again after the resume. */
    bool (*data)(void *context, struct http_request *request, struct slice bytes);
    /* The rest of a streamed body cannot be decoded: no more data comes, and handle when the body has ended. */
    void (*broken)(void *context, struct http_request *request, const struct error *error);
    /* The request is whole: answer it, now or later. */
    void (*handle)(void *context, struct http_request *request);
    /* The client left in the middle of a streamed body: neither more data nor handle come. May be NULL. */
    void (*gone)(void *context, struct http_request *request);
    /* A 503 is sent, or a result within an answer is one, because of *error: for a log line. May be NULL. */
    void (*unavailable)(void *context, const struct http_request *request, const struct error *error);
    /* The exchange is over and nobody holds the request: let go of request->application. May be NULL. */
    void (*end)(void *context, struct http_request *request);
    /* What every answer says that does not say it itself; shared ones (http_shared_new) do. Borrowed for the server's
     * life. */
    const struct http_field *fields;
    size_t field_count;
    /* The same for requests of other methods than GET and HEAD. */
    const struct http_field *write_fields;
    size_t write_field_count;
};

/* What a server has done. Its thread alone writes, any thread may read. */
struct http_counters {
    _Atomic uint64_t requests;
    _Atomic uint64_t refused; /* by the guard */
    _Atomic uint64_t reaped;  /* by a deadline */
    _Atomic uint64_t connections;
    _Atomic uint64_t connections_refused; /* their address had too many */
    /* Bytes before and after compression, the processor time that it took, and answers that went without for lack of
     * budget. */
    _Atomic uint64_t compressed_in, compressed_out, compress_us, compress_skipped;
    _Atomic uint64_t status[6];                      /* answers by class: [2] is 2xx */
    _Atomic uint64_t unavailable[ERROR_CAUSE_COUNT]; /* answers of 503, by cause */
};

/* One writer: no locked instruction is needed. */
static inline void http_add(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more, memory_order_relaxed);
}

static inline void http_count(_Atomic uint64_t *counter)
{
    http_add(counter, 1);
}

struct http_settings {
    int listen_fd; /* bound and listening; the server takes it */
    int connections_max;
    int uri_bytes_max;
    int header_bytes_max;
    int64_t body_bytes_max;
    int header_timeout_ms;
    int body_timeout_ms;
    int answer_timeout_ms;
    int idle_timeout_ms;
    int64_t
        least_rate; /* bytes a second of a body that arrives and of an answer that is read, over any window; 0: any */
    int least_rate_window_ms;
    int64_t compress_bytes_min;     /* answers from this size on are compressed; 0: none is */
    int compress_percent;           /* of the loop's time that may go into it, 1 to 100 */
    struct http_counters *counters; /* outlives the server */
    struct quota *memory;           /* of all requests of the process; NULL: no limit. The same */
    struct origins *origins;        /* connections by address; NULL: no limit. The same */
    struct quota *connections;      /* their number is counted in it; NULL: nowhere. The same */
};

/* A listening socket with SO_REUSEPORT, so that each loop has its own. port 0: any; ret_port says which. */
bool http_listen(const char *address, int port, int *ret_fd, int *ret_port, struct error *error);
/* The first of a process that wants the port for itself: fails when another process listens on it, and of several that
 * call this at the same moment one succeeds. http_listen may add sockets of the same process. */
bool http_listen_alone(const char *address, int port, int *ret_fd, int *ret_port, struct error *error);

struct http_server *http_server_new(struct ev_loop *loop, const struct http_settings *settings,
                                    const struct http_application *application);
/* Takes no more connections; answers carry Connection: close; idle connections are closed. */
void http_server_drain(struct http_server *server);
bool http_server_is_idle(const struct http_server *server); /* no request under way */
/* Closes every connection. Requests that are still held stay valid until they are released, unanswered. */
void http_server_free(struct http_server **server);

#endif
