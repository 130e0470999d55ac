/*
 * review.h -- which standings stay in a Redis whose cursors were read.
 *
 * The standings of shards that have no cursor leave Redis; and in shards that came from another process of a cluster,
 * those that are not whole. Blocking; false: Redis did not answer.
 */
#ifndef WORK_REVIEW_H
#define WORK_REVIEW_H

#include "kv/keys.h"
#include "work/link.h"

bool review_standings(struct link *link, const bool is_missing[static KV_SHARDS],
                      const bool is_stranger[static KV_SHARDS], struct error *error);

#endif
