/*
 * l2.c -- see l2.h. What is atomic happens in Redis: see the second cache in ladder.lua.
 *
 *   l2_find --recall--> value counts? -- yes, not due --> hit
 *                          |     +------ due --lock--> ours: miss (a refresh); another's: hit
 *                          | no
 *                       all tags made? -- yes --> miss
 *                          | no
 *                       primary's position --tag--> all made: miss; one was purged meanwhile: miss without a ticket
 */
#include "store/l2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "cache/l2.h"
#include "kv/keys.h"
#include "kv/scripts.h"
#include "store/private.h"
#include "store/still.h"

/* Raise it with any change of what a canonical key or a body means. */
#define LAYOUT "1"

enum { TAG_SIZE = 8 + L2_NONCE_SIZE, TAG_TEXT_MAX = 128, TAG_SPARE_MS = 86400000, LOCK_MS = 5000 };
/* Most that it is kept: of an open standing, which is not cold for long; of histories, whose purge may have failed; and
 * of somebody's absence, of whom there are many. */
enum { OPEN_MS = 30000, HISTORY_MS = 30000, ABSENCE_MS = 60000 };

struct l2 {
    struct kv *kv;
    struct kv *own; /* kv, where it is not the standings' */
    int64_t ttl_ms;
    struct crypto_key key;
};

struct tag {
    char key_text[KV_L2_KEY_MAX];
    struct slice key;
    char text[TAG_TEXT_MAX]; /* as it is in Redis */
    size_t text_size;
    bool is_made;
    int64_t lsn;
    struct l2_nonce nonce;
};

struct l2_ticket {
    struct store *store;
    l2_done_fn *done;
    void *context;
    char name[L2_NAME_SIZE + 1];
    struct tag tags[L2_TAGS];
    int64_t now_ms;   /* Redis's, when it was asked */
    int64_t purges;   /* that it had done by then */
    int64_t position; /* of the primary, if it was asked for; of an open standing at least its record's */
    bool is_open, is_history;
    int64_t covers_lsn, lives_ms, least_lsn; /* as the question has them */
    int64_t begun_us;                        /* the fetch, monotonic */
    bool has_value;
    struct l2_value value;
    struct buf body, brotli;
};

/* ---- life ---- */

void l2_open(struct store *store, const struct l2_settings *settings)
{
    /* A cluster has no place for it: its answers lie beside many tags. */
    if (settings->ttl_ms == 0 || (kv_is_cluster(store->kv) && !settings->url[0]))
        return;
    struct l2 *l2 = calloc(1, sizeof(*l2));
    ASSERT(l2 != NULL && !store->l2);
    l2->ttl_ms = settings->ttl_ms;
    crypto_derive(&l2->key, settings->secret, "ladder l2 1");
    if (settings->url[0] && strcmp(settings->url, store->settings.kv.url) != 0) {
        struct kv_settings kv = store->settings.kv;
        kv.url = settings->url;
        kv.is_plain = true;
        l2->own = kv_new(store->loop, &kv);
    }
    l2->kv = l2->own ? l2->own : store->kv;
    store->l2 = l2;
}

void l2_close(struct store *store)
{
    struct l2 *l2 = store->l2;

    if (!l2)
        return;
    store->l2 = NULL; /* nobody asks while the last answers come in */
    kv_free(&l2->own);
    free(l2);
}

bool l2_is_on(const struct store *store)
{
    return store->l2 != NULL;
}

static bool is_usable(const struct store *store)
{
    const struct l2 *l2 = store->l2;

    /* While the tail has not caught up with Redis, purges may be missing there too. */
    return l2 && db_epoch(store->db) > 0 && (l2->own ? kv_is_up(l2->own) : kv_is_trusted(store->kv));
}

/* From 0 (excluded) to 1. */
static double chance(void)
{
    uint32_t random;

    crypto_random(&random, sizeof(random));
    return ((double)random + 1) / 4294967296.0;
}

/* ---- ends of a question ---- */

static void ticket_free(struct l2_ticket *ticket)
{
    buf_done(&ticket->body);
    buf_done(&ticket->brotli);
    free(ticket);
}

/* The ticket's value, taken from it. */
static struct l2_found value_take(struct l2_ticket *ticket)
{
    struct l2_found found = {.is_hit = true,
                             .status = ticket->value.status,
                             .body = ticket->body,
                             .brotli = ticket->brotli,
                             .age_us = (ticket->now_ms - ticket->value.made_ms) * 1000,
                             .lsn = ticket->value.lsn};

    buf_init(&ticket->body, L2_BODY_BYTES_MAX);
    buf_init(&ticket->brotli, L2_BODY_BYTES_MAX);
    return found;
}

