/*
 * kv.h -- Redis as one loop sees it: one connection (connection.h; to a cluster one a node, cluster.h), many commands in flight,
 * never blocks.
 *
 * Trust: a Redis process holds what PostgreSQL has only after the worker's tail has said so, by writing the process's
 * own run id and the epoch under `ladder:ready` (see work/tail.c). After every (re)connect, and each second, that key
 * is read; until it names this process and our epoch, kv_is_trusted is false and readers ask PostgreSQL. So a Redis
 * that was restarted from an old file, or another that took its place, is never believed. Where it is, the URL says
 * (url.h): a server, a cluster, or sentinels who say it.
 *
 * Commands are sent as argument vectors. `done` is called exactly once, never from inside kv_call; with reply NULL when
 * the connection was lost, or the answer took four times the timeout. The connection is lost when Redis answers none of
 * the commands in flight for as long as the timeout: a Redis that is slow, or that we ask too much of, is not lost, and
 * keeps its trust. One thread: its loop's.
 */
#ifndef KV_KV_H
#define KV_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct ev_loop;
struct kv;
struct redisReply;

/* Where sentinels say which Redis it is: so long after the worker's last sign of life there it is not trusted. */
enum { KV_BEAT_LIVE_MS = 3000 };

struct kv_settings {
    const char *url;
    int command_timeout_ms;
    int pending_max;
    int reconnect_max_ms;
    bool is_plain; /* holds no standings: it is not asked whether it does, and never trusted */
};

typedef void kv_done_fn(void *context, const struct redisReply *reply);

struct kv *kv_new(struct ev_loop *loop, const struct kv_settings *settings);
/* Answers what is in flight with NULL and ends the connections. From then on it is down and not trusted, and a call is
 * refused: what still refers to it may still ask. */
void kv_close(struct kv *kv);
void kv_free(struct kv **kv); /* closes it first */

bool kv_set_epoch(struct kv *kv, int epoch); /* what `ladder:ready` must name; true: it is another than before */
bool kv_is_up(const struct kv *kv);
bool kv_is_cluster(const struct kv *kv);
/* Where it is connected, or will be; port 0: not known yet. Returns a number that is another one after each change of
 * it. */
unsigned kv_place(const struct kv *kv, const char **ret_host, int *ret_port);
bool kv_is_trusted(const struct kv *kv); /* with every standing */
/* Of the process that it is connected to, or was last; "": none yet, or a cluster. Borrowed until the next connect. */
struct slice kv_run_id(const struct kv *kv);
/* Is it that process that is trusted now, in that epoch? Not of a cluster. */
bool kv_believes(const struct kv *kv, struct slice run_id, int64_t epoch);
bool kv_trusts(const struct kv *kv, int64_t standing); /* a cluster's nodes are believed each for itself */

/* false: not connected, or too many commands in flight; done will not be called. Arguments are copied. */
bool kv_call(struct kv *kv, size_t count, const struct slice *arguments, kv_done_fn *done, void *context);

/* Several commands in one atomic step (MULTI, EXEC): the reply is an array of theirs. Otherwise as kv_call. */
struct kv_command {
    const struct slice *arguments;
    size_t count;
};
bool kv_call_all(struct kv *kv, size_t count, const struct kv_command *commands, kv_done_fn *done, void *context);

/* Reading replies, so that nobody else needs hiredis. A NULL or wrong-typed reply reads as empty, 0, no items. */
bool kv_reply_is_text(const struct redisReply *reply, const char *text);
bool kv_reply_is_error(const struct redisReply *reply);
struct slice kv_reply_text(const struct redisReply *reply);
int64_t kv_reply_int(const struct redisReply *reply);
size_t kv_reply_count(const struct redisReply *reply);
bool kv_reply_is_null(const struct redisReply *reply);
const struct redisReply *kv_reply_item(const struct redisReply *reply, size_t index); /* NULL past the end */

#endif
