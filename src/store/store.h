/*
 * store.h -- the librarian: what the application asks of leaderboards, answered from Redis, PostgreSQL and its own
 * memory.
 *
 * One per loop, one thread. Every question takes a continuation, called exactly once with an answer or an error; it may
 * be called before the function returns (the answer was in memory), so a caller never touches what it has handed over.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/error.h"
#include "board/board.h"
#include "board/token.h"
#include "db/db.h"
#include "kv/kv.h"
#include "kv/replicas.h"

struct ev_loop;
struct store;

struct store_settings {
    const struct db_settings *db; /* borrowed until store_new returns */
    struct kv_settings kv;
    struct kv_replicas_settings replicas;
    int queue_max;
    int batch_max;
    int64_t reads_in_flight; /* costs, standing_turn.c */
    int game_percent, client_percent;
    int reads_waiting_max; /* of a game */
    int reads_wait_ms;
    int unknown_lookups; /* a second; 0: no limit */
    int board_ttl_ms;
    int key_ttl_ms;
};

/* Who has answered. SOURCE_BEHIND: a replica that lacks what a lost primary had. */
enum source { SOURCE_NONE, SOURCE_REDIS, SOURCE_REPLICA, SOURCE_PRIMARY, SOURCE_L2, SOURCE_BEHIND };
const char *source_name(enum source source);

struct store *store_new(struct ev_loop *loop, const struct store_settings *settings);
void store_free(struct store **store);
void unsure_free(void); /* at the end of the process, when no store is left */
struct db *store_db(struct store *store);
struct kv *store_kv(struct store *store);
bool store_is_idle(const struct store *store); /* no submission waits or is under way */

/* outcome.c: the error of an outcome as callers may see it; logs what PostgreSQL said. */
void store_error_of(const struct db_outcome *outcome, struct error *error);
/* Who has answered a read, by its outcome. */
enum source store_source_of(const struct db_outcome *outcome, enum db_source source);
/* Does an SQLSTATE speak of the state of the server, and not of the data? The same statement may succeed later. */
bool store_is_passing(const char *sqlstate);

/* ---- what a reader must see ---- */

struct freshness {
    int64_t lsn;       /* at least this position, where PostgreSQL answers */
    int64_t shown_lsn; /* the token's part of it */
    uint64_t client; /* who asks, 0 unknown: the same one is answered by the same replica, where the settings say so */
    int64_t version; /* at least this change, where a cache answers (the token's; 0: none) */
    bool needs_primary; /* the token is of another history: only the primary's word counts */
    bool skips_redis;   /* the token's write was not in Redis when it was answered, and may still be missing there */
};
/* token NULL: none. standing: a period's id, store_history_standing's number, or 0: of another kind. */
struct freshness store_freshness(struct store *store, const struct token *token, int64_t standing);
/* The same for a read by SQL. */
static inline struct db_wish store_wish(const struct freshness *freshness)
{
    return (struct db_wish){.lsn = freshness->lsn,
                            .shown_lsn = freshness->shown_lsn,
                            .needs_primary = freshness->needs_primary,
                            .client = freshness->client};
}

/* The number under which what is over in a game counts as a standing. */
static inline int64_t store_history_standing(int64_t game_id)
{
    return INT64_MAX / 2 + game_id;
}

/* ---- API keys (keys.c) ---- */

struct api_key {
    int64_t game_id; /* 0: unknown or revoked key */
    char game[NAME_BYTES_MAX + 1];
    enum scope scope;
};
typedef void store_key_fn(void *context, const struct api_key *key, const struct error *error);
/* text: the key as it was sent. An unknown key is no error: game_id is 0. token: what the answer must be as new as, or
 * NULL; borrowed for the call. */
void store_key_find(struct store *store, struct slice text, const struct token *token, store_key_fn *done,
                    void *context);
/* For an id that was made up, without a look-up; by all loops, since the start. */
uint64_t store_keys_refused(void);

/* ---- boards (boards.c) ---- */

typedef void store_board_fn(void *context, const struct board *board, const struct error *error);
/* ERROR_GAME_NOT_FOUND, ERROR_BOARD_NOT_FOUND. The board is borrowed until the continuation returns. token: what the
 * definition must be as new as, or NULL; borrowed for the call. is_keyed: who asks has shown a key of the game;
 * ERROR_OVERLOADED: too many boards that are not in memory were asked for lately. */
void store_board_find(struct store *store, struct slice game, struct slice name, bool is_keyed,
                      const struct token *token, store_board_fn *done, void *context);
void store_board_forget(struct store *store, struct slice game, struct slice name);
/* The same in every loop of the process, through their mailboxes; the caller's own at once. */
void store_board_forget_all(struct store *store, struct slice game, struct slice name);

/* Reads a board's columns as the board_* statements give them, from a column on; what follows them is at +
 * BOARD_COLUMNS. */
enum { BOARD_SCHEDULES = 13 + BOARD_CACHING_COUNT + 4, BOARD_COLUMNS };
void store_board_read(struct board *board, struct db_rows rows, int row, int column);

/* Of boards and keys, by all loops, since the start. */
uint64_t store_lookups_refused(void);

/* ---- changes of definitions (definition_changes.c) ---- */

/* A change of a board, a combination or a key of the game is committed; version: game.definition. Every loop of the
 * process reads what it has of the game anew, and so does every other server that listens to Redis. */
void store_definition_changed(struct store *store, int64_t game_id, int64_t version);

/* A change of a standing is committed that Redis gets from the worker's tail only: until then PostgreSQL answers for the
 * standing, to all of the process. committed_us: the primary's clock after the commit. Any loop. */
void store_standing_changed(int64_t standing, int64_t committed_us);

/* ---- periods (periods.c) ---- */

struct period {
    int64_t id; /* 0: no submission came yet */
    int64_t board_id;
    enum window window;
    int64_t start_us; /* INT64_MIN: -infinity */
    int64_t end_us;   /* INT64_MAX: infinity */
    bool is_closed;
    enum source source; /* who has said that no submission came yet; SOURCE_NONE where one came */
};
enum { PERIOD_TEXT_MAX = 40 };
/* "all", or the first instant as RFC 3339: the id that the API shows. Returns the length. */
size_t period_text(const struct period *period, char out[static PERIOD_TEXT_MAX]);

typedef void store_period_fn(void *context, const struct period *period, const struct error *error);
/* text: "" or "current", "previous", or an id. facet: a key (board_facet_key): the period's standing of that value; "":
 * of the whole board. freshness: what the answer must have seen; borrowed for the call. ERROR_PERIOD_NOT_FOUND. */
void store_period_find(struct store *store, const struct board *board, enum window window, struct slice text,
                       const char *facet, const struct freshness *freshness, store_period_fn *done, void *context);

#endif
