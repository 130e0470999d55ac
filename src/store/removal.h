/*
 * removal.h -- taking a player out of a board's open standings, or out of everything in a game.
 */
#ifndef STORE_REMOVAL_H
#define STORE_REMOVAL_H

#include "base/arena.h"
#include "store/submit.h"

struct removal_result {
    struct error error;
    bool is_repeat; /* the idempotency key was used before; nothing was done */
    size_t count;   /* standings that lost the player */
    struct token token;
};

typedef void removal_done_fn(void *context, const struct removal_result *result);

/* from: a board's id, or with is_erase a game's. claim may be NULL. The arena and player live until done. */
void player_remove(struct store *store, struct arena *arena, int64_t from, bool is_erase, struct slice player,
                   const struct submit_claim *claim, int64_t game_id, removal_done_fn *done, void *context);

#endif
