/*
 * l2_tail.h -- what the tail does for the second cache (store/l2.h): purging the closed standings in which it finds
 * changes.
 *
 * The server that erased a player has purged already, unless it died in between or could not reach that Redis. Until it
 * is done the tail's cursors stay, so that the worker that comes next finds the same changes. After cache.l2_ttl_s
 * nothing from before is left there to be purged.
 */
#ifndef WORK_L2_TAIL_H
#define WORK_L2_TAIL_H

#include "work/link.h"

struct l2_tail {
    struct kvb *own;    /* where it is not the standings' Redis */
    bool is_all;        /* changes may have been missed: all is to be purged */
    int64_t *standings; /* to be purged */
    size_t count, room;
    int64_t since_us; /* when the newest was noted, monotonic; 0: there are none */
    int64_t retry_us; /* not before; 0: at once */
};

void l2_tail_note(struct l2_tail *tail, int64_t standing);
void l2_tail_note_all(struct l2_tail *tail);
/* false: something is left to be purged, and error says why; is_lost: it was the link's own connection. */
bool l2_tail_purge(struct l2_tail *tail, struct link *link, bool *ret_is_lost, struct error *error);
void l2_tail_done(struct l2_tail *tail);

/* What is over in these games has become more: nobody is told what was kept of it. Where that Redis is away, its copies
 * end by themselves soon. */
void l2_histories_forget(struct link *link, const int64_t *games, size_t count);

/* A standing that was open again closes again: what was kept of it when it was closed before is void. To be called before it
 * is closed; false: it must not be closed yet. */
bool l2_standing_forget(struct link *link, int64_t standing, struct error *error);

/* The Redis of the second cache, opened if it is another than the link's (*own, closed by the caller); NULL: *error. Of
 * a link without a Redis, always opened. */
struct kvb *l2_open_blocking(const struct settings *settings, struct kvb *shared, struct kvb **own, int timeout_ms,
                             struct error *error);
/* Everything under these tags is void. */
bool l2_purge_blocking(struct kvb *kv, const char *const *tags, size_t count, struct error *error);
/* Every key of a kind ("value", "tag", "lock"), a few at a time. The callback returns false after filling *error. */
typedef bool l2_keys_fn(void *context, const struct slice *keys, size_t count, struct error *error);
bool l2_scan_blocking(struct kvb *kv, const char *kind, l2_keys_fn *visit, void *context, struct error *error);

#endif
