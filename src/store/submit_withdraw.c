/*
 * submit_withdraw.c -- a group that waited too long for the database is taken out of the queue.
 */
#include <stdlib.h>

#include "db/db.h"
#include "store/submit_private.h"

bool submit_withdraw(struct store *store, const void *context)
{
    struct submitter *submitter = store->submitter;

    for (int i = 0; i < db_writer_count(store->db); i++) {
        struct group *group = flows_group(&submitter->queues[i].flows, context);
        if (!group)
            continue;
        size_t count = group->left;
        if (!flows_withdraw(&submitter->queues[i].flows, group, count))
            return false;
        submitter->queued -= count;
        free(group);
        return true;
    }
    return false;
}
