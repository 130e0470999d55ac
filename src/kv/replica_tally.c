#include "kv/replica_tally.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct replica_tally {
    struct kv_seed place;
    char name[KV_URL_HOST_MAX + 8];
    _Atomic int loops, used;
    _Atomic int64_t counts[REPLICA_COUNTS];
    struct replica_tally *next;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct replica_tally *first; /* the list under the mutex; what is in it, not */

struct replica_tally *replica_tally_join(const struct kv_seed *place)
{
    struct replica_tally **at = &first;

    pthread_mutex_lock(&mutex);
    while (*at && !kv_seed_equal(&(*at)->place, place))
        at = &(*at)->next;
    if (!*at) {
        *at = calloc(1, sizeof(**at));
        ASSERT(*at != NULL);
        (*at)->place = *place;
        snprintf((*at)->name, sizeof((*at)->name), "%.*s:%d", KV_URL_HOST_MAX - 1, place->host, place->port);
    }
    struct replica_tally *tally = *at;
    pthread_mutex_unlock(&mutex);
    tally->loops++;
    return tally;
}

void replica_tally_leave(struct replica_tally *tally, bool was_used)
{
    if (was_used)
        tally->used--;
    tally->loops--;
}

void replica_tally_count(struct replica_tally *tally, enum replica_count what)
{
    atomic_fetch_add_explicit(&tally->counts[what], 1, memory_order_relaxed);
}

void replica_tally_use(struct replica_tally *tally, bool is_used)
{
    tally->used += is_used ? 1 : -1;
}

size_t kv_replica_tallies(struct kv_replica_tally ret_tallies[static KV_REPLICA_TALLIES_MAX])
{
    size_t count = 0;

    pthread_mutex_lock(&mutex);
    for (const struct replica_tally *tally = first; tally && count < KV_REPLICA_TALLIES_MAX; tally = tally->next)
        if (tally->loops > 0)
            ret_tallies[count++] = (struct kv_replica_tally){.name = tally->name,
                                                             .loops = tally->loops,
                                                             .loops_used = tally->used,
                                                             .reads = tally->counts[REPLICA_READ],
                                                             .behind = tally->counts[REPLICA_BEHIND],
                                                             .lost = tally->counts[REPLICA_LOST]};
    pthread_mutex_unlock(&mutex);
    return count;
}