static void find_hit(struct l2_ticket *ticket)
{
    struct l2_found found = value_take(ticket);

    ticket->done(ticket->context, &found);
    buf_done(&found.body);
    buf_done(&found.brotli);
    ticket_free(ticket);
}

static void find_miss(struct l2_ticket *ticket)
{
    struct l2_found found = {
        .ticket = ticket, .is_refresh = ticket->has_value, .lsn = fault_is("l2-position") ? 0 : ticket->position};

    for (int i = 0; i < L2_TAGS; i++) {
        ASSERT(ticket->tags[i].is_made);
        if (ticket->tags[i].lsn > found.lsn && !fault_is("l2-position"))
            found.lsn = ticket->tags[i].lsn;
    }
    if (ticket->has_value) {
        found.status = ticket->value.status;
        found.body = ticket->body;
    }
    ticket->begun_us = clock_monotonic_us();
    ticket->done(ticket->context, &found);
}

/* What is fetched can't be kept. Where a purge came between, its reader shall see all the same what it was about. */
static void find_pass(struct l2_ticket *ticket)
{
    struct l2_found found = {.lsn = fault_is("l2-position") ? 0 : ticket->position};

    ticket->done(ticket->context, &found);
    ticket_free(ticket);
}

/* ---- tags ---- */

static bool tag_read(struct tag *tag, struct slice made)
{
    tag->is_made = made.size == TAG_SIZE;
    tag->lsn = 0;
    for (int i = 0; i < 8 && tag->is_made; i++)
        tag->lsn = tag->lsn << 8 | (uint8_t)made.data[i];
    if (tag->is_made)
        memcpy(tag->nonce.bytes, made.data + 8, L2_NONCE_SIZE);
    return tag->is_made;
}

static void on_tags(void *context, const struct redisReply *reply)
{
    struct l2_ticket *ticket = context;
    bool are_made = true;

    for (size_t i = 0; i < L2_TAGS; i++)
        are_made = tag_read(&ticket->tags[i], kv_reply_text(kv_reply_item(reply, i))) && are_made;
    if (are_made)
        find_miss(ticket);
    else
        find_pass(ticket);
}

static void on_position(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct l2_ticket *ticket = context;
    struct store *store = ticket->store;
    struct l2_nonce nonce;
    char epoch[16], live_ms[24], purges[24];
    uint8_t lsn[8];

    if (outcome->error.code != ERROR_NONE || source != DB_PRIMARY || !is_usable(store)) {
        find_pass(ticket);
        return;
    }
    ticket->position = db_int64(outcome->rows[0], 0, 0);
    uint64_t position = (uint64_t)ticket->position;
    for (int i = 7; i >= 0; i--, position >>= 8)
        lsn[i] = (uint8_t)position;
    crypto_random(&nonce, sizeof(nonce));
    snprintf(epoch, sizeof(epoch), "%d", db_epoch(store->db));
    snprintf(live_ms, sizeof(live_ms), "%lld", (long long)(store->l2->ttl_ms + TAG_SPARE_MS));
    snprintf(purges, sizeof(purges), "%lld", (long long)ticket->purges);
    struct slice arguments[3 + L2_TAGS + 5 + L2_TAGS] = {SLICE("FCALL"), SLICE(KV_FUNCTION("tag")), SLICE("3")};
    size_t count = 3;
    for (int i = 0; i < L2_TAGS; i++)
        arguments[count++] = ticket->tags[i].key;
    arguments[count++] = slice_of(epoch);
    arguments[count++] = (struct slice){(const char *)lsn, sizeof(lsn)};
    arguments[count++] = (struct slice){(const char *)nonce.bytes, sizeof(nonce)};
    arguments[count++] = slice_of(live_ms);
    arguments[count++] = slice_of(purges);
    for (int i = 0; i < L2_TAGS; i++)
        arguments[count++] = (struct slice){ticket->tags[i].text, ticket->tags[i].text_size};
    if (!kv_call(store->l2->kv, count, arguments, on_tags, ticket))
        find_pass(ticket);
}

static void tags_make(struct l2_ticket *ticket)
{
    const struct db_call call = {.statement = STATEMENT_commit_lsn};

    if (!db_read_primary(ticket->store->db, &call, on_position, ticket))
        find_pass(ticket);
}

/* ---- asking ---- */

static void on_lock(void *context, const struct redisReply *reply)
{
    if (kv_reply_is_text(reply, "OK"))
        find_miss(context);
    else
        find_hit(context);
}

static void hit_or_refresh(struct l2_ticket *ticket)
{
    char text[KV_L2_KEY_MAX], lock_ms[16];

    snprintf(lock_ms, sizeof(lock_ms), "%d", LOCK_MS);
    const struct slice lock[] = {
        SLICE("SET"), kv_l2_key("lock", ticket->name, text), SLICE("1"), SLICE("NX"), SLICE("PX"), slice_of(lock_ms)};
    ticket->has_value = true;
    if (!l2_is_due(&ticket->value, ticket->now_ms, chance()) || !ticket->store->l2 ||
        !kv_call(ticket->store->l2->kv, ARRAY_SIZE(lock), lock, on_lock, ticket))
        find_hit(ticket);
}

