/*
 * choice.h -- which of the servers that could answer a read is asked.
 *
 *   round_robin        one after the other
 *   least_connections  the one with the fewest calls in flight for its weight
 *   weighted           one after the other, in proportion to the weights, evenly mixed (smooth weighted round robin)
 *   client_hash        the same one for the same client as long as it is there (weighted rendezvous hashing): one that goes
 *                      moves only its own clients
 *   latency            of two drawn at random by weight, the one with the lower cost (power of two choices): near the best,
 *                      without everybody running to it
 *
 * Servers of the own zone come first; the others only when none of those is among the candidates. Pure: the candidates
 * are those that may be asked at all, and randomness is given.
 */
#ifndef DB_CHOICE_H
#define DB_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum choice_by { CHOICE_ROUND_ROBIN, CHOICE_LEAST_CONNECTIONS, CHOICE_WEIGHTED, CHOICE_CLIENT_HASH, CHOICE_LATENCY };
enum { CHOICE_WEIGHT_MAX = 1000 };

struct choice_candidate {
    int id;        /* of the server, small, for round_robin */
    uint64_t name; /* hash of its name */
    int weight;    /* 1 to CHOICE_WEIGHT_MAX */
    int in_flight;
    double cost;  /* latency_cost */
    bool is_near; /* of the own zone */
    int *credit;  /* weighted: kept between calls, 0 at first */
};

bool choice_parse(struct slice text, enum choice_by *ret_by);
const char *choice_name(enum choice_by by);

/* The index of one of 1 <= count candidates, whose order may be changed before. client: who asks, 0 unknown (then
 * client_hash goes by turns). turn: counts up, kept by the caller. */
int choice_make(enum choice_by by, struct choice_candidate *candidates, int count, uint64_t client, uint64_t random,
                unsigned *turn);

#endif
