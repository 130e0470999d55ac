#include "store/removal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "db/primary_clock.h"
#include "kv/keys.h"
#include "kv/scripts.h"
#include "store/idempotency.h"
#include "store/l2.h"
#include "store/last_writes.h"
#include "store/private.h"

struct removal {
    struct store *store;
    struct slice player;
    int64_t from, game_id;
    bool has_claim;
    bool is_erase;
    removal_done_fn *done;
    void *context;
    struct removal_result result;
    int64_t committed_us;
    size_t waiting;
};

struct tombstone {
    struct removal *removal;
    int64_t standing;
    bool was_unsure; /* when it was sent */
};

static void removal_step(struct removal *removal)
{
    if (--removal->waiting > 0)
        return;
    removal->done(removal->context, &removal->result);
    free(removal);
}

static void on_tombstone(void *context, const struct redisReply *reply)
{
    struct tombstone *tombstone = context;
    struct removal *removal = tombstone->removal;

    /* COLD is right too: Redis does not hold that standing. */
    if (!kv_reply_is_text(kv_reply_item(reply, 0), "OK") && !kv_reply_is_text(kv_reply_item(reply, 0), "COLD")) {
        removal->result.token.is_applied = false;
        unsure_add(tombstone->standing, removal->committed_us);
    } else if (tombstone->was_unsure || unsure_has(removal->store, tombstone->standing)) {
        removal->result.token.is_applied = false; /* an earlier change of ours may be missing */
    }
    int64_t version = answers_changed(removal->store, reply);
    if (version > removal->result.token.version)
        removal->result.token.version = version;
    free(tombstone);
    removal_step(removal);
}

static void tombstone_send(struct removal *removal, int64_t standing, int64_t revision)
{
    char meta[KV_KEY_MAX], epoch[16];
    uint8_t bytes[KV_REVISION_SIZE];
    struct tombstone *tombstone = malloc(sizeof(*tombstone));

    ASSERT(tombstone != NULL);
    *tombstone = (struct tombstone){removal, standing, unsure_has(removal->store, standing)};
    snprintf(epoch, sizeof(epoch), "%d", db_epoch(removal->store->db));
    kv_revision_encode(revision, bytes);
    const struct slice arguments[] = {
        SLICE("FCALL"),  SLICE(KV_FUNCTION("apply")),
        SLICE("1"),      kv_meta_key(standing, meta),
        slice_of(epoch), SLICE("0"),
        removal->player, SLICE(""),
        SLICE("0"),      {(char *)bytes, sizeof(bytes)},
        SLICE(""),
    };
    removal->waiting++;
    if (kv_trusts(removal->store->kv, standing) &&
        kv_call(removal->store->kv, ARRAY_SIZE(arguments), arguments, on_tombstone, tombstone))
        return;
    removal->result.token.is_applied = false;
    unsure_add(standing, removal->committed_us);
    free(tombstone);
    removal_step(removal);
}

/* ---- what the second cache has of closed periods, and of histories ---- */

struct forgetting {
    struct removal *removal;
    size_t count; /* standings; the first of all are the histories (store_history_standing) */
    int64_t standings[L2_PURGE_MAX];
    bool are_final[L2_PURGE_MAX]; /* closed, or about to be: others may have it there */
};

static void on_forgotten(void *context, bool is_done)
{
    struct forgetting *forgetting = context;
    struct removal *removal = forgetting->removal;

    for (size_t i = 0; i < forgetting->count && !is_done; i++)
        if (forgetting->are_final[i]) {
            removal->result.token.is_applied = false;
            unsure_add(forgetting->standings[i], removal->committed_us);
        }
    free(forgetting);
    removal_step(removal);
}

