#include "kv/blocking.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "kv/scripts.h"
#include "kv/slots.h"
#include "kv/url.h"

struct member {
    redisContext *redis;
    struct kv_seed place; /* in a cluster, or of sentinels */
};

struct kvb {
    size_t count;
    struct member members[KV_NODES_MAX];
    /* In a cluster, else NULL: */
    int8_t *owners;   /* by slot: which member; -1: none */
    uint8_t *waiting; /* whose replies are to be read, in order: a ring */
    size_t waiting_first, waiting_count, waiting_room;
    bool is_stale;            /* the map is, or what the sentinels said */
    struct kv_url *sentinels; /* NULL: there are none */
    int64_t check_at_us;      /* when they are to be asked again, monotonic */
};

enum { CHECK_US = 1000000, SENTINEL_TIMEOUT_US = 500000 };

/* A reply is hiredis's own. */
struct kvb_reply {
    redisReply redis;
};

static bool fail(const redisContext *redis, struct error *error)
{
    return error_set(error, ERROR_UNAVAILABLE, "the connection to Redis failed: %.150s",
                     redis->errstr[0] ? redis->errstr : "closed");
}

static bool append(redisContext *redis, size_t count, const struct slice *arguments, struct error *error)
{
    enum { ON_STACK = 64 };
    const char *stack_data[ON_STACK] = {NULL};
    size_t stack_sizes[ON_STACK] = {0};
    const char **data = count > ON_STACK ? malloc(count * sizeof(*data)) : stack_data;
    size_t *sizes = count > ON_STACK ? malloc(count * sizeof(*sizes)) : stack_sizes;

    ASSERT(data && sizes);
    for (size_t i = 0; i < count; i++) {
        data[i] = arguments[i].data ? arguments[i].data : "";
        sizes[i] = arguments[i].size;
    }
    bool is_ok = redisAppendCommandArgv(redis, (int)count, data, sizes) == REDIS_OK;
    if (data != stack_data) {
        free(data);
        free(sizes);
    }
    return is_ok || fail(redis, error);
}

static void waiting_push(struct kvb *kv, size_t member)
{
    if (kv->waiting_count == kv->waiting_room) {
        size_t room = kv->waiting_room ? 2 * kv->waiting_room : 512;
        uint8_t *waiting = malloc(room);
        ASSERT(waiting != NULL);
        for (size_t i = 0; i < kv->waiting_count; i++)
            waiting[i] = kv->waiting[(kv->waiting_first + i) % kv->waiting_room];
        free(kv->waiting);
        kv->waiting = waiting;
        kv->waiting_first = 0;
        kv->waiting_room = room;
    }
    kv->waiting[(kv->waiting_first + kv->waiting_count++) % kv->waiting_room] = (uint8_t)member;
}

/* Which member has the command's key; false: nobody has. */
static bool member_find(const struct kvb *kv, size_t count, const struct slice *arguments, size_t *ret_member,
                        struct error *error)
{
    *ret_member = 0;
    if (!kv->owners)
        return true;
    struct slice key = kv_command_key(count, arguments);
    int owner = key.data ? kv->owners[kv_slot_of(key)] : 0;
    *ret_member = (size_t)owner;
    return owner >= 0 ||
           error_set(error, ERROR_UNAVAILABLE, "no node of the Redis Cluster has the slot of \"%.60s\"", key.data);
}

static bool member_read(struct kvb *kv, size_t member, struct kvb_reply **ret_reply, struct error *error)
{
    redisContext *redis = kv->members[member].redis;
    void *reply;

    if (redisGetReply(redis, &reply) != REDIS_OK)
        return fail(redis, error);
    *ret_reply = reply;
    if (kv->owners && kvb_kind(*ret_reply) == KVB_ERROR && strncmp(kvb_text(*ret_reply).data, "MOVED ", 6) == 0)
        kv->is_stale = true;
    return true;
}

bool kvb_append(struct kvb *kv, size_t count, const struct slice *arguments, struct error *error)
{
    size_t member;

    if (!member_find(kv, count, arguments, &member, error) ||
        !append(kv->members[member].redis, count, arguments, error))
        return false;
    if (kv->owners)
        waiting_push(kv, member);
    return true;
}

bool kvb_read(struct kvb *kv, struct kvb_reply **ret_reply, struct error *error)
{
    size_t member = 0;

    if (kv->owners) {
        ASSERT(kv->waiting_count > 0);
        member = kv->waiting[kv->waiting_first];
        kv->waiting_first = (kv->waiting_first + 1) % kv->waiting_room;
        kv->waiting_count--;
    }
    return member_read(kv, member, ret_reply, error);
}

