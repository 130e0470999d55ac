/*
 * activity_tail.h -- what the tail does for statistics: counting in Redis what is submitted to the standings that somebody asks about.
 *
 * A reader that finds a standing uncounted puts it on a list. It is loaded once, as of a poll's snapshot; from then on each
 * poll adds what became visible since the last. Both go into the step that moves the shard's cursor (ladder.lua), which happens
 * or does not: so each event counts once, and the cursor says up to where. Whatever may have been missed or done twice gives
 * this tail another name: what was counted under the old one is of no use, and is loaded again for who asks.
 */
#ifndef WORK_ACTIVITY_TAIL_H
#define WORK_ACTIVITY_TAIL_H

#include "base/slice.h"
#include "kv/keys.h"
#include "work/link.h"

enum { ACTIVITY_NAME_MAX = 17, ACTIVITY_STANDINGS_MAX = 10000, ACTIVITY_LOADS_MAX = 64 };

struct activity_tail {
    char name[ACTIVITY_NAME_MAX]; /* the tail's; the last word of its cursors */
    struct activity_standing {
        int64_t id;
        int64_t until_us; /* counted up to then, monotonic: so long it lives in Redis */
    } * standings;
    size_t count;
    int64_t wanted[ACTIVITY_LOADS_MAX];
    size_t wanted_count;
    struct activity_rows {
        struct dbb_result *result;  /* NULL: none */
        size_t from[KV_SHARDS + 1]; /* a shard's first row */
    } loaded, added;                /* found, not with the cursors yet */
    bool is_unsent;
};

/* Another name: nothing is counted yet. */
void activity_tail_begin(struct activity_tail *tail);
void activity_tail_done(struct activity_tail *tail);

/* What readers asked for. */
bool activity_tail_want(struct activity_tail *tail, struct link *link, struct error *error);
/* In the tail's transaction. parameters: those of tail_changes. */
bool activity_tail_find(struct activity_tail *tail, struct link *link, const char *const parameters[static 2],
                        struct error *error);
/* The arguments of the cursor's function for a shard, and how many there are; their bytes live until activity_tail_sent. */
size_t activity_tail_size(const struct activity_tail *tail, int shard);
size_t activity_tail_arguments(const struct activity_tail *tail, int shard, struct slice *arguments);
/* All cursors have moved. */
void activity_tail_sent(struct activity_tail *tail);

#endif
