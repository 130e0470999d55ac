/*
 * submit_lane.c -- which connection to the primary a group of submissions takes, and in which flow it waits there.
 *
 * The first connection for which few of its game wait: a transaction costs the database as much as some thirty rows in
 * it, so one of sixty is cheaper than two of thirty. Only what would be more than that goes to the next one. What waits
 * for a standby longer than others goes to the last one, and they not behind it.
 *
 * A bulk leaves the first connection to single submissions, so that they do not wait for transactions of hundreds of
 * rows; and batches there are short, for the same reason. With one connection there is no choice.
 *
 * A board for which the database refused something makes each batch fail that it is in. So for a while its submissions
 * go in batches of its game alone (submit_flow.h), and not on the first connection.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "store/submit_private.h"

enum { FEW = 64, BULK_MIN = 32, FIRST_BATCH_MAX = 128 };

static const int64_t suspect_us = 60 * 1000000LL;

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

static struct suspect *suspect_place(struct submitter *submitter, int64_t board_id)
{
    return &submitter->suspects[(uint64_t)board_id % SUSPECTS_MAX];
}

void submit_suspect(struct submitter *submitter, int64_t board_id)
{
    *suspect_place(submitter, board_id) = (struct suspect){board_id, clock_monotonic_us() + suspect_us};
}

static bool has_suspect(struct submitter *submitter, const struct submission *submissions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct suspect *suspect = suspect_place(submitter, submissions[i].board.id);
        if (suspect->board_id == submissions[i].board.id && suspect->until_us > clock_monotonic_us())
            return true;
    }
    return false;
}

static int connection_of(struct store *store, enum commit_level level, int64_t game, enum flow_kind kind)
{
    const struct queue *queues = store->submitter->queues;
    int count = db_writer_count(store->db);
    int first = is_there(store, 0) ? 0 : next_from(store, 0, count);

    if (level > COMMIT_LOCAL && is_there(store, count - 1))
        return count - 1;
    if (kind != KIND_SINGLE && !fault_is("bulk-anywhere"))
        first = next_from(store, first, count);
    int best = first;
    size_t least = SIZE_MAX;
    for (int i = first; i < count; i++) {
        if (!is_there(store, i))
            continue;
        size_t own = flows_count_of(&queues[i].flows, game, kind);
        if (own < FEW && queues[i].waiting == 0)
            return i;
        if (own < least) {
            least = own;
            best = i;
        }
    }
    return best;
}

struct submit_lane submit_lane_of(struct store *store, const struct submission *submissions, size_t count)
{
    const struct board *board = &submissions[0].board;
    enum flow_kind kind = count >= BULK_MIN ? KIND_BULK : KIND_SINGLE;

    if (has_suspect(store->submitter, submissions, count) && !fault_is("suspect"))
        kind = KIND_SUSPECT;
    return (struct submit_lane){
        connection_of(store, count == 1 ? board->commit_level : COMMIT_DEFAULT, board->game_id, kind), kind};
}

size_t submit_batch_max(const struct store *store, int connection)
{
    size_t max = (size_t)store->settings.batch_max;
    bool is_short = connection == 0 && db_writer_count(store->db) > 1 && !fault_is("flows");

    return is_short && max > FIRST_BATCH_MAX ? FIRST_BATCH_MAX : max;
}
