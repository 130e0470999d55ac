/*
 * private.h -- the store's inside, shared by its files only.
 */
#ifndef STORE_PRIVATE_H
#define STORE_PRIVATE_H

#include <uthash.h>

#include "board/key_id.h"
#include "store/store.h"

struct key_entry;
struct key_signing;
struct absent;

/* absent.c: what PostgreSQL is asked about that is not in memory. */
enum lookup { LOOKUP_BOARD_ANONYMOUS, LOOKUP_BOARD_KEYED, LOOKUP_KEY, LOOKUP_KEY_SIGNED, LOOKUP_COUNT };
struct lookup_rate {
    int64_t left; /* look-ups, in millionths */
    int64_t at_us;
};
struct board_entry;
struct period_entry;
struct submitter;
struct answers;
struct generation;
struct dense;
struct l2;
struct replicas;
struct zone_list;

enum { STORE_FAILING_MAX = 256 };

struct store {
    struct ev_loop *loop;
    struct store_settings settings;
    struct db *db;
    struct kv *kv;
    struct key_entry *keys;         /* by id (keys.c) */
    struct key_entry *unknown_keys; /* the same, of which there are none */
    struct key_signing *key_signing;
    struct absent *absent; /* by "game/board" (absent.c) */
    struct lookup_rate lookups[LOOKUP_COUNT];
    /* What the stream of changes brings (answers.c) of definitions: definition_changes.c's, set by store.c. */
    void (*definition_message)(struct store *store, struct slice payload);
    void (*definitions_missed)(struct store *store);
    struct board_entry *boards;           /* by "game/board" (boards.c) */
    uint64_t board_changes;               /* that this loop was told of */
    uint64_t definition_changes;          /* the same, of all definitions */
    struct definition_heard *definitions; /* by game (definitions.c) */
    struct period_entry *periods;         /* by board and window (periods.c) */
    struct submitter *submitter;
    struct answers *answers;         /* NULL until answers_open */
    struct generation *generations;  /* by standing (standing_page.c) */
    struct dense *dense;             /* by standing (dense.c) */
    struct l2 *l2;                   /* NULL: off */
    char failing[STORE_FAILING_MAX]; /* what the worker's jobs fail for, as it said */
    int64_t worker_heard_us;         /* monotonic: when Redis last said when the worker spoke; 0: never */
    int64_t worker_spoke_us;         /* monotonic; INT64_MIN: it did not */
    struct zone_list *zones;         /* NULL: not listed yet (zones.c) */
    struct turns *turns;             /* of reads (standing_turn.c) */
    struct replicas *replicas;       /* of Redis (standing_replica.c); NULL: none is read from */
};

/* keys.c, boards.c, periods.c, zones.c, standing_page.c, dense.c, standing_replica.c */
void keys_free(struct store *store);
void boards_free(struct store *store);
void periods_free(struct store *store);
void zones_close(struct store *store);
void generations_free(struct store *store);
void dense_stop(struct store *store);  /* after the Redis connection: who waits goes on */
void dense_close(struct store *store); /* after the database: nothing is under way any more */
void replicas_open(struct store *store);
void replicas_close(struct store *store); /* before the Redis connection */

/* boards.c: "game/board", and forgetting it. */
enum { BOARD_PATH_MAX = 2 * NAME_BYTES_MAX + 2 };
void board_path(struct slice game, struct slice name, char path[static BOARD_PATH_MAX]);
void boards_forget(struct store *store, const char *path);

/*
 * absent.c: boards that there are not. token: what the answer must be as new as; NULL: nothing. game_id 0: there is no
 * such game.
 */
enum absence { ABSENCE_UNKNOWN, ABSENCE_OF_BOARD, ABSENCE_OF_GAME };
enum absence absent_find(struct store *store, const char *path, const struct token *token);
void absent_remember(struct store *store, const char *path, int64_t game_id, int64_t definition);
void absent_forget(struct store *store, const char *path);
void absent_spoil(struct store *store, int64_t game_id, int64_t version); /* as boards_spoil */
void absent_free(struct store *store);
/* Counts it. false: too many were sent lately. */
bool lookup_may_be_sent(struct store *store, enum lookup kind);
/* It found something: it does not count. LOOKUP_COUNT: it was not counted. */
void lookup_found(struct store *store, enum lookup kind);

