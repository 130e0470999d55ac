/*
 * sentinel.h -- who is the primary now, or who are its replicas, as Redis Sentinel says: asked over and over, of one
 * sentinel until it fails, then of the next.
 *
 * One thread: its loop's.
 */
#ifndef KV_SENTINEL_H
#define KV_SENTINEL_H

#include "kv/url.h"

struct ev_loop;
struct sentinel;

/* Each time that a sentinel names a primary; the same as before, mostly. Not to free the sentinel. */
typedef void sentinel_named_fn(void *context, const char *host, int port);

/* The same of all the replicas that it knows of, whether they are well or not; at most KV_URL_SEEDS_MAX. */
typedef void sentinel_listed_fn(void *context, size_t count, const struct kv_seed *replicas);

/* url: of kind KV_URL_SENTINEL; copied. One of the two is to be asked for, the other NULL. */
struct sentinel *sentinel_new(struct ev_loop *loop, const struct kv_url *url, sentinel_named_fn *named,
                              sentinel_listed_fn *listed, void *context);
void sentinel_free(struct sentinel **sentinel);

#endif