static void on_recall(void *context, const struct redisReply *reply)
{
    struct l2_ticket *ticket = context;
    struct l2 *l2 = ticket->store->l2;
    bool are_made = true, counts = true;
    struct slice brotli;

    if (!l2 || kv_reply_count(reply) != 3 + 2 * L2_TAGS) {
        find_pass(ticket);
        return;
    }
    ticket->now_ms = kv_reply_int(kv_reply_item(reply, 0));
    ticket->purges = kv_reply_int(kv_reply_item(reply, 1));
    for (size_t i = 0; i < L2_TAGS; i++) {
        struct tag *tag = &ticket->tags[i];
        struct slice text = kv_reply_text(kv_reply_item(reply, 3 + 2 * i));
        tag->text_size = text.size < TAG_TEXT_MAX ? text.size : TAG_TEXT_MAX;
        memcpy(tag->text, text.data, tag->text_size);
        are_made = tag_read(tag, kv_reply_text(kv_reply_item(reply, 4 + 2 * i))) && are_made;
    }
    if (!are_made) {
        tags_make(ticket);
        return;
    }
    counts = l2_decode(&l2->key, ticket->name, kv_reply_text(kv_reply_item(reply, 2)), &ticket->value, &ticket->body,
                       &brotli);
    buf_append_slice(&ticket->brotli, brotli);
    for (int i = 0; i < L2_TAGS && counts; i++)
        counts = memcmp(&ticket->value.nonces[i], &ticket->tags[i].nonce, sizeof(struct l2_nonce)) == 0 ||
                 fault_is("l2-nonce");
    counts = counts && (ticket->value.lsn >= ticket->least_lsn || fault_is("l2-covers"));
    if (counts)
        hit_or_refresh(ticket);
    else
        find_miss(ticket);
}

static void ticket_name(struct l2_ticket *ticket, const struct l2_query *query)
{
    struct store *store = ticket->store;
    char scope[128], names[L2_TAGS][KV_L2_NAME_MAX];
    int game_size = (int)query->game.size;

    snprintf(scope, sizeof(scope), "%s %s %d %d", LADDER_VERSION, LAYOUT, db_epoch(store->db), db_timeline(store->db));
    l2_name(&store->l2->key, slice_of(scope), query->key, ticket->name);
    snprintf(names[0], KV_L2_NAME_MAX, "game:%.*s", game_size, query->game.data);
    snprintf(names[1], KV_L2_NAME_MAX, "board:%.*s/%.*s", game_size, query->game.data, (int)query->board.size,
             query->board.data);
    snprintf(names[2], KV_L2_NAME_MAX, query->history_of ? "history:%lld" : "standing:%lld",
             (long long)(query->history_of ? query->history_of : query->standing));
    for (int i = 0; i < L2_TAGS; i++)
        ticket->tags[i].key = kv_l2_key("tag", names[i], ticket->tags[i].key_text);
}

static bool recall_send(struct l2_ticket *ticket)
{
    struct store *store = ticket->store;
    char value[KV_L2_KEY_MAX], epoch[16];

    snprintf(epoch, sizeof(epoch), "%d", db_epoch(store->db));
    const struct slice recall[] = {
        SLICE("FCALL_RO"),   SLICE(KV_FUNCTION("recall")), SLICE("4"),          kv_l2_key("value", ticket->name, value),
        ticket->tags[0].key, ticket->tags[1].key,          ticket->tags[2].key, slice_of(epoch)};
    _Static_assert(L2_TAGS == 3, "they are counted above");
    return kv_call(store->l2->kv, ARRAY_SIZE(recall), recall, on_recall, ticket);
}

static void on_still(void *context, const struct still *still)
{
    struct l2_ticket *ticket = context;
    char name[L2_NAME_SIZE + 1];

    if (still && is_usable(ticket->store)) {
        const struct slice nonce = {(const char *)still->nonce.bytes, sizeof(still->nonce)};
        ticket->position = still->lsn;
        l2_name(&ticket->store->l2->key, nonce, slice_of(ticket->name), name);
        memcpy(ticket->name, name, sizeof(name));
        if (recall_send(ticket))
            return;
    }
    find_pass(ticket);
}

