#include "kv/blocking.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/assert.h"
#include "kv/scripts.h"
#include "kv/url.h"

struct kvb {
    redisContext *redis;
};

/* A reply is hiredis's own. */
struct kvb_reply {
    redisReply redis;
};

static bool fail(const struct kvb *kv, struct error *error)
{
    return error_set(error, ERROR_UNAVAILABLE, "the connection to Redis failed: %.150s", kv->redis->errstr[0] ? kv->redis->errstr : "closed");
}

bool kvb_append(struct kvb *kv, size_t count, const struct slice *arguments, struct error *error)
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
    bool is_ok = redisAppendCommandArgv(kv->redis, (int)count, data, sizes) == REDIS_OK;
    if (data != stack_data) {
        free(data);
        free(sizes);
    }
    return is_ok || fail(kv, error);
}

bool kvb_read(struct kvb *kv, struct kvb_reply **ret_reply, struct error *error)
{
    void *reply;

    if (redisGetReply(kv->redis, &reply) != REDIS_OK)
        return fail(kv, error);
    *ret_reply = reply;
    return true;
}

static bool library_load(struct kvb *kv, struct error *error)
{
    const struct slice load[] = {SLICE("FUNCTION"), SLICE("LOAD"), slice_of(kv_library_text)};
    struct kvb_reply *reply;

    if (!kvb_append(kv, ARRAY_SIZE(load), load, error) || !kvb_read(kv, &reply, error))
        return false;
    struct slice text = kvb_text(reply);
    bool is_ok = kvb_kind(reply) != KVB_ERROR || memmem(text.data, text.size, "already exists", 14);
    if (!is_ok)
        error_set(error, ERROR_UNAVAILABLE, "Redis refused the function library: %.150s", text.data);
    kvb_reply_free(&reply);
    return is_ok;
}

struct kvb *kvb_open(const char *text, int timeout_ms, struct error *error)
{
    struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    char database[16];
    struct kv_url url;
    struct kvb_reply *reply;

    if (!kv_url_parse(text, &url, error))
        return NULL;
    struct kvb *kv = calloc(1, sizeof(*kv));
    ASSERT(kv != NULL);
    kv->redis = url.path[0] ? redisConnectUnixWithTimeout(url.path, timeout) : redisConnectWithTimeout(url.host, url.port, timeout);
    if (!kv->redis || kv->redis->err) {
        error_set(error, ERROR_UNAVAILABLE, "cannot connect to Redis: %.150s", kv->redis ? kv->redis->errstr : "out of memory");
        kvb_close(&kv);
        return NULL;
    }
    redisSetTimeout(kv->redis, timeout);
    kv->redis->reader->maxbuf = 0;
    snprintf(database, sizeof(database), "%d", url.database);
    const struct slice auth[] = {SLICE("AUTH"), slice_of(url.password)};
    const struct slice select[] = {SLICE("SELECT"), slice_of(database)};
    bool is_ok = true;
    if (url.password[0]) {
        is_ok = kvb_call(kv, 2, auth, &reply, error);
        if (is_ok)
            kvb_reply_free(&reply);
    }
    if (is_ok && (is_ok = kvb_call(kv, 2, select, &reply, error)))
        kvb_reply_free(&reply);
    if (!is_ok || !library_load(kv, error))
        kvb_close(&kv);
    return kv;
}

void kvb_close(struct kvb **kv)
{
    if (!*kv)
        return;
    if ((*kv)->redis)
        redisFree((*kv)->redis);
    free(*kv);
    *kv = NULL;
}

bool kvb_is_broken(const struct kvb *kv)
{
    return kv->redis->err != 0;
}

bool kvb_call(struct kvb *kv, size_t count, const struct slice *arguments, struct kvb_reply **ret_reply, struct error *error)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        struct kvb_reply *reply;
        if (!kvb_append(kv, count, arguments, error) || !kvb_read(kv, &reply, error))
            return false;
        if (kvb_kind(reply) != KVB_ERROR) {
            *ret_reply = reply;
            return true;
        }
        struct slice text = kvb_text(reply);
        bool is_unknown = memmem(text.data, text.size, "Function not found", 18) != NULL;
        error_set(error, ERROR_INTERNAL, "Redis refused: %.200s", text.data);
        kvb_reply_free(&reply);
        if (!is_unknown || !library_load(kv, error))
            return false;
    }
    return false;
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
