/*
 * answers.c -- see answers.h.
 *
 * Three numbers, all readings of one clock (ladder.lua):
 *
 *   seen    the newest change that this process acknowledged or showed, by any loop: nobody goes back in time
 *   heard   the newest change that this loop's stream brought
 *   as_of   what an answer contains
 *
 * Redis sends the answer to an apply and the message about it at the same time, on two connections. The message may come
 * later than the client's next request. So when seen is ahead of heard, the loop first takes in what the process has
 * recorded of its own changes (changes.h), then what has arrived on the stream. If seen is still ahead, only an answer
 * made after `seen` counts.
 */
#include "store/answers.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "kv/stream.h"
#include "store/changes.h"
#include "store/private.h"

enum { MESSAGE_HEAD = 24, MESSAGE_ROW = 8, MESSAGE_ROWS_MAX = 128 };

struct waiter {
    answers_done_fn *done;
    void *context;
    int64_t lsn;
    bool must_skip_redis; /* it may lack a change of ours */
    struct waiter *next;
};

struct flight {
    struct store *store;
    struct l1_watch watch;
    int64_t begun; /* it will contain every change up to this version */
    int64_t heard; /* and so it will, as the stream itself has brought them: Redis had made them before it was asked */
    int64_t lsn, lives_us, begun_us; /* of a brief answer: it will cover lsn */
    bool is_watched;
    bool is_listed; /* by its key, to be joined */
    struct waiter *first, **last;
    struct l1_entry *kept; /* by flight_keep; valid until flight_land */
    UT_hash_handle hh;
    size_t label;
    size_t key_size;
    char key[];
};

struct answers {
    struct l1 *l1; /* NULL: nothing is remembered */
    struct kv_stream *stream;
    struct flight *flights;
    void (*value_free)(void *value);
    int64_t heard; /* the newest change that the stream brought, in any era of it */
    uint64_t era;  /* another one each time that changes may have been missed */
    struct changes_reader own;
    struct store *store;
    bool is_lost; /* the stream is, and has not come back yet */
};

/* ---- hearing ---- */

static void forget(struct answers *answers)
{
    answers->era++;
    if (answers->l1)
        l1_forget(answers->l1);
    changes_pass_all(&answers->own);
}

static int64_t get(const char *at, int size)
{
    uint64_t value = 0;

    for (int i = 0; i < size; i++)
        value = value << 8 | (uint8_t)at[i];
    return (int64_t)value;
}

static void on_message(void *context, struct slice payload)
{
    struct answers *answers = context;
    struct move moves[MESSAGE_ROWS_MAX];
    size_t count;

    if (!answers->l1 || (payload.size == 0 && fault_is("forgotten")))
        return;
    if (payload.size < MESSAGE_HEAD || (payload.size - MESSAGE_HEAD) % MESSAGE_ROW != 0 ||
        (count = (payload.size - MESSAGE_HEAD) / MESSAGE_ROW) > MESSAGE_ROWS_MAX) {
        forget(answers); /* the tail's, or of a version that we can't read: nothing is sure */
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const char *row = payload.data + MESSAGE_HEAD + i * MESSAGE_ROW;
        int64_t high = get(row + 4, 4);
        moves[i] = (struct move){get(row, 4), high == UINT32_MAX ? MOVES_END : high};
        if (moves[i].low > moves[i].high) {
            forget(answers);
            return;
        }
    }
    l1_hear(answers->l1, get(payload.data, 8), get(payload.data + 8, 8), get(payload.data + 16, 8), moves, count);
    if (l1_heard(answers->l1) > answers->heard)
        answers->heard = l1_heard(answers->l1);
}

/* Takes in the changes that the process has recorded, as far as nothing before them is still to be heard. */
static void own_hear(struct store *store)
{
    struct answers *answers = store->answers;
    struct change change;

    while (changes_peek(&answers->own, &change)) {
        int64_t heard = l1_heard(answers->l1);
        bool is_next = heard > 0 && (change.previous <= heard || fault_is("own-gap"));
        if (change.version > heard && slice_is(kv_run_id(store->kv), change.run_id)) {
            if (!is_next)
                return; /* the stream brings what is missing, and this one with it */
            on_message(answers, (struct slice){change.message, change.size});
        }
        changes_pass(&answers->own);
    }
}

