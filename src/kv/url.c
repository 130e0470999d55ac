#include "kv/url.h"

#include <stdint.h>
#include <string.h>

#include "base/text.h"

enum { URL_MAX = 2048 };

static bool copy(char *to, size_t to_max, struct slice from)
{
    if (from.size >= to_max)
        return false;
    memcpy(to, from.data, from.size);
    to[from.size] = 0;
    return true;
}

static bool number(struct slice text, int64_t min, int64_t max, int *ret_value)
{
    int64_t value;

    if (!text_parse_int64(text, &value) || value < min || value > max)
        return false;
    *ret_value = (int)value;
    return true;
}

static bool unix_parse(const char *rest, struct kv_url *url)
{
    const char *query = strchr(rest, '?');

    if (!copy(url->path, sizeof(url->path), query ? (struct slice){rest, (size_t)(query - rest)} : slice_of(rest)) ||
        url->path[0] != '/')
        return false;
    return !query || (strncmp(query, "?db=", 4) == 0 && number(slice_of(query + 4), 0, 1 << 20, &url->database));
}

/* "[:password@]": returns what follows, NULL if it is neither there nor left out. A user name in front of the colon is
 * not supported by the servers' AUTH that we send. */
static const char *password_parse(const char *rest, struct kv_url *url)
{
    const char *at = strrchr(rest, '@');

    if (!at)
        return rest;
    if (rest[0] != ':' ||
        !copy(url->password, sizeof(url->password), (struct slice){rest + 1, (size_t)(at - rest - 1)}))
        return NULL;
    return at + 1;
}

bool kv_seed_equal(const struct kv_seed *a, const struct kv_seed *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

bool kv_seed_parse(struct slice place, int port, struct kv_seed *seed)
{
    const char *colon = memrchr(place.data, ':', place.size);

    seed->port = port;
    if (colon) {
        if (!number((struct slice){colon + 1, (size_t)(place.data + place.size - colon - 1)}, 1, 65535, &seed->port))
            return false;
        place.size = (size_t)(colon - place.data);
    }
    return place.size > 0 && copy(seed->host, sizeof(seed->host), place);
}

static bool tcp_parse(const char *rest, struct kv_url *url)
{
    struct kv_seed seed;

    rest = password_parse(rest, url);
    if (!rest)
        return false;
    size_t end = strcspn(rest, "/");
    if (rest[end] == '/' && rest[end + 1] && !number(slice_of(rest + end + 1), 0, 1 << 20, &url->database))
        return false;
    if (!kv_seed_parse((struct slice){rest, end}, 6379, &seed))
        return false;
    memcpy(url->host, seed.host, sizeof(url->host));
    url->port = seed.port;
    return true;
}

/* "host:port,host:port": returns what follows them, NULL if they are none. */
static const char *seeds_parse(const char *rest, int port, struct kv_url *url)
{
    for (;;) {
        size_t size = strcspn(rest, ",/");
        if (url->seed_count == KV_URL_SEEDS_MAX ||
            !kv_seed_parse((struct slice){rest, size}, port, &url->seeds[url->seed_count]))
            return NULL;
        url->seed_count++;
        rest += size;
        if (*rest != ',')
            return rest;
        rest++;
    }
}

static bool cluster_parse(const char *rest, struct kv_url *url)
{
    rest = password_parse(rest, url);
    rest = rest ? seeds_parse(rest, 6379, url) : NULL;
    if (!rest || *rest)
        return false;
    memcpy(url->host, url->seeds[0].host, sizeof(url->host));
    url->port = url->seeds[0].port;
    return true;
}

/* "[sentinel_user=…&]sentinel_password=…" */
static bool credentials_parse(const char *rest, struct kv_url *url)
{
    static const char user[] = "sentinel_user=", password[] = "sentinel_password=";

    if (strncmp(rest, user, strlen(user)) == 0) {
        rest += strlen(user);
        size_t size = strcspn(rest, "&");
        if (size == 0 || !rest[size] ||
            !copy(url->sentinel_user, sizeof(url->sentinel_user), (struct slice){rest, size}))
            return false;
        rest += size + 1;
    }
    return strncmp(rest, password, strlen(password)) == 0 && rest[strlen(password)] &&
           copy(url->sentinel_password, sizeof(url->sentinel_password), slice_of(rest + strlen(password)));
}

static bool sentinel_parse(const char *rest, struct kv_url *url)
{
    char front[URL_MAX];
    const char *query = strstr(rest, "?sentinel_");

    if (query) {
        if (!copy(front, sizeof(front), (struct slice){rest, (size_t)(query - rest)}) ||
            !credentials_parse(query + 1, url))
            return false;
        rest = front;
    }
    rest = password_parse(rest, url);
    rest = rest ? seeds_parse(rest, 26379, url) : NULL;
    if (!rest || *rest != '/')
        return false;
    size_t size = strcspn(++rest, "/");
    if (size == 0 || !copy(url->primary, sizeof(url->primary), (struct slice){rest, size}))
        return false;
    return !rest[size] || number(slice_of(rest + size + 1), 0, 1 << 20, &url->database);
}

int kv_url_sentinel_auth(const struct kv_url *url, const char *ret_words[static KV_URL_AUTH_MAX])
{
    int count = 0;

    if (!url->sentinel_password[0])
        return 0;
    ret_words[count++] = "AUTH";
    if (url->sentinel_user[0])
        ret_words[count++] = url->sentinel_user;
    ret_words[count++] = url->sentinel_password;
    return count;
}

#define CLUSTER_SCHEME "redis-cluster://"
#define SENTINEL_SCHEME "redis-sentinel://"

bool kv_url_is_sentinel(const char *text)
{
    return strncmp(text, SENTINEL_SCHEME, strlen(SENTINEL_SCHEME)) == 0;
}

bool kv_url_is_cluster(const char *text)
{
    return strncmp(text, CLUSTER_SCHEME, strlen(CLUSTER_SCHEME)) == 0;
}

bool kv_url_parse(const char *text, struct kv_url *ret_url, struct error *error)
{
    bool is_ok = false;

    *ret_url = (struct kv_url){.kind = KV_URL_SERVER};
    if (strncmp(text, "unix://", 7) == 0) {
        is_ok = unix_parse(text + 7, ret_url);
    } else if (strncmp(text, "redis://", 8) == 0) {
        is_ok = tcp_parse(text + 8, ret_url);
    } else if (kv_url_is_cluster(text)) {
        ret_url->kind = KV_URL_CLUSTER;
        is_ok = cluster_parse(text + strlen(CLUSTER_SCHEME), ret_url);
    } else if (kv_url_is_sentinel(text)) {
        ret_url->kind = KV_URL_SENTINEL;
        is_ok = sentinel_parse(text + strlen(SENTINEL_SCHEME), ret_url);
    }
    return is_ok || error_set_field(error, ERROR_CONFIG, "redis.url",
                                    "not redis://[:password@]host:port[/db], unix:///path[?db=n], "
                                    "redis-cluster://[:password@]host:port,... or "
                                    "redis-sentinel://[:password@]host:port,.../name[/db]");
}
