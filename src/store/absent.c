/*
 * absent.c -- boards that there are not, and how often a loop asks PostgreSQL about what it does not know.
 *
 * An absent board is remembered like a board: until a message says that the game's definitions have changed, or for
 * board_ttl_ms. It is believed only while messages come. Names can be made up faster than remembered; so look-ups of
 * what is not in memory have a rate as well: of boards without a key, of boards with one, and of keys, each for
 * itself. What is known, even if it must be read anew, is not counted, and a look-up that finds something is given back:
 * the rate is that of look-ups in vain, and a loop that has just started learns what there is as fast as it is asked for.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "store/answers.h"
#include "store/private.h"

static _Atomic uint64_t refused; /* of all loops */

enum { ABSENT_MAX = 10000, BURST_S = 2, KEYED_TIMES = 4, ONE = 1000000 /* look-up, in the unit of a rate */ };

struct absent {
    int64_t game_id; /* 0: there is no such game */
    int64_t definition;
    int64_t expires_us;
    UT_hash_handle hh;
    char path[];
};

static void absent_drop(struct store *store, struct absent *absent)
{
    HASH_DEL(store->absent, absent);
    free(absent);
}

enum absence absent_find(struct store *store, const char *path, const struct token *token)
{
    struct absent *absent;
    int64_t unused;
    uint64_t era;

    HASH_FIND_STR(store->absent, path, absent);
    if (!absent || !answers_heard(store, &unused, &era) || fault_is("absent"))
        return ABSENCE_UNKNOWN;
    if (clock_monotonic_us() >= absent->expires_us) {
        absent_drop(store, absent);
        return ABSENCE_UNKNOWN;
    }
    /* A token without a game of its own here may be of one that was made since. */
    if (absent->game_id == 0 ? token != NULL : absent->definition < definition_need(store, token, absent->game_id))
        return ABSENCE_UNKNOWN;
    return absent->game_id ? ABSENCE_OF_BOARD : ABSENCE_OF_GAME;
}

void absent_forget(struct store *store, const char *path)
{
    struct absent *absent;

    HASH_FIND_STR(store->absent, path, absent);
    if (absent)
        absent_drop(store, absent);
}

void absent_remember(struct store *store, const char *path, int64_t game_id, int64_t definition)
{
    size_t size = strlen(path) + 1;
    struct absent *absent = calloc(1, sizeof(*absent) + size);

    ASSERT(absent != NULL);
    absent_forget(store, path);
    if (HASH_COUNT(store->absent) >= ABSENT_MAX)
        absent_drop(store, store->absent); /* the oldest */
    memcpy(absent->path, path, size);
    absent->game_id = game_id;
    absent->definition = definition;
    absent->expires_us = clock_monotonic_us() + store->settings.board_ttl_ms * 1000LL;
    HASH_ADD_STR(store->absent, path, absent);
}

void absent_spoil(struct store *store, int64_t game_id, int64_t version)
{
    struct absent *absent, *next;

    HASH_ITER(hh, store->absent, absent, next)
        if (game_id == 0 || absent->game_id == 0 || (absent->game_id == game_id && absent->definition < version))
            absent_drop(store, absent);
}

void absent_free(struct store *store)
{
    absent_spoil(store, 0, 0);
}

bool lookup_may_be_sent(struct store *store, enum lookup kind)
{
    struct lookup_rate *rate = &store->lookups[kind];
    int64_t now_us = clock_monotonic_us(), a_second = store->settings.unknown_lookups;

    if (kind == LOOKUP_BOARD_KEYED)
        a_second *= KEYED_TIMES;
    if (a_second == 0 || fault_is("absent"))
        return true;
    /* In look-ups and a million; full after BURST_S. */
    int64_t most = a_second * BURST_S * 1000000;
    int64_t since_us = rate->at_us ? now_us - rate->at_us : BURST_S * 1000000LL;
    rate->left += (since_us < BURST_S * 1000000LL ? since_us : BURST_S * 1000000LL) * a_second;
    if (rate->left > most)
        rate->left = most;
    rate->at_us = now_us;
    if (rate->left < ONE) {
        atomic_fetch_add_explicit(&refused, 1, memory_order_relaxed);
        return false;
    }
    rate->left -= ONE;
    return true;
}

void lookup_found(struct store *store, enum lookup kind)
{
    if (kind < LOOKUP_COUNT)
        store->lookups[kind].left += ONE;
}

uint64_t store_lookups_refused(void)
{
    return atomic_load_explicit(&refused, memory_order_relaxed);
}
