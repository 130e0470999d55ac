/*
 * cluster.c -- see cluster.h.
 *
 *   seeds --CLUSTER SLOTS--> map: slot -> node          again each second, and at once when a node is lost or says
 * MOVED
 *   node --vouched---------> trust: shard -> node       for the shards that the map says are its
 *
 * A shard is trusted at the node that vouched for it on the connection that there is, and only while the map names that
 * node. And a node's word counts only once another node has named it as a primary after we connected: one that was
 * stopped for a while does not know at first that it was replaced.
 */
#include "kv/cluster.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/magic.h"
#include "kv/keys.h"
#include "kv/scripts.h"
#include "kv/slots.h"

enum { CLUSTER_MAGIC = 0x6b76636c, NODE_MAGIC = 0x6b766e6f, QUESTION_MAGIC = 0x6b767175 };
enum { TICK_MS = 20, MAP_SURE_MS = 1000, MAP_UNSURE_MS = 40, VOUCHED_MS = 500, UNVOUCHED_MS = 50 };

struct node {
    unsigned magic;
    struct cluster *cluster; /* borrowed */
    struct kv_connection *connection;
    bool is_seed;
    bool is_primary;   /* the map names it */
    bool is_confirmed; /* and another node's answer did since it was connected */
    bool is_asked;     /* which shards it vouches for */
    bool is_gone;      /* to be freed by the tick: never from inside a reply of its own */
    int64_t ask_at_us; /* about shards, monotonic */
};

struct cluster {
    unsigned magic;
    struct ev_loop *loop;
    struct kv_connection_settings settings;
    struct kv_url url;
    ev_timer tick;
    struct node *nodes[KV_NODES_MAX];
    size_t count;
    struct node *owners[KV_SLOTS];   /* NULL: nobody's */
    struct node *vouched[KV_SHARDS]; /* by whom; NULL: nobody */
    int slots[KV_SHARDS];
    struct node *asked; /* for the map */
    size_t turn;        /* who is asked next */
    int64_t asked_us, map_at_us;
    int epoch;
    bool was_trusted, is_closing;
};

/* ---- nodes ---- */

static bool is_up(const struct node *node)
{
    return node && node->connection && kv_connection_is_up(node->connection);
}

static bool node_is_at(const struct node *node, const char *host, int port)
{
    return kv_connection_port(node->connection) == port && strcmp(kv_connection_host(node->connection), host) == 0;
}

static struct node *node_find(struct cluster *cluster, const char *host, int port)
{
    for (size_t i = 0; i < cluster->count; i++)
        if (!cluster->nodes[i]->is_gone && node_is_at(cluster->nodes[i], host, port))
            return cluster->nodes[i];
    return NULL;
}

static void node_forget(struct cluster *cluster, const struct node *node)
{
    for (int i = 0; i < KV_SHARDS; i++)
        if (cluster->vouched[i] == node)
            cluster->vouched[i] = NULL;
}

static void on_lost(void *context)
{
    struct node *node = context;

    ASSERT_MAGIC(node, NODE_MAGIC);
    node->is_confirmed = false;
    node_forget(node->cluster, node);
    node->cluster->map_at_us = 0;
}

/* It can't speak for a key: the map is another one now. */
static void on_redirected(void *context)
{
    struct node *node = context;

    ASSERT_MAGIC(node, NODE_MAGIC);
    node->cluster->map_at_us = 0;
}

/* NULL: too many. */
static struct node *node_add(struct cluster *cluster, const char *host, int port)
{
    struct kv_url url = cluster->url;

    if (cluster->count == KV_NODES_MAX || strlen(host) >= sizeof(url.host))
        return NULL;
    struct node *node = calloc(1, sizeof(*node));
    ASSERT(node != NULL);
    node->magic = NODE_MAGIC;
    node->cluster = cluster;
    memmove(url.host, host, strlen(host) + 1);
    url.port = port;
    cluster->nodes[cluster->count++] = node;
    const struct kv_connection_listener listener = {.context = node, .lost = on_lost, .redirected = on_redirected};
    node->connection = kv_connection_new(cluster->loop, &cluster->settings, &url, &listener);
    return node;
}

static void nodes_sweep(struct cluster *cluster)
{
    for (size_t i = cluster->count; i-- > 0;) {
        struct node *node = cluster->nodes[i];
        if (!node->is_gone)
            continue;
        cluster->nodes[i] = cluster->nodes[--cluster->count];
        kv_connection_free(&node->connection);
        node->magic = 0;
        free(node);
    }
}

/* ---- the map ---- */

struct reading {
    struct cluster *cluster;
    int changed; /* slots */
};

static void on_range(void *context, int first, int last, const char *host, int port)
{
    struct reading *reading = context;
    struct cluster *cluster = reading->cluster;

    host = host[0] ? host : kv_connection_host(cluster->asked->connection);
    struct node *node = node_find(cluster, host, port);
    if (!node)
        node = node_add(cluster, host, port);
    if (node)
        node->is_primary = true;
    for (int slot = first; slot <= last; slot++) {
        reading->changed += cluster->owners[slot] != node;
        cluster->owners[slot] = node;
    }
}