static bool library_load(struct kvb *kv, size_t member, struct error *error)
{
    const struct slice load[] = {SLICE("FUNCTION"), SLICE("LOAD"), slice_of(kv_library_text)};
    struct kvb_reply *reply;

    if (!append(kv->members[member].redis, ARRAY_SIZE(load), load, error) || !member_read(kv, member, &reply, error))
        return false;
    struct slice text = kvb_text(reply);
    bool is_ok = kvb_kind(reply) != KVB_ERROR || memmem(text.data, text.size, "already exists", 14);
    if (!is_ok)
        error_set(error, ERROR_UNAVAILABLE, "Redis refused the function library: %.150s", text.data);
    kvb_reply_free(&reply);
    return is_ok;
}

bool kvb_call_node(struct kvb *kv, size_t node, size_t count, const struct slice *arguments,
                   struct kvb_reply **ret_reply, struct error *error)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        struct kvb_reply *reply;
        if (!append(kv->members[node].redis, count, arguments, error) || !member_read(kv, node, &reply, error))
            return false;
        if (kvb_kind(reply) != KVB_ERROR) {
            *ret_reply = reply;
            return true;
        }
        struct slice text = kvb_text(reply);
        bool is_unknown = memmem(text.data, text.size, "Function not found", 18) != NULL;
        bool is_elsewhere = kv->owners && kv_error_is_elsewhere(text);
        error_set(error, is_elsewhere ? ERROR_UNAVAILABLE : ERROR_INTERNAL, "Redis refused: %.200s", text.data);
        kvb_reply_free(&reply);
        if (!is_unknown || !library_load(kv, node, error))
            return false;
    }
    return false;
}

bool kvb_error_is_of_server(const struct error *error)
{
    static const char *const heads[] = {"OOM",         "LOADING",  "BUSY", "MISCONF", "NOREPLICAS", "MASTERDOWN",
                                        "CLUSTERDOWN", "TRYAGAIN", "ASK",  "MOVED",   "READONLY",   "NOAUTH"};
    const char *refused = strstr(error->message, "Redis refused"), *text = refused ? strstr(refused, ": ") : NULL;

    if (!text)
        return error->code == ERROR_UNAVAILABLE;
    for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
        if (strncmp(text + 2, heads[i], strlen(heads[i])) == 0)
            return true;
    return kv_error_is_elsewhere(slice_of(text + 2));
}

bool kvb_call(struct kvb *kv, size_t count, const struct slice *arguments, struct kvb_reply **ret_reply,
              struct error *error)
{
    size_t member;

    return member_find(kv, count, arguments, &member, error) &&
           kvb_call_node(kv, member, count, arguments, ret_reply, error);
}

/* ---- opening ---- */

static bool call_done(struct kvb *kv, size_t member, size_t count, const struct slice *arguments, struct error *error)
{
    struct kvb_reply *reply;

    if (!kvb_call_node(kv, member, count, arguments, &reply, error))
        return false;
    kvb_reply_free(&reply);
    return true;
}

/* Connects the next member, which is there then. */
static bool member_open(struct kvb *kv, const struct kv_url *url, const struct kv_seed *place, struct timeval timeout,
                        struct error *error)
{
    char database[16];
    size_t member = kv->count;
    redisContext *redis = url->path[0] ? redisConnectUnixWithTimeout(url->path, timeout)
                                       : redisConnectWithTimeout(place->host, place->port, timeout);

    if (!redis || redis->err) {
        error_set(error, ERROR_UNAVAILABLE, "cannot connect to Redis: %.150s", redis ? redis->errstr : "out of memory");
        if (redis)
            redisFree(redis);
        return false;
    }
    kv->members[kv->count++] = (struct member){redis, *place};
    redisSetTimeout(redis, timeout);
    redis->reader->maxbuf = 0;
    snprintf(database, sizeof(database), "%d", url->database);
    const struct slice auth[] = {SLICE("AUTH"), slice_of(url->password)};
    const struct slice select[] = {SLICE("SELECT"), slice_of(database)};
    return (!url->password[0] || call_done(kv, member, ARRAY_SIZE(auth), auth, error)) &&
           call_done(kv, member, ARRAY_SIZE(select), select, error);
}

static void members_close(struct kvb *kv)
{
    for (size_t i = 0; i < kv->count; i++)
        redisFree(kv->members[i].redis);
    kv->count = 0;
}

struct map {
    struct kvb *kv;
    const struct kv_seed *asked;
    struct kv_seed primaries[KV_NODES_MAX];
    size_t count;
    bool is_too_large;
};

