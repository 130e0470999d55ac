#include "http/origins.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/assert.h"
#include "base/log.h"

enum { ADDRESS_BYTES = ORIGIN_ADDRESS_BYTES, ADDRESS_BITS = 128, MAPPED_BITS = 96, OWN_BITS = 64 };

static const uint8_t mapped[MAPPED_BITS / 8] = {[10] = 0xff, [11] = 0xff};

struct origin {
    uint8_t address[ADDRESS_BYTES];
    int connections;
    bool is_told; /* in the log */
    UT_hash_handle hh;
};

struct origins {
    pthread_mutex_t mutex;
    int connections_max;
    struct origin_network exempt[ORIGIN_NETWORKS_MAX];
    size_t exempt_count;
    struct origin *all;
};

static bool address_parse(const char *text, uint8_t address[static ADDRESS_BYTES], bool *ret_is_4)
{
    *ret_is_4 = inet_pton(AF_INET, text, address + MAPPED_BITS / 8) == 1;
    if (*ret_is_4)
        memcpy(address, mapped, sizeof(mapped));
    return *ret_is_4 || inet_pton(AF_INET6, text, address) == 1;
}

bool origin_network_parse(const char *text, struct origin_network *ret_network, struct error *error)
{
    char address[ORIGIN_TEXT_MAX], *end = "";
    const char *slash = strchr(text, '/');
    size_t size = slash ? (size_t)(slash - text) : strlen(text);
    bool is_4 = false;

    if (size < sizeof(address)) {
        memcpy(address, text, size);
        address[size] = 0;
    }
    bool is_ok = size < sizeof(address) && address_parse(address, ret_network->address, &is_4);
    long bits = ADDRESS_BITS, most = is_4 ? ADDRESS_BITS - MAPPED_BITS : ADDRESS_BITS;
    if (is_ok && slash) {
        is_ok = slash[1] >= '0' && slash[1] <= '9';
        bits = strtol(slash + 1, &end, 10);
        is_ok = is_ok && *end == 0 && bits <= most;
        bits += is_4 ? MAPPED_BITS : 0;
    }
    ret_network->bits = (int)bits;
    return is_ok ||
           error_set(error, ERROR_CONFIG, "\"%.60s\" is no IPv4 or IPv6 address, nor a network like 10.0.0.0/8", text);
}

static bool network_has(const struct origin_network *network, const uint8_t address[static ADDRESS_BYTES])
{
    size_t whole = (size_t)network->bits / 8;
    int rest = network->bits % 8;

    return memcmp(network->address, address, whole) == 0 &&
           (rest == 0 || (network->address[whole] ^ address[whole]) >> (8 - rest) == 0);
}

struct origins *origins_new(int connections_max, const struct origin_network *exempt, size_t count)
{
    static const char *const own[] = {"127.0.0.0/8", "::1"};
    struct origins *origins = calloc(1, sizeof(*origins));

    ASSERT(origins != NULL && count <= ORIGIN_NETWORKS_MAX);
    pthread_mutex_init(&origins->mutex, NULL);
    origins->connections_max = connections_max;
    origins->exempt_count = count ? count : ARRAY_SIZE(own);
    for (size_t i = 0; i < origins->exempt_count; i++)
        if (count)
            origins->exempt[i] = exempt[i];
        else
            ASSERT(origin_network_parse(own[i], &origins->exempt[i], NULL));
    return origins;
}

void origins_free(struct origins **origins)
{
    if (!*origins)
        return;
    ASSERT((*origins)->all == NULL);
    pthread_mutex_destroy(&(*origins)->mutex);
    free(*origins);
    *origins = NULL;
}

