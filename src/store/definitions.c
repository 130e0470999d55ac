/*
 * definitions.c -- how new a copy of a definition is: boards, what they are made of, and keys.
 *
 * Each change of a definition has a number in its game (game.definition in PostgreSQL, drawn at the end of the
 * transaction). A copy has the number that the game had when the copy was read, so it contains every change up to that
 * number. A copy may be used if it is as new as
 *
 *   the token      what the client has seen a write under, in this game and history
 *   what was heard of this game, from this process's own loops or from Redis
 *
 * Whoever changes a definition publishes the number on KV_DEFINITIONS. Where the message does not come (Redis is down,
 * or a cluster), copies end by their age (boards.c, keys.c). A loop whose stream was interrupted reads all of its copies
 * anew once the stream is back.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/fault.h"
#include "base/text.h"
#include "kv/keys.h"
#include "store/private.h"

enum { GAMES_MAX = 100000, MESSAGE_MAX = 64 };

struct definition_heard {
    int64_t game_id;
    int64_t version;
    UT_hash_handle hh;
};

static struct definition_heard *heard_find(const struct store *store, int64_t game_id)
{
    struct definition_heard *heard;

    HASH_FIND(hh, store->definitions, &game_id, sizeof(game_id), heard);
    return heard;
}

int64_t definition_heard(const struct store *store, int64_t game_id)
{
    const struct definition_heard *heard = heard_find(store, game_id);

    return heard ? heard->version : 0;
}

int64_t definition_need(const struct store *store, const struct token *token, int64_t game_id)
{
    if (!token || token->game_id != game_id || token->epoch != db_epoch(store->db) ||
        token->timeline != db_timeline(store->db) || fault_is("definition-token"))
        return 0;
    return token->definition;
}

void definitions_free(struct store *store)
{
    struct definition_heard *heard, *next;

    HASH_ITER(hh, store->definitions, heard, next) {
        HASH_DEL(store->definitions, heard);
        free(heard);
    }
}

void definitions_missed(struct store *store)
{
    store->board_changes++; /* what is being read now may be older than a message that was missed */
    store->definition_changes++;
    boards_spoil(store, 0, INT64_MAX);
    absent_spoil(store, 0, INT64_MAX);
    keys_spoil(store, 0, INT64_MAX);
}

void definition_hear(struct store *store, int64_t game_id, int64_t version)
{
    struct definition_heard *heard = heard_find(store, game_id);

    if (heard && heard->version >= version)
        return;
    if (!heard && HASH_COUNT(store->definitions) >= GAMES_MAX) {
        definitions_free(store);
        definitions_missed(store);
    }
    if (!heard) {
        heard = calloc(1, sizeof(*heard));
        ASSERT(heard != NULL);
        heard->game_id = game_id;
        HASH_ADD(hh, store->definitions, game_id, sizeof(heard->game_id), heard);
    }
    heard->version = version;
    store->definition_changes++;
    boards_spoil(store, game_id, version);
    absent_spoil(store, game_id, version);
    keys_spoil(store, game_id, version);
}

static struct slice word_take(struct slice *text)
{
    const char *space = text->size ? memchr(text->data, ' ', text->size) : NULL;
    struct slice word = {text->data, space ? (size_t)(space - text->data) : text->size};
    size_t taken = word.size + (space != NULL);

    *text = (struct slice){text->data + taken, text->size - taken};
    return word;
}

void definition_message(struct store *store, struct slice payload)
{
    struct slice game = word_take(&payload), number = word_take(&payload);
    int64_t game_id, version;

    if (fault_is("definition-message"))
        return;
    if (!text_parse_int64(game, &game_id) || !text_parse_int64(number, &version)) {
        definitions_missed(store); /* of a version that we can't read */
        return;
    }
    if (payload.size > 0)
        key_forget(store, payload);
    definition_hear(store, game_id, version);
}

static void on_published(void *context, const struct redisReply *reply)
{
    (void)context;
    (void)reply; /* lost: copies end by their age */
}

void store_definition_changed(struct store *store, int64_t game_id, int64_t version)
{
    char message[MESSAGE_MAX];

    definition_hear(store, game_id, version);
    boards_tell(store, game_id, version);
    snprintf(message, sizeof(message), "%lld %lld", (long long)game_id, (long long)version);
    const struct slice publish[] = {SLICE("PUBLISH"), SLICE(KV_DEFINITIONS), slice_of(message)};
    kv_call(store->kv, ARRAY_SIZE(publish), publish, on_published, NULL);
}