static void kept_forget(struct removal *removal, struct db_rows rows)
{
    char texts[L2_PURGE_MAX][32];
    const char *tags[L2_PURGE_MAX];
    int row = 0;

    if (!l2_is_on(removal->store))
        return;
    do {
        struct forgetting *forgetting = calloc(1, sizeof(*forgetting));
        size_t count = 0;
        ASSERT(forgetting != NULL);
        forgetting->removal = removal;
        if (row == 0) {
            forgetting->standings[0] = store_history_standing(removal->from);
            forgetting->are_final[0] = true;
            forgetting->count = 1;
            tags[count] = texts[count];
            snprintf(texts[count++], sizeof(texts[0]), "history:%lld", (long long)removal->from);
        }
        for (; row < db_row_count(rows) && count < L2_PURGE_MAX; row++) {
            size_t i = forgetting->count++;
            forgetting->standings[i] = db_int64(rows, row, 0);
            forgetting->are_final[i] = db_bool(rows, row, 2);
            tags[count] = texts[count];
            snprintf(texts[count++], sizeof(texts[0]), "standing:%lld", (long long)forgetting->standings[i]);
        }
        removal->waiting++;
        l2_purge(removal->store, tags, count, on_forgotten, forgetting);
    } while (row < db_row_count(rows));
}

static void on_removed(void *context, const struct db_outcome *outcome)
{
    struct removal *removal = context;
    struct store *store = removal->store;
    int at = removal->has_claim ? 1 : 0;

    removal->waiting = 1;
    if (idempotency_was_used(outcome)) {
        removal->result.is_repeat = true;
    } else if (outcome->error.code == ERROR_WRITE_UNCERTAIN) {
        error_set(
            &removal->result.error, ERROR_UNAVAILABLE,
            "the connection to the database was lost; the player may or may not have been removed: send it again");
    } else if (outcome->error.code != ERROR_NONE) {
        store_error_of(outcome, &removal->result.error);
    } else {
        struct db_rows rows = outcome->rows[at];
        removal->committed_us = db_int64(outcome->rows[at + 1], 0, 1);
        primary_clock_saw(removal->committed_us);
        removal->result.count = (size_t)db_row_count(rows);
        removal->result.token = (struct token){.epoch = db_epoch(store->db),
                                               .timeline = db_timeline(store->db),
                                               .lsn = db_int64(outcome->rows[at + 1], 0, 0),
                                               .is_applied = true,
                                               .committed_us = removal->committed_us};
        db_saw_lsn(store->db, removal->result.token.lsn);
        last_write_note(store, LAST_WRITE_GAME, removal->game_id, removal->player, removal->result.token.lsn);
        for (int i = 0; i < db_row_count(rows); i++)
            tombstone_send(removal, db_int64(rows, i, 0), db_int64(rows, i, 1));
        if (removal->is_erase && !fault_is("l2-purge"))
            kept_forget(removal, rows);
    }
    removal_step(removal);
}

void player_remove(struct store *store, struct arena *arena, int64_t from, bool is_erase, struct slice player,
                   const struct submit_claim *claim, int64_t game_id, removal_done_fn *done, void *context)
{
    struct removal *removal = calloc(1, sizeof(*removal));
    struct db_call calls[3];
    int count = 0;

    ASSERT(removal != NULL);
    *removal = (struct removal){.store = store,
                                .player = player,
                                .from = from,
                                .game_id = game_id,
                                .has_claim = claim != NULL,
                                .is_erase = is_erase,
                                .done = done,
                                .context = context};
    if (claim)
        calls[count++] = idempotency_claim_call(arena, game_id, claim);
    calls[count++] = (struct db_call){
        .statement = is_erase ? STATEMENT_player_erase : STATEMENT_player_remove,
        .parameter_count = 2,
        .is_last_of_transaction = true,
        .parameters = {{.data = arena_printf(arena, "%lld", (long long)from), .format = DB_TEXT},
                       {.data = arena_copy(arena, player).data, .format = DB_TEXT}},
    };
    calls[count++] = (struct db_call){.statement = STATEMENT_commit_lsn, .is_last_of_transaction = true};
    if (!arena->is_exhausted && db_can_write(store->db) && db_write(store->db, calls, count, on_removed, removal))
        return;
    error_set(&removal->result.error, ERROR_UNAVAILABLE, "the primary database is not reachable; nothing was removed");
    removal->waiting = 1;
    removal_step(removal);
}
