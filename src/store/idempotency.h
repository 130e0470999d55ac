/*
 * idempotency.h -- the first answer of an Idempotency-Key, kept and found again.
 *
 * The key's row is made by the write's own transaction (submit's claim, or the statement idempotency_claim in front of
 * another write). Before the first answer is sent it is added to the row; a repeat gets it byte for byte. If the server
 * dies between the two, the repeat makes the answer from what the row says was done.
 */
#ifndef STORE_IDEMPOTENCY_H
#define STORE_IDEMPOTENCY_H

#include "base/arena.h"
#include "store/submit.h"

struct idempotency_answer {
    /* ERROR_NONE: status, token and body are the first answer; IDEMPOTENCY_MISMATCH, REQUEST_IN_FLIGHT */
    struct error error;
    bool is_unused; /* there is no such key (with an error all the same: whoever met it a moment ago may try again) */
    bool is_orphan; /* its write happened, but whoever made the answer is gone: make it again */
    int status;
    struct slice token; /* in the arena; "" if it had none */
    struct slice body;  /* in the arena */
};

typedef void idempotency_find_fn(void *context, const struct idempotency_answer *answer);
void idempotency_find(struct store *store, struct arena *arena, int64_t game_id, const struct submit_claim *claim,
                      idempotency_find_fn *done, void *context);

/* is_first false: another answer was kept before: that one is the first. */
typedef void idempotency_keep_fn(void *context, bool is_first, const struct error *error);
void idempotency_keep(struct store *store, struct arena *arena, int64_t game_id, const struct submit_claim *claim,
                      int status, struct slice token, struct slice body, idempotency_keep_fn *done, void *context);

/* The call to put in front of another write, in its transaction; texts from the arena. */
struct db_call idempotency_claim_call(struct arena *arena, int64_t game_id, const struct submit_claim *claim);
bool idempotency_was_used(const struct db_outcome *outcome); /* that call refused: the write did not happen */

#endif
