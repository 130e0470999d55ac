/*
 * cluster.h -- a Redis Cluster as one loop sees it: a connection (connection.h) to each primary, and who has which slot.
 *
 * For kv.c, whose face it stands behind; it asks connection.h and is told by it what happens to a node's link.
 *
 * No redirection is followed. A node that answers for a key may be believed only if the worker's tail has said of that
 * very process that it has the key's shard whole (`ladder:{shard}:ready`, see work/ready.c): after a failover, and
 * while a slot moves, the node that we were sent to is one of which nobody has said so yet. So MOVED and ASK give the
 * call's user what a lost connection would, and have the map read again; PostgreSQL answers until the shard is vouched
 * for at its new place.
 */
#ifndef KV_CLUSTER_H
#define KV_CLUSTER_H

#include "kv/connection.h"
#include "kv/url.h"

struct cluster;

/* settings: of each of its connections, copied, as is the URL. */
struct cluster *cluster_new(struct ev_loop *loop, const struct kv_connection_settings *settings,
                            const struct kv_url *url);
void cluster_free(struct cluster **cluster);

void cluster_set_epoch(struct cluster *cluster, int epoch);
bool cluster_is_up(const struct cluster *cluster);      /* every slot of a shard has a node that is connected */
bool cluster_is_trusted(const struct cluster *cluster); /* with every shard */
bool cluster_trusts(const struct cluster *cluster, int shard);
/* To the node that has the command's key. NULL: there is none, or it is not connected. */
struct kv_connection *cluster_connection(struct cluster *cluster, size_t count, const struct slice *arguments);

#endif
