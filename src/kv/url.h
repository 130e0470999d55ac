/*
 * url.h -- where Redis is:
 *
 *     redis://[:password@]host:port[/db]                                 one server
 *     unix:///path[?db=n]                                                the same, on this machine
 *     redis-cluster://[:password@]host:port[,host:port…]                 a Redis Cluster: some of its nodes, the others are found
 */
#ifndef KV_URL_H
#define KV_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum { KV_URL_HOST_MAX = 256, KV_URL_SEEDS_MAX = 16 };

enum kv_url_kind { KV_URL_SERVER, KV_URL_CLUSTER };

struct kv_seed {
    char host[KV_URL_HOST_MAX]; /* numeric address or a name that resolves at once */
    int port;
};

struct kv_url {
    enum kv_url_kind kind;
    char host[KV_URL_HOST_MAX]; /* the first of the seeds, or the only server */
    int port;
    char path[108]; /* a UNIX socket instead; "" if none */
    char password[256];
    int database; /* 0 in a cluster: it has no other */
    size_t seed_count;
    struct kv_seed seeds[KV_URL_SEEDS_MAX]; /* of a cluster */
};

bool kv_url_parse(const char *text, struct kv_url *ret_url, struct error *error);
/* Is it one of a cluster? Also for texts that kv_url_parse would refuse. */
bool kv_url_is_cluster(const char *text);

#endif
