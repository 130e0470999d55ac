/*
 * ready.h -- the tail's word that a Redis process holds what PostgreSQL has: who asks Redis reads it first (kv/kv.h).
 *
 * One server: `ladder:ready`, for all of it. A cluster: one for each shard, because shards move from node to node, and
 * a node that was caught up with its own may be given one that was not: `ladder:{shard}:ready`. Each names the epoch
 * and the process (its run id); with sentinels also a sign of life (kv.c). So what comes to another process, by a copy,
 * a file or a slot's move, vouches for nothing there.
 */
#ifndef WORK_READY_H
#define WORK_READY_H

#include "kv/keys.h"
#include "kv/slots.h"
#include "work/link.h"

enum { READY_RUN_ID_MAX = 64 };

struct ready {
    char run_ids[KV_NODES_MAX][READY_RUN_ID_MAX]; /* of the link's nodes */
    bool is_written;
    int64_t beat; /* with sentinels: the number behind the word, one higher each time that it is written */
};

/* Asks the nodes who they are, on the connections by which everything else goes. ret_is_stranger: of each shard,
 * whether its word names another process, or it has none; of one server's shards, never. */
bool ready_begin(struct ready *ready, struct link *link, bool ret_is_stranger[static KV_SHARDS], struct error *error);
/* Over and over where it must beat. */
bool ready_write(struct ready *ready, struct link *link, struct error *error);
bool ready_must_beat(const struct link *link);
/* ERROR_CONFLICT: Redis does not say any more what was written. */
bool ready_check(struct ready *ready, struct link *link, struct error *error);

#endif
