/*
 * private.h -- the inside of the HTTP side, shared by its files only.
 */
#ifndef HTTP_PRIVATE_H
#define HTTP_PRIVATE_H

#include <ev.h>
#include <microhttpd.h>
#include <sys/queue.h>

#include "http/coding.h"
#include "http/inflate.h"
#include "http/listener.h"
#include "http/origins.h"
#include "http/rate.h"
#include "http/server.h"

/* OPENING: the application looks whether it takes the body. */
enum exchange_state {
    EXCHANGE_HEADER,
    EXCHANGE_OPENING,
    EXCHANGE_BODY,
    EXCHANGE_HANDLING,
    EXCHANGE_ANSWERING,
    EXCHANGE_OVER
};

struct reply_header {
    const char *name;
    const char *value;
};

/* One open connection: only what the deadlines need. */
struct peer {
    struct http_server *server;
    LIST_ENTRY(peer) link;
    int fd;
    struct http_exchange *exchange; /* borrowed; NULL between requests */
    int64_t quiet_since_us;         /* since then no request is under way */
    int64_t bytes_consumed;         /* by requests so far; if the kernel has received more, a header has begun */
    int64_t header_since_us;        /* 0: not begun */
    struct origin *origin;          /* NULL: its connections are not counted */
    uint8_t address[ORIGIN_ADDRESS_BYTES];
    bool has_address;
    int64_t counted; /* 1, where open connections are counted */
    bool had_request;
    bool is_reaped;
    bool is_answered; /* by peer_answer */
    bool is_full;     /* the library's last read filled its buffer: on the server's list of these */
    int runs_without_recv;
    LIST_ENTRY(peer) full_link;
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
    bool is_hurried;  /* what comes of its body no longer moves the deadline */
    bool is_resuming; /* in this turn */
    bool is_first_call_done;
    bool must_close;
    bool has_target_error;
    bool has_refusal; /* answered before the end of its body */
    bool has_body;
    int64_t phase_since_us; /* of the body, the answer, … */
    int64_t body_bytes;     /* decoded */
    int64_t body_bytes_max;
    const char *body_limit_why; /* of body_bytes_max, for the message */
    int64_t body_length;        /* as the header says; -1: it does not */
    bool is_awaited;            /* the client sends its body when it gets 100 (Continue) */
    bool is_gzip;               /* its body; the next ones are body.c's */
    bool is_broken;             /* the body cannot be decoded */
    bool is_byte_held;          /* the first byte that comes is decoded already */
    bool is_turn_over;          /* there is more to decode in the next turn */
    struct inflater *inflater;  /* from the first byte to the last one of a body in gzip */
    struct slice decoded;       /* its last output, until it is taken */
    int64_t coded_bytes;
    int64_t received_bytes; /* of its body, as sent */
    struct rate rate;       /* of its body, or of its answer */
    bool is_rate_of_answer;
    int64_t held_bytes; /* of the quota; charge.c, as the next ones */
    int64_t answer_bytes, application_bytes;
    int body_percent;         /* of the quota, up to which its body may grow */
    struct arena_block *kept; /* of the arena, until the end: http_keep */
    struct http_body *sent;   /* the shared body of its answer; a reference */
    TAILQ_ENTRY(http_exchange) large_link;
    bool is_due;           /* the application gets it as soon as its turn has come */
    bool is_large_waiting; /* on the server's list of large bodies */
    bool is_large_next;    /* it was on it, and is to be handled now */
    int64_t turn_us;       /* the turn in which turn_bytes were decoded */
    size_t turn_bytes;
    struct MHD_Response *response; /* until queued; owned, unless it is of `shared` */
    struct http_shared *shared;
    bool is_response_lent;   /* the server's own, for want of memory */
    struct growing *growing; /* the body of the answer, if it is a file; a reference */
    struct http_exchange *next_free;
    http_within_fn *within_done; /* of a request without a connection: where its answer goes */
    struct http_request *parent; /* of one within another: held */
    bool is_trusted;
    void *within_context;
    int status;
    struct reply_header *headers; /* header_room of them, in the request's arena */
    int header_count, header_room;
    struct error target_error;
    struct error refusal;
    struct slice line_target; /* as it came, in the library's buffer, until the first call */
};

