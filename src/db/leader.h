/*
 * leader.h -- which server is written to: decided from what the servers say of themselves.
 *
 * A server leads if it is in no recovery, of the highest timeline that was ever seen of its cluster, and alone in that.
 *
 *   L1  One whose timeline is older than one seen before gets no write: it is a primary that was replaced, and does not know.
 *   L2  Two of the same timeline that both take writes have parted: nobody can say which one is right, so neither is written
 *       to. (The same server under two names is one server: it started at the same instant.)
 *   L3  A server of another cluster is no server of ours, unless it is the only one that leads: then it replaced the cluster.
 *
 * Pure.
 */
#ifndef DB_LEADER_H
#define DB_LEADER_H

#include <stdbool.h>
#include <stdint.h>

struct leader_candidate {
    bool is_known;    /* it answered lately */
    bool is_standby;  /* in recovery */
    int timeline;     /* of one that is no standby */
    int64_t cluster;  /* its system identifier */
    int64_t start_us; /* when it was started, by its own clock */
};

enum leader_fault {
    LEADER_FINE,
    LEADER_REPLACED, /* L1 */
    LEADER_TWIN,     /* L2 */
    LEADER_FOREIGN,  /* L3 */
};
const char *leader_fault_name(enum leader_fault fault);

/* What is remembered of the past: of which cluster, up to which timeline. */
struct leader_history {
    int64_t cluster; /* 0: nothing yet */
    int timeline;
};

/* The index of the leader, or -1. current: the one so far, or -1; it stays if nobody else has a claim, also while it
 * does not answer. Fills faults[count] and updates the history. */
int leader_elect(const struct leader_candidate *candidates, int count, int current, struct leader_history *history,
                 enum leader_fault *faults);

#endif