/*
 * key_signing.c: what the id of a key that is not in memory says of itself. KEY_MADE_UP: there is no such key. KEY_SIGNED:
 * ladder key create has made it. KEY_UNCERTAIN: only PostgreSQL knows. KEY_TO_WAIT: call key_signing_wait, and ask again when
 * it is done.
 */
enum key_word { KEY_UNCERTAIN, KEY_SIGNED, KEY_MADE_UP, KEY_TO_WAIT };
void key_signing_open(struct store *store);
void key_signing_close(struct store *store);  /* after the database */
void key_signing_start(struct store *store);  /* PostgreSQL may be reachable */
void key_signing_forget(struct store *store); /* it is another history's */
enum key_word key_signing_judge(struct store *store, const char *id);
/* error: the read that it waited for failed; or NULL. Never called from inside. */
typedef void key_signing_fn(void *context, const struct error *error);
void key_signing_wait(struct store *store, key_signing_fn *done, void *context);

/* definitions.c: what was heard of each game's definitions. */
int64_t definition_heard(const struct store *store, int64_t game_id); /* 0: of no change */
/* false: as much was heard already. */
bool definition_note(struct store *store, int64_t game_id, int64_t version);
/* It is a game of which nothing was heard, and there is no room for another. */
bool definitions_are_full(const struct store *store, int64_t game_id);
void definitions_free(struct store *store);
/* The number that a copy of a definition of the game must have for the holder of the token (NULL: none); 0: any. */
int64_t definition_need(const struct store *store, const struct token *token, int64_t game_id);
/* What a loop remembers of the game (0: of all games) and is older than the version is read anew before it is used,
 * unless the database is not reachable. */
void boards_spoil(struct store *store, int64_t game_id, int64_t version);
void keys_spoil(struct store *store, int64_t game_id, int64_t version);
void key_forget(struct store *store, struct slice id); /* it was revoked */

/* definition_changes.c. A message on the channel of definitions; and: messages may have been missed, all is read anew. */
void definition_message(struct store *store, struct slice payload);
void definitions_missed(struct store *store);
void loops_join(struct store *store); /* to be told what other loops changed */
void loops_leave(struct store *store);

void submitter_new(struct store *store);
void submitter_free(struct store *store);
void submitter_wake(void *context); /* db_settings.writer_ready */

/*
 * Standings to which this process's own changes may be missing in Redis, because an apply failed after its commit:
 * until the worker's tail has passed that commit, PostgreSQL answers for them. committed_us: the database's clock after
 * the commit. Any loop.
 */
void unsure_add(int64_t standing, int64_t committed_us);
/* Is it, still? Asks Redis how far the tail is, for the next time. */
bool unsure_has(struct store *store, int64_t standing);
/*
 * reached.c: does Redis have everything of this standing that was committed up to committed_us (the primary's clock; 0:
 * not known)? epoch: the history that the commit is of. If it is not known, Redis is asked, for the next time. Where it
 * does, *version is raised to one that covers it. Any loop.
 */
bool reached_has(struct store *store, int64_t standing, int epoch, int64_t committed_us, int64_t *version);

/*
 * answers.c: Redis has answered a command that changes a standing; these are the items of the script's answer from the
 * version on (ladder.lua: apply). Before the change is acknowledged, so that the process's loops know of it. Returns the
 * version.
 */
struct redisReply;
int64_t answers_changed(struct store *store, const struct redisReply *reply);
void answers_stop(struct store *store); /* before the Redis connection goes */
void answers_free(struct store *store); /* after it: its last fetches have ended */
void l2_close(struct store *store);     /* with the Redis connection */

/* wanted.c. A standing that Redis was found not to hold: the worker will see to it. */
void standing_want(struct store *store, int64_t standing);
void activity_want(struct store *store, int64_t standing); /* the same of who counts what is submitted to it */

#endif