enum { SHORT_ANSWERS = 4 };

/* Processor time that may go into compressing. */
struct coding_budget {
    int64_t left_us; /* may be below 0: what was begun is ended */
    int64_t refilled_us;
};

struct http_server {
    struct http_settings settings;
    struct http_application application;
    struct ev_loop *loop;
    struct MHD_Daemon *daemon;
    struct listener listener;
    ev_io readable;
    ev_prepare prepare;
    ev_idle idle; /* started while the daemon must be run again at once */
    ev_timer reaper;
    LIST_HEAD(, peer) peers;
    LIST_HEAD(, peer) full;
    struct peer **peer_of; /* by descriptor; NULL: none of ours */
    size_t peer_of_count;
    struct http_counters *counters; /* borrowed */
    struct coding_budget coding;
    struct origin *accepted; /* of the connection that the daemon is being given */
    const struct sockaddr *accepted_address;
    int64_t now_us;                    /* monotonic: when this turn of the loop began */
    TAILQ_HEAD(, http_exchange) large; /* whose bodies have come and are not handled yet; large.c, as the next one */
    size_t large_bytes;                /* of the bodies that are handled in this turn */
    int64_t large_due_us; /* until when the time is spent that those which were handled took, and their rest */
    ev_timer large_rest;  /* runs while some wait for the end of it */
    int exchanges;
    struct MHD_Response *short_answers[SHORT_ANSWERS]; /* 503, made at the start: short.c */
    struct http_exchange *free_exchanges; /* kept with their first block of memory, for the next requests */
    int free_exchange_count;
    bool must_run;
    bool is_draining;
    bool is_stopped; /* and freed with the last exchange */
};

/* server.c: with its last exchange. */
void server_free(struct http_server *server);

/* within.c: the answer of a request within another. */
void within_answer(struct http_exchange *exchange, int status, struct slice body);

/* body.c. Whether the body's coding is one of ours, and no 415. */
bool body_coding_read(struct http_exchange *exchange, struct error *error);
/* *size bytes of the body; sets *size to how many must come again, after the resume. */
void body_data(struct http_exchange *exchange, const char *data, size_t *size);
void body_end(struct http_exchange *exchange);  /* all of it has come */
void body_drop(struct http_exchange *exchange); /* what decoding it took */

/* large.c: around the life of a server. */
void large_init(struct http_server *server);
void large_done(struct http_server *server);
/* All of the body has come: whether the request may be handled in this turn. false: the caller parks it, and it is resumed
 * in the turn in which this is true. */
bool large_goes(struct http_exchange *exchange);
void large_handle(struct http_exchange *exchange); /* the application handles it, whatever the size of its body */
/* In a new turn, with large_bytes 0: the next one that may be handled in it, to be resumed; NULL: no more. */
struct http_exchange *large_next(struct http_server *server);
void large_leave(struct http_exchange *exchange); /* it does not wait any more */
/* Whether one of those that wait may be handled in a turn that begins now; if one may later, must_run is set then. */
bool large_is_due(struct http_server *server);

/* exchange.c: their memory. */
struct http_exchange *exchange_new(struct http_server *server);
void exchange_free(struct http_exchange *exchange);
void exchanges_free(struct http_server *server);
void exchange_response_drop(struct http_exchange *exchange);

/* request.c: the face of a request, and its answer. */
void reply_finish(struct http_exchange *exchange, int status, const char *content_type, struct MHD_Response *response);
void exchange_park(struct http_exchange *exchange); /* server.c */
void reply_queue(struct http_exchange *exchange, int status, struct MHD_Response *response);
void reply_vary(struct http_request *request); /* Vary gets Accept-Encoding besides what it has */
void exchange_resume(struct http_exchange *exchange);
bool request_parameters(struct http_request *request, struct slice query, struct error *error);
bool method_parse(const char *text, enum http_method *ret_method);