bool origin_address(const struct sockaddr *address, uint8_t out[static ADDRESS_BYTES])
{
    if (address->sa_family == AF_INET) {
        memcpy(out, mapped, sizeof(mapped));
        memcpy(out + sizeof(mapped), &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        memcpy(out, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, ADDRESS_BYTES);
    }
    return address->sa_family == AF_INET || address->sa_family == AF_INET6;
}

/* Addresses that one client has are one. */
static void address_widen(uint8_t address[static ADDRESS_BYTES])
{
    if (memcmp(address, mapped, sizeof(mapped)) != 0)
        memset(address + OWN_BITS / 8, 0, ADDRESS_BYTES - OWN_BITS / 8);
}

static bool is_exempt(const struct origins *origins, const uint8_t address[static ADDRESS_BYTES])
{
    for (size_t i = 0; i < origins->exempt_count; i++)
        if (network_has(&origins->exempt[i], address))
            return true;
    return false;
}

static struct origin *origin_of(struct origins *origins, const uint8_t address[static ADDRESS_BYTES])
{
    struct origin *origin;

    HASH_FIND(hh, origins->all, address, ADDRESS_BYTES, origin);
    if (origin)
        return origin;
    origin = calloc(1, sizeof(*origin));
    ASSERT(origin != NULL);
    memcpy(origin->address, address, ADDRESS_BYTES);
    HASH_ADD(hh, origins->all, address, ADDRESS_BYTES, origin);
    return origin;
}

static void too_many_log(const struct origin *origin)
{
    char text[INET6_ADDRSTRLEN] = "";
    bool is_4 = memcmp(origin->address, mapped, sizeof(mapped)) == 0;

    inet_ntop(is_4 ? AF_INET : AF_INET6, is_4 ? origin->address + sizeof(mapped) : origin->address, text, sizeof(text));
    log_warn("address-refused", LOG_TEXT("address", text), LOG_TEXT("network", is_4 ? "" : "/64"),
             LOG_INT("connections", origin->connections));
}

bool origins_enter(struct origins *origins, const struct sockaddr *address, struct origin **ret_origin)
{
    uint8_t bytes[ADDRESS_BYTES];

    *ret_origin = NULL;
    if (!origins || !origin_address(address, bytes))
        return true;
    if (is_exempt(origins, bytes))
        return true;
    address_widen(bytes);
    pthread_mutex_lock(&origins->mutex);
    struct origin *origin = origin_of(origins, bytes);
    bool is_in = origin->connections < origins->connections_max;
    if (is_in)
        origin->connections++;
    else if (!origin->is_told)
        too_many_log(origin);
    origin->is_told = origin->is_told || !is_in;
    pthread_mutex_unlock(&origins->mutex);
    if (is_in)
        *ret_origin = origin;
    return is_in;
}

void origins_leave(struct origins *origins, struct origin *origin)
{
    if (!origin)
        return;
    pthread_mutex_lock(&origins->mutex);
    if (--origin->connections == 0) {
        HASH_DEL(origins->all, origin);
        free(origin);
    }
    pthread_mutex_unlock(&origins->mutex);
}

int origins_max(const struct origins *origins)
{
    return origins->connections_max;
}

/* An address of X-Forwarded-For, maybe with a port: "192.0.2.7:4711", "[2001:db8::1]:4711". */
static bool forwarded_parse(struct slice item, uint8_t address[static ADDRESS_BYTES])
{
    char text[INET6_ADDRSTRLEN];
    bool is_4;

    while (item.size > 0 && (*item.data == ' ' || *item.data == '\t'))
        item = (struct slice){item.data + 1, item.size - 1};
    while (item.size > 0 && (item.data[item.size - 1] == ' ' || item.data[item.size - 1] == '\t'))
        item.size--;
    const char *colon = memchr(item.data, ':', item.size);
    const char *bracket = memchr(item.data, ']', item.size);
    if (item.size > 0 && *item.data == '[' && bracket)
        item = (struct slice){item.data + 1, (size_t)(bracket - item.data) - 1};
    else if (colon && !memchr(colon + 1, ':', (size_t)(item.data + item.size - colon) - 1))
        item.size = (size_t)(colon - item.data);
    if (item.size >= sizeof(text))
        return false;
    memcpy(text, item.data, item.size);
    text[item.size] = 0;
    return address_parse(text, address, &is_4);
}

/* Each proxy adds at the end whom it heard: so backwards, as long as it was a proxy. false: it was not. */
static bool forwarded_follow(const struct origins *origins, uint8_t address[static ADDRESS_BYTES], struct slice value)
{
    uint8_t next[ADDRESS_BYTES];

    while (is_exempt(origins, address)) {
        size_t from = value.size;
        while (from > 0 && value.data[from - 1] != ',')
            from--;
        if (!forwarded_parse((struct slice){value.data + from, value.size - from}, next))
            return false;
        memcpy(address, next, sizeof(next));
        if (from == 0)
            return true;
        value.size = from - 1;
    }
    return false;
}

void origins_client(const struct origins *origins, uint8_t address[static ADDRESS_BYTES], const struct slice *forwarded,
                    size_t count)
{
    while (origins && count > 0 && forwarded_follow(origins, address, forwarded[count - 1]))
        count--;
    address_widen(address);
}