static void on_definition(void *context, struct slice payload)
{
    struct store *store = ((struct answers *)context)->store;

    store->definition_message(store, payload);
}

static void on_lost(void *context)
{
    struct answers *answers = context;

    answers->is_lost = true;
    if (!fault_is("lost"))
        forget(answers);
}

/* What this process has seen, Redis had done before the beat was sent. Without this, a quiet stream would never be
 * known to have brought it, and every hit would look for more. */
static int64_t on_mark(void *context)
{
    (void)context;
    return changes_newest();
}

static void on_reached(void *context, int64_t mark)
{
    struct answers *answers = context;

    if (answers->l1)
        l1_reach(answers->l1, mark);
    if (answers->is_lost)
        answers->store->definitions_missed(answers->store);
    answers->is_lost = false;
}

/* ---- life ---- */

void answers_open(struct store *store, size_t bytes_max, int heartbeat_ms, void (*value_free)(void *value))
{
    struct answers *answers = calloc(1, sizeof(*answers));

    ASSERT(answers != NULL && !store->answers);
    answers->value_free = value_free;
    answers->era = 1;
    answers->store = store;
    store->answers = answers;
    if (kv_is_cluster(store->kv)) /* docs/decisions/0055: versions of two nodes are of two clocks */
        return;
    if (bytes_max > 0)
        answers->l1 = l1_new(bytes_max, value_free);
    const struct kv_stream_listener listener = {answers, on_message, on_definition, on_lost, on_mark, on_reached};
    answers->stream = kv_stream_new(store->loop, &store->settings.kv, store->kv, heartbeat_ms, &listener);
}

void answers_forget(struct store *store)
{
    if (store->answers && store->answers->l1 && !fault_is("epoch"))
        forget(store->answers);
}

void answers_stop(struct store *store)
{
    if (store->answers)
        kv_stream_free(&store->answers->stream);
}

void answers_free(struct store *store)
{
    struct answers *answers = store->answers;

    if (!answers)
        return;
    ASSERT(answers->flights == NULL);
    l1_free(&answers->l1);
    free(answers);
    store->answers = NULL;
}

bool answers_are_trusted(const struct store *store)
{
    const struct answers *answers = store->answers;

    return answers->l1 && answers->stream && kv_stream_is_current(answers->stream) && kv_is_trusted(store->kv);
}

bool answers_heard(const struct store *store, int64_t *ret_version, uint64_t *ret_era)
{
    const struct answers *answers = store->answers;

    if (!answers || !answers->l1 || !answers->stream || !kv_stream_is_current(answers->stream))
        return false;
    int64_t seen = changes_newest();
    *ret_version = answers->heard > seen ? answers->heard : seen;
    *ret_era = answers->era;
    return true;
}

const struct l1_counters *answers_counters(const struct store *store)
{
    static const struct l1_counters none;

    return store->answers->l1 ? l1_counters(store->answers->l1) : &none;
}

void answers_each(const struct store *store, l1_each_fn *visit, void *context)
{
    if (store->answers->l1)
        l1_each(store->answers->l1, visit, context);
}

void answers_resize(struct store *store, struct l1_entry *entry, size_t bytes)
{
    l1_resize(store->answers->l1, entry, bytes);
}

int64_t answers_changed(struct store *store, const struct redisReply *reply)
{
    int64_t version = kv_reply_int(kv_reply_item(reply, 1));

    if (store->answers && store->answers->l1 && !fault_is("own"))
        changes_record(kv_run_id(store->kv), version, kv_reply_int(kv_reply_item(reply, 2)),
                       kv_reply_text(kv_reply_item(reply, 3)));
    changes_seen(version);
    return version;
}

/* ---- asking ---- */

