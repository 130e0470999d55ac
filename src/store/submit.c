/*
 * submit.c -- see submit.h.
 *
 *   submit_group -> queue of a connection -> batch -> PostgreSQL: [commit_level |] submit | sync | submit_committed | sync
 *                                                        |
 *             answers  <-  Redis: one apply a standing  <+   (W1 commit, W2 acknowledged, W3 applied)
 *
 * A connection has at most BATCHES_IN_FLIGHT batches under way; what comes meanwhile waits and makes the next one: so a
 * lone submission goes at once, and a busy service commits in batches. Batches are cut between groups' submissions, but
 * a claimed group stays whole. Batches of one connection are applied to Redis in the order of their commits; if an
 * apply fails, the standing is unsure (unsure.c) and the ranks come from PostgreSQL.
 *
 * W1 to W3 are the write path of the protocol between PostgreSQL and Redis; I1 is kept by the SQL function, I2 by the
 * script.
 */
#include "store/submit.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "db/array.h"
#include "db/primary_clock.h"
#include "store/idempotency.h"
#include "store/submit_private.h"

/* ---- W1, W2: PostgreSQL ---- */

static _Atomic uint64_t committed_count, transaction_count;

static void batch_send(struct batch *batch);
static void queue_flush(struct submitter *submitter, int connection);

static void flight_end(struct batch *batch)
{
    struct queue *queue = &batch->submitter->queues[batch->connection];

    queue->in_flight--;
    queue->bulk -= batch->kind == KIND_BULK;
    queue->waiting -= batch->is_waiting;
}

static bool is_retryable(const struct db_outcome *outcome)
{
    return strcmp(outcome->sqlstate, "40001") == 0 || strcmp(outcome->sqlstate, "40P01") == 0;
}

/* It was undone for something in it. */
static void batch_send_apart(struct batch *batch, const struct db_outcome *outcome)
{
    log_warn("batch-failed", LOG_INT("items", (int64_t)batch->count), LOG_TEXT("sqlstate", outcome->sqlstate),
             LOG_TEXT("because", outcome->error.message));
    batch->is_apart = true;
    batch_send(batch);
}

static void on_submit(void *context, const struct db_outcome *outcome)
{
    struct batch *batch = context;
    struct submitter *submitter = batch->submitter;
    int connection = batch->connection, first = batch->has_commit_level;

    if (outcome->error.code != ERROR_NONE && outcome->failed_call <= first) {
        if (is_retryable(outcome) && batch->retries++ < RETRIES_MAX) {
            batch_send(batch);
            return;
        }
        if (submit_is_of_data(outcome) && outcome->failed_call == first && !batch->is_apart) {
            batch_send_apart(batch, outcome);
            return;
        }
        struct error error = outcome->error;
        batch->is_uncertain = error.code == ERROR_WRITE_UNCERTAIN;
        if (batch->is_uncertain)
            error_set(
                &error, ERROR_UNAVAILABLE,
                "the connection to the database was lost; the submission may or may not have been taken: send it again with an Idempotency-Key");
        else
            store_error_of(outcome, &error);
        flight_end(batch);
        batch_fail(batch, &error);
        queue_flush(submitter, connection);
        return;
    }
    submit_rows_take(batch, outcome->rows[first]);
    if (outcome->error.code == ERROR_NONE) {
        batch->lsn = db_int64(outcome->rows[first + 1], 0, 0);
        batch->committed_us = db_int64(outcome->rows[first + 1], 0, 1);
        if (!db_is_null(outcome->rows[first + 1], 0, 2))
            batch->snapshot = arena_printf(&batch->arena, "%s", db_text(outcome->rows[first + 1], 0, 2));
        primary_clock_saw(batch->committed_us);
        db_saw_lsn(submitter->store->db, batch->lsn);
    } else {
        /* Committed, but its position is not known: one that nothing but the primary has. */
        batch->lsn = INT64_MAX;
        batch->committed_us = primary_clock_us() + 60 * 1000000LL;
    }
    atomic_fetch_add_explicit(&committed_count, batch->count, memory_order_relaxed);
    atomic_fetch_add_explicit(&transaction_count, 1, memory_order_relaxed);
    flight_end(batch);
    fault_point("committed");
    batch_apply(batch);
    queue_flush(submitter, connection);
}

