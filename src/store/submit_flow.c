#include "store/submit_flow.h"

#include <stdlib.h>
#include <uthash.h>

#include "base/assert.h"
#include "base/fault.h"
#include "store/submit_private.h"

enum { QUANTUM = 16 };

struct flow {
    struct {
        int64_t game;
        int64_t kind;
    } name;
    struct item *head, **tail;
    size_t count;
    int64_t credit;     /* submissions that it may give now; below 0: it gave more */
    bool must_continue; /* its next item belongs to a claimed group of which the batch has a part */
    TAILQ_ENTRY(flow) link;
    UT_hash_handle hh;
};

void flows_init(struct flows *flows)
{
    *flows = (struct flows){.last = KIND_COUNT - 1};
    for (int kind = 0; kind < KIND_COUNT; kind++)
        TAILQ_INIT(&flows->waiting[kind]);
}

static struct flow *flow_find(const struct flows *flows, int64_t game, enum flow_kind kind)
{
    struct flow *flow, probe = {.name = {game, kind}};

    HASH_FIND(hh, flows->by_name, &probe.name, sizeof(probe.name), flow);
    return flow;
}

void flows_add(struct flows *flows, int64_t game, enum flow_kind kind, struct item *items)
{
    if (fault_is("flows")) { /* as it was: first come, first served */
        game = 0;
        kind = KIND_SINGLE;
    }
    struct flow *flow = flow_find(flows, game, kind);
    if (!flow) {
        flow = calloc(1, sizeof(*flow));
        ASSERT(flow != NULL);
        flow->name.game = game;
        flow->name.kind = kind;
        flow->tail = &flow->head;
        flow->credit = QUANTUM;
        HASH_ADD(hh, flows->by_name, name, sizeof(flow->name), flow);
        TAILQ_INSERT_TAIL(&flows->waiting[kind], flow, link);
    }
    *flow->tail = items;
    for (struct item *item = items; item; item = item->next) {
        flow->tail = &item->next;
        flow->count++;
        flows->counts[kind]++;
    }
}

size_t flows_count(const struct flows *flows)
{
    size_t count = 0;

    for (int kind = 0; kind < KIND_COUNT; kind++)
        count += flows->counts[kind];
    return count;
}

size_t flows_count_of(const struct flows *flows, int64_t game, enum flow_kind kind)
{
    const struct flow *flow = flow_find(flows, game, kind);

    return flow ? flow->count : 0;
}

bool flows_are_full(const struct flows *flows, size_t batch_max)
{
    for (int kind = 0; kind < KIND_COUNT; kind++)
        if (flows->counts[kind] >= batch_max)
            return true;
    return false;
}

static void flow_free_if_empty(struct flows *flows, struct flow *flow)
{
    if (flow->head)
        return;
    TAILQ_REMOVE(&flows->waiting[flow->name.kind], flow, link);
    HASH_DEL(flows->by_name, flow);
    free(flow);
}

static void flow_to_the_end(struct flows *flows, struct flow *flow)
{
    struct flow_list *list = &flows->waiting[flow->name.kind];

    TAILQ_REMOVE(list, flow, link);
    TAILQ_INSERT_TAIL(list, flow, link);
}

enum flow_kind flows_begin(struct flows *flows)
{
    do
        flows->last = (flows->last + 1) % KIND_COUNT;
    while (TAILQ_EMPTY(&flows->waiting[flows->last]));
    flows->has_game = false;
    return (enum flow_kind)flows->last;
}

enum flow_kind flows_begin_kind(struct flows *flows, enum flow_kind kind)
{
    flows->last = kind;
    flows->has_game = false;
    return kind;
}

bool flows_wait(const struct flows *flows, enum flow_kind kind)
{
    return flows->counts[kind] > 0;
}

struct item *flows_next(struct flows *flows, enum flow_kind kind)
{
    struct flow_list *list = &flows->waiting[kind];
    struct flow *flow;

    if (kind == KIND_SUSPECT) {
        flow = TAILQ_FIRST(list);
        return flow && (!flows->has_game || flow->name.game == flows->game) ? flow->head : NULL;
    }
    while ((flow = TAILQ_FIRST(list)) && flow->credit <= 0 && !flow->must_continue) {
        flow->credit += QUANTUM;
        flow_to_the_end(flows, flow);
    }
    return flow ? flow->head : NULL;
}

void flows_take(struct flows *flows, enum flow_kind kind)
{
    struct flow *flow = TAILQ_FIRST(&flows->waiting[kind]);
    const struct item *item = flow->head;

    flow->head = item->next;
    if (!flow->head)
        flow->tail = &flow->head;
    flow->count--;
    flow->credit--;
    flows->counts[kind]--;
    flow->must_continue = item->group->has_claim && flow->head && flow->head->group == item->group;
    flows->has_game = true;
    flows->game = flow->name.game;
    flow_free_if_empty(flows, flow);
}

void flows_end(struct flows *flows, enum flow_kind kind, bool is_refused)
{
    struct flow *flow = TAILQ_FIRST(&flows->waiting[kind]);

    if (flow && (is_refused || (kind == KIND_SUSPECT && flow->name.game == flows->game)))
        flow_to_the_end(flows, flow);
}

struct group *flows_group(const struct flows *flows, const void *context)
{
    for (const struct flow *flow = flows->by_name; flow; flow = flow->hh.next)
        for (const struct item *item = flow->head; item; item = item->next)
            if (item->group->context == context)
                return item->group;
    return NULL;
}

static size_t flow_count_of(const struct flow *flow, const struct group *group)
{
    size_t count = 0;

    for (const struct item *item = flow->head; item; item = item->next)
        count += item->group == group;
    return count;
}

static void flow_drop(struct flows *flows, struct flow *flow, const struct group *group)
{
    struct item **at = &flow->head;

    while (*at) {
        struct item *item = *at;
        if (item->group == group) {
            *at = item->next;
            flow->count--;
            flows->counts[flow->name.kind]--;
            free(item);
        } else {
            at = &item->next;
        }
    }
    flow->tail = at;
    flow_free_if_empty(flows, flow);
}

bool flows_withdraw(struct flows *flows, const struct group *group, size_t count)
{
    struct flow *flow, *next;

    HASH_ITER(hh, flows->by_name, flow, next) {
        size_t found = flow_count_of(flow, group);
        if (found == 0)
            continue;
        if (found != count)
            return false;
        flow_drop(flows, flow, group);
        return true;
    }
    return false;
}
