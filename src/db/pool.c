#include "db/pool.h"

#include <ev.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/crypto.h"

struct slot {
    struct db_connection *connection; /* owned */
    int64_t used_us;                  /* had something in flight then */
    int64_t old_us;                   /* from then on it goes when it can */
};

struct db_pool {
    struct db_pool_settings settings;
    struct ev_loop *loop;
    struct slot slots[DB_POOL_MAX + 1]; /* one more while an old one is replaced */
    int count;
};

static void slot_open(struct db_pool *pool)
{
    struct slot *slot = &pool->slots[pool->count];
    uint32_t random;

    if (pool->count > DB_POOL_MAX)
        return;
    crypto_random(&random, sizeof(random));
    slot->used_us = clock_monotonic_us();
    /* 80 to 100 % of the lifetime. */
    slot->old_us = pool->settings.lifetime_ms ? slot->used_us + pool->settings.lifetime_ms * 800LL +
                                                    (int64_t)(random % 1000) * pool->settings.lifetime_ms / 5
                                              : INT64_MAX;
    slot->connection = db_connection_new(pool->loop, &pool->settings.connection);
    pool->count++;
}

static void slot_close(struct db_pool *pool, int index)
{
    db_connection_free(&pool->slots[index].connection);
    pool->slots[index] = pool->slots[--pool->count];
}

struct db_pool *db_pool_new(struct ev_loop *loop, const struct db_pool_settings *settings)
{
    struct db_pool *pool = calloc(1, sizeof(*pool));

    ASSERT(pool != NULL);
    pool->loop = loop;
    db_pool_resize(pool, settings);
    pool->settings.connection = settings->connection;
    while (pool->count < pool->settings.min)
        slot_open(pool);
    return pool;
}

void db_pool_free(struct db_pool **pool)
{
    if (!*pool)
        return;
    while ((*pool)->count)
        slot_close(*pool, (*pool)->count - 1);
    free(*pool);
    *pool = NULL;
}

void db_pool_resize(struct db_pool *pool, const struct db_pool_settings *settings)
{
    struct db_connection_settings connection = pool->settings.connection;

    pool->settings = *settings;
    pool->settings.connection = connection;
    if (pool->settings.max > DB_POOL_MAX)
        pool->settings.max = DB_POOL_MAX;
    if (pool->settings.min > pool->settings.max)
        pool->settings.min = pool->settings.max;
}

struct db_connection *db_pool_pick(struct db_pool *pool, bool is_urgent)
{
    struct db_connection *best = NULL;
    bool is_dialling = false;
    int64_t now_us = clock_monotonic_us();

    for (int i = 0; i < pool->count; i++) {
        struct db_connection *c = pool->slots[i].connection;
        is_dialling = is_dialling || db_connection_is_dialling(c);
        if (!db_connection_is_ready(c))
            continue;
        bool is_better = !best || db_connection_pending(c) < db_connection_pending(best);
        if (is_better && now_us < pool->slots[i].old_us)
            best = c;
        else if (!best)
            best = c; /* old, but the only one */
    }
    bool all_are_busy = !best || db_connection_pending(best) > 0;
    if (all_are_busy && !is_dialling && pool->count < pool->settings.max)
        slot_open(pool);
    if (best && !is_urgent && db_connection_pending(best) >= pool->settings.depth)
        return NULL;
    return best;
}

bool db_pool_is_ready(const struct db_pool *pool)
{
    for (int i = 0; i < pool->count; i++)
        if (db_connection_is_ready(pool->slots[i].connection))
            return true;
    return false;
}

void db_pool_tick(struct db_pool *pool, int64_t now_us)
{
    int young = 0;

    for (int i = 0; i < pool->count; i++)
        young += db_connection_is_ready(pool->slots[i].connection) && now_us < pool->slots[i].old_us;
    for (int i = pool->count - 1; i >= 0; i--) {
        struct slot *slot = &pool->slots[i];
        bool is_ready = db_connection_is_ready(slot->connection), is_old = now_us >= slot->old_us;
        if (db_connection_pending(slot->connection) > 0) {
            slot->used_us = now_us;
            continue;
        }
        bool is_spare = pool->count > pool->settings.min;
        bool is_unused = pool->settings.idle_ms && now_us - slot->used_us > pool->settings.idle_ms * 1000LL;
        /* One that can't be made is not kept beyond the minimum; an old one goes once a younger one took its place. */
        bool is_vain = !is_ready && !db_connection_is_dialling(slot->connection);
        if (pool->count > pool->settings.max || (is_spare && (is_unused || is_vain)) ||
            (is_old && is_spare && (young > 0 || !is_ready)))
            slot_close(pool, i);
        else if (is_old && young == 0 && pool->count <= pool->settings.max && pool->count == pool->settings.min)
            slot_open(pool);
    }
    while (pool->count < pool->settings.min)
        slot_open(pool);
}

static void on_refreshed(void *context, const struct db_outcome *outcome)
{
    (void)context;
    (void)outcome;
}

void db_pool_refresh(struct db_pool *pool)
{
    const struct db_call call = {.statement = STATEMENT_server_check, .is_last_of_transaction = true};

    for (int i = 0; i < pool->count; i++)
        db_connection_send(pool->slots[i].connection, &call, 1, on_refreshed, NULL);
}

void db_pool_hurry(struct db_pool *pool)
{
    for (int i = 0; i < pool->count; i++)
        db_connection_hurry(pool->slots[i].connection);
}

int64_t db_pool_failed_us(const struct db_pool *pool)
{
    int64_t latest_us = 0;

    for (int i = 0; i < pool->count; i++)
        if (db_connection_failed_us(pool->slots[i].connection) > latest_us)
            latest_us = db_connection_failed_us(pool->slots[i].connection);
    return latest_us;
}

struct db_pool_counts db_pool_count(const struct db_pool *pool)
{
    struct db_pool_counts counts = {0};

    for (int i = 0; i < pool->count; i++) {
        int pending = db_connection_pending(pool->slots[i].connection);
        counts.open += db_connection_is_ready(pool->slots[i].connection);
        counts.busy += pending > 0;
        counts.in_flight += pending;
        counts.behind += pending > 1 ? pending - 1 : 0;
    }
    return counts;
}
