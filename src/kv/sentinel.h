/*
 * sentinel.h -- who is the primary now, as Redis Sentinel says: asked of one sentinel after the other, over and over.
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

/* url: of kind KV_URL_SENTINEL; copied. */
struct sentinel *sentinel_new(struct ev_loop *loop, const struct kv_url *url, sentinel_named_fn *named, void *context);
void sentinel_free(struct sentinel **sentinel);

#endif
