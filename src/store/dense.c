#include "store/dense.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/text.h"
#include "kv/keys.h"
#include "kv/scripts.h"
#include "store/private.h"

#define PIECE_TEXT "500" /* members of the order: about a millisecond of Redis */
#define WHO_BYTES 8

enum {
    STANDINGS_MAX = 10000,
    PAUSE_MAX_MS = 5,
    BUSY_MS = 50,      /* before somebody else is looked after again */
    AGAIN_MS = 200,    /* after it was done, and is missing again */
    REFUSED_MS = 2000, /* Redis lacks the standing, or the room */
    WAIT_MS = 1000,
    WAITERS_MAX = 1000,       /* for one standing */
    PROLONG_MS = 3600 * 1000, /* DENSE_S of ladder.lua is a day, and so much tally_pair_make keeps */
    ASK_AGAIN_MS = 2000       /* the primary did not hear it */
};

struct dense {
    struct store *store;
    int64_t standing;
    int64_t want_at_us, read_at_us; /* no piece is asked for before, and none to prolong */
    int64_t ask_at_us;              /* PostgreSQL is not told before */
    int64_t sent_us;
    bool is_in_flight; /* a piece is */
    bool is_asking;    /* PostgreSQL is being told */
    struct dense_waiter *first, **last;
    int waiters;
    struct db_call ask;
    char standing_text[24];
    ev_timer pause;
    char who[2 * WHO_BYTES + 1];
    UT_hash_handle hh;
};

static void piece_send(struct dense *dense);

/* Those who have waited long enough, or all of them, go on. A waiter may come back at once. */
static void waiters_end(struct dense *dense, bool is_made, bool all)
{
    struct dense_waiter *waiter = dense->first, *next;
    int64_t now_us = clock_monotonic_us();

    dense->first = NULL;
    dense->last = &dense->first;
    dense->waiters = 0;
    for (; waiter; waiter = next) {
        next = waiter->next;
        if (all || now_us >= waiter->until_us) {
            waiter->done(waiter, is_made);
            continue;
        }
        waiter->next = NULL;
        *dense->last = waiter;
        dense->last = &waiter->next;
        dense->waiters++;
    }
}

static void pause_begin(struct dense *dense, int64_t us)
{
    ev_timer_set(&dense->pause, (double)us / 1e6, 0);
    ev_timer_start(dense->store->loop, &dense->pause);
}

static void on_piece(void *context, const struct redisReply *reply)
{
    struct dense *dense = context;
    int64_t now_us = clock_monotonic_us(), took_us = now_us - dense->sent_us;

    bool is_made = kv_reply_is_text(reply, "OK"), is_busy = kv_reply_is_text(reply, "BUSY");
    waiters_end(dense, is_made, is_made); /* it stays, being in flight */
    dense->is_in_flight = false;
    if (kv_reply_is_text(reply, "MORE")) {
        pause_begin(dense, took_us < PAUSE_MAX_MS * 1000LL ? took_us : PAUSE_MAX_MS * 1000LL);
        return;
    }
    if (is_busy && dense->first) {
        pause_begin(dense, BUSY_MS * 1000LL);
        return;
    }
    dense->want_at_us = now_us + (is_made ? AGAIN_MS : is_busy ? BUSY_MS : REFUSED_MS) * 1000LL;
    dense->read_at_us = now_us + PROLONG_MS * 1000LL;
    waiters_end(dense, false, true);
}

static void on_pause(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    piece_send(watcher->data);
}

static void piece_send(struct dense *dense)
{
    char meta[KV_KEY_MAX], epoch[16];

    snprintf(epoch, sizeof(epoch), "%d", db_epoch(dense->store->db));
    const struct slice piece[] = {
        SLICE("FCALL"),  SLICE(KV_FUNCTION("dense")), SLICE("1"),       kv_meta_key(dense->standing, meta),
        slice_of(epoch), slice_of(dense->who),        SLICE(PIECE_TEXT)};
    dense->sent_us = clock_monotonic_us();
    dense->is_in_flight = kv_call(dense->store->kv, ARRAY_SIZE(piece), piece, on_piece, dense);
    if (dense->is_in_flight)
        return;
    dense->want_at_us = dense->sent_us + REFUSED_MS * 1000LL;
    waiters_end(dense, false, true);
}

