/*
 * url.h -- where Redis is:
 *
 *     redis://[:password@]host:port[/db]                             one server
 *     unix:///path[?db=n]                                            the same, on this machine
 *     redis-cluster://[:password@]host:port[,host:port…]             some nodes of a Redis Cluster: they name the others
 *     redis-sentinel://[:password@]host:port[,host:port…]/name[/db]  sentinels, which name the primary; the password in
 *         [?[sentinel_user=user&]sentinel_password=password]         front is Redis's, theirs goes up to the end
 */
#ifndef KV_URL_H
#define KV_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"

enum { KV_URL_HOST_MAX = 256, KV_URL_SEEDS_MAX = 16, KV_URL_NAME_MAX = 128 };

enum kv_url_kind { KV_URL_SERVER, KV_URL_CLUSTER, KV_URL_SENTINEL };

struct kv_seed {
    char host[KV_URL_HOST_MAX]; /* numeric address or a name that resolves at once */
    int port;
};

struct kv_url {
    enum kv_url_kind kind;
    char host[KV_URL_HOST_MAX]; /* of a cluster, one of the seeds; of sentinels, "" until they have named it */
    int port;
    char path[108]; /* a UNIX socket instead; "" if none */
    char password[256];
    int database; /* 0 in a cluster: it has no other */
    size_t seed_count;
    struct kv_seed seeds[KV_URL_SEEDS_MAX]; /* of a cluster; the sentinels */
    char primary[KV_URL_NAME_MAX];          /* what the sentinels call it */
    char sentinel_user[KV_URL_NAME_MAX];    /* "": none, as the next */
    char sentinel_password[256];
};

bool kv_url_parse(const char *text, struct kv_url *ret_url, struct error *error);
bool kv_seed_equal(const struct kv_seed *a, const struct kv_seed *b);
/* "host[:port]". false: it is none. */
bool kv_seed_parse(struct slice text, int default_port, struct kv_seed *ret_seed);
/* What a sentinel is to be told first: the words of a command, which point into url; 0: nothing. */
enum { KV_URL_AUTH_MAX = 3 };
int kv_url_sentinel_auth(const struct kv_url *url, const char *ret_words[static KV_URL_AUTH_MAX]);
/* Is it one of a cluster? Also for texts that kv_url_parse would refuse. */
bool kv_url_is_cluster(const char *text);
bool kv_url_is_sentinel(const char *text);

#endif
