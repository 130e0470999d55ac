#include "cache/l1.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crypto.h"

#define HASH_FUNCTION(key, size, hash) ((hash) = (unsigned)crypto_hash_short((key), (size)))
#include <uthash.h>

struct l1_standing {
    int64_t id;
    struct moves moves;
    size_t uses; /* entries and watches */
    UT_hash_handle hh;
};

struct node {
    struct l1_entry entry; /* first: an entry is its node */
    struct span span;
    struct l1_standing *standing;
    struct node *newer, *older;
    bool is_marked;
    uint8_t label;
    UT_hash_handle hh;
    char key[];
};

struct l1 {
    size_t bytes_max;
    void (*value_free)(void *value);
    struct node *nodes;            /* by key */
    struct l1_standing *standings; /* by id */
    struct node *newest, *oldest;
    struct node *hand; /* NULL: at the oldest */
    uint64_t era;
    int64_t heard;
    struct l1_counters counters;
};

struct l1 *l1_new(size_t bytes_max, void (*value_free)(void *value))
{
    struct l1 *l1 = calloc(1, sizeof(*l1));

    ASSERT(l1 != NULL);
    l1->bytes_max = bytes_max;
    l1->value_free = value_free;
    return l1;
}

/* ---- standings ---- */

static struct l1_standing *standing_find(const struct l1 *l1, int64_t id)
{
    struct l1_standing *standing;

    HASH_FIND(hh, l1->standings, &id, sizeof(id), standing);
    return standing;
}

static void standing_drop(struct l1 *l1, struct l1_standing *standing)
{
    ASSERT(standing->uses > 0);
    if (--standing->uses > 0)
        return;
    HASH_DEL(l1->standings, standing);
    l1->counters.standings--;
    free(standing);
}

void l1_hear(struct l1 *l1, int64_t standing, int64_t version, int64_t before, const struct move *items, size_t count)
{
    struct l1_standing *known = standing_find(l1, standing);

    if (version > l1->heard)
        l1->heard = version;
    if (known)
        moves_add(&known->moves, version, before, items, count);
}

void l1_reach(struct l1 *l1, int64_t version)
{
    if (version > l1->heard)
        l1->heard = version;
}

int64_t l1_heard(const struct l1 *l1)
{
    return l1->heard;
}

int64_t l1_changed(const struct l1 *l1, int64_t standing)
{
    const struct l1_standing *known = standing_find(l1, standing);

    return known ? known->moves.last : 0;
}

struct l1_watch l1_watch(struct l1 *l1, int64_t id)
{
    struct l1_standing *standing = standing_find(l1, id);

    if (!standing) {
        standing = calloc(1, sizeof(*standing));
        ASSERT(standing != NULL);
        standing->id = id;
        moves_init(&standing->moves, l1->heard);
        HASH_ADD(hh, l1->standings, id, sizeof(standing->id), standing);
        l1->counters.standings++;
    }
    standing->uses++;
    return (struct l1_watch){standing, l1->era};
}

void l1_unwatch(struct l1 *l1, struct l1_watch *watch)
{
    standing_drop(l1, watch->standing);
    watch->standing = NULL;
}

/* ---- entries ---- */

/* One of the counts, for all and for its label. */
#define COUNT(l1, node, field, delta)                                                                                  \
    ((l1)->counters.all.field += (delta), (l1)->counters.labels[(node)->label].field += (delta))

static void node_drop(struct l1 *l1, struct node *node)
{
    if (l1->hand == node)
        l1->hand = node->newer;
    *(node->newer ? &node->newer->older : &l1->newest) = node->older;
    *(node->older ? &node->older->newer : &l1->oldest) = node->newer;
    HASH_DEL(l1->nodes, node);
    COUNT(l1, node, bytes, -node->entry.bytes);
    COUNT(l1, node, entries, -(uint64_t)1);
    standing_drop(l1, node->standing);
    l1->value_free(node->entry.value);
    free(node);
}

/* The hand's walk, until there is room. `keep` is not evicted. */
static void room_make(struct l1 *l1, const struct node *keep)
{
    while (l1->counters.all.bytes > l1->bytes_max) {
        struct node *node = l1->hand ? l1->hand : l1->oldest;
        if (!node || (node == keep && l1->counters.all.entries == 1))
            return;
        if (node->is_marked || node == keep) {
            node->is_marked = false;
            l1->hand = node->newer;
            continue;
        }
        l1->hand = node;
        COUNT(l1, node, evicted, 1);
        node_drop(l1, node);
    }
}