/* Those who were connected when somebody else was asked, and are named. */
static void nodes_confirm(struct cluster *cluster)
{
    size_t primaries = 0;

    for (size_t i = 0; i < cluster->count; i++)
        primaries += cluster->nodes[i]->is_primary;
    for (size_t i = 0; i < cluster->count; i++) {
        struct node *node = cluster->nodes[i];
        int64_t since_us = kv_connection_up_since_us(node->connection);
        if (node->is_primary && since_us != 0 && since_us < cluster->asked_us &&
            (node != cluster->asked || primaries == 1))
            node->is_confirmed = true;
    }
}

static void on_map(void *context, const struct redisReply *reply)
{
    struct cluster *cluster = context;
    struct reading reading = {cluster, 0};

    ASSERT_MAGIC(cluster, CLUSTER_MAGIC);
    if (cluster->is_closing || !cluster->asked)
        return;
    if (kv_reply_count(reply) > 0) {
        for (size_t i = 0; i < cluster->count; i++)
            cluster->nodes[i]->is_primary = false;
        bool is_map = kv_slots_read(reply, on_range, &reading);
        bool is_whole = is_map;
        for (int i = 0; i < KV_SLOTS && is_map; i++) {
            if (cluster->owners[i] && !cluster->owners[i]->is_primary)
                cluster->owners[i] = NULL; /* a slot that nobody has now */
            is_whole = is_whole && cluster->owners[i];
        }
        for (size_t i = 0; i < cluster->count && is_map; i++) {
            struct node *node = cluster->nodes[i];
            if (node->is_primary || node->is_seed)
                continue;
            node->is_gone = true;
            node_forget(cluster, node);
        }
        if (is_map)
            nodes_confirm(cluster);
        if (reading.changed)
            log_info("redis-cluster-map", LOG_INT("moved_slots", reading.changed),
                     LOG_TEXT("whole", is_whole ? "yes" : "no"));
        bool is_sure = is_whole;
        for (size_t i = 0; i < cluster->count; i++)
            is_sure = is_sure && (!cluster->nodes[i]->is_primary || cluster->nodes[i]->is_confirmed);
        cluster->map_at_us = clock_monotonic_us() + (is_sure ? MAP_SURE_MS : MAP_UNSURE_MS) * 1000LL;
    } else {
        cluster->map_at_us = clock_monotonic_us() + MAP_UNSURE_MS * 1000LL;
    }
    cluster->asked = NULL;
}

/* Each time another one. */
static void map_ask(struct cluster *cluster, int64_t now_us)
{
    const struct slice slots[] = {SLICE("CLUSTER"), SLICE("SLOTS")};

    for (size_t i = 0; i < cluster->count && !cluster->asked; i++) {
        struct node *node = cluster->nodes[cluster->turn++ % cluster->count];
        if (!is_up(node) || node->is_gone)
            continue;
        cluster->asked = node;
        cluster->asked_us = now_us;
        if (!kv_connection_call(node->connection, ARRAY_SIZE(slots), slots, on_map, cluster))
            cluster->asked = NULL;
    }
}

/* ---- trust ---- */

struct question {
    unsigned magic;
    struct cluster *cluster;
    struct node *node;
    int epoch;
    size_t count;
    uint8_t shards[KV_SHARDS];
};

_Static_assert(KV_SHARDS <= 256, "a shard is one byte");

static void trust_log(struct cluster *cluster)
{
    bool is_trusted = cluster_is_trusted(cluster);

    if (is_trusted != cluster->was_trusted)
        log_info("redis-trust", LOG_TEXT("trusted", is_trusted ? "yes" : "not all shards"),
                 LOG_INT("epoch", cluster->epoch));
    cluster->was_trusted = is_trusted;
}

static void on_vouched(void *context, const struct redisReply *reply)
{
    struct question *question = context;
    ASSERT_MAGIC(question, QUESTION_MAGIC);
    struct cluster *cluster = question->cluster;
    struct node *node = question->node;
    struct slice said = kv_reply_text(reply);
    bool is_answer =
        !kv_reply_is_error(reply) && said.size == question->count && question->epoch == cluster->epoch && is_up(node);
    bool is_all = is_answer;

    ASSERT_MAGIC(node, NODE_MAGIC);
    node->is_asked = false;
    for (size_t i = 0; i < question->count; i++) {
        int shard = question->shards[i];
        bool is_vouched = is_answer && said.data[i] == '1' && node->is_confirmed;
        if (is_vouched)
            cluster->vouched[shard] = node;
        else if (cluster->vouched[shard] == node)
            cluster->vouched[shard] = NULL;
        is_all = is_all && is_vouched;
    }
    node->ask_at_us = clock_monotonic_us() + (is_all ? VOUCHED_MS : UNVOUCHED_MS) * 1000LL;
    question->magic = 0;
    free(question);
}

