/*
 * submit_apply.c -- W3 of the write path: a committed batch goes to Redis.
 *
 * One script call a standing, in the order of arrival. Where Redis could not tell a rank (it is down, cold, or may lack
 * an earlier change of ours), PostgreSQL counts it (submit_places.c). A failed apply leaves the standing unsure; the
 * worker's tail repairs it.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "kv/keys.h"
#include "kv/scripts.h"
#include "store/submit_private.h"

struct apply {
    struct batch *batch;
    size_t from, to; /* rows */
    bool was_unsure; /* the standing, when it was sent */
};

static void on_apply(void *context, const struct redisReply *reply)
{
    struct apply *apply = context;
    struct batch *batch = apply->batch;
    struct store *store = batch->submitter->store;
    int64_t standing = batch->rows[apply->from].place->period_id;
    bool is_ok = kv_reply_is_text(kv_reply_item(reply, 0), "OK");
    /* In Redis now, but an earlier change of ours may not be: its ranks are not to be believed yet. */
    bool is_unsure = is_ok && (apply->was_unsure || unsure_has(store, standing));
    int64_t version = answers_changed(store, reply);
    if (is_unsure)
        batch->is_applied = false;
    if (version > batch->version)
        batch->version = version;

    for (size_t i = apply->from; i < apply->to && is_ok && !is_unsure; i++) {
        const struct apply_row *row = &batch->rows[i];
        struct submit_window *window = row->place;
        int64_t before = kv_reply_int(kv_reply_item(reply, 4 + 2 * (i - apply->from)));
        int64_t after = kv_reply_int(kv_reply_item(reply, 5 + 2 * (i - apply->from)));
        window->rank = after + 1;
        row->item->result.source = SOURCE_REDIS;
        if (!window->has_old)
            continue;
        /* A row that only asked tells the rank of now. */
        if (before >= 0 && (row->revision || !window->is_changed))
            window->old_rank = before + 1;
        else if (window->is_changed && row->shows_old_rank && !row->item->submission.is_unranked)
            place_ask(batch, i, true); /* the tail was faster than we */
    }
    if (!is_ok) {
        /* The commit stands; the tail will bring it. Until then PostgreSQL speaks for this standing. */
        batch->is_applied = false;
        unsure_add(standing, batch->committed_us);
        if (reply && !kv_reply_is_error(reply))
            standing_want(store, standing);
    }
    if (!is_ok || is_unsure)
        places_ask(batch, apply->from, apply->to);
    free(apply);
    batch_step(batch);
}

static bool apply_send(struct batch *batch, size_t from, size_t to)
{
    struct kv *kv = batch->submitter->store->kv;
    size_t count = 0;
    struct slice *arguments = arena_alloc(&batch->arena, (6 + 5 * (to - from)) * sizeof(*arguments));
    char *meta = arena_alloc(&batch->arena, KV_KEY_MAX);
    char *epoch = arena_printf(&batch->arena, "%d", db_epoch(batch->submitter->store->db));
    int64_t standing = batch->rows[from].place->period_id;

    ASSERT(arguments && meta && epoch);
    arguments[count++] = SLICE("FCALL");
    arguments[count++] = SLICE(KV_FUNCTION("apply"));
    arguments[count++] = SLICE("1");
    arguments[count++] = kv_meta_key(standing, meta);
    arguments[count++] = slice_of(epoch);
    arguments[count++] = SLICE("1");
    for (size_t i = from; i < to; i++) {
        const struct apply_row *row = &batch->rows[i];
        const struct submit_window *window = row->place;
        uint8_t *bytes = arena_alloc(&batch->arena, SORT_KEY_MAX + KV_REVISION_SIZE);
        char *score = arena_alloc(&batch->arena, SORT_KEY_SCORE_TEXT_MAX);
        ASSERT(bytes && score);
        size_t size = row->is_removal ? 0 : sort_key_encode(&window->key, bytes);
        arguments[count++] = row->item->submission.player;
        arguments[count++] = (struct slice){(char *)bytes, size};
        arguments[count++] = (struct slice){score, sort_key_score_text(window->key.k1, score)};
        if (row->revision) {
            kv_revision_encode(row->revision, bytes + SORT_KEY_MAX);
            arguments[count++] = (struct slice){(char *)bytes + SORT_KEY_MAX, KV_REVISION_SIZE};
        } else {
            arguments[count++] = SLICE("");
        }
        arguments[count++] = row->metadata.data ? row->metadata : SLICE("");
    }
    struct apply *apply = malloc(sizeof(*apply));
    ASSERT(apply != NULL);
    *apply = (struct apply){batch, from, to, unsure_has(batch->submitter->store, standing)};
    if (kv_call(kv, count, arguments, on_apply, apply))
        return true;
    free(apply);
    return false;
}

static int64_t row_standing(const struct batch *batch, size_t row)
{
    return batch->rows[row].place->period_id;
}

void batch_apply(struct batch *batch)
{
    struct store *store = batch->submitter->store;

    batch->is_applied = true;
    batch->waiting = 1;
    for (size_t from = 0; from < batch->row_count;) {
        size_t to = from + 1;
        while (to < batch->row_count && to - from < APPLY_ROWS_MAX &&
               row_standing(batch, to) == row_standing(batch, from))
            to++;
        batch->waiting++;
        if (!kv_trusts(store->kv, row_standing(batch, from)) || !apply_send(batch, from, to)) {
            batch->waiting--;
            batch->is_applied = false;
            unsure_add(row_standing(batch, from), batch->committed_us);
            places_ask(batch, from, to);
        }
        from = to;
    }
    batch_step(batch);
}