/* Of all in the batch: one transaction has one commit. false: nobody asked for any. */
static bool commit_level_call(const struct batch *batch, struct db_call *ret_call, bool *ret_waits)
{
    enum commit_level strictest = COMMIT_DEFAULT;
    bool is_any_default = false;

    for (size_t i = 0; i < batch->count; i++) {
        enum commit_level level = batch->items[i]->submission.board.commit_level;
        is_any_default = is_any_default || level == COMMIT_DEFAULT;
        strictest = level > strictest ? level : strictest;
    }
    *ret_call = (struct db_call){.statement = STATEMENT_commit_level,
                                 .parameter_count = 2,
                                 .parameters = {{.data = commit_level_name(strictest), .format = DB_TEXT},
                                                {.data = is_any_default ? "true" : "false", .format = DB_TEXT}}};
    *ret_waits = strictest > COMMIT_LOCAL;
    return strictest != COMMIT_DEFAULT;
}

/* p_scope of the function submit. */
static int scope_of(const struct submission *s)
{
    enum { KINDS = (1 << WINDOW_SCHEDULED) - 1, STRICT = KINDS + 1 };

    return (int)((s->windows & KINDS) | (s->windows & ~(unsigned)KINDS) << 1) | (s->is_strict ? STRICT : 0);
}

static void batch_send(struct batch *batch)
{
    enum { ARRAYS = 13 };
    static const enum db_type types[ARRAYS] = {DB_INT8,      DB_TYPE_TEXT, DB_INT8, DB_INT8, DB_INT8,
                                               DB_TYPE_TEXT, DB_INT4,      DB_INT4, DB_INT8, DB_BYTEA,
                                               DB_BYTEA,     DB_TYPE_TEXT, DB_INT4};
    struct db_array arrays[ARRAYS];
    struct db_call calls[3] = {
        {.statement = 0},
        {.statement = STATEMENT_submit, .parameter_count = ARRAYS, .is_last_of_transaction = true},
        {.statement = STATEMENT_submit_committed, .is_last_of_transaction = true},
    };
    const struct group *claimed = NULL;
    int claim = 0;
    bool has_facets = false, has_scopes = false;

    for (size_t i = 0; i < batch->count; i++) {
        const struct submission *s = &batch->items[i]->submission;
        has_facets = has_facets || s->facets.data;
        has_scopes = has_scopes || s->windows || s->is_strict;
    }
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
        if (s->at_us == SUBMIT_NOW)
            db_array_null(&arrays[4]);
        else
            db_array_int8(&arrays[4], s->at_us);
        if (s->metadata.data)
            db_array_bytes(&arrays[5], s->metadata);
        else
            db_array_null(&arrays[5]);
        if (s->facets.data)
            db_array_bytes(&arrays[11], s->facets);
        else if (has_facets) /* of many that name none, nothing is said */
            db_array_null(&arrays[11]);
        if (has_scopes)
            db_array_int4(&arrays[12], scope_of(s));
        db_array_int4(&arrays[6], item->round);
        db_array_int4(&arrays[7], item->group->has_claim ? claim : 0);
    }
    bool waits;
    batch->has_commit_level = commit_level_call(batch, &calls[0], &waits);
    if (waits && !batch->is_waiting) {
        batch->is_waiting = true;
        batch->submitter->queues[batch->connection].waiting++;
    }
    if (batch->is_apart)
        calls[1].statement = STATEMENT_submit_apart;
    int first = batch->has_commit_level ? 0 : 1;
    bool is_whole = true;
    for (int i = 0; i < ARRAYS; i++) {
        is_whole = is_whole && !arrays[i].bytes.is_overflown;
        if (is_whole)
            calls[1].parameters[i] = db_array_parameter(&arrays[i]);
    }
    struct db_connection *connection = db_writer(batch->submitter->store->db, batch->connection);
    bool is_sent = is_whole && connection && db_connection_send(connection, &calls[first], 3 - first, on_submit, batch);
    for (int i = 0; i < ARRAYS; i++)
        db_array_done(&arrays[i]);
    if (is_sent) {
        fault_point("submitted");
        if (fault_is("answer-early"))
            batch_answer_early(batch);
        return;
    }
    struct error error;
    error_set(&error, ERROR_UNAVAILABLE, "the primary database is not reachable; nothing was taken");
    flight_end(batch);
    batch_fail(batch, &error);
}

