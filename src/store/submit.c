/*
 * submit.c -- see submit.h.
 *
 *   submit_group -> queue of a connection -> batch -> PostgreSQL: submit | sync | commit_lsn | sync
 *                                                        |
 *             answers  <-  Redis: one apply a standing  <+   (W1 commit, W2 acknowledged, W3 applied)
 *
 * A connection has at most BATCHES_IN_FLIGHT batches under way; what comes meanwhile waits and makes the next one: so a
 * lone submission goes at once, and a busy service commits in batches. Batches are cut between groups' submissions, but a
 * claimed group stays whole. Batches of one connection are applied to Redis in the order of their commits; if an apply
 * fails, the standing is unsure (unsure.c) and the ranks come from PostgreSQL.
 *
 * W1 to W3 are the write path of the protocol between PostgreSQL and Redis; I1 is kept by the SQL function, I2 by the script.
 */
#include "store/submit.h"

#include <ev.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/array.h"
#include "kv/keys.h"
#include "store/idempotency.h"
#include "store/private.h"
#include "store/standing.h"

enum {
    BATCHES_IN_FLIGHT = 2,
    ROUNDS_MAX = 64,  /* more of one player wait for the next batch */
    RETRIES_MAX = 5,  /* of a batch that lost a race */
    APPLY_ROWS_MAX = 100, /* in one script call: it holds up the others for a millisecond */
    ARRAY_BYTES_MAX = 16 << 20,
    CONNECTIONS_MAX = 64,
};

enum outcome { OUTCOME_UNCHANGED, OUTCOME_CHANGED, OUTCOME_OUT_OF_RANGE, OUTCOME_OVERFLOW, OUTCOME_CLOSED, OUTCOME_NO_BOARD, OUTCOME_REPEATED };

struct group {
    submit_done_fn *done;
    void *context;
    bool has_claim;
    struct submit_claim claim;
    size_t left; /* not answered yet */
};

struct item {
    struct submission submission;
    struct group *group;
    size_t index; /* in its group */
    struct item *next;
    /* In a batch: */
    int round;
    struct submit_result result;
    struct slice metadata; /* of windows[0], in the batch's arena */
};

struct queue {
    struct item *head;
    struct item **tail;
    size_t count;
    int in_flight;
};

struct submitter {
    struct store *store;
    ev_prepare flush; /* once a turn, after the requests of the turn are in */
    bool must_flush;
    size_t queued;
    size_t batches;
    int next_connection;
    struct queue queues[CONNECTIONS_MAX];
};

/* One change that goes to Redis, or (revision 0) one rank to ask for. */
struct apply_row {
    struct item *item;
    int window; /* index in its result */
    int64_t revision;
    struct slice metadata;
};

struct batch {
    struct submitter *submitter;
    int connection;
    struct item **items;
    size_t count;
    int retries;
    struct arena arena;
    int64_t lsn;
    int64_t committed_us;
    struct apply_row *rows; /* sorted by standing, in order of arrival */
    size_t row_count;
    size_t waiting; /* answers still to come, plus one while they are being asked for */
    bool is_applied;
};

/* ---- ends ---- */

static void item_answer(struct item *item)
{
    struct group *group = item->group;

    item->result.metadata = item->metadata;
    group->done(group->context, item->index, &item->result);
    if (--group->left == 0)
        free(group);
    free(item);
}

static void batch_free(struct batch *batch)
{
    arena_done(&batch->arena);
    free(batch->items);
    free(batch->rows);
    free(batch);
}

static void batch_finish(struct batch *batch)
{
    struct submitter *submitter = batch->submitter;
    struct store *store = submitter->store;
    struct token token = {.epoch = db_epoch(store->db), .timeline = db_timeline(store->db), .lsn = batch->lsn, .is_applied = batch->is_applied};

    submitter->batches--;
    for (size_t i = 0; i < batch->count; i++) {
        batch->items[i]->result.token = token;
        item_answer(batch->items[i]);
    }
    batch_free(batch);
}

