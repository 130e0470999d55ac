/*
 * keys.h -- the names of our keys in Redis, and what the values in them look like.
 *
 *     ladder:{shard}:<standing>:meta             see ladder.lua
 *     ladder:{shard}:<standing>:<gen>:order
 *     ladder:{shard}:<standing>:<gen>:entry      value: revision (6 bytes) [, length (1), sort key, metadata]
 *     ladder:{shard}:<standing>:activity
 *     ladder:{shard}:cursor                      "<epoch> <at_us> <pg_snapshot> <tail>": what the shard's data includes, and
 *                                                who says so; "0 0 <number>": nothing, and one begins (work/tail.c)
 *     ladder:ready                               "<epoch> <run_id>": this Redis process holds what PostgreSQL has
 *     ladder:{shard}:ready                       in a cluster instead: the same of one shard, by the process that has it
 *     ladder:version                             "<run_id> <version>": the newest change of this Redis process; not in a cluster
 *     ladder:changed                             the version of the newest change in this Redis; not in a cluster
 *     ladder:wanted                              ZSET of standings (period ids) to load; "?id": only if it is cold then; the
 *                                                highest score first: how many readers found it cold
 *     ladder:activity:wanted                     SET of standings whose activity somebody asked for and nobody counts
 *     ladder:worker                             host and process of the worker, renewed each second: its sign of life
 *     ladder:popular:standings                   ZSET of standings, by how often they were read lately
 *     ladder:popular:pages                       ZSET of pages, likewise: "+" (for anybody) or "-" (with a key), then the target
 *     ladder:{0}:purge:…                         what edges are to be told: see work/edge_queue.h
 *     ladder:l2:…                                the second cache: see ladder.lua
 *
 * A standing is a period's id; its shard is standing mod 256, so that standings spread evenly.
 */
#ifndef KV_KEYS_H
#define KV_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    KV_SHARDS = 256,
    KV_KEY_MAX = 64,
    KV_GEN_MAX = 16 /* characters of a generation's name */,
    KV_REVISION_SIZE = 6,
    KV_ACTIVITY_S = 3600 /* so long an activity lives, once it was loaded */
};

#define KV_READY "ladder:ready"
#define KV_VERSION "ladder:version"
#define KV_WANTED "ladder:wanted"
#define KV_ACTIVITY_WANTED "ladder:activity:wanted"
#define KV_WORKER "ladder:worker"
enum { KV_WORKER_LIVE_MS = 86400000 };
/* What the jobs fail for, as the worker last said: "close: 1, purge: 2"; empty: nothing. */
#define KV_FAILING "ladder:failing"
enum { KV_FAILING_LIVE_MS = 600000 };
#define KV_POPULAR_STANDINGS "ladder:popular:standings"
#define KV_POPULAR_PAGES "ladder:popular:pages"
/* Beside a cursor: a node of a cluster that loses some of it has an old cursor, too, and the changes are found
 * again. */
#define KV_PURGE "ladder:{0}:purge:"
#define KV_PURGE_EDGES "ladder:{0}:purge:edges"
#define KV_MOVES "ladder:moves" /* channel, see ladder.lua */
/* Channel: "<game id> <number>" or "<game id> <number> <key id>": the newest change of a definition in the game; and
 * the key that it revoked. */
#define KV_DEFINITIONS "ladder:definitions"

/* Each writes a NUL-terminated key and returns it as a slice of `out`. */
struct slice kv_meta_key(int64_t standing, char out[static KV_KEY_MAX]);
struct slice kv_order_key(int64_t standing, struct slice gen, char out[static KV_KEY_MAX]);
struct slice kv_ready_key(int shard, char out[static KV_KEY_MAX]); /* a cluster's */
struct slice kv_cursor_key(int shard, char out[static KV_KEY_MAX]);
int64_t kv_cursor_at(struct slice cursor);    /* its at_us; -1: it is no cursor */
int64_t kv_cursor_epoch(struct slice cursor); /* -1: it is no cursor */
/* kind: "value", "tag", "lock". name: at most KV_L2_NAME_MAX bytes. */
enum { KV_L2_NAME_MAX = 160, KV_L2_KEY_MAX = 192 };
struct slice kv_l2_key(const char *kind, const char *name, char out[static KV_L2_KEY_MAX]);

/* A revision as the scripts compare it: big-endian, positive, below 2^48. */
void kv_revision_encode(int64_t revision, uint8_t out[static KV_REVISION_SIZE]);
int64_t kv_revision_decode(const char *bytes);

#endif