static struct node *node_find(const struct l1 *l1, struct slice key)
{
    struct node *node;

    HASH_FIND(hh, l1->nodes, key.data, key.size, node);
    return node;
}

struct l1_entry *l1_find(struct l1 *l1, struct slice key)
{
    struct node *node = node_find(l1, key);

    if (!node)
        return NULL;
    node->is_marked = true;
    return &node->entry;
}

bool l1_holds(struct l1 *l1, struct l1_entry *entry, int64_t now_us)
{
    const struct node *node = (struct node *)entry;
    const struct moves *moves = &node->standing->moves;

    if (moves_touch(moves, &node->span, entry->as_of)) {
        COUNT(l1, node, invalidated, 1);
        return false;
    }
    if (moves->last > entry->as_of)
        entry->as_of = moves->last;
    entry->checked_us = now_us;
    return true;
}

struct l1_entry *l1_put(struct l1 *l1, const struct l1_watch *watch, struct slice key, size_t label, int64_t changed,
                        int64_t as_of, const struct span *span, void *value, size_t bytes, int64_t now_us)
{
    struct l1_standing *standing = watch->standing;
    size_t size = bytes + sizeof(struct node) + key.size;

    if (watch->era != l1->era || key.size > L1_KEY_MAX || size > l1->bytes_max / 8)
        return NULL;
    /* Without entries, nothing is lost by beginning to listen at the last change that the answer has. Not at its as_of:
     * the next one's may be less. */
    struct node *old = node_find(l1, key);
    if (standing->uses == 1 && changed > standing->moves.last)
        moves_init(&standing->moves, changed);
    if (moves_touch(&standing->moves, span, as_of) || (old && old->entry.as_of > as_of))
        return NULL;
    if (old)
        node_drop(l1, old);
    struct node *node = calloc(1, sizeof(*node) + key.size);
    ASSERT(node != NULL && label < L1_LABELS_MAX);
    node->label = (uint8_t)label;
    node->entry = (struct l1_entry){.value = value, .as_of = as_of, .checked_us = now_us, .bytes = size};
    node->span = *span;
    node->standing = standing;
    standing->uses++;
    memcpy(node->key, key.data, key.size);
    HASH_ADD_KEYPTR(hh, l1->nodes, node->key, key.size, node);
    node->older = l1->newest;
    *(l1->newest ? &l1->newest->newer : &l1->oldest) = node;
    l1->newest = node;
    COUNT(l1, node, bytes, size);
    COUNT(l1, node, entries, 1);
    room_make(l1, node);
    return &node->entry;
}

void l1_resize(struct l1 *l1, struct l1_entry *entry, size_t bytes)
{
    struct node *node = (struct node *)entry;
    size_t size = bytes + sizeof(*node) + node->hh.keylen;

    COUNT(l1, node, bytes, size - entry->bytes);
    entry->bytes = size;
    room_make(l1, node);
}

/* ---- eras ---- */

void l1_forget(struct l1 *l1)
{
    while (l1->oldest) {
        COUNT(l1, l1->oldest, forgotten, 1);
        node_drop(l1, l1->oldest);
    }
    l1->hand = NULL;
    l1->era++;
    l1->heard = 0;
    /* Fetches of the old era still hold their standings; those of the new one begin from nothing. */
    for (struct l1_standing *standing = l1->standings; standing; standing = standing->hh.next)
        moves_init(&standing->moves, 0);
}

void l1_free(struct l1 **pl1)
{
    struct l1 *l1 = *pl1;

    if (!l1)
        return;
    l1_forget(l1);
    ASSERT(l1->standings == NULL);
    free(l1);
    *pl1 = NULL;
}

void l1_each(const struct l1 *l1, l1_each_fn *visit, void *context)
{
    for (const struct node *node = l1->newest; node; node = node->older)
        visit(context, node->standing->id, node->entry.value);
}

const struct l1_counters *l1_counters(const struct l1 *l1)
{
    return &l1->counters;
}
