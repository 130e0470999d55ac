#include "base/turns.h"

#include <stdlib.h>
#include <uthash.h>

#include "base/assert.h"

struct turns_client {
    uint64_t id;
    struct turns_game *game;
    int64_t had, in_flight;
    TAILQ_HEAD(, turn) waiting;
    UT_hash_handle hh;
};

struct turns_game {
    int64_t id;
    int64_t had, in_flight;
    int64_t clients_had; /* of its client that was served last */
    size_t waiting;
    struct turns_client *clients;
    TAILQ_ENTRY(turns_game) link; /* among those that wait */
    UT_hash_handle hh;
};

struct turns {
    struct turns_settings settings;
    struct turns_game *games;
    TAILQ_HEAD(, turns_game) waiting_games;
    int64_t had; /* of the game that was served last */
    int64_t in_flight;
    size_t waiting;
    bool is_giving, is_full;
};

struct turns *turns_new(const struct turns_settings *settings)
{
    struct turns *turns = calloc(1, sizeof(*turns));

    ASSERT(turns != NULL);
    turns->settings = *settings;
    TAILQ_INIT(&turns->waiting_games);
    return turns;
}

void turns_free(struct turns **pturns)
{
    if (!*pturns)
        return;
    ASSERT((*pturns)->games == NULL);
    free(*pturns);
    *pturns = NULL;
}

static struct turns_game *game_of(struct turns *turns, int64_t id)
{
    struct turns_game *game;

    HASH_FIND(hh, turns->games, &id, sizeof(id), game);
    if (game)
        return game;
    game = calloc(1, sizeof(*game));
    ASSERT(game != NULL);
    game->id = id;
    game->had = turns->had;
    HASH_ADD(hh, turns->games, id, sizeof(game->id), game);
    return game;
}

static struct turns_client *client_of(struct turns_game *game, uint64_t id)
{
    struct turns_client *client;

    HASH_FIND(hh, game->clients, &id, sizeof(id), client);
    if (client)
        return client;
    client = calloc(1, sizeof(*client));
    ASSERT(client != NULL);
    client->id = id;
    client->game = game;
    client->had = game->clients_had;
    TAILQ_INIT(&client->waiting);
    HASH_ADD(hh, game->clients, id, sizeof(client->id), client);
    return client;
}

static void client_drop(struct turns *turns, struct turns_client *client)
{
    struct turns_game *game = client->game;

    if (client->in_flight > 0 || !TAILQ_EMPTY(&client->waiting))
        return;
    HASH_DEL(game->clients, client);
    free(client);
    if (game->clients)
        return;
    HASH_DEL(turns->games, game);
    free(game);
}

static bool fits(int64_t in_flight, int64_t cost, int64_t max)
{
    return in_flight == 0 || in_flight + cost <= max;
}

static bool fits_its_own(const struct turns *turns, const struct turns_client *client, int64_t cost)
{
    return fits(client->game->in_flight, cost, turns->settings.game_max) &&
           fits(client->in_flight, cost, turns->settings.client_max);
}

static void turn_take(struct turns *turns, struct turn *turn)
{
    struct turns_client *client = turn->client;
    struct turns_game *game = client->game;

    turns->had = game->had > turns->had ? game->had : turns->had;
    game->clients_had = client->had > game->clients_had ? client->had : game->clients_had;
    game->had += turn->cost;
    client->had += turn->cost;
    turn->is_in_flight = true;
    turns->in_flight += turn->cost;
    game->in_flight += turn->cost;
    client->in_flight += turn->cost;
}

static void turn_unwait(struct turns *turns, struct turn *turn)
{
    struct turns_game *game = turn->client->game;

    TAILQ_REMOVE(&turn->client->waiting, turn, link);
    turns->waiting--;
    if (--game->waiting == 0)
        TAILQ_REMOVE(&turns->waiting_games, game, link);
}

/* The first of the client that has had the least, of those that their own limits let go; NULL: none. */
static struct turn *game_next(const struct turns *turns, const struct turns_game *game)
{
    const struct turns_client *best = NULL;

    for (const struct turns_client *client = game->clients; client; client = client->hh.next)
        if (!TAILQ_EMPTY(&client->waiting) && fits_its_own(turns, client, TAILQ_FIRST(&client->waiting)->cost) &&
            (!best || client->had < best->had))
            best = client;
    return best ? TAILQ_FIRST(&best->waiting) : NULL;
}

static struct turn *turns_next(const struct turns *turns)
{
    const struct turns_game *game, *best_game = NULL;
    struct turn *best = NULL;

    TAILQ_FOREACH(game, &turns->waiting_games, link) {
        struct turn *turn = best_game && best_game->had <= game->had ? NULL : game_next(turns, game);
        if (turn) {
            best = turn;
            best_game = game;
        }
    }
    return best;
}

/* What starts may end at once: not from inside, then. */
static void turns_give(struct turns *turns)
{
    if (turns->is_giving)
        return;
    turns->is_giving = true;
    for (struct turn *turn; (turn = turns_next(turns));) {
        turns->is_full = !fits(turns->in_flight, turn->cost, turns->settings.in_flight_max);
        if (turns->is_full)
            break;
        turn_unwait(turns, turn);
        turn_take(turns, turn);
        turn->go(turn);
    }
    turns->is_full = turns->is_full && turns->waiting > 0;
    turns->is_giving = false;
}

enum turns_answer turns_ask(struct turns *turns, struct turn *turn, int64_t game_id, uint64_t client_id)
{
    struct turns_game *game = game_of(turns, game_id);
    struct turns_client *client = client_of(game, client_id);

    ASSERT(turn->cost > 0);
    turn->client = client;
    turn->is_in_flight = false;
    bool is_free = !turns->is_full && TAILQ_EMPTY(&client->waiting) && fits_its_own(turns, client, turn->cost) &&
                   fits(turns->in_flight, turn->cost, turns->settings.in_flight_max);
    if (is_free) {
        turn_take(turns, turn);
        return TURN_GO;
    }
    if (game->waiting >= turns->settings.waiting_max) {
        client_drop(turns, client);
        return TURN_REFUSED;
    }
    TAILQ_INSERT_TAIL(&client->waiting, turn, link);
    turns->waiting++;
    if (game->waiting++ == 0)
        TAILQ_INSERT_TAIL(&turns->waiting_games, game, link);
    turns->is_full = turns->is_full || fits_its_own(turns, client, turn->cost);
    return TURN_WAITS;
}

void turns_end(struct turns *turns, struct turn *turn)
{
    struct turns_client *client = turn->client;

    if (turn->is_in_flight) {
        turns->in_flight -= turn->cost;
        client->game->in_flight -= turn->cost;
        client->in_flight -= turn->cost;
    } else {
        turn_unwait(turns, turn);
    }
    turn->client = NULL;
    client_drop(turns, client);
    turns_give(turns);
}

size_t turns_waiting(const struct turns *turns)
{
    return turns->waiting;
}

int64_t turns_in_flight(const struct turns *turns)
{
    return turns->in_flight;
}
