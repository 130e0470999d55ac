/*
 * l2.h -- the second cache: answers that only PostgreSQL can make, kept in Redis for all servers.
 *
 *   l2_find -> hit                                             the body is there
 *           -> miss, with a ticket or without: fetch, then l2_keep or l2_drop
 *
 * What is kept: answers about closed periods, and about open ones while Redis does not hold them. Closed periods change
 * by nothing but the erasure of a player, which purges the tag of each standing that it touched before it is
 * acknowledged (and the worker does it again, should the server have died between). Of an open one, the name of what is
 * kept holds a nonce that lives only as long as nothing is applied to it (still.h). And what is over in a game, of many
 * standings at once (history_of): the worker purges their common tag when it has closed another period or noted another
 * midnight; should it die in between, they live a short time only.
 *
 * Why a hit is never wrong. A value is under three tags, and counts only while each has the nonce that it had when the
 * value's fetch began. So a reader who comes after an erasure was acknowledged finds another nonce, or none, however
 * late a fetch from before it stores what it found. A fetch from after it must not read a replica that lags: a tag that
 * has no nonce gets one together with the position of the primary at that time, and every fetch under that nonce covers
 * this position. Nor can the position be too old for the period itself: it was taken after a reader saw the period
 * closed. A token asks for no more than that, since an erasure has purged before there was a token; where it could not
 * (Redis was away), its token says so and its server's unsure.c knows, and neither reads here. A correction of a period
 * that was opened again does not purge: who corrected it finds that the period is open (periods.c), and the worker has
 * purged before it closes.
 *
 * Redis may lose everything here at any time, and evict what it likes. The name of a value holds the version of the
 * program, the epoch and the timeline, under a key derived from the servers' secret. One loop, one thread.
 */
#ifndef STORE_L2_H
#define STORE_L2_H

#include "base/buf.h"
#include "store/store.h"

struct l2_ticket;

struct l2_settings {
    const char *url;     /* borrowed; "": the standings' Redis */
    int64_t ttl_ms;      /* 0: off */
    struct slice secret; /* the servers' */
};
void l2_open(struct store *store, const struct l2_settings *settings);

struct l2_query {
    struct slice key; /* canonical: all that the answer depends on, apart from the data */
    struct slice game, board;
    int64_t standing;
    bool is_open;       /* and cold: Redis does not hold it */
    int64_t history_of; /* not 0: it is about what is over in this game, and about no single standing */
    int64_t covers_lsn; /* what a fetch of this caller covers at least */
    int64_t least_lsn;  /* what a hit covers at least */
    int64_t lives_ms;   /* not 0: it is kept no longer than this */
};

struct l2_found {
    bool is_hit;
    int status;               /* with a hit or a refresh */
    struct buf body;          /* with a hit; what is left in it is freed. With a refresh, borrowed */
    struct buf brotli;        /* likewise: the body compressed, empty where that does not pay */
    int64_t age_us;           /* with a hit */
    struct l2_ticket *ticket; /* with a miss: to be kept or dropped; NULL: what is fetched can't be kept */
    int64_t lsn;              /* what the fetch must cover; with a hit, what it covered */
    /* a ticket though there is a value that counts: it is about to expire, and only we were told. What there is does
     * for everybody else */
    bool is_refresh;
};

/* found is borrowed. */
typedef void l2_done_fn(void *context, struct l2_found *found);
/* false: not to be asked now; done is not called. */
bool l2_find(struct store *store, const struct l2_query *query, l2_done_fn *done, void *context);

/* The ticket ends with either. body: copied. l2_keep returns whether it was sent to the cache. */
bool l2_keep(struct l2_ticket *ticket, int status, struct slice body);
void l2_drop(struct l2_ticket *ticket);
/* The fetch of a refresh failed: the value that there is, instead, as a hit; its buffers are the caller's. The ticket
 * ends. false: there is none. */
bool l2_spare(struct l2_ticket *ticket, struct l2_found *ret_found);

/* Tags are "game:<g>", "board:<g>/<b>", "standing:<id>", "history:<game id>". is_done: from here on nothing that was kept under them is
 * found. */
typedef void l2_purged_fn(void *context, bool is_done);
enum { L2_PURGE_MAX = 32 };
void l2_purge(struct store *store, const char *const *tags, size_t count, l2_purged_fn *done, void *context);
bool l2_is_on(const struct store *store);

#endif
