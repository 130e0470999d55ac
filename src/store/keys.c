/*
 * keys.c -- API keys, remembered for a while.
 *
 * A key is looked up by its public part and compared by hash, in constant time. What is remembered is the database's
 * answer for that part, "there is none" included; the number of remembered parts is bounded, and so is the rate of
 * look-ups of parts that are not known (absent.c); those that were made up are mostly refused without one (key_signing.c).
 * Half-way to its end an answer is looked at again, so that no request waits for
 * that, nor for a database that hangs. A revoked key is told to all servers by a message (definition_changes.c); where that
 * does not come, it lives for key_ttl_ms at most.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/clock.h"
#include "store/private.h"

enum { KEYS_REMEMBERED_MAX = 10000 };

struct key_entry {
    char id[KEY_ID_MAX];
    bool is_known;
    uint8_t hash[CRYPTO_HASH_SIZE];
    struct api_key key;
    int64_t definition; /* of the game, when it was read */
    int64_t ahead_us;   /* from here on it is looked at again, while it is still good */
    int64_t expires_us;
    bool is_looked_at;
    UT_hash_handle hh;
};

struct find {
    struct store *store;
    char id[KEY_ID_MAX];
    uint8_t hash[CRYPTO_HASH_SIZE];
    store_key_fn *done; /* NULL: nobody waits, it is looked at ahead of its time */
    void *context;
    enum lookup lookup; /* as which it was counted; LOOKUP_COUNT: it was not */
    bool has_token;
    struct token token; /* what the answer must be as new as */
};

static void key_answer(const struct key_entry *entry, const uint8_t *hash, store_key_fn *done, void *context)
{
    static const struct api_key nobody = {.game_id = 0};
    bool is_right = entry->is_known && crypto_equal(entry->hash, hash, CRYPTO_HASH_SIZE);

    done(context, is_right ? &entry->key : &nobody, NULL);
}

static struct key_entry *key_remembered(const struct store *store, const char *id)
{
    struct key_entry *entry;

    HASH_FIND_STR(store->keys, id, entry);
    if (!entry)
        HASH_FIND_STR(store->unknown_keys, id, entry);
    return entry;
}

static void key_drop(struct key_entry **keys, struct key_entry *entry)
{
    HASH_DEL(*keys, entry);
    free(entry);
}

/* Those of which there are none have their own places: they are made up easily, and must not push out others. */
static struct key_entry *key_remember(struct store *store, const char *id, bool is_known)
{
    struct key_entry **keys = is_known ? &store->keys : &store->unknown_keys,
                     **others = is_known ? &store->unknown_keys : &store->keys;
    struct key_entry *entry;

    HASH_FIND_STR(*others, id, entry);
    if (entry)
        key_drop(others, entry);
    HASH_FIND_STR(*keys, id, entry);
    if (entry)
        return entry;
    /* uthash iterates in the order of insertion: the first is the oldest. */
    if (HASH_COUNT(*keys) >= KEYS_REMEMBERED_MAX)
        key_drop(keys, *keys);
    entry = calloc(1, sizeof(*entry));
    ASSERT(entry != NULL);
    strcpy(entry->id, id);
    HASH_ADD_STR(*keys, id, entry);
    return entry;
}

void keys_spoil(struct store *store, int64_t game_id, int64_t version)
{
    while (game_id == 0 && store->unknown_keys)
        key_drop(&store->unknown_keys, store->unknown_keys);
    for (struct key_entry *entry = store->keys; entry; entry = entry->hh.next)
        if ((game_id == 0 || entry->key.game_id == game_id) && entry->definition < version) {
            entry->ahead_us = entry->expires_us = 0;
            entry->is_looked_at = false;
        }
}

void key_forget(struct store *store, struct slice id)
{
    struct key_entry *entry;

    HASH_FIND(hh, store->keys, id.data, id.size, entry);
    if (entry)
        entry->is_known = false; /* even if the database can't be asked now */
}

static void entry_renew(struct store *store, struct key_entry *entry)
{
    if (entry->definition < definition_heard(store, entry->key.game_id))
        return; /* it may have been revoked since */
    int64_t now_us = clock_monotonic_us(), ttl_us = store->settings.key_ttl_ms * 1000LL;

    entry->is_looked_at = false;
    entry->ahead_us = now_us + ttl_us / 2;
    entry->expires_us = now_us + ttl_us;
}

static void on_key(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct find *find = context;

    (void)source;
    if (outcome->error.code != ERROR_NONE) {
        struct key_entry *known = key_remembered(find->store, find->id);
        struct error error;
        store_error_of(outcome, &error);
        if (known)
            known->is_looked_at = false;
        bool is_new = known && known->definition >= definition_need(find->store, find->has_token ? &find->token : NULL,
                                                                    known->key.game_id);
        if (known)
            entry_renew(find->store, known); /* it can't be told now: the last answer known */
        if (is_new && find->done)
            key_answer(known, find->hash, find->done, find->context);
        else if (find->done)
            find->done(find->context, NULL, &error);
        free(find);
        return;
    }
    bool is_known = db_row_count(outcome->rows[0]) == 1;
    struct key_entry *entry = key_remember(find->store, find->id, is_known);
    int64_t definition = is_known ? db_int64(outcome->rows[0], 0, 4) : 0;
    entry->is_looked_at = false;
    if (definition > 0 && definition < entry->definition) { /* a standby, or overtaken by another look */
        if (find->done)
            key_answer(entry, find->hash, find->done, find->context);
        free(find);
        return;
    }
    entry->is_known = is_known;
    entry->key.game_id = entry->definition = 0;
    if (entry->is_known) {
        lookup_found(find->store, find->lookup);
        ASSERT(db_bytes(outcome->rows[0], 0, 0, entry->hash, sizeof(entry->hash)) == CRYPTO_HASH_SIZE);
        ASSERT(scope_parse(slice_of(db_text(outcome->rows[0], 0, 1)), &entry->key.scope));
        entry->key.game_id = db_int64(outcome->rows[0], 0, 2);
        snprintf(entry->key.game, sizeof(entry->key.game), "%s", db_text(outcome->rows[0], 0, 3));
        entry->definition = definition;
    }
    entry->ahead_us = entry->expires_us = 0;
    entry_renew(find->store, entry);
    if (find->done)
        key_answer(entry, find->hash, find->done, find->context);
    free(find);
}

