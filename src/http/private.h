/*
 * private.h -- the inside of the HTTP side, shared by its files only.
 */
#ifndef HTTP_PRIVATE_H
#define HTTP_PRIVATE_H

#include <ev.h>
#include <microhttpd.h>
#include <stdatomic.h>

#include "http/server.h"

enum exchange_state { EXCHANGE_HEADER, EXCHANGE_BODY, EXCHANGE_HANDLING, EXCHANGE_ANSWERING, EXCHANGE_OVER };

struct reply_header {
    const char *name;
    const char *value;
};

/* One open connection: only what the deadlines need. */
struct peer {
    struct http_server *server;
    struct peer *next, **pprev;
    int fd;
    struct http_exchange *exchange; /* borrowed; NULL between requests */
    int64_t quiet_since_us;         /* since then no request is under way */
    int64_t bytes_at_quiet;         /* what the kernel had received then; more means a header has begun */
    int64_t header_since_us;        /* 0: not begun */
    bool had_request;
    bool is_reaped;
};

struct http_exchange {
    struct http_request request;
    struct http_server *server;
    struct MHD_Connection *connection; /* NULL once it is over */
    struct peer *peer;                 /* NULL once it is over */
    enum exchange_state state;
    int holds; /* the daemon's own, and http_hold's */
    bool is_parked;
    bool is_streamed;
    bool is_paused;
    bool is_resuming; /* in this turn */
    bool is_first_call_done;
    bool must_close;
    bool has_target_error;
    int64_t phase_since_us; /* of the body, the answer, … */
    int64_t body_bytes;
    int64_t body_bytes_max;
    struct MHD_Response *response; /* owned until queued */
    int status;
    struct reply_header headers[HTTP_REPLY_HEADERS_MAX];
    int header_count;
    struct error target_error;
};

/* One server's: only its thread writes them, any may read. Each on cache lines of its own. */
struct http_live_counters {
    _Alignas(64) _Atomic uint64_t requests;
    _Atomic uint64_t refused, reaped, connections, status[6];
};

/* One writer: no locked instruction is needed. */
static inline void http_count(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

struct http_server {
    struct http_settings settings;
    struct http_application application;
    struct ev_loop *loop;
    struct MHD_Daemon *daemon;
    ev_io readable;
    ev_prepare prepare;
    ev_idle idle; /* started while the daemon must be run again at once */
    ev_timer reaper;
    struct peer *peers;
    struct http_live_counters *counters; /* static */
    int exchanges;
    bool must_run;
    bool is_draining;
};

/* request.c: the face of a request, and its answer. */
void exchange_resume(struct http_exchange *exchange);
bool request_parameters(struct http_request *request, struct slice query, struct error *error);
bool method_parse(const char *text, enum http_method *ret_method);

/* deadline.c */
int64_t peer_bytes_received(const struct peer *peer);
void peer_check(struct peer *peer, int64_t now_us);

#endif
