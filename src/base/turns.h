/*
 * turns.h -- whose turn it is: start-time fair queuing over games, and over the clients of a game.
 *
 * Each piece of work has a cost, and so much may be in flight: in all, of one game, of one client. What fits starts at
 * once. The rest waits, and when there is room, the game that has had the least goes next, and within it the client
 * that has had the least: so many requests, or dear ones, only wait for each other.
 *
 *   had    of a game or client: the sum of its costs, and no less than that of the one served last when it came back
 *
 * A piece that is dearer than a limit goes when nothing else is in flight under that limit. A game that waits for room
 * in all is not overtaken by a cheaper one. Pure memory, one thread. What waits lies in the caller's struct turn.
 */
#ifndef BASE_TURNS_H
#define BASE_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct turns;
struct turns_client;
struct turn;

typedef void turn_fn(struct turn *turn);

struct turn {
    turn_fn *go; /* it may start; called from turns_end, for those that waited only */
    void *context;
    int64_t cost;
    int64_t asked_us; /* the caller's, by his clock */
    struct turns_client *client;
    TAILQ_ENTRY(turn) link;
    bool is_in_flight;
};

struct turns_settings {
    int64_t in_flight_max, game_max, client_max; /* costs */
    size_t waiting_max;                          /* of one game */
};

enum turns_answer { TURN_GO, TURN_WAITS, TURN_REFUSED /* too many of the game wait */ };

struct turns *turns_new(const struct turns_settings *settings);
void turns_free(struct turns **turns); /* nothing is in flight, nothing waits */

/* turn: go, context and cost are set; it stays where it is until turns_end. */
enum turns_answer turns_ask(struct turns *turns, struct turn *turn, int64_t game, uint64_t client);
/* What was in flight has ended, or what waited does not want to any more. Starts what may start now. */
void turns_end(struct turns *turns, struct turn *turn);

size_t turns_waiting(const struct turns *turns);
int64_t turns_in_flight(const struct turns *turns); /* cost */

#endif
