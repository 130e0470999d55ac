#include "kv/reader.h"

#include <hiredis/hiredis.h>
#include <string.h>

#if HIREDIS_MAJOR >= 1
#define COUNT size_t
#else
#define COUNT int
#endif

struct object {
    redisReply reply; /* what hiredis and everybody else sees */
    struct arena *arena;
    char text[]; /* a string's, terminated */
};

/* With room for so many bytes of text. NULL: hiredis takes it as out of memory, and gives the connection up. */
static redisReply *object_new(const redisReadTask *task, size_t text_size)
{
    struct arena *arena = task->privdata;
    struct object *object = arena_alloc(arena, sizeof(*object) + text_size);

    if (!object)
        return NULL;
    *object = (struct object){.reply = {.type = task->type}, .arena = arena};
    if (task->parent)
        ((redisReply *)task->parent->obj)->element[task->idx] = &object->reply;
    return &object->reply;
}

static void *create_string(const redisReadTask *task, char *text, size_t size)
{
    redisReply *reply = object_new(task, size + 1);

    if (reply) {
        reply->str = ((struct object *)reply)->text;
        reply->len = size;
        memcpy(reply->str, text, size);
        reply->str[size] = 0;
    }
    return reply;
}

static void *create_array(const redisReadTask *task, COUNT count)
{
    redisReply **items = arena_calloc(task->privdata, (size_t)count, sizeof(*items));
    redisReply *reply = items ? object_new(task, 0) : NULL;

    if (reply) {
        reply->element = items;
        reply->elements = (size_t)count;
    }
    return reply;
}

static void *create_integer(const redisReadTask *task, long long value)
{
    redisReply *reply = object_new(task, 0);

    if (reply)
        reply->integer = value;
    return reply;
}

static void *create_nil(const redisReadTask *task)
{
    redisReply *reply = object_new(task, 0);

    if (reply)
        reply->type = REDIS_REPLY_NIL; /* the task is of what is not there */
    return reply;
}

/* Only ever of a whole reply, and the next is begun after it. */
static void free_object(void *reply)
{
    if (reply)
        arena_reset(((struct object *)reply)->arena);
}

void kv_reader_use(struct redisReader *reader, struct arena *arena)
{
    static redisReplyObjectFunctions functions = {
        .createString = create_string,
        .createArray = create_array,
        .createInteger = create_integer,
        .createNil = create_nil,
        .freeObject = free_object,
    };

    reader->fn = &functions;
    reader->privdata = arena;
}