static void vouched_ask(struct cluster *cluster, struct node *node)
{
    char epoch[16], texts[KV_SHARDS][4];
    struct slice arguments[4 + KV_SHARDS] = {SLICE("FCALL_RO"), SLICE(KV_FUNCTION("vouched")), SLICE("0")};
    size_t count = 4;
    struct question *question = calloc(1, sizeof(*question));

    ASSERT(question != NULL);
    *question = (struct question){.magic = QUESTION_MAGIC, .cluster = cluster, .node = node, .epoch = cluster->epoch};
    snprintf(epoch, sizeof(epoch), "%d", cluster->epoch);
    arguments[3] = slice_of(epoch);
    for (int shard = 0; shard < KV_SHARDS; shard++) {
        if (cluster->owners[cluster->slots[shard]] != node)
            continue;
        snprintf(texts[shard], sizeof(texts[shard]), "%u", (unsigned)shard & 255);
        arguments[count++] = slice_of(texts[shard]);
        question->shards[question->count++] = (uint8_t)shard;
    }
    node->is_asked =
        question->count > 0 && kv_connection_call(node->connection, count, arguments, on_vouched, question);
    if (!node->is_asked)
        free(question);
}

static void on_tick(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct cluster *cluster = watcher->data;
    int64_t now_us = clock_monotonic_us();

    (void)loop;
    (void)events;
    ASSERT_MAGIC(cluster, CLUSTER_MAGIC);
    nodes_sweep(cluster);
    if (!cluster->asked && now_us >= cluster->map_at_us)
        map_ask(cluster, now_us);
    for (size_t i = 0; i < cluster->count; i++) {
        struct node *node = cluster->nodes[i];
        if (node->is_primary && node->is_confirmed && !node->is_asked && cluster->epoch > 0 &&
            now_us >= node->ask_at_us && is_up(node))
            vouched_ask(cluster, node);
    }
    trust_log(cluster);
}

/* ---- for kv.c ---- */

struct cluster *cluster_new(struct ev_loop *loop, const struct kv_connection_settings *settings,
                            const struct kv_url *url)
{
    struct cluster *cluster = calloc(1, sizeof(*cluster));

    ASSERT(cluster != NULL);
    cluster->magic = CLUSTER_MAGIC;
    cluster->loop = loop;
    cluster->settings = *settings;
    cluster->url = *url;
    for (int i = 0; i < KV_SHARDS; i++)
        cluster->slots[i] = kv_slot_of_shard(i);
    for (size_t i = 0; i < url->seed_count; i++) {
        struct node *node = node_find(cluster, url->seeds[i].host, url->seeds[i].port);
        if (!node)
            node = node_add(cluster, url->seeds[i].host, url->seeds[i].port);
        node->is_seed = true;
    }
    ev_timer_init(&cluster->tick, on_tick, 0.0, TICK_MS / 1000.0);
    cluster->tick.data = cluster;
    ev_timer_start(loop, &cluster->tick);
    return cluster;
}

void cluster_free(struct cluster **pcluster)
{
    struct cluster *cluster = *pcluster;

    cluster->is_closing = true;
    ev_timer_stop(cluster->loop, &cluster->tick);
    for (size_t i = 0; i < cluster->count; i++)
        kv_connection_free(&cluster->nodes[i]->connection);
    for (size_t i = 0; i < cluster->count; i++)
        free(cluster->nodes[i]);
    cluster->magic = 0;
    free(cluster);
    *pcluster = NULL;
}

void cluster_set_epoch(struct cluster *cluster, int epoch)
{
    cluster->epoch = epoch;
    memset(cluster->vouched, 0, sizeof(cluster->vouched));
    for (size_t i = 0; i < cluster->count; i++)
        cluster->nodes[i]->ask_at_us = 0;
}

bool cluster_is_up(const struct cluster *cluster)
{
    bool is_whole = true;

    for (int i = 0; i < KV_SHARDS && is_whole; i++)
        is_whole = is_up(cluster->owners[cluster->slots[i]]);
    return is_whole;
}

bool cluster_trusts(const struct cluster *cluster, int shard)
{
    const struct node *node = cluster->owners[cluster->slots[shard]];

    return node && cluster->vouched[shard] == node && is_up(node);
}

bool cluster_is_trusted(const struct cluster *cluster)
{
    bool is_trusted = true;

    for (int i = 0; i < KV_SHARDS && is_trusted; i++)
        is_trusted = cluster_trusts(cluster, i);
    return is_trusted;
}

struct kv_connection *cluster_connection(struct cluster *cluster, size_t count, const struct slice *arguments)
{
    struct slice key = kv_command_key(count, arguments);

    if (key.data) {
        struct node *node = cluster->owners[kv_slot_of(key)];
        return is_up(node) ? node->connection : NULL;
    }
    for (size_t i = 0; i < cluster->count; i++)
        if (cluster->nodes[i]->is_primary && is_up(cluster->nodes[i]))
            return cluster->nodes[i]->connection;
    return NULL;
}
