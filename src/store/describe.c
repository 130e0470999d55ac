/*
 * describe.c -- see describe.h.
 *
 *   PostgreSQL: [idempotency_claim |] player_describe | commit_lsn -> Redis: one apply a standing -> answer
 *
 * All entries are applied with the revision that they have, changed or not: those that Redis has already are no change
 * there. The sort key is the same, so no rank moves; the change that Redis publishes touches the player's own rank.
 */
#include "store/describe.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "db/primary_clock.h"
#include "kv/keys.h"
#include "kv/scripts.h"
#include "store/idempotency.h"
#include "store/private.h"
#include "store/standing.h"

/* Columns of the statement player_describe. */
enum { D_PERIOD, D_IS_FACET, D_IS_CHANGED, D_REVISION, D_K1, D_K2, D_K3, D_METADATA, D_WINDOW, D_START };

struct describing {
    struct store *store;
    struct arena *arena;
    struct description description;
    describe_done_fn *done;
    void *context;
    struct describe_result result;
    struct period shown; /* the standing whose rank the answer has */
    int64_t committed_us;
    size_t waiting;
};

struct apply {
    struct describing *describing;
    int64_t standing;
    bool was_unsure; /* when it was sent */
};

static void describing_step(struct describing *describing)
{
    if (--describing->waiting > 0)
        return;
    describing->done(describing->context, &describing->result);
    free(describing);
}

/* ---- the rank from PostgreSQL, where Redis could not tell it ---- */

static void on_place(void *context, const struct standing_answer *answer)
{
    struct describing *describing = context;

    if (answer->error.code == ERROR_NONE) {
        describing->result.rank = answer->before + 1;
        describing->result.source = answer->source;
    }
    describing_step(describing);
}

static void place_ask(struct describing *describing)
{
    const int64_t lsn = describing->result.token.lsn;
    const struct standing_query query = {
        .kind = STANDING_SEEK,
        .period = describing->shown,
        .freshness = {.lsn = lsn, .shown_lsn = lsn, .skips_redis = true},
        .key = describing->result.key,
        .player = describing->description.player,
    };

    describing->waiting++;
    standing_read(describing->store, describing->arena, &query, on_place, describing);
}

/* ---- Redis ---- */

/* The commit stands; the worker's tail brings it. Until then PostgreSQL speaks for this standing. */
static void apply_failed(struct describing *describing, int64_t standing)
{
    describing->result.token.is_applied = false;
    unsure_add(standing, describing->committed_us);
    if (standing == describing->shown.id)
        place_ask(describing);
}

static void on_apply(void *context, const struct redisReply *reply)
{
    struct apply *apply = context;
    struct describing *describing = apply->describing;
    bool is_ok = kv_reply_is_text(kv_reply_item(reply, 0), "OK");
    int64_t version = answers_changed(describing->store, reply);

    if (version > describing->result.token.version)
        describing->result.token.version = version;
    if (!is_ok) {
        apply_failed(describing, apply->standing);
        if (reply && !kv_reply_is_error(reply))
            standing_want(describing->store, apply->standing);
    } else if (apply->was_unsure || unsure_has(describing->store, apply->standing)) {
        describing->result.token.is_applied = false; /* an earlier change of ours may be missing */
        if (apply->standing == describing->shown.id)
            place_ask(describing);
    } else if (apply->standing == describing->shown.id) {
        describing->result.rank = kv_reply_int(kv_reply_item(reply, 5)) + 1;
        describing->result.source = SOURCE_REDIS;
    }
    free(apply);
    describing_step(describing);
}

static void apply_send(struct describing *describing, struct db_rows rows, int row)
{
    struct store *store = describing->store;
    const int64_t standing = db_int64(rows, row, D_PERIOD);
    const struct sort_key key = {db_int64(rows, row, D_K1), db_int64(rows, row, D_K2), db_int64(rows, row, D_K3)};
    char meta[KV_KEY_MAX], epoch[16], score[SORT_KEY_SCORE_TEXT_MAX];
    uint8_t bytes[SORT_KEY_MAX], revision[KV_REVISION_SIZE];
    struct apply *apply = malloc(sizeof(*apply));

    ASSERT(apply != NULL);
    *apply = (struct apply){describing, standing, unsure_has(store, standing)};
    snprintf(epoch, sizeof(epoch), "%d", db_epoch(store->db));
    kv_revision_encode(db_int64(rows, row, D_REVISION), revision);
    const struct slice arguments[] = {
        SLICE("FCALL"),
        SLICE(KV_FUNCTION("apply")),
        SLICE("1"),
        kv_meta_key(standing, meta),
        slice_of(epoch),
        SLICE("1"),
        describing->description.player,
        {(char *)bytes, sort_key_encode(&key, bytes)},
        {score, sort_key_score_text(key.k1, score)},
        {(char *)revision, sizeof(revision)},
        db_is_null(rows, row, D_METADATA)
            ? SLICE("")
            : (struct slice){db_text(rows, row, D_METADATA), (size_t)db_size(rows, row, D_METADATA)},
    };
    describing->waiting++;
    if (kv_trusts(store->kv, standing) && kv_call(store->kv, ARRAY_SIZE(arguments), arguments, on_apply, apply))
        return;
    free(apply);
    apply_failed(describing, standing);
    describing_step(describing);
}

