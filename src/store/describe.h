/*
 * describe.h -- changing the metadata of a player's entries without a submission.
 */
#ifndef STORE_DESCRIBE_H
#define STORE_DESCRIBE_H

#include "base/arena.h"
#include "store/store.h"
#include "store/submit.h"

struct description {
    const struct board *board;
    struct slice player;
    struct slice metadata;            /* JSON; data NULL removes it */
    const char *window;               /* a window's name; "": all of the board */
    bool reads_only;                  /* changes nothing, and says what there is */
    const struct submit_claim *claim; /* may be NULL */
};

struct describe_result {
    struct error error;    /* PLAYER_NOT_FOUND: committed, and nothing was changed; others: it failed */
    bool is_repeat;        /* the idempotency key was used before; nothing was done */
    size_t changed;        /* standings whose entry has new metadata */
    struct sort_key key;   /* of the entry in the first window that has one */
    int64_t rank;          /* of that entry, 1-based; 0: not known */
    struct slice metadata; /* of that entry, in the arena; data NULL: none */
    enum source source;    /* where the rank came from */
    struct token token;
};

typedef void describe_done_fn(void *context, const struct describe_result *result);

/*
 * Sets the metadata of the player's entries in the board's open standings, and applies them to Redis. `done` is called
 * once, on the store's loop. What the description points to, and the arena, live until then.
 */
void player_describe(struct store *store, struct arena *arena, const struct description *description,
                     describe_done_fn *done, void *context);

#endif