static struct find *find_new(struct store *store, const char *id, const uint8_t *hash, const struct token *token,
                             store_key_fn *done, void *context)
{
    struct find *find = malloc(sizeof(*find));

    ASSERT(find != NULL);
    *find = (struct find){
        .store = store, .done = done, .context = context, .lookup = LOOKUP_COUNT, .has_token = token != NULL};
    if (token)
        find->token = *token;
    strcpy(find->id, id);
    memcpy(find->hash, hash, CRYPTO_HASH_SIZE);
    return find;
}

/* false: no server at all; the find is still the caller's. */
static bool find_send(struct find *find)
{
    const struct db_call call = {
        .statement = STATEMENT_key_find, .parameter_count = 1, .parameters = {{.data = find->id, .format = DB_TEXT}}};

    return db_read_primary(find->store->db, &call, on_key, find);
}

/* Takes the find. */
static void find_end(struct find *find, const struct api_key *key, const struct error *error)
{
    find->done(find->context, key, error);
    free(find);
}

/* Takes the find. entry: what is remembered and as new as it must be, or NULL. */
static void find_ask(struct find *find, const struct key_entry *entry)
{
    struct error error;

    if (find->lookup != LOOKUP_COUNT && !lookup_may_be_sent(find->store, find->lookup)) {
        error_set(&error, ERROR_OVERLOADED, "too many API keys that the server does not know are sent; try again");
        find_end(find, NULL, &error);
        return;
    }
    if (find_send(find))
        return;
    /* No server at all: a key that was good a moment ago is still good; that is what "reads go on" means. */
    if (entry) {
        key_answer(entry, find->hash, find->done, find->context);
        free(find);
        return;
    }
    error_set(&error, ERROR_UNAVAILABLE, "the database is not reachable, so the key cannot be checked");
    find_end(find, NULL, &error);
}

static void on_signing(void *context, const struct error *error);

/* Takes the find, of a key that is not known: what does its id say? */
static void find_judge(struct find *find, const struct key_entry *entry)
{
    static const struct api_key nobody = {.game_id = 0};

    switch (key_signing_judge(find->store, find->id)) {
    case KEY_MADE_UP:
        find_end(find, &nobody, NULL);
        return;
    case KEY_TO_WAIT:
        key_signing_wait(find->store, on_signing, find);
        return;
    case KEY_SIGNED:
        find->lookup = LOOKUP_KEY_SIGNED;
        break;
    case KEY_UNCERTAIN:
        find->lookup = LOOKUP_KEY;
    }
    find_ask(find, entry);
}

static void on_signing(void *context, const struct error *error)
{
    struct find *find = context;

    if (error)
        find_end(find, NULL, error);
    else
        find_judge(find, NULL);
}

static void look_ahead(struct store *store, struct key_entry *entry, const uint8_t *hash)
{
    struct find *find = find_new(store, entry->id, hash, NULL, NULL, NULL);

    entry->is_looked_at = find_send(find);
    if (!entry->is_looked_at)
        free(find);
}

void store_key_find(struct store *store, struct slice text, const struct token *token, store_key_fn *done,
                    void *context)
{
    static const struct api_key nobody = {.game_id = 0};
    struct key_entry *entry;
    uint8_t hash[CRYPTO_HASH_SIZE];
    char id[KEY_ID_MAX];

    if (!key_id_parse(text, id)) {
        done(context, &nobody, NULL);
        return;
    }
    crypto_digest(text, hash);
    entry = key_remembered(store, id);
    bool is_new = entry && entry->definition >= definition_need(store, token, entry->key.game_id);
    if (is_new) {
        int64_t now_us = clock_monotonic_us();
        if (now_us > entry->ahead_us && now_us < entry->expires_us && !entry->is_looked_at)
            look_ahead(store, entry, hash);
        /* Expired under a look that has no answer yet: the database is slow, and the last answer known is what there
         * is. */
        if (now_us < entry->expires_us || entry->is_looked_at) {
            key_answer(entry, hash, done, context);
            return;
        }
    }
    struct find *find = find_new(store, id, hash, token, done, context);
    if (entry && entry->is_known)
        find_ask(find, is_new ? entry : NULL);
    else
        find_judge(find, is_new ? entry : NULL);
}

void keys_free(struct store *store)
{
    struct key_entry *entry, *next;

    HASH_ITER(hh, store->keys, entry, next)
        key_drop(&store->keys, entry);
    HASH_ITER(hh, store->unknown_keys, entry, next)
        key_drop(&store->unknown_keys, entry);
}