/* ---- PostgreSQL ---- */

static void shown_take(struct describing *describing, struct db_rows rows)
{
    struct describe_result *result = &describing->result;

    describing->shown = (struct period){.id = db_int64(rows, 0, D_PERIOD),
                                        .board_id = describing->description.board->id,
                                        .start_us = db_int64(rows, 0, D_START)};
    ASSERT(window_parse(slice_of(db_text(rows, 0, D_WINDOW)), &describing->shown.window));
    result->key = (struct sort_key){db_int64(rows, 0, D_K1), db_int64(rows, 0, D_K2), db_int64(rows, 0, D_K3)};
    if (!db_is_null(rows, 0, D_METADATA))
        result->metadata = arena_copy(
            describing->arena, (struct slice){db_text(rows, 0, D_METADATA), (size_t)db_size(rows, 0, D_METADATA)});
}

static void rows_take(struct describing *describing, struct db_rows rows, struct db_rows commit)
{
    struct store *store = describing->store;

    describing->committed_us = db_int64(commit, 0, 1);
    primary_clock_saw(describing->committed_us);
    describing->result.token = (struct token){.epoch = db_epoch(store->db),
                                              .timeline = db_timeline(store->db),
                                              .lsn = db_int64(commit, 0, 0),
                                              .is_applied = true,
                                              .committed_us = describing->committed_us};
    db_saw_lsn(store->db, describing->result.token.lsn);
    if (db_row_count(rows) == 0) {
        error_set(&describing->result.error, ERROR_PLAYER_NOT_FOUND,
                  "the player has no entry in an open standing of the board; nothing was changed");
        return;
    }
    shown_take(describing, rows);
    for (int i = 0; i < db_row_count(rows); i++) {
        describing->result.changed += db_bool(rows, i, D_IS_CHANGED);
        apply_send(describing, rows, i);
    }
}

static void on_described(void *context, const struct db_outcome *outcome)
{
    struct describing *describing = context;
    int at = describing->description.claim ? 1 : 0;

    describing->waiting = 1;
    if (idempotency_was_used(outcome))
        describing->result.is_repeat = true;
    else if (outcome->error.code == ERROR_WRITE_UNCERTAIN)
        error_set(&describing->result.error, ERROR_UNAVAILABLE,
                  "the connection to the database was lost; the metadata may or may not have been changed: send the "
                  "request again");
    else if (outcome->error.code != ERROR_NONE)
        store_error_of(outcome, &describing->result.error);
    else
        rows_take(describing, outcome->rows[at], outcome->rows[at + 1]);
    describing_step(describing);
}

static struct db_call describe_call(struct arena *arena, const struct description *description)
{
    const struct slice metadata = description->metadata;

    return (struct db_call){
        .statement = STATEMENT_player_describe,
        .parameter_count = 5,
        .is_last_of_transaction = true,
        .parameters = {{.data = arena_printf(arena, "%lld", (long long)description->board->id), .format = DB_TEXT},
                       {.data = arena_copy(arena, description->player).data, .format = DB_TEXT},
                       {.data = metadata.data ? arena_copy(arena, metadata).data : NULL, .format = DB_TEXT},
                       {.data = description->window, .format = DB_TEXT},
                       {.data = description->reads_only ? "true" : "false", .format = DB_TEXT}},
    };
}

void player_describe(struct store *store, struct arena *arena, const struct description *description,
                     describe_done_fn *done, void *context)
{
    struct describing *describing = calloc(1, sizeof(*describing));
    struct db_call calls[3];
    int count = 0;

    ASSERT(describing != NULL);
    *describing = (struct describing){
        .store = store, .arena = arena, .description = *description, .done = done, .context = context};
    if (description->claim)
        calls[count++] = idempotency_claim_call(arena, description->board->game_id, description->claim);
    calls[count++] = describe_call(arena, description);
    calls[count++] = (struct db_call){.statement = STATEMENT_commit_lsn, .is_last_of_transaction = true};
    if (!arena->is_exhausted && db_can_write(store->db) && db_write(store->db, calls, count, on_described, describing))
        return;
    error_set(&describing->result.error, ERROR_UNAVAILABLE,
              "the primary database is not reachable; nothing was changed");
    describing->waiting = 1;
    describing_step(describing);
}