static void on_range(void *context, int first, int last, const char *host, int port)
{
    struct map *map = context;
    size_t i = 0;

    host = host[0] ? host : map->asked->host;
    while (i < map->count && (map->primaries[i].port != port || strcmp(map->primaries[i].host, host) != 0))
        i++;
    map->is_too_large = map->is_too_large || i == KV_NODES_MAX || strlen(host) >= KV_URL_HOST_MAX;
    if (map->is_too_large)
        return;
    if (i == map->count) {
        memcpy(map->primaries[i].host, host, strlen(host) + 1);
        map->primaries[i].port = port;
        map->count++;
    }
    for (int slot = first; slot <= last; slot++)
        map->kv->owners[slot] = (int8_t)i;
}

/* Asks one of the seeds; then there is no member, but the owners are those that are to be made. */
static bool map_read(struct kvb *kv, const struct kv_url *url, const struct kv_seed *seed, struct timeval timeout,
                     struct map *map, struct error *error)
{
    const struct slice slots[] = {SLICE("CLUSTER"), SLICE("SLOTS")};
    struct kvb_reply *reply;

    *map = (struct map){.kv = kv, .asked = seed};
    memset(kv->owners, -1, KV_SLOTS);
    bool is_ok =
        member_open(kv, url, seed, timeout, error) && kvb_call_node(kv, 0, ARRAY_SIZE(slots), slots, &reply, error);
    if (is_ok) {
        is_ok = kv_slots_read(&reply->redis, on_range, map) && map->count > 0 && !map->is_too_large;
        if (!is_ok)
            error_set(error, ERROR_UNAVAILABLE, "%.100s:%d has no map of the Redis Cluster, or one of too many nodes",
                      seed->host, seed->port);
        kvb_reply_free(&reply);
    }
    members_close(kv);
    return is_ok;
}

static bool cluster_open(struct kvb *kv, const struct kv_url *url, struct timeval timeout, struct error *error)
{
    struct map *map = malloc(sizeof(*map));
    bool is_ok = false;

    kv->owners = malloc(KV_SLOTS);
    ASSERT(map && kv->owners);
    for (size_t i = 0; i < url->seed_count && !is_ok; i++) {
        is_ok = map_read(kv, url, &url->seeds[i], timeout, map, error);
        for (size_t m = 0; m < map->count && is_ok; m++)
            is_ok = member_open(kv, url, &map->primaries[m], timeout, error) && library_load(kv, m, error);
        if (!is_ok)
            members_close(kv); /* it may not know yet that another has taken over */
    }
    free(map);
    return is_ok;
}

/* false: it does not answer, or has no such name. */
static bool sentinel_ask(const struct kv_url *url, const struct kv_seed *seed, struct timeval timeout,
                         struct kv_seed *ret_place)
{
    const char *ask[] = {"SENTINEL", "get-master-addr-by-name", url->primary}, *auth[KV_URL_AUTH_MAX];
    redisContext *redis = redisConnectWithTimeout(seed->host, seed->port, timeout);
    redisReply *reply = NULL;
    int auth_count = kv_url_sentinel_auth(url, auth);

    *ret_place = (struct kv_seed){.port = 0};
    if (redis && !redis->err && redisSetTimeout(redis, timeout) == REDIS_OK) {
        if (auth_count && (reply = redisCommandArgv(redis, auth_count, auth, NULL)))
            freeReplyObject(reply); /* refused: so is what is asked */
        reply = redisCommandArgv(redis, (int)ARRAY_SIZE(ask), ask, NULL);
    }
    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        snprintf(ret_place->host, sizeof(ret_place->host), "%s", reply->element[0]->str);
        ret_place->port = atoi(reply->element[1]->str);
    }
    if (reply)
        freeReplyObject(reply);
    if (redis)
        redisFree(redis);
    return ret_place->port != 0;
}

/* Asks the sentinels, one after the other, until one names a primary that says that it is. */
static bool sentinel_open(struct kvb *kv, const struct kv_url *url, struct timeval timeout, struct error *error)
{
    const struct slice role[] = {SLICE("ROLE")};
    bool is_ok = false;

    error_set(error, ERROR_UNAVAILABLE, "no sentinel names a primary \"%s\"", url->primary);
    for (size_t i = 0; i < url->seed_count && !is_ok; i++) {
        struct kv_seed place;
        struct kvb_reply *reply;
        if (!sentinel_ask(url, &url->seeds[i], timeout, &place))
            continue;
        is_ok =
            member_open(kv, url, &place, timeout, error) && kvb_call_node(kv, 0, ARRAY_SIZE(role), role, &reply, error);
        if (is_ok) {
            is_ok = slice_is(kvb_text(kvb_item(reply, 0)), "master") ||
                    error_set(error, ERROR_UNAVAILABLE, "%.100s:%d is named as the primary, but is none", place.host,
                              place.port);
            kvb_reply_free(&reply);
        }
        is_ok = is_ok && library_load(kv, 0, error);
        if (!is_ok)
            members_close(kv);
    }
    kv->sentinels = malloc(sizeof(*kv->sentinels));
    ASSERT(kv->sentinels != NULL);
    *kv->sentinels = *url;
    kv->check_at_us = clock_monotonic_us() + CHECK_US;
    return is_ok;
}

