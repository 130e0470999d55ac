#include "store/last_writes.h"

#include <stdatomic.h>
#include <string.h>

#include "base/fault.h"
#include "base/hash.h"
#include "store/private.h"

enum { PLACES = 1 << 16 };

static _Atomic int64_t places[PLACES];

static _Atomic int64_t *place_of(struct store *store, enum last_write kind, int64_t game_id, struct slice player)
{
    const struct db *db = store->db;
    struct {
        int64_t game_id;
        int32_t kind, epoch, timeline, size;
        char player[PLAYER_BYTES_MAX];
    } name = {game_id, (int32_t)kind, db_epoch(db), db_timeline(db), 0, {0}};
    uint8_t hash[HASH_SIZE];
    uint32_t number;

    if (kind == LAST_WRITE_PLAYER) {
        name.size = (int32_t)(player.size < PLAYER_BYTES_MAX ? player.size : PLAYER_BYTES_MAX);
        memcpy(name.player, player.data, (size_t)name.size);
    }
    hash_bytes((struct slice){(const char *)&name, sizeof(name)}, hash);
    memcpy(&number, hash, sizeof(number));
    return &places[number % PLACES];
}

void last_write_note(struct store *store, enum last_write kind, int64_t game_id, struct slice player, int64_t lsn)
{
    _Atomic int64_t *place = place_of(store, kind, game_id, player);
    int64_t least = *place;

    /* Nothing that was read until now covers it; what the process has acknowledged after it will. */
    if (lsn == INT64_MAX)
        lsn = db_lsn(store->db) + 1;
    while (lsn > least && !fault_is("last-write") && !atomic_compare_exchange_weak(place, &least, lsn))
        ;
}

int64_t last_write_find(struct store *store, enum last_write kind, int64_t game_id, struct slice player)
{
    int64_t of_game = *place_of(store, LAST_WRITE_GAME, game_id, player);
    int64_t lsn = kind == LAST_WRITE_GAME ? 0 : *place_of(store, kind, game_id, player);

    return lsn > of_game ? lsn : of_game;
}
