/*
 * answers.h -- finished answers, remembered as long as they hold, and fetches that several requests share.
 *
 *   answers_ask -> HIT     here it is
 *               -> STALE   here is one that may have been overtaken, within what the board allows; a fetch is under way
 *               -> JOINED  somebody's fetch will bring it: `done` is called
 *               -> FETCH   the caller fetches, and ends the flight with what it found
 *
 * What makes a hit: the stream of changes is current, nothing that this process acknowledged and nothing that the
 * caller's token covers is still unheard of, and no move since the answer was made touched the ranks that it shows.
 * What may be joined: a fetch that began after the newest change of the standing that is known of.
 *
 * An answer that is of no standing (a game's numbers) is made from PostgreSQL alone, and is brief: it holds while it is
 * younger than lives_us and covers least_lsn, whatever Redis and the stream do. One loop, one thread.
 */
#ifndef STORE_ANSWERS_H
#define STORE_ANSWERS_H

#include "cache/l1.h"
#include "store/standing.h"

struct flight;

struct answers_query {
    /* canonical: all that the answer depends on, apart from the data. At most L1_KEY_MAX, or it is not kept */
    struct slice key;
    int64_t standing;
    const struct freshness *freshness;
    int64_t max_staleness_us;
    size_t label; /* see l1.h */
    /* Of a brief answer; 0: it is one of a standing. Its standing is ANSWERS_NO_STANDING. */
    int64_t lives_us;
    int64_t least_lsn; /* what it must cover */
};

#define ANSWERS_NO_STANDING (-1)

enum answers_outcome { ANSWERS_HIT, ANSWERS_STALE, ANSWERS_JOINED, ANSWERS_FETCH };

/* value NULL and error NULL: the fetch does not cover what this caller must see; ask again. */
typedef void answers_done_fn(void *context, void *value, const struct error *error);

/* bytes_max 0: nothing is remembered, fetches are still shared. value_free: see l1.h. Once, before the first
 * question. */
void answers_open(struct store *store, size_t bytes_max, int heartbeat_ms, void (*value_free)(void *value));

/* HIT, STALE: *ret_entry, its value borrowed until the next question. FETCH: *ret_flight, to be ended exactly once, and
 * *ret_was_touched: there was one, until a change touched what it shows. */
enum answers_outcome answers_ask(struct store *store, const struct answers_query *query, answers_done_fn *done,
                                 void *context, struct l1_entry **ret_entry, struct flight **ret_flight,
                                 bool *ret_was_touched);

/*
 * A fetch that found `value` ends in two steps, between which the leader answers its own client:
 *
 *   flight_keep  remembers the value, if it may be; true: it did. Call it at most once. answer says what of the past the
 *                value contains. Until flight_land the value stays valid either way
 *   flight_land  hands the value to those who joined, and frees it unless it was kept. bytes: what it counts for now
 *
 * flight_fail ends a fetch that failed. The leader itself is not called back.
 */
bool flight_keep(struct flight *flight, const struct standing_answer *answer, void *value, size_t bytes);
/* flight_keep for a brief answer. age_us: how old it is already, where another cache had it. */
bool flight_keep_brief(struct flight *flight, int64_t lsn, int64_t age_us, void *value, size_t bytes);
void flight_land(struct flight *flight, const struct standing_answer *answer, void *value, size_t bytes);
void flight_fail(struct flight *flight, const struct error *error);

void answers_resize(struct store *store, struct l1_entry *entry, size_t bytes);
const struct l1_counters *answers_counters(const struct store *store);
void answers_each(const struct store *store, l1_each_fn *visit, void *context);
void answers_forget(struct store *store); /* all of them; fetches go on */
bool answers_are_trusted(const struct store *store);
/*
 * The newest change that this loop heard of, or that this process acknowledged or showed. *ret_era: while it is the
 * same, nothing was missed since it began. false: the stream of changes is not current, or there is none.
 */
bool answers_heard(const struct store *store, int64_t *ret_version, uint64_t *ret_era);

#endif