/* Up to this version, if what has arrived says so. */
static void hear(struct store *store, int64_t need)
{
    struct answers *answers = store->answers;

    if (l1_heard(answers->l1) < need)
        own_hear(store);
    if (l1_heard(answers->l1) >= need)
        return;
    if (answers->stream) /* NULL: the server stops (answers_stop), and the database gives up what waited for it */
        kv_stream_catch_up(answers->stream);
    own_hear(store);
}

static struct flight *flight_new(struct store *store, const struct answers_query *query, int64_t begun)
{
    struct answers *answers = store->answers;
    struct flight *flight = calloc(1, sizeof(*flight) + query->key.size);

    ASSERT(flight != NULL);
    flight->store = store;
    flight->begun = begun;
    flight->last = &flight->first;
    flight->is_listed = true;
    flight->label = query->label;
    flight->lives_us = query->lives_us;
    flight->lsn = query->freshness->lsn;
    flight->begun_us = clock_monotonic_us();
    flight->key_size = query->key.size;
    memcpy(flight->key, query->key.data, query->key.size);
    if (answers->l1) {
        flight->watch = l1_watch(answers->l1, query->standing);
        flight->heard = l1_heard(answers->l1);
        flight->is_watched = true;
    }
    HASH_ADD_KEYPTR(hh, answers->flights, flight->key, flight->key_size, flight);
    return flight;
}

static void flight_unlist(struct flight *flight)
{
    if (!flight->is_listed)
        return;
    HASH_DEL(flight->store->answers->flights, flight);
    flight->is_listed = false;
}

static void flight_join(struct flight *flight, int64_t lsn, bool must_skip_redis, answers_done_fn *done, void *context)
{
    struct waiter *waiter = malloc(sizeof(*waiter));

    ASSERT(waiter != NULL);
    *waiter = (struct waiter){done, context, lsn, must_skip_redis, NULL};
    *flight->last = waiter;
    flight->last = &waiter->next;
}

static enum answers_outcome brief_ask(struct store *store, const struct answers_query *query, answers_done_fn *done,
                                      void *context, struct l1_entry **ret_entry, struct flight **ret_flight)
{
    struct answers *answers = store->answers;
    struct l1_entry *entry = answers->l1 ? l1_find(answers->l1, query->key) : NULL;
    struct flight *flight;

    if (entry && entry->lsn >= query->least_lsn && clock_monotonic_us() < entry->expires_us) {
        *ret_entry = entry;
        return ANSWERS_HIT;
    }
    HASH_FIND(hh, answers->flights, query->key.data, query->key.size, flight);
    if (flight && flight->lsn >= query->least_lsn) {
        flight_join(flight, query->least_lsn, false, done, context);
        return ANSWERS_JOINED;
    }
    if (flight)
        flight_unlist(flight);
    *ret_flight = flight_new(store, query, 0);
    return ANSWERS_FETCH;
}