/* short.c: what can be sent without memory. */
void short_answers_make(struct http_server *server); /* all else of the server is there */
void short_answers_free(struct http_server *server);
/* There is no memory for the answer: 503, which needs none. A write may have been taken. */
void reply_short(struct http_exchange *exchange);
/* Each false for want of memory only. */
bool response_field(struct MHD_Response *response, const char *name, const char *value);
bool response_fields(struct MHD_Response *response, const struct http_field *fields, size_t count);

/* charge.c. Counts what the exchange has; false: it has more than before, and all together have more than this percentage
 * of the quota. */
enum { QUOTA_PERCENT_ANONYMOUS = 50, QUOTA_PERCENT_LARGE = 90 };
bool exchange_charge(struct http_exchange *exchange, int percent);
void exchange_charge_nothing(struct http_exchange *exchange); /* it ends */
bool memory_refuse(struct error *error);
/* The answer is made: its bytes, and whether they are compressed while they are sent. false: it is not to be sent, and
 * the exchange was answered otherwise. */
bool answer_charge(struct http_exchange *exchange, int status, size_t size, bool is_coded);
bool answer_charge_shared(struct http_exchange *exchange, int status, struct http_body *body, bool is_coded);
/* It is answered, or was released: what nobody needs any more goes. */
void exchange_slim(struct http_exchange *exchange);
void exchange_sent(struct http_exchange *exchange); /* the connection is done with the answer */

/* shared.c */
bool body_send(struct http_body *body); /* one more exchange sends it; true: the first */
bool body_sent(struct http_body *body); /* one less; true: the last */
int64_t *body_held(struct http_body *body);
struct MHD_Response *response_of(struct http_body *body); /* the body is shared */
struct MHD_Response *response_of_unknown_size(void); /* for HEAD or 304: no body, no Content-Length, and it closes */
struct http_body *http_body_share(struct http_body *body); /* one more reference: http_body_free */

/* coding.c: the response with the body compressed, and in which coding; the body is then taken. NULL: it is to be sent
 * as it is, or, where body->is_short, it was taken and there was no memory for the response. */
struct MHD_Response *response_fitting(struct http_request *request, struct buf *body, enum http_coding *ret_coding);
/* For an answer of `size` bytes that is compressed while it is sent: adds Vary and Content-Encoding. NULL: it is sent as
 * it is. */
struct compressor *compressor_fitting(struct http_request *request, size_t size);
/* compressor_run on the budget of the server. */
bool coding_run(struct http_server *server, struct compressor *compressor, enum compress_step step, struct slice *in,
                char *out, size_t size, size_t *ret_written);

/* growing.c: the exchange's reference; what is not sent yet stays valid for the connection that sends it. */
void growing_drop(struct growing **growing);

/* finish.c */
bool http_is_json(const char *content_type); /* NULL: no */

/*
 * raw.c: an answer past the library, for what it can't answer or would answer by itself: a problem document, and
 * nothing more is sent on the connection. Only while the library is not sending. Whatever the socket does not take at
 * once is lost.
 */
void peer_answer(struct peer *peer, const struct error *error);
/* The same for a connection that the library does not get; it is closed. */
void stranger_refuse(const struct http_server *server, int fd, const struct error *error);
/* own_answer.c: whether our answer is being queued (what the library queues by itself is replaced). */
enum MHD_Result answer_queue(struct MHD_Connection *connection, int status, struct MHD_Response *response);

/* deadline.c */
int64_t peer_bytes_received(const struct peer *peer);
int64_t peer_bytes_taken(const struct peer *peer);
void peer_check(struct peer *peer, int64_t now_us);
/* Ends the connection in its body: with the refusal the request already has, or else with *error. */
void peer_end(struct peer *peer, const struct error *error);

/* received.c: runs the daemon, and ends the connections that it can't read on. */
void received_run(struct http_server *server);
void received_join(struct peer *peer); /* a new connection */
void received_leave(struct peer *peer);

#endif