static void batch_fail(struct batch *batch, const struct error *error)
{
    batch->submitter->batches--;
    for (size_t i = 0; i < batch->count; i++) {
        batch->items[i]->result.error = *error;
        item_answer(batch->items[i]);
    }
    batch_free(batch);
}

static void batch_step(struct batch *batch)
{
    if (--batch->waiting == 0)
        batch_finish(batch);
}

/* ---- ranks from PostgreSQL, where Redis could not tell ---- */

struct place {
    struct batch *batch;
    struct submit_window *window;
    struct submit_result *result;
    struct arena arena;
    bool is_old;
};

static void on_place(void *context, const struct standing_answer *answer)
{
    struct place *place = context;

    if (answer->error.code == ERROR_NONE) {
        int64_t *rank = place->is_old ? &place->window->old_rank : &place->window->rank;
        *rank = answer->before + 1;
        /* A player who moved up stands now among those that were better than the old place. */
        if (place->is_old && sort_key_compare(&place->window->key, SLICE(""), &place->window->old_key, SLICE("")) < 0)
            (*rank)--;
        place->result->source = answer->source;
    }
    arena_done(&place->arena);
    struct batch *batch = place->batch;
    free(place);
    batch_step(batch);
}

static void place_ask(struct batch *batch, struct item *item, struct submit_window *window, bool is_old)
{
    struct place *place = calloc(1, sizeof(*place));

    ASSERT(place != NULL);
    *place = (struct place){.batch = batch, .window = window, .result = &item->result, .is_old = is_old};
    arena_init(&place->arena, 65536);
    batch->waiting++;
    struct freshness freshness = {.lsn = batch->lsn, .skips_redis = true};
    const struct standing_query query = {
        .kind = STANDING_SEEK,
        .period = {.id = window->period_id,
                   .board_id = item->submission.board.id,
                   .window = window->window,
                   .start_us = window->period_start_us},
        .freshness = freshness,
        .key = is_old ? window->old_key : window->key,
        .player = item->submission.player,
    };
    standing_read(batch->submitter->store, &place->arena, &query, on_place, place);
}

static void places_ask(struct batch *batch, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        struct item *item = batch->rows[i].item;
        struct submit_window *window = &item->result.windows[batch->rows[i].window];
        place_ask(batch, item, window, false);
        /* The answers speak of the old rank in the first window only. */
        if (window->has_old && batch->rows[i].window == 0) {
            if (window->is_changed)
                place_ask(batch, item, window, true);
        }
    }
}

/* ---- W3: Redis ---- */

struct apply {
    struct batch *batch;
    size_t from, to; /* rows */
};

