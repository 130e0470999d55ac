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
    PAUSE_MAX_MS = 100,
    AGAIN_MS = 200,           /* after somebody else was found at it, or it is done */
    REFUSED_MS = 2000,        /* Redis lacks the standing, or the room */
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
    struct db_call ask;
    char standing_text[24];
    ev_timer pause;
    char who[2 * WHO_BYTES + 1];
    UT_hash_handle hh;
};

static void piece_send(struct dense *dense);

static void on_piece(void *context, const struct redisReply *reply)
{
    struct dense *dense = context;
    int64_t now_us = clock_monotonic_us(), took_us = now_us - dense->sent_us;

    dense->is_in_flight = false;
    if (kv_reply_is_text(reply, "MORE")) {
        if (took_us > PAUSE_MAX_MS * 1000LL)
            took_us = PAUSE_MAX_MS * 1000LL;
        ev_timer_set(&dense->pause, (double)took_us / 1e6, 0);
        ev_timer_start(dense->store->loop, &dense->pause);
        return;
    }
    bool is_usual = kv_reply_is_text(reply, "OK") || kv_reply_is_text(reply, "BUSY");
    dense->want_at_us = now_us + (is_usual ? AGAIN_MS : REFUSED_MS) * 1000LL;
    dense->read_at_us = now_us + PROLONG_MS * 1000LL;
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
    if (!dense->is_in_flight)
        dense->want_at_us = dense->sent_us + REFUSED_MS * 1000LL;
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
    crypto_random(who, sizeof(who));
    text_hex_encode(who, sizeof(who), dense->who);
    ev_timer_init(&dense->pause, on_pause, 0, 0);
    dense->pause.data = dense;
    HASH_ADD(hh, store->dense, standing, sizeof(dense->standing), dense);
    return dense;
}

void dense_want(struct store *store, int64_t standing)
{
    struct dense *dense = dense_of(store, standing);

    if (dense && is_idle(dense) && clock_monotonic_us() >= dense->want_at_us)
        piece_send(dense);
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

void dense_close(struct store *store)
{
    while (store->dense)
        dense_free(store->dense);
}
