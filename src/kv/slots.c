#include "kv/slots.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* CRC-16/XMODEM, four bits at a time: keys' tags are a few bytes long. */
static uint16_t crc16(const char *data, size_t size)
{
    static const uint16_t table[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
                                       0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
    uint16_t crc = 0;

    for (size_t i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)data[i];
        crc = (uint16_t)(crc << 4) ^ table[(crc >> 12) ^ (byte >> 4)];
        crc = (uint16_t)(crc << 4) ^ table[(crc >> 12) ^ (byte & 15)];
    }
    return crc;
}

int kv_slot_of(struct slice key)
{
    const char *open = memchr(key.data, '{', key.size);

    if (open) {
        const char *tag = open + 1;
        const char *close = memchr(tag, '}', key.size - (size_t)(tag - key.data));
        if (close && close > tag)
            return crc16(tag, (size_t)(close - tag)) % KV_SLOTS;
    }
    return crc16(key.data, key.size) % KV_SLOTS;
}

int kv_slot_of_shard(int shard)
{
    char text[16];

    return kv_slot_of((struct slice){text, (size_t)snprintf(text, sizeof(text), "{%d}", shard)});
}

struct slice kv_command_key(size_t count, const struct slice *arguments)
{
    static const char *const keyless[] = {"INFO", "SCAN", "PUBLISH", "FUNCTION", "CLUSTER", "ROLE", "PING"};
    const struct slice none = {NULL, 0};

    if (count < 2)
        return none;
    if (slice_is(arguments[0], "FCALL") || slice_is(arguments[0], "FCALL_RO"))
        return count > 3 && !slice_is(arguments[2], "0") ? arguments[3] : none;
    if (slice_is(arguments[0], "MEMORY"))
        return count > 2 ? arguments[2] : none;
    for (size_t i = 0; i < ARRAY_SIZE(keyless); i++)
        if (slice_is(arguments[0], keyless[i]))
            return none;
    return arguments[1];
}

static const redisReply *item(const redisReply *reply, size_t index, int type)
{
    return reply && reply->type == REDIS_REPLY_ARRAY && index < reply->elements && reply->element[index]->type == type
               ? reply->element[index]
               : NULL;
}

/* [[first, last, [host, port, …], replicas…], …] */
bool kv_slots_read(const struct redisReply *reply, kv_slots_fn *visit, void *context)
{
    if (!reply || reply->type != REDIS_REPLY_ARRAY)
        return false;
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *range = item(reply, i, REDIS_REPLY_ARRAY);
        const redisReply *first = item(range, 0, REDIS_REPLY_INTEGER), *last = item(range, 1, REDIS_REPLY_INTEGER);
        const redisReply *primary = item(range, 2, REDIS_REPLY_ARRAY);
        const redisReply *host = item(primary, 0, REDIS_REPLY_STRING), *port = item(primary, 1, REDIS_REPLY_INTEGER);
        if (!first || !last || !port || first->integer < 0 || last->integer >= KV_SLOTS || port->integer < 1 ||
            port->integer > 65535)
            return false;
        visit(context, (int)first->integer, (int)last->integer, host ? host->str : "", (int)port->integer);
    }
    return true;
}

bool kv_error_is_elsewhere(struct slice message)
{
    static const char *const heads[] = {"MOVED ", "ASK ", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY"};
    static const char non_local[] =
        "attempted to access a non local key"; /* a function whose other keys are on their way */

    for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
        if (message.size >= strlen(heads[i]) && memcmp(message.data, heads[i], strlen(heads[i])) == 0)
            return true;
    return message.size > 0 && memmem(message.data, message.size, non_local, strlen(non_local));
}
