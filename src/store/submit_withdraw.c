/*
 * submit_withdraw.c -- a group that waited too long for the database is taken out of the queue.
 */
#include <stdlib.h>

#include "db/db.h"
#include "store/submit_private.h"

static size_t queued_of(const struct queue *queue, const void *context, const struct group **ret_group)
{
    size_t count = 0;

    for (const struct item *item = queue->head; item; item = item->next)
        if (item->group->context == context) {
            *ret_group = item->group;
            count++;
        }
    return count;
}

static void queue_drop(struct queue *queue, const struct group *group)
{
    struct item **at = &queue->head;

    while (*at) {
        struct item *item = *at;
        if (item->group == group) {
            *at = item->next;
            queue->count--;
            free(item);
        } else {
            at = &item->next;
        }
    }
    queue->tail = at;
}

bool submit_withdraw(struct store *store, const void *context)
{
    struct submitter *submitter = store->submitter;

    for (int i = 0; i < db_writer_count(store->db); i++) {
        const struct group *group = NULL;
        size_t count = queued_of(&submitter->queues[i], context, &group);
        if (count == 0)
            continue;
        if (count != group->left)
            return false;
        queue_drop(&submitter->queues[i], group);
        submitter->queued -= count;
        free((struct group *)group);
        return true;
    }
    return false;
}