/* ---- a group whose answer was lost ---- */

static void on_outcome(void *context, const struct db_outcome *outcome)
{
    struct batch *batch = context;
    struct store *store = batch->submitter->store;
    struct error error;

    if (outcome->error.code != ERROR_NONE) {
        store_error_of(outcome, &error);
        batch_fail(batch, &error);
        return;
    }
    submit_rows_take(batch, outcome->rows[0]);
    /* What the first time did not speak of had no board. */
    for (size_t i = 0; i < batch->count; i++)
        if (batch->items[i]->result.window_count == 0 && batch->items[i]->result.error.code == ERROR_NONE)
            item_refuse(batch->items[i], OUTCOME_NO_BOARD);
    batch->lsn = db_int64(outcome->rows[1], 0, 0);
    batch->committed_us = db_int64(outcome->rows[1], 0, 1);
    db_saw_lsn(store->db, batch->lsn);
    /* Whoever committed it may not have come to apply it, and we have no revisions to do so: the tail will. */
    for (size_t i = 0; i < batch->row_count; i++)
        unsure_add(batch->rows[i].place->period_id, batch->committed_us);
    batch_apply(batch);
}

void submit_resume(struct store *store, const struct submission *submissions, size_t count,
                   const struct submit_claim *claim, int64_t game_id, submit_done_fn *done, void *context)
{
    struct batch *batch = calloc(1, sizeof(*batch));
    struct group *group = calloc(1, sizeof(*group));

    ASSERT(batch && group);
    *group = (struct group){.done = done, .context = context, .left = count};
    batch->submitter = store->submitter;
    batch->connection = -1; /* of no queue */
    arena_init(&batch->arena, 64 << 20);
    batch->arena.is_vital = true;
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
    struct db_call calls[2] = {idempotency_claim_call(&batch->arena, game_id, claim),
                               {.statement = STATEMENT_commit_lsn}};
    calls[0].statement = STATEMENT_idempotency_outcome;
    calls[0].parameter_count = 2;
    calls[1].is_last_of_transaction = true;
    if (db_write(store->db, calls, 2, on_outcome, batch))
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

/* Single submissions have arrived lately: bulk batches must be short. */
static bool has_singles(const struct submitter *submitter)
{
    return submitter->single_us && clock_monotonic_us() - submitter->single_us < SINGLES_LATELY_US;
}

static void batch_cut(struct submitter *submitter, int connection, enum flow_kind kind)
{
    struct queue *queue = &submitter->queues[connection];
    struct batch *batch = calloc(1, sizeof(*batch));
    size_t max = submit_batch_max(submitter->store, connection);
    struct seen *seen = NULL;
    struct item *item;
    bool is_refused = false;

    if (kind == KIND_BULK && has_singles(submitter) && max > BULK_MAX)
        max = BULK_MAX;
    ASSERT(batch != NULL);
    batch->submitter = submitter;
    batch->connection = connection;
    arena_init(&batch->arena, 64 << 20);
    batch->arena.is_vital = true;
    batch->items = malloc((max + SUBMIT_GROUP_MAX) * sizeof(*batch->items));
    ASSERT(batch->items != NULL);
    batch->kind = kind;
    while ((item = flows_next(&queue->flows, kind))) {
        bool continues_claim =
            batch->count > 0 && item->group->has_claim && batch->items[batch->count - 1]->group == item->group;
        if ((batch->count >= max && !continues_claim) || batch->count == max + SUBMIT_GROUP_MAX)
            break;
        is_refused = !item_round(&batch->arena, &seen, item);
        if (is_refused)
            break;
        flows_take(&queue->flows, kind);
        batch->items[batch->count++] = item;
    }
    flows_end(&queue->flows, kind, is_refused);
    HASH_CLEAR(hh, seen);
    submitter->queued -= batch->count;
    queue->in_flight++;
    queue->bulk += kind == KIND_BULK;
    *queue->last = batch;
    queue->last = &batch->next;
    submitter->batches++;
    batch_send(batch);
}

/* Of which kind the next batch is; KIND_COUNT: there is none now. Something waits. */
static enum flow_kind next_kind(const struct submitter *submitter, struct queue *queue, size_t batch_max)
{
    if (queue->in_flight == 0)
        return flows_begin(&queue->flows);
    if (queue->bulk > 0 && has_singles(submitter))
        return flows_wait(&queue->flows, KIND_SINGLE) ? flows_begin_kind(&queue->flows, KIND_SINGLE) : KIND_COUNT;
    /* Behind a batch under way, wait for a full one or for its end: a small batch costs a commit of its own. */
    return flows_are_full(&queue->flows, batch_max) ? flows_begin(&queue->flows) : KIND_COUNT;
}

static void queue_flush(struct submitter *submitter, int connection)
{
    struct queue *queue = &submitter->queues[connection];

    while (flows_count(&queue->flows) > 0 && queue->in_flight < BATCHES_IN_FLIGHT) {
        enum flow_kind kind = next_kind(submitter, queue, submit_batch_max(submitter->store, connection));
        if (kind == KIND_COUNT)
            break;
        batch_cut(submitter, connection, kind);
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

bool submit_group(struct store *store, const struct submission *submissions, size_t count,
                  const struct submit_claim *claim, submit_done_fn *done, void *context, struct error *error)
{
    struct submitter *submitter = store->submitter;
    struct item *items = NULL, **tail = &items;

    ASSERT(count > 0 && (!claim || count <= SUBMIT_GROUP_MAX));
    struct submit_lane lane = submit_lane_of(store, submissions, count);
    if (!db_can_write(store->db) || !db_writer(store->db, lane.connection))
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
        *tail = item;
        tail = &item->next;
    }
    if (lane.kind == KIND_SINGLE)
        submitter->single_us = clock_monotonic_us();
    flows_add(&submitter->queues[lane.connection].flows, submissions[0].board.game_id, lane.kind, items);
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
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        flows_init(&submitter->queues[i].flows);
        submitter->queues[i].last = &submitter->queues[i].first;
    }
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
        while (flows_count(&submitter->queues[i].flows) > 0) {
            enum flow_kind kind = flows_begin(&submitter->queues[i].flows);
            struct item *item = flows_next(&submitter->queues[i].flows, kind);
            flows_take(&submitter->queues[i].flows, kind);
            error_set(&item->result.error, ERROR_UNAVAILABLE, "the server is shutting down; nothing was taken");
            item_answer(item);
        }
    ev_prepare_stop(store->loop, &submitter->flush);
    free(submitter);
    store->submitter = NULL;
}

uint64_t submit_committed(void)
{
    return atomic_load_explicit(&committed_count, memory_order_relaxed);
}

uint64_t submit_transactions(void)
{
    return atomic_load_explicit(&transaction_count, memory_order_relaxed);
}
