/*
 * submit_lane.c -- which connection to the primary a group of submissions takes.
 *
 * The first connection that few wait for: a transaction costs the database as much as some thirty rows in it, so one of
 * sixty is cheaper than two of thirty. Only what would be more than that goes to the next one. What waits for a standby
 * longer than others goes to the last one, and they not behind it.
 *
 * A bulk leaves the first connection to single submissions, so that they do not wait for transactions of hundreds of
 * rows. With one connection there is no choice.
 */
#include "base/fault.h"
#include "store/submit_private.h"

enum { FEW = 64, BULK_MIN = 32 };

static bool is_there(struct store *store, int connection)
{
    return db_writer(store->db, connection) != NULL;
}

/* The next one that there is; `from` itself if there is none. */
static int next_from(struct store *store, int from, int count)
{
    for (int i = from + 1; i < count; i++)
        if (is_there(store, i))
            return i;
    return from;
}

int submit_connection(struct store *store, enum commit_level level, size_t size)
{
    const struct queue *queues = store->submitter->queues;
    int count = db_writer_count(store->db);
    int first = is_there(store, 0) ? 0 : next_from(store, 0, count);

    if (level > COMMIT_LOCAL && is_there(store, count - 1))
        return count - 1;
    if (size >= BULK_MIN && !fault_is("bulk-anywhere"))
        first = next_from(store, first, count);
    for (int i = first; i < count; i++)
        if (is_there(store, i) && queues[i].count < FEW && queues[i].waiting == 0)
            return i;
    int best = first;
    for (int i = first; i < count; i++)
        if (is_there(store, i) && (!is_there(store, best) || queues[i].count < queues[best].count))
            best = i;
    return best;
}
