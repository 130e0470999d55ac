/*
 * blocking.h -- Redis, used one call at a time or as a bounded pipeline: for the worker and commands.
 *
 * Never on an event loop. One thread per connection. Commands are sent as binary-safe argument vectors only.
 *
 * A cluster is a connection to each of its primaries, with the map of slots as it was when it was opened; commands go
 * by their key. A node that sends us elsewhere (MOVED) makes the whole broken, as a node that is lost does: what was
 * begun at one process (an apply, then the cursor behind it) must not end at another, which may lack the beginning.
 * Whoever uses it opens it again and begins anew.
 */
#ifndef KV_BLOCKING_H
#define KV_BLOCKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct kvb;

enum kvb_kind { KVB_NULL, KVB_TEXT, KVB_STATUS, KVB_ERROR, KVB_INT, KVB_ARRAY };

/* A reply: a borrowed view, valid until kvb_reply_free. */
struct kvb_reply;

/* url: see url.h. Loads the function library (kv/scripts.h) when the server
 * lacks it. ERROR_UNAVAILABLE on any failure of the connection. */
struct kvb *kvb_open(const char *url, int timeout_ms, struct error *error);
void kvb_close(struct kvb **kv);
bool kvb_is_broken(const struct kvb *kv);

/* Where sentinels say which server it is, and once a second at most: do they still say so? false: it is broken from now
 * on. */
bool kvb_check(struct kvb *kv);

/* One command. An error reply fails the call (the text is in error->message); "Function not found" reloads and retries
 * once. */
bool kvb_call(struct kvb *kv, size_t count, const struct slice *arguments, struct kvb_reply **ret_reply,
              struct error *error);
/* Pipelining: append without waiting, then read exactly as many replies, in order. */
bool kvb_append(struct kvb *kv, size_t count, const struct slice *arguments, struct error *error);
bool kvb_read(struct kvb *kv, struct kvb_reply **ret_reply, struct error *error);

/* The servers of a cluster; else there is one, node 0. */
bool kvb_is_cluster(const struct kvb *kv);
size_t kvb_node_count(const struct kvb *kv);
size_t kvb_node_of(const struct kvb *kv, struct slice key);
bool kvb_call_node(struct kvb *kv, size_t node, size_t count, const struct slice *arguments,
                   struct kvb_reply **ret_reply, struct error *error);

/* Of a call that failed: does it say that the server can't (gone, out of memory, loading, elsewhere), and nothing of the
 * keys that it was about? */
bool kvb_error_is_of_server(const struct error *error);

enum kvb_kind kvb_kind(const struct kvb_reply *reply);
struct slice kvb_text(const struct kvb_reply *reply);
int64_t kvb_int(const struct kvb_reply *reply);
size_t kvb_count(const struct kvb_reply *reply);
const struct kvb_reply *kvb_item(const struct kvb_reply *reply, size_t index);
void kvb_reply_free(struct kvb_reply **reply);

#endif
