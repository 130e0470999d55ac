#include "db/history.h"

#include <pthread.h>
#include <stdatomic.h>

#include "db/private.h"

/* Loops learn of an epoch one after the other: each uses its own place until it has. */
enum { PLACES = 8 };

static _Atomic int64_t lsns[PLACES];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int newest; /* epoch; under the mutex, as is the next */
static struct leader_history elected;

void history_enter(int epoch)
{
    pthread_mutex_lock(&mutex);
    if (epoch != newest) {
        newest = epoch;
        atomic_store(&lsns[epoch % PLACES], 0);
    }
    pthread_mutex_unlock(&mutex);
}

int64_t db_lsn(const struct db *db)
{
    return history_lsn(db->epoch);
}

void db_saw_lsn(struct db *db, int64_t lsn)
{
    history_raise(db->epoch, lsn);
}

int64_t history_lsn(int epoch)
{
    return atomic_load(&lsns[epoch % PLACES]);
}

void history_raise(int epoch, int64_t lsn)
{
    _Atomic int64_t *place = &lsns[epoch % PLACES];
    int64_t seen = atomic_load(place);

    while (lsn > seen && !atomic_compare_exchange_weak(place, &seen, lsn))
        ;
}

int history_elect(const struct leader_candidate *candidates, int count, int current, enum leader_fault *faults)
{
    pthread_mutex_lock(&mutex);
    int leader = leader_elect(candidates, count, current, &elected, faults);
    pthread_mutex_unlock(&mutex);
    return leader;
}
