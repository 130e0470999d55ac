/*
 * edge_tail.h -- what the tail does for the edges: finding out which boards they must forget.
 *
 * Three sources: changes of entries (their events, of the same snapshot as the tail's), changes of definitions (rows
 * that the changes themselves wrote) and periods that begin (which change the answer of a URL that names no period).
 */
#ifndef WORK_EDGE_TAIL_H
#define WORK_EDGE_TAIL_H

#include "work/edge_queue.h"

struct edge_tail {
    const struct edges *edges;            /* borrowed */
    struct dbb_result *changed, *defined; /* found, not on the lists yet; NULL: none */
    int64_t rolled_us;                    /* periods that begin up to here are on the lists */
    int64_t look_us;                      /* when to look for more, monotonic */
};

/* In the tail's transaction. parameters: those of tail_changes. */
bool edge_tail_find(struct edge_tail *tail, struct link *link, const char *const parameters[static 3],
                    struct error *error);
/* Behind the changes, before the cursors: puts what was found on the lists. */
bool edge_tail_queue(struct edge_tail *tail, struct link *link, int64_t *ret_count, struct error *error);
void edge_tail_forget(struct edge_tail *tail); /* what was found; a poll that failed finds it again */

#endif
