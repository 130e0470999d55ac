/*
 * store.c -- a store's life: what belongs to one loop, in the order in which it is made and unmade.
 *
 * The root of the room: it calls the other files, and none of them calls it. What the stream of changes brings for a
 * file above answers.c goes up by the callbacks that are set here.
 */
#include "store/store.h"

#include <ev.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/turns.h"
#include "store/answers.h"
#include "store/private.h"
#include "store/submit.h"

const char *source_name(enum source source)
{
    static const char *const names[] = {"none", "redis", "replica", "primary", "l2", "replica"};

    return names[source];
}

static void on_writer_ready(void *context)
{
    struct store *store = context;

    if (store->kv && kv_set_epoch(store->kv, db_epoch(store->db))) {
        answers_forget(store);
        periods_free(store);
        key_signing_forget(store);
    }
    key_signing_start(store);
    submitter_wake(store);
}

struct store *store_new(struct ev_loop *loop, const struct store_settings *settings)
{
    struct store *store = calloc(1, sizeof(*store));

    ASSERT(store != NULL);
    store->loop = loop;
    store->settings = *settings;
    const struct turns_settings turns = {
        .in_flight_max = settings->reads_in_flight,
        .game_max = settings->reads_in_flight * settings->game_percent / 100,
        .client_max = settings->reads_in_flight * settings->client_percent / 100,
        .waiting_max = (size_t)settings->reads_waiting_max,
    };
    store->turns = turns_new(&turns);
    store->definition_message = definition_message;
    store->definitions_missed = definitions_missed;
    submitter_new(store);
    key_signing_open(store);
    loops_join(store);
    struct db_settings db = *settings->db;
    db.writer_ready = on_writer_ready;
    db.writer_context = store;
    store->kv = kv_new(loop, &settings->kv);
    replicas_open(store);
    store->db = db_new(loop, &db);
    return store;
}

void store_free(struct store **pstore)
{
    struct store *store = *pstore;

    if (!store)
        return;
    loops_leave(store);
    answers_stop(store);
    l2_close(store);
    replicas_close(store);
    kv_close(store->kv); /* a read that the database gives up below looks whether Redis can answer it */
    dense_stop(store);
    db_free(&store->db);
    kv_free(&store->kv);
    submitter_free(store);
    answers_free(store);
    keys_free(store);
    key_signing_close(store);
    boards_free(store);
    absent_free(store);
    zones_close(store);
    definitions_free(store);
    periods_free(store);
    generations_free(store);
    turns_free(&store->turns);
    dense_close(store);
    free(store->replicas);
    free(store);
    *pstore = NULL;
}

struct db *store_db(struct store *store)
{
    return store->db;
}

struct kv *store_kv(struct store *store)
{
    return store->kv;
}

struct freshness store_freshness(struct store *store, const struct token *token, int64_t standing)
{
    struct freshness freshness = {.lsn = db_lsn(store->db)};

    if (!token)
        return freshness;
    if (token->epoch != db_epoch(store->db) || token->timeline != db_timeline(store->db)) {
        freshness.needs_primary = true;
    } else {
        freshness.shown_lsn = token->lsn;
        if (token->lsn > freshness.lsn)
            freshness.lsn = token->lsn;
        freshness.version = token->version;
        freshness.skips_redis =
            !token->is_applied &&
            (standing == 0 || !reached_has(store, standing, token->epoch, token->committed_us, &freshness.version));
    }
    return freshness;
}
