/*
 * replica_tally.h -- what the loops count of each Redis replica, summed by its place. For replicas.c; any thread.
 *
 * A place stays in the list when no loop knows it any more: counters don't run back.
 */
#ifndef KV_REPLICA_TALLY_H
#define KV_REPLICA_TALLY_H

#include "kv/replicas.h"

struct replica_tally;

struct replica_tally *replica_tally_join(const struct kv_seed *place);
void replica_tally_leave(struct replica_tally *tally, bool was_used);

enum replica_count { REPLICA_READ, REPLICA_BEHIND, REPLICA_LOST, REPLICA_COUNTS };
void replica_tally_count(struct replica_tally *tally, enum replica_count what);
void replica_tally_use(struct replica_tally *tally, bool is_used); /* it changed, for one loop */

#endif