bool l2_find(struct store *store, const struct l2_query *query, l2_done_fn *done, void *context)
{
    int64_t standing = query->history_of ? store_history_standing(query->history_of) : query->standing;

    if (!is_usable(store) || unsure_has(store, standing))
        return false;
    struct l2_ticket *ticket = calloc(1, sizeof(*ticket));
    ASSERT(ticket != NULL);
    ticket->store = store;
    ticket->done = done;
    ticket->context = context;
    ticket->is_open = query->is_open;
    ticket->is_history = query->history_of != 0;
    ticket->covers_lsn = query->covers_lsn;
    ticket->lives_ms = query->lives_ms;
    ticket->least_lsn = query->least_lsn;
    buf_init(&ticket->body, L2_BODY_BYTES_MAX);
    buf_init(&ticket->brotli, L2_BODY_BYTES_MAX);
    ticket_name(ticket, query);
    if (query->is_open ? still_find(store, query->standing, on_still, ticket) : recall_send(ticket))
        return true;
    ticket_free(ticket);
    return false;
}

/* ---- keeping ---- */

static void on_kept(void *context, const struct redisReply *reply)
{
    (void)context;
    (void)reply; /* where it was lost, the next one fetches */
}

bool l2_keep(struct l2_ticket *ticket, int status, struct slice body)
{
    struct l2 *l2 = ticket->store->l2;
    int64_t ttl_ms = l2 ? l2->ttl_ms : 0;
    char key[KV_L2_KEY_MAX], until_ms[24], live_ms[24];
    struct buf bytes;
    bool is_sent = false;

    if (!l2) {
        ticket_free(ticket);
        return false;
    }
    if (ticket->is_open && ttl_ms > OPEN_MS)
        ttl_ms = OPEN_MS;
    if (ticket->is_history && ttl_ms > HISTORY_MS)
        ttl_ms = HISTORY_MS;
    if (ticket->lives_ms > 0 && ttl_ms > ticket->lives_ms)
        ttl_ms = ticket->lives_ms;
    if (status != 200 && ttl_ms > ABSENCE_MS)
        ttl_ms = ABSENCE_MS;
    struct l2_value value = {
        .status = status,
        .until_ms = ticket->now_ms + l2_ttl_ms(ttl_ms, chance()),
        .made_ms = ticket->now_ms,
        .took_ms = (clock_monotonic_us() - ticket->begun_us) / 1000,
        .lsn = ticket->covers_lsn,
    };
    for (int i = 0; i < L2_TAGS; i++) {
        value.nonces[i] = ticket->tags[i].nonce;
        if (ticket->tags[i].lsn > value.lsn)
            value.lsn = ticket->tags[i].lsn;
    }
    if (l2_encode(&l2->key, ticket->name, &value, body, &bytes)) {
        snprintf(until_ms, sizeof(until_ms), "%lld", (long long)value.until_ms);
        snprintf(live_ms, sizeof(live_ms), "%lld", (long long)(l2->ttl_ms + TAG_SPARE_MS));
        const struct slice retain[] = {SLICE("FCALL"),      SLICE(KV_FUNCTION("retain")),
                                       SLICE("4"),          kv_l2_key("value", ticket->name, key),
                                       ticket->tags[0].key, ticket->tags[1].key,
                                       ticket->tags[2].key, buf_slice(&bytes),
                                       slice_of(until_ms),  slice_of(live_ms)};
        is_sent = kv_call(l2->kv, ARRAY_SIZE(retain), retain, on_kept, NULL);
    }
    buf_done(&bytes);
    ticket_free(ticket);
    return is_sent;
}

void l2_drop(struct l2_ticket *ticket)
{
    ticket_free(ticket);
}

bool l2_spare(struct l2_ticket *ticket, struct l2_found *ret_found)
{
    bool has_value = ticket->has_value;

    if (has_value)
        *ret_found = value_take(ticket);
    ticket_free(ticket);
    return has_value;
}

/* ---- purging ---- */

struct purge {
    l2_purged_fn *done;
    void *context;
};

static void on_purged(void *context, const struct redisReply *reply)
{
    struct purge *purge = context;

    purge->done(purge->context, kv_reply_int(reply) > 0);
    free(purge);
}

void l2_purge(struct store *store, const char *const *tags, size_t count, l2_purged_fn *done, void *context)
{
    struct purge *purge = malloc(sizeof(*purge));
    char keys[L2_PURGE_MAX][KV_L2_KEY_MAX], count_text[16];
    struct slice arguments[3 + L2_PURGE_MAX] = {SLICE("FCALL"), SLICE(KV_FUNCTION("purge"))};

    ASSERT(purge != NULL && count > 0 && count <= L2_PURGE_MAX);
    *purge = (struct purge){done, context};
    snprintf(count_text, sizeof(count_text), "%zu", count);
    arguments[2] = slice_of(count_text);
    for (size_t i = 0; i < count; i++)
        arguments[3 + i] = kv_l2_key("tag", tags[i], keys[i]);
    if (!store->l2 || !kv_call(store->l2->kv, 3 + count, arguments, on_purged, purge))
        on_purged(purge, NULL);
}
