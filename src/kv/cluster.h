/*
 * cluster.h -- a Redis Cluster as one loop sees it: a connection (kv.c) to each primary, and who has which slot.
 *
 * For kv.c, which hands over what is called on a `struct kv` that stands for a cluster, and tells what happens to a
 * node.
 *
 * No redirection is followed. A node that answers for a key may be believed only if the worker's tail has said of that
 * very process that it has the key's shard whole (`ladder:{shard}:ready`, see work/ready.c): after a failover, and
 * while a slot moves, the node that we were sent to is one of which nobody has said so yet. So MOVED and ASK give the
 * call's user what a lost connection would, and have the map read again; PostgreSQL answers until the shard is vouched
 * for at its new place.
 */
#ifndef KV_CLUSTER_H
#define KV_CLUSTER_H

#include "kv/kv.h"
#include "kv/url.h"

struct cluster;

/* front: the kv that the cluster's users have; borrowed. url: copied. */
struct cluster *cluster_new(struct ev_loop *loop, const struct kv_settings *settings, const struct kv_url *url);
void cluster_free(struct cluster **cluster);

void cluster_set_epoch(struct cluster *cluster, int epoch);
bool cluster_is_up(const struct cluster *cluster);      /* every slot of a shard has a node that is connected */
bool cluster_is_trusted(const struct cluster *cluster); /* with every shard */
bool cluster_trusts(const struct cluster *cluster, int shard);
/* NULL: there is none, or it is not connected. */
struct kv *cluster_node(struct cluster *cluster, size_t count, const struct slice *arguments);

/* From kv.c, of one of its nodes. */
void cluster_lost(struct cluster *cluster, struct kv *node);
void cluster_elsewhere(struct cluster *cluster); /* it says that it can't speak for a key */

/* kv.c: a connection to one node. It asks nothing by itself once it is up. */
struct kv *kv_node_new(struct ev_loop *loop, const struct kv_settings *settings, const struct kv_url *url,
                       struct cluster *cluster);
int64_t kv_node_up_since_us(const struct kv *node); /* monotonic; 0: it is not up */
bool kv_node_is_at(const struct kv *node, const char *host, int port);
const char *kv_node_host(const struct kv *node);

#endif