bool kvb_check(struct kvb *kv)
{
    const struct timeval timeout = {.tv_usec = SENTINEL_TIMEOUT_US};
    struct kv_seed place;

    if (!kv->sentinels || kv->is_stale || clock_monotonic_us() < kv->check_at_us)
        return !kv->is_stale;
    for (size_t i = 0; i < kv->sentinels->seed_count; i++) {
        if (!sentinel_ask(kv->sentinels, &kv->sentinels->seeds[i], timeout, &place))
            continue;
        kv->is_stale = place.port != kv->members[0].place.port || strcmp(place.host, kv->members[0].place.host) != 0;
        break;
    }
    kv->check_at_us = clock_monotonic_us() + CHECK_US;
    return !kv->is_stale;
}

struct kvb *kvb_open(const char *text, int timeout_ms, struct error *error)
{
    struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    struct kv_url url;

    if (!kv_url_parse(text, &url, error))
        return NULL;
    struct kvb *kv = calloc(1, sizeof(*kv));
    ASSERT(kv != NULL);
    struct kv_seed place = {.port = url.port};
    memcpy(place.host, url.host, sizeof(place.host));
    bool is_ok = url.kind == KV_URL_CLUSTER ? cluster_open(kv, &url, timeout, error)
                 : url.kind == KV_URL_SENTINEL
                     ? sentinel_open(kv, &url, timeout, error)
                     : member_open(kv, &url, &place, timeout, error) && library_load(kv, 0, error);
    if (!is_ok)
        kvb_close(&kv);
    return kv;
}

void kvb_close(struct kvb **pkv)
{
    struct kvb *kv = *pkv;

    if (!kv)
        return;
    members_close(kv);
    free(kv->owners);
    free(kv->sentinels);
    free(kv->waiting);
    free(kv);
    *pkv = NULL;
}

bool kvb_is_broken(const struct kvb *kv)
{
    bool is_broken = kv->is_stale;

    for (size_t i = 0; i < kv->count; i++)
        is_broken = is_broken || kv->members[i].redis->err != 0;
    return is_broken;
}

bool kvb_is_cluster(const struct kvb *kv)
{
    return kv->owners != NULL;
}

size_t kvb_node_count(const struct kvb *kv)
{
    return kv->count;
}

size_t kvb_node_of(const struct kvb *kv, struct slice key)
{
    int owner = kv->owners ? kv->owners[kv_slot_of(key)] : 0;

    return owner < 0 ? 0 : (size_t)owner;
}

enum kvb_kind kvb_kind(const struct kvb_reply *reply)
{
    switch (reply->redis.type) {
    case REDIS_REPLY_STRING:
        return KVB_TEXT;
    case REDIS_REPLY_STATUS:
        return KVB_STATUS;
    case REDIS_REPLY_ERROR:
        return KVB_ERROR;
    case REDIS_REPLY_INTEGER:
        return KVB_INT;
    case REDIS_REPLY_ARRAY:
        return KVB_ARRAY;
    default:
        return KVB_NULL;
    }
}

struct slice kvb_text(const struct kvb_reply *reply)
{
    enum kvb_kind kind = kvb_kind(reply);

    if (kind != KVB_TEXT && kind != KVB_STATUS && kind != KVB_ERROR)
        return (struct slice){"", 0};
    return (struct slice){reply->redis.str, reply->redis.len};
}

int64_t kvb_int(const struct kvb_reply *reply)
{
    return kvb_kind(reply) == KVB_INT ? reply->redis.integer : 0;
}

size_t kvb_count(const struct kvb_reply *reply)
{
    return kvb_kind(reply) == KVB_ARRAY ? reply->redis.elements : 0;
}

const struct kvb_reply *kvb_item(const struct kvb_reply *reply, size_t index)
{
    ASSERT(index < kvb_count(reply));
    return (const struct kvb_reply *)reply->redis.element[index];
}

void kvb_reply_free(struct kvb_reply **reply)
{
    if (*reply)
        freeReplyObject(*reply);
    *reply = NULL;
}
