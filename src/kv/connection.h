/*
 * connection.h -- one link to one Redis server: dialled again and again until it is closed, many commands in flight.
 *
 * It knows nothing of trust, of clusters, of sentinels: who holds it is told what happens to it. One thread: its loop's.
 */
#ifndef KV_CONNECTION_H
#define KV_CONNECTION_H

#include "kv/kv.h"
#include "kv/url.h"

struct kv_connection;

/* What its holder is told; each may be NULL. It may not be freed from inside one. */
struct kv_connection_listener {
    void *context;
    void (*ready)(void *context); /* it is up, and calls may be made */
    void (*lost)(void *context);  /* it is down, or an attempt failed; also from inside kv_connection_new, but not
                                          once it is being closed */
    void (*redirected)(
        void *context); /* a reply said that another node has the key: its call got what a lost connection
                                          would give it */
    void (*ticked)(void *context, int64_t now_us); /* every KV_CONNECTION_TICK_MS while it is up; monotonic time */
};

enum { KV_CONNECTION_TICK_MS = 20 };

struct kv_connection_settings {
    int command_timeout_ms; /* without any reply, while some are waited for: it is lost */
    int pending_max;        /* calls in flight */
    int reconnect_max_ms;
    bool is_replica;      /* the functions come from its primary; and nothing is logged of it: its holder does */
    bool must_be_primary; /* ROLE is asked on each new link: what is no primary is left */
};

/* url: copied; port 0 of no path: nothing is dialled until kv_connection_move. Never NULL. */
struct kv_connection *kv_connection_new(struct ev_loop *loop, const struct kv_connection_settings *settings,
                                        const struct kv_url *url, const struct kv_connection_listener *listener);
/* Calls back what is in flight with NULL and ends the link. From then on it is down, and a call is refused. */
void kv_connection_close(struct kv_connection *connection);
void kv_connection_free(struct kv_connection **connection); /* closes it first; NULL: nothing */

/* As kv_call and kv_call_all. */
bool kv_connection_call(struct kv_connection *connection, size_t count, const struct slice *arguments, kv_done_fn *done,
                        void *context);
bool kv_connection_call_all(struct kv_connection *connection, size_t count, const struct kv_command *commands,
                            kv_done_fn *done, void *context);
/* As kv_connection_call, beyond pending_max too: for what says whether the others may be made. */
bool kv_connection_call_urgent(struct kv_connection *connection, size_t count, const struct slice *arguments,
                               kv_done_fn *done, void *context);

/* It goes to another server, dialled at once if there is no link, else as soon as the tick ended that: up to then it may
 * still be up. false: it is there already. host: shorter than KV_URL_HOST_MAX. Also from inside a callback. */
bool kv_connection_move(struct kv_connection *connection, const char *host, int port);

bool kv_connection_is_up(const struct kv_connection *connection);
bool kv_connection_is_leaving(const struct kv_connection *connection);     /* the next tick ends the link */
int64_t kv_connection_up_since_us(const struct kv_connection *connection); /* monotonic; 0: it is not up */
/* Of the process that it is connected to, or was last; "": none yet. Borrowed until the next connect. */
struct slice kv_connection_run_id(const struct kv_connection *connection);
/* Where it is, or will be; borrowed until it moves. */
const char *kv_connection_host(const struct kv_connection *connection);
int kv_connection_port(const struct kv_connection *connection);

#endif
