/*
 * standing_page.c -- a page by its place in the order, the question that is asked most, without a script's detour.
 *
 * A hundred members that pass through a script are made into Redis's protocol, read into Lua, and made into the protocol
 * again: 40 of 53 us. So where the generation is known, the page is a plain ZRANGE, and in the same transaction a script says
 * what it is worth: the standing's version, whether it is whole, and which generation it has (I5). If that is another one, the
 * page is asked for by the script, which tells the new one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "kv/keys.h"
#include "kv/scripts.h"
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

/* [members, [status, version, total, as_of, generation]] */
static void on_page(void *context, const struct redisReply *reply)
{
    struct standing_read *read = context;
    struct generation *generation = generation_find(read->store, read->query.period.id);
    const struct redisReply *members = kv_reply_item(reply, 0), *mark = kv_reply_item(reply, 1);

    if (generation && kv_reply_is_text(kv_reply_item(mark, 0), "OK") && kv_reply_is_text(kv_reply_item(mark, 4), read->generation)) {
        standing_head_read(read, mark);
        read->answer.first = read->answer.group = read->query.offset;
        if (standing_members_read(read, members, NULL)) {
            standing_finish(read);
            return;
        }
    }
    if (generation && strcmp(generation->name, read->generation) == 0)
        generation_drop(read->store, generation);
    read->answer = (struct standing_answer){.total = -1};
    standing_script_send(read);
}

bool standing_page_send(struct standing_read *read)
{
    const struct standing_query *query = &read->query;
    const struct generation *generation = generation_find(read->store, query->period.id);
    char order[KV_KEY_MAX], meta[KV_KEY_MAX], epoch[16], start[24], stop[24];

    /* Other rankings need to know what is above, other kinds to look for their place. */
    if (!generation || query->kind != STANDING_PAGE || query->with_metadata || (query->ranking != RANKING_ORDINAL && query->offset > 0))
        return false;
    strcpy(read->generation, generation->name);
    snprintf(start, sizeof(start), "%lld", (long long)query->offset);
    snprintf(stop, sizeof(stop), "%lld", (long long)(query->offset + query->limit));
    snprintf(epoch, sizeof(epoch), "%d", db_epoch(read->store->db));
    const struct slice range[] = {SLICE("ZRANGE"), kv_order_key(query->period.id, slice_of(read->generation), order), slice_of(start), slice_of(stop)};
    const struct slice mark[] = {SLICE("FCALL_RO"), SLICE(KV_FUNCTION("mark")), SLICE("1"), kv_meta_key(query->period.id, meta), slice_of(epoch)};
    return kv_call_both(read->store->kv, ARRAY_SIZE(range), range, ARRAY_SIZE(mark), mark, on_page, read);
}
