/*
 * standing_turn.c -- a read waits for its turn, so that one game's reads do not hold up another's; and a long list of
 * players is read in pieces, so that Redis answers others between them.
 *
 * A cost of 1 is a look-up: some 10 us of Redis. What is in flight is bounded, so the queue in front of Redis is short,
 * whoever asks for how much; the long queue is here, and fair (base/turns.h). A read keeps its turn when it goes on to
 * PostgreSQL.
 *
 * The pieces of a list are of one state if the standing's version is the same in all. Where it changed between them, or
 * Redis has no answer to one, the list is read once more, whole.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "store/private.h"
#include "store/standing_private.h"

enum { PIECE_MAX = 100 };

static _Atomic uint64_t refused; /* of all loops */

uint64_t standing_reads_refused(void)
{
    return atomic_load_explicit(&refused, memory_order_relaxed);
}

size_t standing_reads_waiting(const struct store *store)
{
    return turns_waiting(store->turns);
}

static void refuse(struct standing_read *read, const char *message)
{
    atomic_fetch_add_explicit(&refused, 1, memory_order_relaxed);
    standing_fail(read, ERROR_OVERLOADED, message);
}

static int64_t cost_of(const struct standing_query *query)
{
    enum { SCRIPT = 2, ROWS_A_LOOK_UP = 32, STATISTICS = 32 };
    int64_t cost = SCRIPT;

    switch (query->kind) {
    case STANDING_PAGE:
    case STANDING_AFTER:
    case STANDING_PERCENTILE:
        cost += query->limit / ROWS_A_LOOK_UP;
        break;
    case STANDING_AROUND:
        cost += (query->above + query->below) / ROWS_A_LOOK_UP;
        break;
    case STANDING_PLAYERS:
        cost += (int64_t)query->player_count;
        break;
    case STANDING_SEEK:
        break;
    case STANDING_STATISTICS:
        cost += STATISTICS;
        break;
    }
    return cost;
}

static void on_turn(struct turn *turn)
{
    struct standing_read *read = turn->context;
    int64_t waited_us = clock_monotonic_us() - turn->asked_us;

    if (waited_us > read->store->settings.reads_wait_ms * 1000LL)
        refuse(read, "the game's reads wait too long; try again");
    else
        standing_send(read);
}

void standing_turn_ask(struct standing_read *read)
{
    const struct standing_query *query = &read->query;

    read->turn =
        (struct turn){.go = on_turn, .context = read, .cost = cost_of(query), .asked_us = clock_monotonic_us()};
    if (fault_is("turns")) {
        standing_send(read);
        return;
    }
    switch (turns_ask(read->store->turns, &read->turn, query->game_id, query->client)) {
    case TURN_GO:
        standing_send(read);
        break;
    case TURN_WAITS:
        break;
    case TURN_REFUSED:
        read->turn.client = NULL;
        refuse(read, "too many reads of the game wait; try again");
        break;
    }
}

void standing_turn_end(struct standing_read *read)
{
    if (read->turn.client)
        turns_end(read->store->turns, &read->turn);
}

/* ---- pieces ---- */

struct pieces {
    struct standing_read *read; /* the whole */
    int left;
    bool is_broken; /* not of one state */
    bool has_head;
    struct error refused; /* of a piece that found no room */
};

static void pieces_end(struct pieces *pieces)
{
    struct standing_read *read = pieces->read;

    if (pieces->refused.code != ERROR_NONE) {
        read->answer = (struct standing_answer){.error = pieces->refused, .total = -1};
        standing_finish(read);
    } else if (read->arena->is_exhausted || !pieces->is_broken) {
        qsort(read->answer.rows, read->answer.count, sizeof(*read->answer.rows), standing_row_compare);
        standing_finish(read);
    } else {
        read->answer = (struct standing_answer){.total = -1};
        standing_turn_ask(read);
    }
}

static void on_piece(void *context, const struct standing_answer *piece)
{
    struct pieces *pieces = context;
    struct standing_read *read = pieces->read;
    struct standing_answer *answer = &read->answer;

    bool is_good = piece->error.code == ERROR_NONE && !piece->is_cold && piece->source == SOURCE_REDIS &&
                   piece->version > 0 && (!pieces->has_head || piece->version == answer->version);
    pieces->is_broken = pieces->is_broken || !is_good;
    if (piece->error.code == ERROR_OVERLOADED)
        pieces->refused = piece->error;
    if (!pieces->is_broken) {
        int64_t as_of = pieces->has_head && answer->as_of < piece->as_of ? answer->as_of : piece->as_of;
        pieces->has_head = true;
        answer->source = piece->source;
        answer->version = piece->version;
        answer->total = piece->total;
        answer->as_of = as_of;
        for (size_t i = 0; i < piece->count; i++) {
            struct standing_row *row = &answer->rows[answer->count++];
            *row = piece->rows[i];
            if (row->metadata.data)
                row->metadata = arena_copy(read->arena, row->metadata); /* it is gone with the piece's reply */
        }
    }
    if (--pieces->left == 0)
        pieces_end(pieces);
}

bool standing_players_split(struct standing_read *read)
{
    const struct standing_query *query = &read->query;

    if (query->kind != STANDING_PLAYERS || query->player_count <= PIECE_MAX || !standing_redis_may_answer(read) ||
        fault_is("turns"))
        return false;
    struct pieces *pieces = arena_calloc(read->arena, 1, sizeof(*pieces));
    read->answer.rows = arena_calloc(read->arena, query->player_count, sizeof(*read->answer.rows));
    if (!pieces || !read->answer.rows)
        return false;
    struct standing_query part = *query;
    *pieces = (struct pieces){.read = read, .left = 1}; /* until all are asked for */
    part.tells_cold = true;
    for (size_t at = 0; at < query->player_count; at += PIECE_MAX) {
        part.players = query->players + at;
        part.player_count = query->player_count - at < PIECE_MAX ? query->player_count - at : PIECE_MAX;
        pieces->left++;
        standing_read(read->store, read->arena, &part, on_piece, pieces);
    }
    if (--pieces->left == 0)
        pieces_end(pieces);
    return true;
}