enum answers_outcome answers_ask(struct store *store, const struct answers_query *query, answers_done_fn *done,
                                 void *context, struct l1_entry **ret_entry, struct flight **ret_flight,
                                 bool *ret_was_touched)
{
    struct answers *answers = store->answers;
    struct l1_entry *entry = NULL;
    struct flight *flight;
    int64_t heard = 0, changed = 0;
    /* First: a standing becomes sure with what `seen` says from then on. */
    bool is_unsure = unsure_has(store, query->standing);
    int64_t seen = fault_is("seen") ? 0 : changes_newest(), shown = fault_is("token") ? 0 : query->freshness->version;
    int64_t need = shown > seen ? shown : seen;

    if (fault_is("unsure-order")) {
        fault_nap();
        is_unsure = unsure_has(store, query->standing);
    }
    *ret_was_touched = false;
    if (query->lives_us > 0)
        return brief_ask(store, query, done, context, ret_entry, ret_flight);
    if (answers->l1) {
        hear(store, need);
        heard = l1_heard(answers->l1);
        changed = l1_changed(answers->l1, query->standing);
        entry = l1_find(answers->l1, query->key);
    }
    if (entry && answers_are_trusted(store) && (heard >= need || entry->as_of >= need) && !is_unsure) {
        *ret_entry = entry;
        if (l1_holds(answers->l1, entry, clock_monotonic_us()))
            return ANSWERS_HIT;
        *ret_was_touched = true;
    }
    HASH_FIND(hh, answers->flights, query->key.data, query->key.size, flight);
    if (flight && entry && query->freshness->shown_lsn == 0 && query->max_staleness_us > 0 &&
        (clock_monotonic_us() - entry->checked_us <= query->max_staleness_us || fault_is("staleness"))) {
        *ret_entry = entry;
        return ANSWERS_STALE;
    }
    /* Once the stream has brought all that is needed, only changes of this standing matter. */
    if (flight && !kv_is_cluster(store->kv) &&
        ((heard >= need ? changed : need) <= flight->begun || fault_is("join")) && !fault_is("alone")) {
        flight_join(flight, query->freshness->lsn, is_unsure, done, context);
        return ANSWERS_JOINED;
    }
    if (flight)
        flight_unlist(flight);
    *ret_flight = flight_new(store, query, heard > need ? heard : need);
    return ANSWERS_FETCH;
}

/* ---- landing ---- */

static void flight_end(struct flight *flight, const struct standing_answer *answer, void *value,
                       const struct error *error)
{
    struct waiter *waiters = flight->first, *again = NULL;

    flight_unlist(flight);
    if (flight->is_watched)
        l1_unwatch(flight->store->answers->l1, &flight->watch);
    /* First those who take the value, which is sure to be there now; who asks again may push it out. */
    while (waiters) {
        struct waiter *waiter = waiters;
        waiters = waiter->next;
        if (!error && (answer->as_of > 0 ? waiter->must_skip_redis : waiter->lsn > answer->lsn) &&
            !fault_is("join-database")) {
            waiter->next = again;
            again = waiter;
            continue;
        }
        waiter->done(waiter->context, value, error);
        free(waiter);
    }
    free(flight);
    while (again) {
        struct waiter *waiter = again;
        again = waiter->next;
        waiter->done(waiter->context, NULL, NULL);
        free(waiter);
    }
}

bool flight_keep(struct flight *flight, const struct standing_answer *answer, void *value, size_t bytes)
{
    struct answers *answers = flight->store->answers;

    if (answers->l1 && answer->as_of > 0 && !answer->is_momentary && answers_are_trusted(flight->store)) {
        struct slice key = {flight->key, flight->key_size};
        int64_t as_of = answer->as_of > flight->heard ? answer->as_of : flight->heard;
        flight->kept = l1_put(answers->l1, &flight->watch, key, flight->label, answer->version, as_of, &answer->span,
                              value, bytes, clock_monotonic_us());
    }
    return flight->kept != NULL;
}

bool flight_keep_brief(struct flight *flight, int64_t lsn, int64_t age_us, void *value, size_t bytes)
{
    static const struct span none = {.low = 0, .high = -1};
    struct answers *answers = flight->store->answers;

    if (answers->l1 && age_us < flight->lives_us) {
        struct slice key = {flight->key, flight->key_size};
        flight->kept = l1_put(answers->l1, &flight->watch, key, flight->label, 0, l1_heard(answers->l1), &none, value,
                              bytes, clock_monotonic_us());
    }
    if (flight->kept) {
        flight->kept->lsn = lsn;
        flight->kept->expires_us = flight->begun_us + flight->lives_us - age_us;
    }
    return flight->kept != NULL;
}

void flight_land(struct flight *flight, const struct standing_answer *answer, void *value, size_t bytes)
{
    struct answers *answers = flight->store->answers;
    bool is_kept = flight->kept != NULL;

    if (is_kept)
        l1_resize(answers->l1, flight->kept, bytes);
    flight_end(flight, answer, value, NULL);
    if (!is_kept)
        answers->value_free(value);
}

void flight_fail(struct flight *flight, const struct error *error)
{
    flight_end(flight, NULL, NULL, error);
}
