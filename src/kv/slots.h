/*
 * slots.h -- which keys of a Redis Cluster lie together, and where: the part of it that needs no connection.
 *
 * A key's slot is a checksum of it, or of what stands between its first braces. Each slot is one node's.
 */
#ifndef KV_SLOTS_H
#define KV_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct redisReply;

enum { KV_SLOTS = 16384, KV_NODES_MAX = 64 /* that we know at a time */ };

int kv_slot_of(struct slice key);
/* The slot of a shard's keys (keys.h). */
int kv_slot_of_shard(int shard);
/* By which key a command of ours finds its node; data NULL: any node will do. All its keys are of one slot (keys.h). */
struct slice kv_command_key(size_t count, const struct slice *arguments);

/* Reads the answer to CLUSTER SLOTS: `visit` is called for each range with its primary. host: "" is the node that was
 * asked. false: it is no such answer. */
typedef void kv_slots_fn(void *context, int first, int last, const char *host, int port);
bool kv_slots_read(const struct redisReply *reply, kv_slots_fn *visit, void *context);

/* Does this error say that the node can't speak for the key now: another has it, or is about to, or nobody does? */
bool kv_error_is_elsewhere(struct slice message);

#endif
