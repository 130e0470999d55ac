/*
 * last_writes.h -- up to which position this process has acknowledged writes, by game and by player.
 *
 * An answer that was made from PostgreSQL lacks none of them if its read covered the position that is noted here. The
 * positions are kept by a hash: where two things share one, an answer is made anew too early, never too late. They are
 * counted for each history (epoch and timeline) apart. One table for the whole process, since a client's next request
 * may come to another loop. Any thread; neither call takes a lock.
 */
#ifndef STORE_LAST_WRITES_H
#define STORE_LAST_WRITES_H

#include "store/store.h"

enum last_write {
    LAST_WRITE_GAME,     /* of its definitions, and removals: all that is known of it may differ */
    LAST_WRITE_ACTIVITY, /* a submission to one of its boards */
    LAST_WRITE_PAST,     /* one that tells its instant: it may count in a period of the past */
    LAST_WRITE_PLAYER,   /* a submission of this player */
};

/* Before the write is acknowledged. lsn: covers its commit; INT64_MAX: it committed, and the position is not known.
 * player: of LAST_WRITE_PLAYER only. */
void last_write_note(struct store *store, enum last_write kind, int64_t game_id, struct slice player, int64_t lsn);
/* What an answer must cover that depends on `kind` (and on the game, as all do); 0: nothing. */
int64_t last_write_find(struct store *store, enum last_write kind, int64_t game_id, struct slice player);

#endif
