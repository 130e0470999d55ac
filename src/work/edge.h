/*
 * edge.h -- telling one edge what to forget: takes what is due off its list, sends it, tries again as long as it takes.
 *
 * An edge has a thread of its own in the worker, so that one that is down keeps no other waiting; among several workers
 * an advisory lock says whose thread it is.
 */
#ifndef WORK_EDGE_H
#define WORK_EDGE_H

#include "edge/client.h"
#include "work/edge_queue.h"

struct edge_sender {
    struct link link;
    const struct edge_target *target; /* borrowed */
    struct edge_client *client;
    bool is_locked;
    int failures; /* in a row */
    /* Since the last line in the log: */
    int64_t logged_us, tags, requests, took_us;
};

/* stop: as link.h has it. */
void edge_sender_init(struct edge_sender *sender, const struct settings *settings, const struct edge_target *target,
                      const atomic_bool *stop);
void edge_sender_done(struct edge_sender *sender);

/*
 * One step. ret_pause_ms: until the next. false: *error says why nothing was sent; what was to be sent stays on the
 * list.
 */
bool edge_sender_step(struct edge_sender *sender, int64_t *ret_pause_ms, struct error *error);

#endif
