/*
 * token.h -- the consistency token: what a write has seen, so that a read anywhere sees it too.
 *
 * It names the history (epoch and timeline: after a failover, positions are issued again to other writes), the position
 * that covers the commit, whether Redis had the write too when it was answered, and which of Redis's versions
 * (ladder.lua) covers it, so that a cache knows whether it has heard of it. A write that Redis did not have then can be
 * read from Redis again once the worker has applied everything up to committed_us. And it names the state of the game's
 * definitions (boards, combinations, keys) that the write was made under. base64url with a MAC: a forged one could make
 * every read wait for a position that never comes.
 *
 * Tokens of format 2, which end with `version`, are still accepted.
 */
#ifndef BOARD_TOKEN_H
#define BOARD_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/error.h"

enum { TOKEN_TEXT_MAX = 96 };

struct token {
    int32_t epoch;
    int32_t timeline;
    int64_t lsn;
    int64_t version;      /* of the newest change in Redis; 0: not applied */
    bool is_applied;      /* in Redis, before the answer left */
    int64_t committed_us; /* the primary's clock after the commit, microseconds since 1970; 0: not known */
    int64_t game_id;
    int64_t definition; /* of that game: the number of the newest change; 0: not known */
};

size_t token_encode(const struct token *token, const struct crypto_key *key, char out[static TOKEN_TEXT_MAX]);
/* Of two tokens, one that shows both writes. before NULL: none yet. */
struct token token_later(const struct token *before, const struct token *after);
bool token_decode(struct slice text, const struct crypto_key *key, struct token *ret_token, struct error *error);

#endif
