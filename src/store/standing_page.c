/*
 * standing_page.c -- a page by its place in the order, the question that is asked most, without a script.
 *
 * A hundred members that pass through a script are made into Redis's protocol, read into Lua, and made into the
 * protocol again: 40 of 53 us. So where the generation is known, the page is a plain ZRANGE, and in the same
 * transaction plain commands say what it is worth: the standing's version, whether it is whole, and which generation it
 * has (I5). These cost Redis 2 us; a script that says the same, 6. If anything is not as it was thought to be, the page
 * is asked for by the script, which tells what is.
 *
 * Without a script, Redis's clock is not read, so the answer says of itself only that it contains this standing's
 * changes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/put.h"
#include "base/text.h"
#include "kv/keys.h"
#include "store/private.h"
#include "store/standing_private.h"

enum { GENERATIONS_MAX = 100000 };

struct generation {
    int64_t standing;
    char name[KV_GEN_MAX + 1];
    UT_hash_handle hh;
};

static struct generation *generation_find(const struct store *store, int64_t standing)
{
    struct generation *generation;

    HASH_FIND(hh, store->generations, &standing, sizeof(standing), generation);
    return generation;
}

static void generation_drop(struct store *store, struct generation *generation)
{
    HASH_DEL(store->generations, generation);
    free(generation);
}

void generation_learn(struct store *store, int64_t standing, struct slice name)
{
    struct generation *generation = generation_find(store, standing);

    if (name.size < 1 || name.size > KV_GEN_MAX)
        return;
    if (!generation) {
        if (HASH_COUNT(store->generations) >= GENERATIONS_MAX)
            generation_drop(store, store->generations); /* the oldest */
        generation = calloc(1, sizeof(*generation));
        ASSERT(generation != NULL);
        generation->standing = standing;
        HASH_ADD(hh, store->generations, standing, sizeof(generation->standing), generation);
    }
    memcpy(generation->name, name.data, name.size);
    generation->name[name.size] = 0;
}

void generations_free(struct store *store)
{
    while (store->generations)
        generation_drop(store, store->generations);
}

/* Whether the meta data and the number of members say that the page may be believed; if so, the answer's head. */
static bool head_read(struct standing_read *read, const struct redisReply *meta, const struct redisReply *members)
{
    struct standing_answer *answer = &read->answer;
    int64_t epoch, total;

    if (!kv_reply_is_text(kv_reply_item(meta, 1), read->generation) ||
        !text_parse_int64(kv_reply_text(kv_reply_item(meta, 0)), &epoch) || epoch != db_epoch(read->store->db) ||
        !text_parse_int64(kv_reply_text(kv_reply_item(meta, 2)), &answer->version) || answer->version <= 0 ||
        !text_parse_int64(kv_reply_text(kv_reply_item(meta, 3)), &total) || total != kv_reply_int(members))
        return false;
    answer->source = SOURCE_REDIS;
    answer->as_of = answer->version;
    answer->total = total;
    return true;
}

/* [page, [epoch, generation, version, number of members], number of members as it is]. as_of: up to where it has all
 * changes of all standings; 0: not known. */
static void on_replica_page(void *context, const struct redisReply *reply, int64_t as_of)
{
    struct standing_read *read = context;
    struct generation *generation = generation_find(read->store, read->query.period.id);

    if (generation && head_read(read, kv_reply_item(reply, 1), kv_reply_item(reply, 2))) {
        read->answer.first = read->answer.group = read->query.offset;
        if (as_of)
            read->answer.as_of = as_of;
        if (standing_members_read(read, kv_reply_item(reply, 0), NULL)) {
            standing_finish(read);
            return;
        }
    }
    if (reply && generation && strcmp(generation->name, read->generation) == 0)
        generation_drop(read->store, generation);
    read->answer = (struct standing_answer){.total = -1};
    standing_script_send(read);
}

static void on_page(void *context, const struct redisReply *reply)
{
    on_replica_page(context, reply, 0);
}

/* Returns the text, which stands in `out`. */
static struct slice number_text(int64_t number, char out[static PUT_INTEGER_MAX])
{
    return (struct slice){out, (size_t)(put_int64(out, number) - out)};
}

bool standing_page_send(struct standing_read *read)
{
    const struct standing_query *query = &read->query;
    const struct generation *generation = generation_find(read->store, query->period.id);
    char order_name[KV_KEY_MAX], meta_name[KV_KEY_MAX], start[PUT_INTEGER_MAX], stop[PUT_INTEGER_MAX];

    /* Other rankings need to know what is above, other kinds to look for their place. */
    if (!generation || query->kind != STANDING_PAGE || query->with_metadata ||
        (query->ranking != RANKING_ORDINAL && query->offset > 0))
        return false;
    strcpy(read->generation, generation->name);
    const struct slice order = kv_order_key(query->period.id, slice_of(read->generation), order_name);
    const struct slice page[] = {SLICE("ZRANGE"), order, number_text(query->offset, start),
                                 number_text(query->offset + query->limit, stop)};
    const struct slice meta[] = {
        SLICE("HMGET"), kv_meta_key(query->period.id, meta_name), SLICE("epoch"), SLICE("gen"), SLICE("v"), SLICE("n")};
    const struct slice members[] = {SLICE("ZCARD"), order};
    const struct kv_command commands[] = {
        {page, ARRAY_SIZE(page)}, {meta, ARRAY_SIZE(meta)}, {members, ARRAY_SIZE(members)}};
    return standing_replica_send(read, ARRAY_SIZE(commands), commands, on_replica_page) ||
           kv_call_all(read->store->kv, ARRAY_SIZE(commands), commands, on_page, read);
}
