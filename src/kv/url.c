#include "kv/url.h"

#include <stdint.h>
#include <string.h>

#include "base/text.h"

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

static bool tcp_parse(const char *rest, struct kv_url *url)
{
    const char *at = strrchr(rest, '@');

    if (at) {
        /* A user name in front of the colon is not supported by the servers' AUTH that we send. */
        if (rest[0] != ':' || !copy(url->password, sizeof(url->password), (struct slice){rest + 1, (size_t)(at - rest - 1)}))
            return false;
        rest = at + 1;
    }
    size_t end = strcspn(rest, "/");
    if (rest[end] == '/' && rest[end + 1] && !number(slice_of(rest + end + 1), 0, 1 << 20, &url->database))
        return false;
    struct slice place = {rest, end};
    const char *colon = memrchr(place.data, ':', place.size);
    url->port = 6379;
    if (colon) {
        if (!number((struct slice){colon + 1, (size_t)(rest + end - colon - 1)}, 1, 65535, &url->port))
            return false;
        place.size = (size_t)(colon - rest);
    }
    return place.size > 0 && copy(url->host, sizeof(url->host), place);
}

bool kv_url_parse(const char *text, struct kv_url *ret_url, struct error *error)
{
    bool is_ok = false;

    *ret_url = (struct kv_url){.port = 0};
    if (strncmp(text, "unix://", 7) == 0)
        is_ok = unix_parse(text + 7, ret_url);
    else if (strncmp(text, "redis://", 8) == 0)
        is_ok = tcp_parse(text + 8, ret_url);
    return is_ok || error_set_field(error, ERROR_CONFIG, "redis.url",
                                    "not redis://[:password@]host:port[/db] or unix:///path[?db=n]");
}
