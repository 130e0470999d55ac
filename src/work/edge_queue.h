/*
 * edge_queue.h -- what each edge has to be told, and when: lists in Redis that outlive any worker.
 *
 *     ladder:{0}:purge:<edge>        ZSET  "<kind> <tag>" by when it is due (microseconds since 1970)
 *     ladder:{0}:purge:<edge>:sending SET   of those, taken to be sent; gone when the edge has said yes
 *     ladder:{0}:purge:edges         SET   of the edges that are told of every change
 *
 * The tail writes a tag behind the change itself (in Redis) and before its cursors: killed between, it finds the change
 * again. The sender puts tags into `sending` before it takes them off the list: killed between, it sends them twice.
 * So none is lost with a worker. A Redis that lost its cursors has lost its lists too, and an edge that was not in the
 * settings for a while has missed changes: then it is told to forget everything (the tag ALL).
 *
 * Kinds: 0  at once. 1  again, settle_ms later: a fetch that was on its way to the edge when it was told may have brought
 * the old state after that, and other servers may know an old definition of the board for board_ttl_ms.
 * 2  the same for a board that allows its answers to be stale. @<time>  at that time, when a period begins.
 */
#ifndef WORK_EDGE_QUEUE_H
#define WORK_EDGE_QUEUE_H

#include "edge/target.h"
#include "work/link.h"

#define EDGE_ALL "*"

enum { EDGE_TAG_MAX = 160, EDGE_QUEUE_KEY_MAX = 64 };

/* Those of the settings. */
struct edges {
    const struct settings *settings; /* borrowed */
    size_t count;
    struct edge_target *items[SETTINGS_LIST_MAX];
};
bool edges_read(struct edges *edges, const struct settings *settings, struct error *error);
void edges_free(struct edges *edges);

/* At the tail's start, behind its first snapshot. is_all: changes may have been missed. */
bool edge_queue_sync(struct link *link, const struct edges *edges, bool is_all, struct error *error);
/* A board changed, or something in it: due now and again. max_staleness_ms: the board's. */
bool edge_queue_change(struct link *link, const struct edges *edges, const char *game, const char *board,
                       int64_t max_staleness_ms, struct error *error);
/* The same for a moment to come. */
bool edge_queue_at(struct link *link, const struct edges *edges, const char *game, const char *board, int64_t at_us,
                   struct error *error);

/* What is to be sent to one edge now: at most `max` members ("<kind> <tag>"), those of a send that failed first. */
struct edge_taken {
    size_t count;
    char (*tags)[EDGE_TAG_MAX]; /* without kinds, each once */
};
bool edge_queue_take(struct link *link, const struct edge_target *edge, size_t max, struct edge_taken *ret_taken,
                     struct error *error);
bool edge_queue_done(struct link *link, const struct edge_target *edge, struct error *error); /* they were sent */

#endif
