/*
 * tail.h -- following PostgreSQL's changes into Redis, and saying when Redis may be believed.
 */
#ifndef WORK_TAIL_H
#define WORK_TAIL_H

#include <stdbool.h>

#include "work/edge_queue.h"
#include "work/link.h"

struct tail;

/* edges: borrowed; they are told of what changes. stop: as link.h has it. */
struct tail *tail_new(const struct settings *settings, const struct edges *edges, const atomic_bool *stop);
void tail_free(struct tail **tail);

/*
 * One look: (re)connects and takes the job's lock where needed, applies what is new, moves the cursors. ret_rows:
 * entries applied. false: it will start over at the next call; *error says why. is_ours: another worker tails; nothing
 * was done.
 */
bool tail_poll(struct tail *tail, bool *ret_is_ours, int64_t *ret_rows, struct error *error);

#endif
