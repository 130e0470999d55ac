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
 * This file keeps what was heard; boards.c, keys.c and absent.c ask it. What a change does to their copies is
 * definition_changes.c.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/fault.h"
#include "store/private.h"

enum { GAMES_MAX = 100000 };

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

bool definitions_are_full(const struct store *store, int64_t game_id)
{
    return HASH_COUNT(store->definitions) >= GAMES_MAX && !heard_find(store, game_id);
}

bool definition_note(struct store *store, int64_t game_id, int64_t version)
{
    struct definition_heard *heard = heard_find(store, game_id);

    if (heard && heard->version >= version)
        return false;
    if (!heard) {
        heard = calloc(1, sizeof(*heard));
        ASSERT(heard != NULL);
        heard->game_id = game_id;
        HASH_ADD(hh, store->definitions, game_id, sizeof(heard->game_id), heard);
    }
    heard->version = version;
    return true;
}
