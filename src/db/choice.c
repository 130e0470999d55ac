#include "db/choice.h"

#include <math.h>

#include "base/assert.h"

static const char *const names[] = {"round_robin", "least_connections", "weighted", "client_hash", "latency"};

bool choice_parse(struct slice text, enum choice_by *ret_by)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (slice_is(text, names[i])) {
            *ret_by = (enum choice_by)i;
            return true;
        }
    return false;
}

const char *choice_name(enum choice_by by)
{
    return names[by];
}

/* Those of the own zone to the front; how many there are to choose from. */
static int near_first(struct choice_candidate *candidates, int count)
{
    int near = 0;

    for (int i = 0; i < count; i++)
        if (candidates[i].is_near) {
            struct choice_candidate swap = candidates[near];
            candidates[near++] = candidates[i];
            candidates[i] = swap;
        }
    return near ? near : count;
}

/* The one with the smallest id that is not below the turn, so that one which comes or goes does not shift the
 * others. */
static int by_turn(const struct choice_candidate *candidates, int count, unsigned *turn)
{
    int next = -1, first = 0;

    for (int i = 0; i < count; i++) {
        if (candidates[i].id < candidates[first].id)
            first = i;
        if (candidates[i].id >= (int)*turn && (next < 0 || candidates[i].id < candidates[next].id))
            next = i;
    }
    if (next < 0)
        next = first;
    *turn = (unsigned)candidates[next].id + 1;
    return next;
}

static int by_load(const struct choice_candidate *candidates, int count, unsigned turn)
{
    int best = (int)(turn % (unsigned)count); /* among equals, by turns */

    for (int i = 0; i < count; i++)
        if ((int64_t)candidates[i].in_flight * candidates[best].weight <
            (int64_t)candidates[best].in_flight * candidates[i].weight)
            best = i;
    return best;
}

static int by_weight(const struct choice_candidate *candidates, int count)
{
    int total = 0, best = 0;

    for (int i = 0; i < count; i++) {
        *candidates[i].credit += candidates[i].weight;
        total += candidates[i].weight;
        if (*candidates[i].credit > *candidates[best].credit)
            best = i;
    }
    *candidates[best].credit -= total;
    return best;
}

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ULL; /* splitmix64 */
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static int by_client(const struct choice_candidate *candidates, int count, uint64_t client)
{
    double best_score = -1.0;
    int best = 0;

    for (int i = 0; i < count; i++) {
        double unit = ((double)(mix(candidates[i].name ^ mix(client)) >> 11) + 0.5) * 0x1p-53;
        double score = -candidates[i].weight / log(unit);
        if (score > best_score) {
            best_score = score;
            best = i;
        }
    }
    return best;
}

/* One drawn by weight, not the one at `skip`. */
static int draw(const struct choice_candidate *candidates, int count, int skip, uint64_t random)
{
    uint64_t total = 0;

    for (int i = 0; i < count; i++)
        total += i == skip ? 0 : (uint64_t)candidates[i].weight;
    uint64_t at = random % total;
    for (int i = 0; i < count; i++) {
        uint64_t weight = i == skip ? 0 : (uint64_t)candidates[i].weight;
        if (at < weight)
            return i;
        at -= weight;
    }
    return 0;
}

static int by_latency(const struct choice_candidate *candidates, int count, uint64_t random)
{
    if (count == 1)
        return 0;
    int one = draw(candidates, count, -1, random & 0xffffffff), other = draw(candidates, count, one, random >> 32);
    return candidates[other].cost < candidates[one].cost ? other : one;
}

int choice_make(enum choice_by by, struct choice_candidate *candidates, int count, uint64_t client, uint64_t random,
                unsigned *turn)
{
    ASSERT(count > 0);
    count = near_first(candidates, count);
    switch (by) {
    case CHOICE_LEAST_CONNECTIONS:
        return by_load(candidates, count, (*turn)++);
    case CHOICE_WEIGHTED:
        return by_weight(candidates, count);
    case CHOICE_CLIENT_HASH:
        if (client)
            return by_client(candidates, count, client);
        break;
    case CHOICE_LATENCY:
        return by_latency(candidates, count, random);
    case CHOICE_ROUND_ROBIN:
        break;
    }
    return by_turn(candidates, count, turn);
}
