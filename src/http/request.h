/*
 * request.h -- one HTTP request, from its first header to the last byte of its answer.
 *
 * The server makes it, the application answers it exactly once with one of the http_reply functions, at once or later.
 * Whoever keeps a pointer to it across a callback holds it (http_hold) and lets go after (http_release): a client that
 * leaves, or a deadline, ends the exchange while the work is still under way, and a late answer then goes nowhere.
 * One thread: its loop's.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_PUT, HTTP_POST, HTTP_PATCH, HTTP_DELETE, HTTP_OPTIONS, HTTP_METHOD_COUNT };

enum {
    HTTP_PARAMETERS_MAX = 32,
    HTTP_HEADERS_MAX = 64,
    HTTP_ARENA_BYTES_MAX = 8 << 20,
    HTTP_FOLDED_BYTES_MAX = 8 << 20,
    HTTP_TAKEN_BYTES = 256 << 10
};

struct http_parameter {
    struct slice name;  /* percent-decoded, UTF-8 */
    struct slice value; /* percent-decoded, UTF-8; "" without '=' */
};

struct http_request {
    struct arena arena;
    enum http_method method;
    struct slice target; /* raw, as it was sent: path and query */
    struct slice path;   /* raw: its segments are decoded by the router */
    struct http_parameter parameters[HTTP_PARAMETERS_MAX];
    int parameter_count;
    struct buf body;                /* whole, unless it is streamed */
    void *application;              /* whatever the application keeps for it, usually in the arena */
    int64_t started_us;             /* monotonic: the header was complete */
    struct http_exchange *exchange; /* the server's side, never NULL */
};

const char *http_method_name(enum http_method method);

/* A header's value, borrowed for the request's life; data NULL when absent. */
struct slice http_header(const struct http_request *request, const char *name);
/* The same for a cookie. */
struct slice http_cookie(const struct http_request *request, const char *name);
/* Of whom a request comes, behind the proxies that server.proxies names (origins.h). false: nobody sent it, or he has
 * left. */
enum { HTTP_ADDRESS_BYTES = 16 };
bool http_client_address(const struct http_request *request, uint8_t ret_address[static HTTP_ADDRESS_BYTES]);
/* NULL when absent. A name given twice is refused before the application sees the request. */
const struct http_parameter *http_parameter(const struct http_request *request, const char *name);

void http_hold(struct http_request *request);
void http_release(struct http_request *request);
bool http_is_answered(const struct http_request *request);
bool http_is_over(const struct http_request *request); /* the connection has ended, or the answer has been sent */

/* For the answer to come, instead of an earlier one of this name; name and value are copied. Value: visible ASCII and
 * spaces. */
void http_reply_header(struct http_request *request, const char *name, const char *value);
/* body's memory changes hands; it is empty afterwards. An overflown body becomes a 500. */
void http_reply(struct http_request *request, int status, const char *content_type, struct buf *body);
/* Whether the client asked for JSON laid out for people: the query parameter `pretty`, empty or `true`. Never within
 * another request. */
bool http_is_pretty(const struct http_request *request);
/*
 * Gives a JSON body the form in which clients get it: it ends with a newline, and where the request is pretty it is
 * folded (base/json_fold.h) and the function returns true. A body that folded would exceed HTTP_FOLDED_BYTES_MAX is not
 * folded. http_reply does this itself; whoever needs the final bytes earlier, for a tag, calls it first: a second call
 * changes nothing. Results within another request are without the newline.
 */
bool http_json_finish(const struct http_request *request, struct buf *body);
/* RFC 9457: type, title, status, detail, errors[] with pointer or parameter. */
void http_reply_error(struct http_request *request, const struct error *error);
/*
 * The bytes of a file from its start; the descriptor is taken and closed, which `closed` is told. is_whole: `size` is all of it. Otherwise the
 * file grows: http_reply_grown says how far, and with is_whole that this is all; until then the client waits. A client
 * that takes less than HTTP_TAKEN_BYTES within server.idle_timeout_ms is left.
 */
void http_reply_file(struct http_request *request, int status, const char *content_type, int fd, uint64_t size,
                     bool is_whole, void (*closed)(void *context), void *context);
void http_reply_grown(struct http_request *request, uint64_t size, bool is_whole);

/* Bytes that several answers send and none of them copies: they stay until the last has let go. One thread. */
struct http_body;
struct http_body *http_body_new(struct buf *bytes); /* bytes: taken */
struct slice http_body_slice(const struct http_body *body);
void http_body_free(struct http_body **body);

/*
 * A finished answer that many requests share: made once, sent without a copy or an allocation. Names and values are
 * copied, the body is shared; it stays the caller's. Of a 304, only its size is told (Content-Length); NULL: the size
 * is not known, which closes the connection. Freeing it
 * leaves alone the requests that are just sending it. One thread.
 */
struct http_shared;
struct http_field {
    const char *name, *value;
};
/* NULL: out of memory; to http_reply_shared that is 503. */
struct http_shared *http_shared_new(int status, const struct http_field *fields, size_t count, struct http_body *body);
void http_shared_free(struct http_shared **shared);
void http_reply_shared(struct http_request *request, struct http_shared *shared);

/*
 * A GET that nobody sent: answered from the caches' point of view like any other. is_trusted: it needs no key. `done`
 * as below.
 */
struct http_server;
typedef void http_within_fn(void *context, int status, struct slice body);
void http_request_alone(struct http_server *server, struct slice target, bool is_trusted, http_within_fn *done,
                        void *context);
bool http_is_internal(const struct http_request *request); /* nobody sent it */
bool http_is_trusted(const struct http_request *request);

/*
 * A GET within a request: handled as if it had come alone, with the Authorization, Ladder-Token and cookies of its
 * parent and no other header field. `done` is called exactly once, now or later, with the answer's body, which it may
 * look at until it returns. target: path and query, as they would stand in a request line. The parent is held until
 * then.
 */
void http_request_within(struct http_request *parent, struct slice target, http_within_fn *done, void *context);

/* Counts and logs that something is 503 because of *error; http_reply_error does so itself. Another status: nothing. */
void http_unavailable(struct http_request *request, const struct error *error);

/* The problem's JSON by itself, for a result within an answer. */
struct jsonw;
void http_problem(struct jsonw *json, const struct error *error);
/* The same without its errors, and without the closing brace: the caller adds members of its own. */
void http_problem_open(struct jsonw *json, const struct error *error);

/* In `begin`: the body is passed on as it arrives. Before an answer. */
void http_body_stream(struct http_request *request);
/* In `begin`, or while the body is held back: a limit below the server's, and such bodies may take half of the memory of
 * requests. why: for the message, like " without a key"; static. */
void http_body_limit(struct http_request *request, int64_t bytes_max, const char *why);

/* What the arena has now stays until `end`. What is added may go once the request is answered and nobody holds it. */
void http_keep(struct http_request *request);
/* What the application keeps for the request, apart from the arena, as of now. false: all requests together have more
 * memory than they may; it is counted all the same. */
bool http_charge(struct http_request *request, int64_t bytes);

/* A streamed body: ask for no more, for now; and for more again. In `begin`, a pause holds any body back. */
void http_stream_pause(struct http_request *request);
void http_stream_resume(struct http_request *request);
/* The rest of it is of no use: it has server.body_timeout_ms to end, whatever arrives, then *error is the answer. */
void http_stream_hurry(struct http_request *request, const struct error *error);

#endif
