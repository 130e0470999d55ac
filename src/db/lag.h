/*
 * lag.h -- how far behind a standby is, in time: measured by what the primary had when.
 *
 * A standby that has replayed past all that the primary was ever seen to have is not behind, however long ago that was;
 * one that has not is as old as the first thing it lacks. So an idle primary makes nobody late, and neither does one
 * that is down. (Its own pg_last_xact_replay_timestamp() says neither.) Pure: the time is given.
 */
#ifndef DB_LAG_H
#define DB_LAG_H

#include <stdint.h>

enum { LAG_SAMPLES = 64 };

struct lag {
    struct {
        int64_t lsn, at_us;
    } samples[LAG_SAMPLES]; /* rising */
    int count;
};

void lag_forget(struct lag *lag); /* another history began */
/* The primary was at lsn. Without room, the sample goes that is missed least: so a lag is known to a fifth of itself or
 * so. */
void lag_note(struct lag *lag, int64_t lsn, int64_t now_us);
int64_t lag_bytes(const struct lag *lag, int64_t replayed);
int64_t lag_us(const struct lag *lag, int64_t replayed, int64_t now_us);

#endif
