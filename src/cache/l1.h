/*
 * l1.h -- finished answers in a loop's memory, by canonical query, bounded in bytes.
 *
 * An entry is the answer to one query about one standing, made at a version of Redis from a span of its ranks. Whether
 * it still holds is found out when it is asked for (moves.h), so a change costs nothing for the answers that it leaves
 * alone.
 *
 * Eviction is SIEVE (Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024): one queue in order of arrival, a mark on
 * each entry that was asked for again, a hand that goes from the oldest to the newest, takes marks away and evicts what
 * has none. A hit only sets a mark; pages that a crawler asks for once leave without pushing out those that everybody
 * reads.
 *
 * A standing is listened to while it has entries or fetches under way (l1_watch), so that nothing falls between a fetch
 * and its entry. Eras: when the stream of changes broke, what was known is void; a fetch of an older era makes no
 * entry.
 *
 * The value is the caller's, freed by value_free when the entry goes. No clock, one thread.
 */
#ifndef CACHE_L1_H
#define CACHE_L1_H

#include "base/slice.h"
#include "cache/moves.h"

struct l1;
struct l1_standing;

enum { L1_KEY_MAX = 1024, L1_LABELS_MAX = 64 };

struct l1_entry {
    void *value;
    int64_t as_of;      /* contains every change up to this version */
    int64_t checked_us; /* when it was last known to hold; the caller's clock */
    size_t bytes;       /* what it counts for; change it by l1_resize */
    /* Of an entry that is of no standing, whose user finds out himself whether it holds: */
    int64_t lsn;        /* contains every commit up to this position */
    int64_t expires_us; /* the caller's clock */
};

struct l1_count {
    uint64_t evicted;     /* to make room */
    uint64_t invalidated; /* found touched by a move */
    uint64_t forgotten;   /* with an era */
    uint64_t bytes, entries;
};

struct l1_counters {
    struct l1_count all, labels[L1_LABELS_MAX]; /* a label: whatever its user tells apart (routes) */
    size_t standings;
};

struct l1 *l1_new(size_t bytes_max, void (*value_free)(void *value));
void l1_free(struct l1 **l1);

/* ---- what happens in Redis ---- */

/* A change of a standing, as moves_add takes it. */
void l1_hear(struct l1 *l1, int64_t standing, int64_t version, int64_t before, const struct move *items, size_t count);
void l1_reach(struct l1 *l1, int64_t version); /* everything up to it was heard */
int64_t l1_heard(const struct l1 *l1);         /* the newest version heard of, of any standing, in this era */
/* Changes may have been missed: a new era begins, without entries. */
void l1_forget(struct l1 *l1);

/* ---- answers ---- */

/* NULL: none. The entry is the cache's; it stays until the next call that may evict (put, resize, forget). */
struct l1_entry *l1_find(struct l1 *l1, struct slice key);
/* Has nothing touched it, as far as was heard? Notes that it was looked at now. */
bool l1_holds(struct l1 *l1, struct l1_entry *entry, int64_t now_us);
/* Nothing but `as_of` was heard of since: the version of the standing's newest change, 0 when nobody watches it. */
int64_t l1_changed(const struct l1 *l1, int64_t standing);

struct l1_watch {
    struct l1_standing *standing;
    uint64_t era;
};
/* Before a fetch is sent; and after it has ended, with an entry or without. */
struct l1_watch l1_watch(struct l1 *l1, int64_t standing);
void l1_unwatch(struct l1 *l1, struct l1_watch *watch);
/*
 * Keeps the answer of a fetch, in place of an older one of the same key. label: under which it is counted. changed: the
 * standing's last change that it contains. bytes: the value's. Takes the value, unless it returns NULL: too large, too
 * old already, or of an era that is over.
 */
struct l1_entry *l1_put(struct l1 *l1, const struct l1_watch *watch, struct slice key, size_t label, int64_t changed,
                        int64_t as_of, const struct span *span, void *value, size_t bytes, int64_t now_us);
void l1_resize(struct l1 *l1, struct l1_entry *entry, size_t bytes); /* may evict others, not this one */

/* Each entry, the newest first. */
typedef void l1_each_fn(void *context, int64_t standing, void *value);
void l1_each(const struct l1 *l1, l1_each_fn *visit, void *context);

const struct l1_counters *l1_counters(const struct l1 *l1);

#endif
