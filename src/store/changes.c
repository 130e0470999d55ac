#include "store/changes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { RING = 128 };

static _Atomic int64_t newest;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct change ring[RING];  /* under the mutex: the records number % RING */
static atomic_uint_fast64_t head; /* the next record's number; changed under the mutex, read without */

void changes_seen(int64_t version)
{
    int64_t seen = newest;

    while (version > seen && !atomic_compare_exchange_weak(&newest, &seen, version))
        ;
}

int64_t changes_newest(void)
{
    return newest;
}

void changes_record(struct slice run_id, int64_t version, int64_t previous, struct slice message)
{
    if (previous <= 0 || message.size == 0 || message.size > CHANGE_MESSAGE_MAX || run_id.size >= CHANGE_RUN_ID_MAX)
        return;
    pthread_mutex_lock(&mutex);
    struct change *change = &ring[head % RING];
    change->version = version;
    change->previous = previous;
    memcpy(change->run_id, run_id.data, run_id.size);
    change->run_id[run_id.size] = 0;
    change->size = message.size;
    memcpy(change->message, message.data, message.size);
    head++;
    pthread_mutex_unlock(&mutex);
}

bool changes_peek(struct changes_reader *reader, struct change *ret_change)
{
    if (reader->next == head)
        return false;
    pthread_mutex_lock(&mutex);
    if (head - reader->next > RING)
        reader->next = head - RING;
    const struct change *change = &ring[reader->next % RING];
    ret_change->version = change->version;
    ret_change->previous = change->previous;
    memcpy(ret_change->run_id, change->run_id, sizeof(change->run_id));
    ret_change->size = change->size;
    memcpy(ret_change->message, change->message, change->size);
    pthread_mutex_unlock(&mutex);
    return true;
}

void changes_pass(struct changes_reader *reader)
{
    reader->next++;
}

void changes_pass_all(struct changes_reader *reader)
{
    reader->next = head;
}
