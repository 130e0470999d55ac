#include "kv/keys.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"

struct slice kv_meta_key(int64_t standing, char out[static KV_KEY_MAX])
{
    int size = snprintf(out, KV_KEY_MAX, "ladder:{%d}:%lld:meta", (int)(standing % KV_SHARDS), (long long)standing);

    ASSERT(standing > 0 && size > 0 && size < KV_KEY_MAX);
    return (struct slice){out, (size_t)size};
}

struct slice kv_order_key(int64_t standing, struct slice gen, char out[static KV_KEY_MAX])
{
    int size = snprintf(out, KV_KEY_MAX, "ladder:{%d}:%lld:%.*s:order", (int)(standing % KV_SHARDS),
                        (long long)standing, (int)gen.size, gen.data);

    ASSERT(standing > 0 && gen.size <= KV_GEN_MAX && size > 0 && size < KV_KEY_MAX);
    return (struct slice){out, (size_t)size};
}

struct slice kv_ready_key(int shard, char out[static KV_KEY_MAX])
{
    int size = snprintf(out, KV_KEY_MAX, "ladder:{%d}:ready", shard);

    ASSERT(shard >= 0 && shard < KV_SHARDS && size > 0 && size < KV_KEY_MAX);
    return (struct slice){out, (size_t)size};
}

struct slice kv_cursor_key(int shard, char out[static KV_KEY_MAX])
{
    int size = snprintf(out, KV_KEY_MAX, "ladder:{%d}:cursor", shard);

    ASSERT(shard >= 0 && shard < KV_SHARDS && size > 0 && size < KV_KEY_MAX);
    return (struct slice){out, (size_t)size};
}

int64_t kv_cursor_at(struct slice cursor)
{
    const char *space = cursor.size ? memchr(cursor.data, ' ', cursor.size) : NULL;
    int64_t at_us;

    if (!space)
        return -1;
    struct slice rest = {space + 1, cursor.size - (size_t)(space + 1 - cursor.data)};
    const char *end = memchr(rest.data, ' ', rest.size);
    return end && text_parse_int64((struct slice){rest.data, (size_t)(end - rest.data)}, &at_us) ? at_us : -1;
}

int64_t kv_cursor_epoch(struct slice cursor)
{
    const char *space = cursor.size ? memchr(cursor.data, ' ', cursor.size) : NULL;
    int64_t epoch;

    return space && text_parse_int64((struct slice){cursor.data, (size_t)(space - cursor.data)}, &epoch) ? epoch : -1;
}

struct slice kv_l2_key(const char *kind, const char *name, char out[static KV_L2_KEY_MAX])
{
    int size = snprintf(out, KV_L2_KEY_MAX, "ladder:l2:%s:%s", kind, name);

    ASSERT(size > 0 && size < KV_L2_KEY_MAX);
    return (struct slice){out, (size_t)size};
}

void kv_revision_encode(int64_t revision, uint8_t out[static KV_REVISION_SIZE])
{
    ASSERT(revision > 0 && revision >> 48 == 0);
    for (int i = 0; i < KV_REVISION_SIZE; i++)
        out[i] = (uint8_t)((uint64_t)revision >> (8 * (KV_REVISION_SIZE - 1 - i)));
}

int64_t kv_revision_decode(const char *bytes)
{
    int64_t revision = 0;

    for (int i = 0; i < KV_REVISION_SIZE; i++)
        revision = revision << 8 | (uint8_t)bytes[i];
    return revision;
}