static bool is_idle(const struct dense *dense)
{
    return !dense->is_in_flight && !dense->is_asking && !ev_is_active(&dense->pause);
}

static void dense_free(struct dense *dense)
{
    HASH_DEL(dense->store->dense, dense);
    ev_timer_stop(dense->store->loop, &dense->pause);
    free(dense);
}

/* NULL: there are too many already. */
static struct dense *dense_of(struct store *store, int64_t standing)
{
    struct dense *dense;
    uint8_t who[WHO_BYTES];

    HASH_FIND(hh, store->dense, &standing, sizeof(standing), dense);
    if (dense)
        return dense;
    if (HASH_COUNT(store->dense) >= STANDINGS_MAX) {
        if (!is_idle(store->dense))
            return NULL;
        dense_free(store->dense); /* the oldest */
    }
    dense = calloc(1, sizeof(*dense));
    ASSERT(dense != NULL);
    dense->store = store;
    dense->standing = standing;
    dense->read_at_us = clock_monotonic_us() + PROLONG_MS * 1000LL;
    dense->last = &dense->first;
    crypto_random(who, sizeof(who));
    text_hex_encode(who, sizeof(who), dense->who);
    ev_timer_init(&dense->pause, on_pause, 0, 0);
    dense->pause.data = dense;
    HASH_ADD(hh, store->dense, standing, sizeof(dense->standing), dense);
    return dense;
}

bool dense_wait(struct store *store, int64_t standing, struct dense_waiter *waiter)
{
    struct dense *dense = dense_of(store, standing);
    int64_t now_us = clock_monotonic_us();

    if (!dense || dense->waiters >= WAITERS_MAX)
        return false;
    bool is_making = dense->is_in_flight || ev_is_active(&dense->pause);
    if (!is_making && now_us >= dense->want_at_us) {
        piece_send(dense);
        is_making = dense->is_in_flight;
    }
    if (!is_making)
        return false;
    waiter->until_us = now_us + WAIT_MS * 1000LL;
    waiter->next = NULL;
    *dense->last = waiter;
    dense->last = &waiter->next;
    dense->waiters++;
    return true;
}

void dense_read(struct store *store, int64_t standing)
{
    struct dense *dense = dense_of(store, standing);

    if (dense && is_idle(dense) && clock_monotonic_us() >= dense->read_at_us)
        piece_send(dense);
}

static void on_asked(void *context, const struct db_outcome *outcome)
{
    struct dense *dense = context;
    bool is_ok = outcome->error.code == ERROR_NONE;

    dense->is_asking = false;
    dense->ask_at_us = clock_monotonic_us() + (is_ok ? PROLONG_MS : ASK_AGAIN_MS) * 1000LL;
}

void dense_ask(struct store *store, int64_t standing)
{
    struct dense *dense = dense_of(store, standing);

    if (!dense || dense->is_asking || clock_monotonic_us() < dense->ask_at_us || !db_can_write(store->db))
        return;
    snprintf(dense->standing_text, sizeof(dense->standing_text), "%lld", (long long)standing);
    dense->ask = (struct db_call){.statement = STATEMENT_dense_want,
                                  .parameters = {{.data = dense->standing_text, .format = DB_TEXT}},
                                  .parameter_count = 1,
                                  .is_last_of_transaction = true};
    dense->is_asking = db_write(store->db, &dense->ask, 1, on_asked, dense);
}

void dense_stop(struct store *store)
{
    struct dense *dense;

    for (dense = store->dense; dense; dense = dense->hh.next) {
        ev_timer_stop(store->loop, &dense->pause);
        dense->is_in_flight = true; /* it stays */
    }
    for (dense = store->dense; dense; dense = dense->hh.next)
        waiters_end(dense, false, true);
}

void dense_close(struct store *store)
{
    while (store->dense)
        dense_free(store->dense);
}
