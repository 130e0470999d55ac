/* Reading replies (kv.h). */
#include <hiredis/hiredis.h>

#include "kv/kv.h"

bool kv_reply_is_text(const struct redisReply *reply, const char *text)
{
    return slice_is(kv_reply_text(reply), text);
}

bool kv_reply_is_error(const struct redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ERROR;
}

struct slice kv_reply_text(const struct redisReply *reply)
{
    if (!reply ||
        (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS && reply->type != REDIS_REPLY_ERROR))
        return (struct slice){"", 0};
    return (struct slice){reply->str, reply->len};
}

int64_t kv_reply_int(const struct redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
}

size_t kv_reply_count(const struct redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
}

bool kv_reply_is_null(const struct redisReply *reply)
{
    return !reply || reply->type == REDIS_REPLY_NIL;
}

const struct redisReply *kv_reply_item(const struct redisReply *reply, size_t index)
{
    return index < kv_reply_count(reply) ? reply->element[index] : NULL;
}
