/*
 * submit_flow.h -- submissions that wait for a connection, in flows, so that no game waits behind another one's thousands.
 *
 *   KIND_SINGLE   a flow for each game: groups of few
 *   KIND_BULK     a flow for each game: groups of many
 *   KIND_SUSPECT  a flow for each game: groups with a board for which the database refused something a moment ago
 *
 * A batch is of one kind, in turn, so that single submissions do not wait for hundreds of rows in their own transaction.
 * Within a kind, the flows take turns (deficit round robin: Shreedhar and Varghese, 1995): each gives QUANTUM
 * submissions, or a claimed group that is longer and then pays for it by not being asked. A batch of suspects is of one
 * flow: it is likely to be undone, for all that are in it.
 *
 * Within a flow the order is that of arrival; one group is in one flow. Pure memory, one thread.
 */
#ifndef STORE_SUBMIT_FLOW_H
#define STORE_SUBMIT_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct item;
struct group;
struct flow;

enum flow_kind { KIND_SINGLE, KIND_BULK, KIND_SUSPECT, KIND_COUNT };

struct flows {
    struct flow *by_name; /* those with items */
    TAILQ_HEAD(flow_list, flow) waiting[KIND_COUNT];
    size_t counts[KIND_COUNT]; /* items */
    int last;                  /* kind that gave the last batch */
    bool has_game;             /* a batch has been given something; of this game last */
    int64_t game;
};

void flows_init(struct flows *flows);
/* Items that are linked by `next`, all of one group; they are the flows' until flows_take. */
void flows_add(struct flows *flows, int64_t game, enum flow_kind kind, struct item *items);
size_t flows_count(const struct flows *flows);
/* How many of the game and kind wait. */
size_t flows_count_of(const struct flows *flows, int64_t game, enum flow_kind kind);
/* Whether some kind has as many as a batch takes. */
bool flows_are_full(const struct flows *flows, size_t batch_max);

/* Whether something of the kind waits. */
bool flows_wait(const struct flows *flows, enum flow_kind kind);

/* A batch begins: of which kind it is. Something waits. */
enum flow_kind flows_begin(struct flows *flows);
enum flow_kind flows_begin_kind(struct flows *flows, enum flow_kind kind); /* of this kind, which waits */
/* Its next item, or NULL: nothing that may be in it waits. flows_take takes that item out, after flows_next only. */
struct item *flows_next(struct flows *flows, enum flow_kind kind);
void flows_take(struct flows *flows, enum flow_kind kind);
/* It ends. is_refused: the item that flows_next gave last cannot be in it, so its flow comes last in the next one. */
void flows_end(struct flows *flows, enum flow_kind kind, bool is_refused);

/* Takes out a group if all of it, `count` items, waits; the items are freed. */
bool flows_withdraw(struct flows *flows, const struct group *group, size_t count);
/* The group of this context, or NULL. */
struct group *flows_group(const struct flows *flows, const void *context);

#endif
