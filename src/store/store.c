#include "store/store.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/turns.h"
#include "kv/keys.h"
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
    }
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
    submitter_new(store);
    boards_join(store);
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
    boards_leave(store);
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

bool store_is_passing(const char *sqlstate)
{
    /* Shutting down, out of resources, a disk that fails, too slow, raced too often, not the primary any more, not
     * prepared in time: all pass. The same list as submit_is_passing. */
    static const char *const passing[] = {"08", "53", "57", "58", "40", "25006", "55P03", "26000"};

    for (size_t i = 0; i < ARRAY_SIZE(passing); i++)
        if (strncmp(sqlstate, passing[i], strlen(passing[i])) == 0)
            return true;
    return false;
}

void store_error_of(const struct db_outcome *outcome, struct error *error)
{
    *error = outcome->error;
    if (error->code == ERROR_WRITE_UNCERTAIN)
        error_set(error, ERROR_UNAVAILABLE, "the connection to the database was lost");
    if (error->code != ERROR_INTERNAL)
        return;
    log_error("database-refused", LOG_TEXT("sqlstate", outcome->sqlstate), LOG_TEXT("message", outcome->error.message));
    if (store_is_passing(outcome->sqlstate)) {
        bool is_cancelled = strcmp(outcome->sqlstate, "57014") == 0;
        error_set(error, is_cancelled ? ERROR_DEADLINE : ERROR_UNAVAILABLE,
                  is_cancelled ? "the statement took longer than database.statement_timeout_ms and was undone"
                               : "the database cannot do this now; try again");
        return;
    }
    error_set(error, ERROR_INTERNAL, "the database refused a statement");
}

static void on_wanted(void *context, const struct redisReply *reply)
{
    (void)context;
    (void)reply; /* lost: the next reader that finds it cold says so again */
}

void standing_want(struct store *store, int64_t standing)
{
    char id[24];

    snprintf(id, sizeof(id), "%lld", (long long)standing);
    const struct slice add[] = {SLICE("ZINCRBY"), SLICE(KV_WANTED), SLICE("1"), slice_of(id)};
    kv_call(store->kv, ARRAY_SIZE(add), add, on_wanted, NULL);
}

void activity_want(struct store *store, int64_t standing)
{
    char id[24];

    snprintf(id, sizeof(id), "%lld", (long long)standing);
    const struct slice add[] = {SLICE("SADD"), SLICE(KV_ACTIVITY_WANTED), slice_of(id)};
    kv_call(store->kv, ARRAY_SIZE(add), add, on_wanted, NULL);
}
