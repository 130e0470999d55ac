/*
 * replicas.h -- the replicas of one loop's Redis, for reads: asked only where the answer is as good as the primary's.
 *
 * A replica's process has no word of its own that vouches for it, and needs none: what it has is the primary's past, and
 * what the primary says of itself arrives there with the data. So with every answer, in one step, come two keys:
 *
 *     ladder:ready    "<epoch> <run_id>…"   the primary was whole before that moment of its past
 *     ladder:version  "<run_id> <version>"  the answer has all its changes up to this one (ladder.lua: reach)
 *
 * An answer counts if both name the process that the primary's connection believes in now, and the version is at least
 * what the caller needs. Nothing else is believed: no lag that somebody else measured, no state of a link. An answer
 * that does not count is none; the caller asks the primary.
 *
 *   not used --a probe's answer counts--> used --one fails, or BEHIND_MAX in a row are behind--> not used for a pause
 *
 * One thread: its loop's, but for what says otherwise.
 */
#ifndef KV_REPLICAS_H
#define KV_REPLICAS_H

#include "kv/kv.h"
#include "kv/url.h"

struct kv_replicas;

struct kv_replicas_settings {
    bool is_listed_by_sentinel; /* then none is named here */
    size_t count;
    struct kv_seed places[KV_URL_SEEDS_MAX];
};

/* kv: the primary's connection; it outlives this. settings: kv's. NULL if kv is a cluster. */
struct kv_replicas *kv_replicas_new(struct ev_loop *loop, const struct kv_settings *settings,
                                    const struct kv_replicas_settings *replicas, struct kv *kv);
void kv_replicas_free(struct kv_replicas **replicas); /* what is in flight is called back with NULL */

/* Which there are from now on, in all loops. What is in flight on one that goes is called back with NULL. Any thread. */
void kv_replicas_replace(const struct kv_replicas_settings *wanted);

bool kv_replicas_are_there(const struct kv_replicas *replicas); /* one at least, used or not */
bool kv_replicas_are_used(const struct kv_replicas *replicas);  /* one of them, at least */

/* replies: an array of the commands' replies; NULL if the answer does not count. version: it has every change up to
 * it. */
typedef void kv_replica_done_fn(void *context, const struct redisReply *replies, int64_t version);

/* Commands that only read, in one atomic step, on the one with the fewest in flight. need: the version that the answer
 * must have. false: none is used now; done will not be called. Arguments are copied. */
enum { KV_REPLICA_COMMANDS_MAX = 3 };
bool kv_replicas_call(struct kv_replicas *replicas, int64_t need, size_t count, const struct kv_command *commands,
                      kv_replica_done_fn *done, void *context);

/* ---- of all loops of the process (replica_tally.c). Any thread. ---- */

struct kv_replica_tally {
    const char *name;      /* host:port; stays */
    int loops, loops_used; /* that know it; that ask it now */
    int64_t reads;         /* answers that counted */
    int64_t behind;        /* that lacked what was needed, or were not of the primary: asked again of it */
    int64_t lost;          /* that did not come: likewise */
};

/* Copies those that a loop knows; returns how many. Those beyond the limit, which only a Sentinel that names ever others
 * can reach, are left out. */
enum { KV_REPLICA_TALLIES_MAX = 64 };
size_t kv_replica_tallies(struct kv_replica_tally ret_tallies[static KV_REPLICA_TALLIES_MAX]);

#endif