static void on_apply(void *context, const struct redisReply *reply)
{
    struct apply *apply = context;
    struct batch *batch = apply->batch;
    struct store *store = batch->submitter->store;
    int64_t standing = batch->rows[apply->from].item->result.windows[batch->rows[apply->from].window].period_id;
    bool is_ok = kv_reply_is_text(kv_reply_item(reply, 0), "OK");
    /* In Redis now, but an earlier change of ours may not be: its ranks are not to be believed yet. */
    bool is_unsure = is_ok && unsure_has(store, standing);

    for (size_t i = apply->from; i < apply->to && is_ok && !is_unsure; i++) {
        struct submit_result *result = &batch->rows[i].item->result;
        struct submit_window *window = &result->windows[batch->rows[i].window];
        int64_t before = kv_reply_int(kv_reply_item(reply, 2 + 2 * (i - apply->from)));
        int64_t after = kv_reply_int(kv_reply_item(reply, 3 + 2 * (i - apply->from)));
        window->rank = after + 1;
        result->source = SOURCE_REDIS;
        if (!window->has_old)
            continue;
        /* A row that only asked tells the rank of now. */
        if (before >= 0 && (batch->rows[i].revision || !window->is_changed))
            window->old_rank = before + 1;
        else if (window->is_changed && batch->rows[i].window == 0)
            place_ask(batch, batch->rows[i].item, window, true); /* the tail was faster than we */
    }
    if (!is_ok) {
        /* The commit stands; the tail will bring it. Until then PostgreSQL speaks for this standing. */
        batch->is_applied = false;
        unsure_add(store, standing, batch->committed_us);
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
    int64_t standing = batch->rows[from].item->result.windows[batch->rows[from].window].period_id;

    ASSERT(arguments && meta && epoch);
    arguments[count++] = SLICE("FCALL");
    arguments[count++] = SLICE("ladder1_apply");
    arguments[count++] = SLICE("1");
    arguments[count++] = kv_meta_key(standing, meta);
    arguments[count++] = slice_of(epoch);
    arguments[count++] = SLICE("1");
    for (size_t i = from; i < to; i++) {
        const struct apply_row *row = &batch->rows[i];
        const struct submit_window *window = &row->item->result.windows[row->window];
        uint8_t *bytes = arena_alloc(&batch->arena, SORT_KEY_MAX + KV_REVISION_SIZE);
        char *score = arena_alloc(&batch->arena, SORT_KEY_SCORE_TEXT_MAX);
        ASSERT(bytes && score);
        size_t size = sort_key_encode(&window->key, bytes);
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
    *apply = (struct apply){batch, from, to};
    if (kv_call(kv, count, arguments, on_apply, apply))
        return true;
    free(apply);
    return false;
}

static int64_t row_standing(const struct batch *batch, size_t row)
{
    return batch->rows[row].item->result.windows[batch->rows[row].window].period_id;
}

static void batch_apply(struct batch *batch)
{
    struct store *store = batch->submitter->store;

    batch->is_applied = true;
    batch->waiting = 1;
    for (size_t from = 0; from < batch->row_count;) {
        size_t to = from + 1;
        while (to < batch->row_count && to - from < APPLY_ROWS_MAX && row_standing(batch, to) == row_standing(batch, from))
            to++;
        batch->waiting++;
        if (!kv_is_trusted(store->kv) || !apply_send(batch, from, to)) {
            batch->waiting--;
            batch->is_applied = false;
            unsure_add(store, row_standing(batch, from), batch->committed_us);
            places_ask(batch, from, to);
        }
        from = to;
    }
    batch_step(batch);
}

/* ---- W1, W2: PostgreSQL ---- */

static void batch_send(struct batch *batch);
static void queue_flush(struct submitter *submitter, int connection);

static void item_refuse(struct item *item, int outcome)
{
    const struct board *board = &item->submission.board;
    struct error *error = &item->result.error;

    switch (outcome) {
    case OUTCOME_OUT_OF_RANGE:
        error_set_field(error, ERROR_SCORE_OUT_OF_RANGE, "/score", "%s %lld: the board takes %lld to %lld",
                        board->operator== OPERATOR_SUM ? "the sum would leave the bounds with" : "the score is out of bounds:",
                        (long long)item->submission.score, (long long)board->score_min, (long long)board->score_max);
        break;
    case OUTCOME_OVERFLOW:
        error_set_field(error, ERROR_SCORE_OVERFLOW, "/score",
                        "adding it would leave -9223372036854775808 to 9223372036854775807; nothing was changed");
        break;
    case OUTCOME_CLOSED:
        error_set_field(error, ERROR_PERIOD_CLOSED, "/at", "the period of one of the board's windows is closed then");
        break;
    default:
        error_set(error, ERROR_BOARD_NOT_FOUND, "there is no board \"%s\"", board->name);
        break;
    }
}

/* Columns of the statement submit. */
enum { S_ITEM, S_WINDOW, S_PERIOD, S_OUTCOME, S_REVISION, S_K1, S_K2, S_K3, S_METADATA, S_OLD1, S_OLD2, S_OLD3, S_START };

static void result_read(struct batch *batch, struct db_rows rows, int r)
{
    struct item *item = batch->items[db_int64(rows, r, S_ITEM) - 1];
    struct submit_result *result = &item->result;
    int outcome = (int)db_int64(rows, r, S_OUTCOME);

    if (outcome == OUTCOME_REPEATED) {
        result->is_repeat = true;
        return;
    }
    if (outcome > OUTCOME_CHANGED) {
        if (result->error.code == ERROR_NONE)
            item_refuse(item, outcome);
        return;
    }
    struct submit_window *window = &result->windows[result->window_count];
    ASSERT(result->window_count < WINDOW_COUNT && window_parse(slice_of(db_text(rows, r, S_WINDOW)), &window->window));
    window->period_id = db_int64(rows, r, S_PERIOD);
    window->period_start_us = db_int64(rows, r, S_START);
    window->is_changed = outcome == OUTCOME_CHANGED;
    window->key = (struct sort_key){db_int64(rows, r, S_K1), db_int64(rows, r, S_K2), db_int64(rows, r, S_K3)};
    window->has_old = !db_is_null(rows, r, S_OLD1);
    window->old_key = (struct sort_key){db_int64(rows, r, S_OLD1), db_int64(rows, r, S_OLD2), db_int64(rows, r, S_OLD3)};
    struct slice metadata = {NULL, 0};
    if (!db_is_null(rows, r, S_METADATA))
        metadata = arena_copy(&batch->arena, (struct slice){db_text(rows, r, S_METADATA), (size_t)db_size(rows, r, S_METADATA)});
    if (result->window_count == 0)
        item->metadata = metadata;
    batch->rows[batch->row_count++] = (struct apply_row){
        .item = item,
        .window = result->window_count++,
        .revision = window->is_changed ? db_int64(rows, r, S_REVISION) : 0,
        .metadata = metadata,
    };
}

static int row_compare(const void *a, const void *b)
{
    const struct apply_row *left = a, *right = b;
    int64_t left_standing = left->item->result.windows[left->window].period_id;
    int64_t right_standing = right->item->result.windows[right->window].period_id;

    if (left_standing != right_standing)
        return left_standing < right_standing ? -1 : 1;
    /* Repeats of one player in the order of their rounds; the revision says so, but a rank only asked for has none. */
    if (left->item->round != right->item->round)
        return left->item->round < right->item->round ? -1 : 1;
    return 0;
}

static void rows_take(struct batch *batch, struct db_rows rows)
{
    int count = db_row_count(rows);

    batch->rows = calloc((size_t)count + 1, sizeof(*batch->rows));
    ASSERT(batch->rows != NULL);
    for (int r = 0; r < count; r++)
        result_read(batch, rows, r);
    qsort(batch->rows, batch->row_count, sizeof(*batch->rows), row_compare);
}

static bool is_retryable(const struct db_outcome *outcome)
{
    return strcmp(outcome->sqlstate, "40001") == 0 || strcmp(outcome->sqlstate, "40P01") == 0;
}

static void on_submit(void *context, const struct db_outcome *outcome)
{
    struct batch *batch = context;
    struct submitter *submitter = batch->submitter;
    int connection = batch->connection;

    if (outcome->error.code != ERROR_NONE && outcome->failed_call == 0) {
        if (is_retryable(outcome) && batch->retries++ < RETRIES_MAX) {
            batch_send(batch);
            return;
        }
        struct error error = outcome->error;
        if (error.code == ERROR_WRITE_UNCERTAIN)
            error_set(&error, ERROR_UNAVAILABLE,
                      "the connection to the database was lost; the submission may or may not have been taken: send it again with an Idempotency-Key");
        else
            store_error_of(outcome, &error);
        submitter->queues[connection].in_flight--;
        batch_fail(batch, &error);
        queue_flush(submitter, connection);
        return;
    }
    rows_take(batch, outcome->rows[0]);
    if (outcome->error.code == ERROR_NONE) {
        batch->lsn = db_int64(outcome->rows[1], 0, 0);
        batch->committed_us = db_int64(outcome->rows[1], 0, 1);
        db_saw_lsn(submitter->store->db, batch->lsn);
    } else {
        /* Committed, but its position is not known: one that nothing but the primary has. */
        batch->lsn = INT64_MAX;
        batch->committed_us = clock_realtime_us() + 60 * 1000000LL;
    }
    submitter->queues[connection].in_flight--;
    batch_apply(batch);
    queue_flush(submitter, connection);
}

static void batch_send(struct batch *batch)
{
    enum { ARRAYS = 11 };
    static const enum db_type types[ARRAYS] = {DB_INT8, DB_TYPE_TEXT, DB_INT8, DB_INT8, DB_INT8, DB_TYPE_TEXT,
                                               DB_INT4, DB_INT4,      DB_INT8, DB_BYTEA, DB_BYTEA};
    struct db_array arrays[ARRAYS];
    struct db_call calls[2] = {
        {.statement = STATEMENT_submit, .parameter_count = ARRAYS, .is_last_of_transaction = true},
        {.statement = STATEMENT_commit_lsn, .is_last_of_transaction = true},
    };
    const struct group *claimed = NULL;
    int claim = 0;

    for (int i = 0; i < ARRAYS; i++)
        db_array_init(&arrays[i], types[i], ARRAY_BYTES_MAX);
    for (size_t i = 0; i < batch->count; i++) {
        const struct item *item = batch->items[i];
        const struct submission *s = &item->submission;
        if (item->group->has_claim && item->group != claimed) {
            claimed = item->group;
            claim++;
            db_array_int8(&arrays[8], s->board.game_id);
            db_array_bytes(&arrays[9], (struct slice){(const char *)claimed->claim.key, CRYPTO_HASH_SIZE});
            db_array_bytes(&arrays[10], (struct slice){(const char *)claimed->claim.hash, CRYPTO_HASH_SIZE});
        }
        db_array_int8(&arrays[0], s->board.id);
        db_array_bytes(&arrays[1], s->player);
        db_array_int8(&arrays[2], s->score);
        db_array_int8(&arrays[3], s->subscore);
        db_array_int8(&arrays[4], s->at_us);
        if (s->metadata.data)
            db_array_bytes(&arrays[5], s->metadata);
        else
            db_array_null(&arrays[5]);
        db_array_int4(&arrays[6], item->round);
        db_array_int4(&arrays[7], item->group->has_claim ? claim : 0);
    }
    bool is_whole = true;
    for (int i = 0; i < ARRAYS; i++) {
        is_whole = is_whole && !arrays[i].bytes.is_overflown;
        if (is_whole)
            calls[0].parameters[i] = db_array_parameter(&arrays[i]);
    }
    struct db_connection *connection = db_writer(batch->submitter->store->db, batch->connection);
    bool is_sent = is_whole && connection && db_connection_send(connection, calls, 2, on_submit, batch);
    for (int i = 0; i < ARRAYS; i++)
        db_array_done(&arrays[i]);
    if (is_sent)
        return;
    struct error error;
    error_set(&error, ERROR_UNAVAILABLE, "the primary database is not reachable; nothing was taken");
    batch->submitter->queues[batch->connection].in_flight--;
    batch_fail(batch, &error);
}

/* ---- a group whose answer was lost ---- */

static void on_outcome(void *context, const struct db_outcome *outcome, enum db_source source)
{
    struct batch *batch = context;
    struct error error;

    (void)source;
    if (outcome->error.code != ERROR_NONE) {
        store_error_of(outcome, &error);
        batch_fail(batch, &error);
        return;
    }
    rows_take(batch, outcome->rows[0]);
    /* What the first time did not speak of had no board. */
    for (size_t i = 0; i < batch->count; i++)
        if (batch->items[i]->result.window_count == 0 && batch->items[i]->result.error.code == ERROR_NONE)
            item_refuse(batch->items[i], OUTCOME_NO_BOARD);
    batch->lsn = db_lsn(batch->submitter->store->db);
    batch->committed_us = 0; /* long since tailed */
    batch_apply(batch);
}

void submit_resume(struct store *store, const struct submission *submissions, size_t count, const struct submit_claim *claim,
                   int64_t game_id, submit_done_fn *done, void *context)
{
    struct batch *batch = calloc(1, sizeof(*batch));
    struct group *group = calloc(1, sizeof(*group));

    ASSERT(batch && group);
    *group = (struct group){.done = done, .context = context, .left = count};
    batch->submitter = store->submitter;
    arena_init(&batch->arena, 64 << 20);
    batch->items = malloc(count * sizeof(*batch->items));
    ASSERT(batch->items != NULL);
    for (size_t i = 0; i < count; i++) {
        struct item *item = calloc(1, sizeof(*item));
        ASSERT(item != NULL);
        item->submission = submissions[i];
        item->group = group;
        item->index = i;
        batch->items[batch->count++] = item;
    }
    store->submitter->batches++;
    struct db_call call = idempotency_claim_call(&batch->arena, game_id, claim);
    call.statement = STATEMENT_idempotency_outcome;
    call.parameter_count = 2;
    if (db_read_primary(store->db, &call, on_outcome, batch))
        return;
    struct error error;
    error_set(&error, ERROR_UNAVAILABLE, "the database is not reachable");
    batch_fail(batch, &error);
}

/* ---- the queue ---- */

struct seen {
    struct {
        int64_t board_id;
        uint8_t player[CRYPTO_MAC_SIZE * 2];
    } name;
    int rounds;
    UT_hash_handle hh;
};

/* Numbers the repeats of each (board, player). false: too many of one; the batch ends before it. */
static bool item_round(struct arena *arena, struct seen **seen, struct item *item)
{
    struct seen *entry, probe;

    memset(&probe, 0, sizeof(probe));
    probe.name.board_id = item->submission.board.id;
    crypto_digest(item->submission.player, probe.name.player);
    HASH_FIND(hh, *seen, &probe.name, sizeof(probe.name), entry);
    if (!entry) {
        entry = arena_alloc(arena, sizeof(*entry));
        ASSERT(entry != NULL);
        *entry = probe;
        HASH_ADD(hh, *seen, name, sizeof(entry->name), entry);
    }
    if (entry->rounds == ROUNDS_MAX && !item->group->has_claim)
        return false;
    item->round = entry->rounds++;
    return true;
}

static void batch_cut(struct submitter *submitter, int connection)
{
    struct queue *queue = &submitter->queues[connection];
    struct batch *batch = calloc(1, sizeof(*batch));
    size_t max = (size_t)submitter->store->settings.batch_max;
    struct seen *seen = NULL;

    ASSERT(batch != NULL);
    batch->submitter = submitter;
    batch->connection = connection;
    arena_init(&batch->arena, 64 << 20);
    batch->items = malloc((max + SUBMIT_GROUP_MAX) * sizeof(*batch->items));
    ASSERT(batch->items != NULL);
    while (queue->head) {
        struct item *item = queue->head;
        bool continues_claim = batch->count > 0 && item->group->has_claim && batch->items[batch->count - 1]->group == item->group;
        if ((batch->count >= max && !continues_claim) || batch->count == max + SUBMIT_GROUP_MAX ||
            !item_round(&batch->arena, &seen, item))
            break;
        queue->head = item->next;
        batch->items[batch->count++] = item;
    }
    HASH_CLEAR(hh, seen);
    if (!queue->head)
        queue->tail = &queue->head;
    queue->count -= batch->count;
    submitter->queued -= batch->count;
    queue->in_flight++;
    submitter->batches++;
    batch_send(batch);
}

static void queue_flush(struct submitter *submitter, int connection)
{
    struct queue *queue = &submitter->queues[connection];

    while (queue->head && queue->in_flight < BATCHES_IN_FLIGHT) {
        /* Behind a batch under way, wait for a full one or for its end: a small batch costs a commit of its own. */
        if (queue->in_flight > 0 && queue->count < (size_t)submitter->store->settings.batch_max)
            break;
        batch_cut(submitter, connection);
    }
}

static void on_flush(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    struct submitter *submitter = watcher->data;

    (void)loop;
    (void)events;
    if (!submitter->must_flush)
        return;
    submitter->must_flush = false;
    for (int i = 0; i < db_writer_count(submitter->store->db); i++)
        queue_flush(submitter, i);
}

void submitter_wake(void *context)
{
    ((struct store *)context)->submitter->must_flush = true;
}

int submit_connection(struct store *store)
{
    struct submitter *submitter = store->submitter;
    int count = db_writer_count(store->db);
    int best = submitter->next_connection++ % count;

    for (int i = 0; i < count; i++)
        if (submitter->queues[i].count + (size_t)submitter->queues[i].in_flight <
            submitter->queues[best].count + (size_t)submitter->queues[best].in_flight)
            best = i;
    return best;
}

bool submit_group(struct store *store, const struct submission *submissions, size_t count, const struct submit_claim *claim,
                  int connection, submit_done_fn *done, void *context, struct error *error)
{
    struct submitter *submitter = store->submitter;
    struct queue *queue = &submitter->queues[connection];

    ASSERT(count > 0 && (!claim || count <= SUBMIT_GROUP_MAX) && connection < db_writer_count(store->db));
    if (!db_can_write(store->db) || !db_writer(store->db, connection))
        return error_set(error, ERROR_UNAVAILABLE, "the primary database is not reachable; nothing was taken");
    if (submitter->queued + count > (size_t)store->settings.queue_max)
        return error_set(error, ERROR_OVERLOADED, "%zu submissions are waiting; try again", submitter->queued);
    struct group *group = calloc(1, sizeof(*group));
    ASSERT(group != NULL);
    *group = (struct group){.done = done, .context = context, .has_claim = claim != NULL, .left = count};
    if (claim)
        group->claim = *claim;
    for (size_t i = 0; i < count; i++) {
        struct item *item = calloc(1, sizeof(*item));
        ASSERT(item != NULL);
        item->submission = submissions[i];
        item->group = group;
        item->index = i;
        *queue->tail = item;
        queue->tail = &item->next;
    }
    queue->count += count;
    submitter->queued += count;
    submitter->must_flush = true;
    return true;
}

size_t submit_queued(const struct store *store)
{
    return store->submitter->queued;
}

bool store_is_idle(const struct store *store)
{
    return store->submitter->queued == 0 && store->submitter->batches == 0;
}

void submitter_new(struct store *store)
{
    struct submitter *submitter = calloc(1, sizeof(*submitter));

    ASSERT(submitter != NULL);
    submitter->store = store;
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        submitter->queues[i].tail = &submitter->queues[i].head;
    ev_prepare_init(&submitter->flush, on_flush);
    submitter->flush.data = submitter;
    ev_set_priority(&submitter->flush, EV_MINPRI); /* after the server's */
    ev_prepare_start(store->loop, &submitter->flush);
    store->submitter = submitter;
}

void submitter_free(struct store *store)
{
    struct submitter *submitter = store->submitter;

    for (int i = 0; i < CONNECTIONS_MAX; i++)
        while (submitter->queues[i].head) {
            struct item *item = submitter->queues[i].head;
            submitter->queues[i].head = item->next;
            error_set(&item->result.error, ERROR_UNAVAILABLE, "the server is shutting down; nothing was taken");
            item_answer(item);
        }
    ev_prepare_stop(store->loop, &submitter->flush);
    free(submitter);
    store->submitter = NULL;
}
