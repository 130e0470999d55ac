/*
 * setting_check.c -- what a setting's text must be, by the rooms that read it: for settings_load, before anything starts.
 */
#include <arpa/inet.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "cli/command.h"
#include "edge/target.h"
#include "http/origins.h"
#include "kv/url.h"

static bool address_check(const char *text, struct error *error)
{
    struct in6_addr address;

    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1 ||
           error_set(error, ERROR_CONFIG, "\"%.60s\" is not a numeric address (allowed: IPv4 or IPv6)", text);
}

static bool level_check(const char *text, struct error *error)
{
    enum log_level level;

    return log_level_parse(slice_of(text), &level) ||
           error_set(error, ERROR_CONFIG, "\"%.60s\" is not a level (allowed: debug, info, warn, error)", text);
}

static bool redis_check(const char *text, struct error *error)
{
    struct kv_url url;

    return kv_url_parse(text, &url, error);
}

static const char sentinels_word[] = "sentinels";

static bool redis_replica_check(const char *text, struct error *error)
{
    struct kv_seed place;

    return strcmp(text, sentinels_word) == 0 || kv_seed_parse(slice_of(text), 6379, &place) ||
           error_set(error, ERROR_CONFIG, "\"%.60s\" is not where a replica is (allowed: host[:port], or sentinels)",
                     text);
}

static bool l2_check(const char *text, struct error *error)
{
    if (kv_url_is_cluster(text))
        return error_set(error, ERROR_CONFIG, "the second cache can't be in a Redis Cluster: name a server of its own");
    return !text[0] || redis_check(text, error);
}

static bool edge_check(const char *text, struct error *error)
{
    struct edge_target *target = edge_target_parse(text, error);

    edge_target_free(&target);
    return error->code == ERROR_NONE;
}

static bool server_check(const char *text, struct error *error)
{
    static struct db_line lines[DB_SERVERS_MAX];
    int count = 0;

    return db_line_parse(text, "primary", lines, &count, error);
}

static bool replica_check(const char *text, struct error *error)
{
    static struct db_line lines[DB_SERVERS_MAX];
    int count = 0;

    return db_line_parse(text, "replica", lines, &count, error);
}

static bool proxy_check(const char *text, struct error *error)
{
    struct origin_network network;

    return origin_network_parse(text, &network, error);
}

bool setting_check(const char *section, const char *name, const char *value, struct error *error)
{
    static const struct {
        const char *section, *name;
        bool (*check)(const char *text, struct error *error);
    } checks[] = {
        {"server", "listen", address_check},
        {"server", "proxies", proxy_check},
        {"database", "url", server_check},
        {"database", "replicas", replica_check},
        {"database", "balance", command_balance_check},
        {"database", "zone", command_zone_check},
        {"database", "synchronous_commit", command_commit_check},
        {"redis", "url", redis_check},
        {"redis", "replicas", redis_replica_check},
        {"cache", "l2_url", l2_check},
        {"edge", "servers", edge_check},
        {"log", "level", level_check},
    };

    error->code = ERROR_NONE;
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
        if (strcmp(checks[i].section, section) == 0 && strcmp(checks[i].name, name) == 0)
            return checks[i].check(value, error);
    return true;
}

bool command_redis_replicas(const struct settings *settings, struct kv_replicas_settings *replicas, struct error *error)
{
    const struct settings_list *list = &settings->redis_replicas;

    _Static_assert((int)SETTINGS_LIST_MAX <= (int)KV_URL_SEEDS_MAX, "there is a place for each");
    *replicas = (struct kv_replicas_settings){.count = 0};
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], sentinels_word) == 0)
            replicas->is_listed_by_sentinel = true;
        else
            replicas->count += kv_seed_parse(slice_of(list->items[i]), 6379, &replicas->places[replicas->count]);
    }
    if (list->count && kv_url_is_cluster(settings->redis_url))
        return error_set(error, ERROR_CONFIG, "redis.replicas: not with a Redis Cluster, whose replicas are not read");
    if (replicas->is_listed_by_sentinel && (!kv_url_is_sentinel(settings->redis_url) || list->count > 1))
        return error_set(error, ERROR_CONFIG,
                         "redis.replicas: sentinels stands alone, and redis.url is redis-sentinel://...");
    return true;
}
