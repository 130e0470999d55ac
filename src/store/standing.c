/*
 * standing.c -- see standing.h. This file chooses who is asked and speaks to Redis; standing_sql.c speaks to
 * PostgreSQL.
 *
 *   query -> may Redis answer? -- yes --> one script call --> rows
 *                |                            | COLD, CORRUPT, lost, unreadable
 *                +------------- no -----------+--> PostgreSQL --> rows
 *
 * Dense ranks need what Redis keeps only for standings of which they are read (dense.h): until it is there, PostgreSQL
 * answers. From the top on they are counted along the page.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault.h"
#include "kv/keys.h"
#include "kv/scripts.h"
#include "store/changes.h"
#include "store/dense.h"
#include "store/private.h"
#include "store/standing_private.h"

/* ---- rows ---- */

/* The player stays where the reply is: that lives until `done` has returned. */
static bool row_decode(struct slice member, struct standing_row *ret_row)
{
    size_t size;

    if (!sort_key_decode(member, &ret_row->key, &size) || member.size == size)
        return false;
    *ret_row = (struct standing_row){.key = ret_row->key};
    ret_row->player = (struct slice){member.data + size, member.size - size};
    return true;
}

/* "revision, length, sort key, metadata": the metadata, where it is. */
static void row_metadata(struct slice value, struct standing_row *row)
{
    size_t skip = KV_REVISION_SIZE + 1;

    if (value.size < skip)
        return;
    skip += (uint8_t)value.data[KV_REVISION_SIZE];
    if (value.size > skip)
        row->metadata = (struct slice){value.data + skip, value.size - skip};
}

void standing_rank_rows(struct standing_read *read, int64_t first, int64_t groups)
{
    struct standing_answer *answer = &read->answer;
    int64_t rank = groups + 1;

    for (size_t i = 0; i < answer->count; i++) {
        struct standing_row *row = &answer->rows[i];
        row->ordinal = first + (int64_t)i;
        bool is_new = i == 0 || row->key.k1 != row[-1].key.k1 || row->key.k2 != row[-1].key.k2;
        if (read->query.ranking == RANKING_ORDINAL || (read->query.ranking == RANKING_COMPETITION && is_new && i > 0))
            rank = row->ordinal;
        else if (read->query.ranking == RANKING_DENSE && is_new && i > 0)
            rank++;
        row->rank = rank;
    }
}

/*
 * Which ranks must stay as they are for the answer to stay true. One more on each side where an entry could cross the
 * border without a change of its own rank: the last before a range may get a score that belongs in it.
 */
static struct span span_of(const struct standing_read *read)
{
    const struct standing_query *query = &read->query;
    const struct standing_answer *answer = &read->answer;
    struct span span = {.low = 0, .high = -1};
    int64_t end = answer->first + (int64_t)answer->count; /* behind the last row */
    bool is_found = answer->error.code == ERROR_NONE;

    switch (query->kind) {
    case STANDING_PAGE:
    case STANDING_PERCENTILE:
        span.low = answer->first;
        span.high = answer->has_more ? end : MOVES_END;
        span.is_of_total = query->kind == STANDING_PERCENTILE;
        break;
    case STANDING_AFTER:
        span.low = answer->first - (fault_is("range-border") ? 0 : 1);
        span.high = answer->has_more || query->k1_max < INT64_MAX ? end : MOVES_END;
        break;
    case STANDING_AROUND:
        span.low = answer->first;
        span.high = end == answer->total && !fault_is("around-end") ? MOVES_END : end - 1;
        span.is_of_absence = answer->is_absent;
        break;
    case STANDING_PLAYERS:
        if (answer->count) {
            span.low = answer->rows[0].ordinal - 1;
            span.high = answer->rows[answer->count - 1].ordinal - 1;
        }
        span.is_of_absence = answer->count < query->player_count;
        break;
    case STANDING_SEEK:
        span.low = read->place - 1;
        span.high = read->place;
        break;
    case STANDING_STATISTICS:
        span.high = MOVES_END;
        break;
    }
    /* A pair that comes or goes anywhere above changes a dense rank. Equal scores share the rank of the first of them; one above may come to share it without moving. */
    if (query->ranking == RANKING_COMPETITION && answer->count && !fault_is("competition-border"))
        span.low = (query->kind == STANDING_PLAYERS ? answer->rows[0].rank - 1 : answer->group) - 1;
    if (span.low < 0 || query->ranking == RANKING_DENSE)
        span.low = 0;
    if (!is_found)
        span.high = -1;
    return span;
}

void standing_finish(struct standing_read *read)
{
    if (read->answer.as_of > 0) {
        read->answer.span = span_of(read);
        changes_seen(fault_is("shown") ? 0 : read->answer.version);
    } else {
        read->answer.lsn = read->query.freshness.lsn;
    }
    if (read->arena->is_exhausted)
        error_set(&read->answer.error, ERROR_OVERLOADED, "the answer is too large");
    standing_turn_end(read);
    read->done(read->context, &read->answer);
}

void standing_fail(struct standing_read *read, enum error_code code, const char *message)
{
    error_set(&read->answer.error, code, "%s", message);
    standing_finish(read);
}

/* ---- Redis ---- */

bool standing_redis_may_answer(struct standing_read *read)
{
    const struct standing_query *query = &read->query;

    return kv_trusts(read->store->kv, query->period.id) && !query->period.is_closed && !query->freshness.skips_redis &&
           !query->freshness.needs_primary && !unsure_has(read->store, query->period.id);
}

bool standing_members_read(struct standing_read *read, const struct redisReply *members,
                           const struct redisReply *values)
{
    struct standing_answer *answer = &read->answer;
    size_t count = kv_reply_count(members);

    answer->rows = arena_alloc(read->arena, count * sizeof(*answer->rows));
    if (!answer->rows)
        return true; /* reported by standing_finish */
    for (size_t i = 0; i < count; i++) {
        if (!row_decode(kv_reply_text(kv_reply_item(members, i)), &answer->rows[i]))
            return false;
        if (read->query.with_metadata)
            row_metadata(kv_reply_text(kv_reply_item(values, i)), &answer->rows[i]);
    }
    answer->count = count;
    int limit = read->query.kind == STANDING_AROUND ? (int)count : read->query.limit;
    if (read->query.kind != STANDING_AROUND && count > (size_t)limit) {
        answer->has_more = true;
        answer->count = (size_t)limit;
    }
    standing_rank_rows(read, answer->first + 1, answer->group);
    return true;
}

/* status, version, total, as_of, first, group, members, values, generation [, 1: the player is absent]. */
static bool page_rows(struct standing_read *read, const struct redisReply *reply)
{
    read->answer.first = kv_reply_int(kv_reply_item(reply, 4));
    read->answer.group = kv_reply_int(kv_reply_item(reply, 5));
    read->answer.is_absent = kv_reply_int(kv_reply_item(reply, 9)) != 0;
    generation_learn(read->store, read->query.period.id, kv_reply_text(kv_reply_item(reply, 8)));
    return standing_members_read(read, kv_reply_item(reply, 6), kv_reply_item(reply, 7));
}

int standing_row_compare(const void *a, const void *b)
{
    const struct standing_row *left = a, *right = b;

    return (left->ordinal > right->ordinal) - (left->ordinal < right->ordinal);
}

/* status, version, total, as_of, then rank, group, value for each player. */
static bool players_rows(struct standing_read *read, const struct redisReply *reply)
{
    struct standing_answer *answer = &read->answer;

    answer->rows = arena_calloc(read->arena, read->query.player_count, sizeof(*answer->rows));
    if (!answer->rows)
        return true;
    for (size_t i = 0; i < read->query.player_count; i++) {
        int64_t rank = kv_reply_int(kv_reply_item(reply, 4 + 3 * i));
        struct slice value = kv_reply_text(kv_reply_item(reply, 6 + 3 * i));
        struct standing_row *row = &answer->rows[answer->count];
        size_t size;
        if (rank < 0)
            continue;
        if (value.size <= KV_REVISION_SIZE + 1 ||
            !sort_key_decode((struct slice){value.data + KV_REVISION_SIZE + 1, value.size - KV_REVISION_SIZE - 1},
                             &row->key, &size))
            return false;
        row->player = read->query.players[i];
        row->ordinal = rank + 1;
        row->rank = (read->query.ranking == RANKING_ORDINAL ? rank : kv_reply_int(kv_reply_item(reply, 5 + 3 * i))) + 1;
        row_metadata(value, row);
        answer->count++;
    }
    qsort(answer->rows, answer->count, sizeof(*answer->rows), standing_row_compare);
    return true;
}

void standing_head_read(struct standing_read *read, const struct redisReply *reply)
{
    read->answer.source = SOURCE_REDIS;
    read->answer.version = kv_reply_int(kv_reply_item(reply, 1));
    read->answer.total = kv_reply_int(kv_reply_item(reply, 2));
    read->answer.as_of = kv_reply_int(kv_reply_item(reply, 3));
}

/* Cold, broken or gone: PostgreSQL knows. What was acknowledged meanwhile, others may expect to see in this answer
 * too. */
void standing_redis_failed(struct standing_read *read, bool was_answered)
{
    if (was_answered)
        standing_want(read->store, read->query.period.id);
    read->answer = (struct standing_answer){.total = -1};
    if (read->query.freshness.lsn < db_lsn(read->store->db))
        read->query.freshness.lsn = db_lsn(read->store->db);
    standing_sql_send(read);
}

/* false: it is no answer. as_of: up to where it has all changes; 0: as it says. */
static bool script_answer(struct standing_read *read, const struct redisReply *reply, int64_t as_of)
{
    struct standing_answer *answer = &read->answer;
    const struct redisReply *status = kv_reply_item(reply, 0);
    bool is_ok = kv_reply_is_text(status, "OK");

    standing_head_read(read, reply);
    if (as_of)
        answer->as_of = as_of;
    if (kv_reply_is_text(status, "ABSENT")) {
        answer->is_absent = true;
        standing_fail(read, ERROR_PLAYER_NOT_FOUND, "the player has no entry in this standing");
        return true;
    }
    if (is_ok && read->query.kind == STANDING_STATISTICS) {
        enum statistics_outcome outcome = standing_statistics_take(read, reply);
        if (outcome == STATISTICS_WAITING)
            return true;
        is_ok = outcome == STATISTICS_READ;
    } else if (is_ok && read->query.kind == STANDING_SEEK) {
        bool is_dense = read->query.ranking == RANKING_DENSE;
        read->place = kv_reply_int(kv_reply_item(reply, 4));
        answer->before = is_dense ? kv_reply_int(kv_reply_item(reply, 5)) : read->place;
    } else if (is_ok) {
        is_ok = read->query.kind == STANDING_PLAYERS ? players_rows(read, reply) : page_rows(read, reply);
    }
    if (is_ok && read->query.ranking == RANKING_DENSE)
        dense_read(read->store, read->query.period.id);
    if (is_ok)
        standing_finish(read);
    return is_ok;
}

/* Redis says whether it has them now; if not, PostgreSQL is asked. */
static void on_dense(struct dense_waiter *waiter, bool is_made)
{
    struct standing_read *read = (struct standing_read *)((char *)waiter - offsetof(struct standing_read, waiter));

    (void)is_made;
    if (read->query.freshness.lsn < db_lsn(read->store->db))
        read->query.freshness.lsn = db_lsn(read->store->db);
    standing_turn_ask(read);
}

/* Once for each read, and without its turn: others go on meanwhile. */
static bool wait_for_dense(struct standing_read *read)
{
    if (read->waiter.done)
        return false;
    read->waiter.done = on_dense;
    read->answer = (struct standing_answer){.total = -1};
    if (!dense_wait(read->store, read->query.period.id, &read->waiter))
        return false;
    standing_turn_end(read);
    return true;
}

static void on_redis(void *context, const struct redisReply *reply)
{
    struct standing_read *read = context;
    const struct redisReply *status = kv_reply_item(reply, 0);

    if (script_answer(read, reply, 0))
        return;
    bool is_cold = kv_reply_is_text(status, "COLD"), is_undense = kv_reply_is_text(status, "UNDENSE");
    if (is_undense && wait_for_dense(read))
        return;
    if (read->query.tells_cold && (is_cold || is_undense)) {
        if (is_cold)
            standing_want(read->store, read->query.period.id);
        read->answer = (struct standing_answer){.total = -1, .is_cold = true};
        standing_finish(read);
        return;
    }
    bool is_uncounted = kv_reply_is_text(status, "UNCOUNTED");
    if (is_uncounted)
        activity_want(read->store, read->query.period.id);
    standing_redis_failed(read, reply != NULL && !is_uncounted && !is_undense && !read->is_too_old);
}

static void on_replica(void *context, const struct redisReply *replies, int64_t as_of)
{
    struct standing_read *read = context;

    if (replies && script_answer(read, kv_reply_item(replies, 0), as_of))
        return;
    read->answer = (struct standing_answer){.total = -1};
    standing_script_send(read);
}

static bool script_send(struct standing_read *read)
{
    static const char *const absent_names[] = {"", "top", "last"};
    const struct standing_query *query = &read->query;
    char meta[KV_KEY_MAX], epoch[16], numbers[3][24], score[SORT_KEY_SCORE_TEXT_MAX],
        stop_score[SORT_KEY_SCORE_TEXT_MAX];
    uint8_t bytes[MEMBER_MAX], stop_bytes[SORT_KEY_INTEGER_MAX];
    size_t bytes_size = sort_key_encode(&query->key, bytes);
    struct slice arguments[12 + STANDING_PLAYERS_MAX] = {SLICE("FCALL_RO"), SLICE(""), SLICE("1"),
                                                         kv_meta_key(query->period.id, meta)};
    size_t count = 4;
    static const char *const rankings[] = {[RANKING_ORDINAL] = "0", [RANKING_COMPETITION] = "1", [RANKING_DENSE] = "2"};
    const struct slice ranking = slice_of(rankings[query->ranking]);
    const char *with_values = query->with_metadata ? "1" : "0";

    snprintf(epoch, sizeof(epoch), "%d", db_epoch(read->store->db));
    arguments[count++] = slice_of(epoch);
    if (query->player.size) {
        memcpy(bytes + bytes_size, query->player.data, query->player.size);
        bytes_size += query->player.size;
    }
    sort_key_score_text(query->key.k1, score);
    switch (query->kind) {
    case STANDING_PAGE:
        arguments[1] = SLICE(KV_FUNCTION("page"));
        snprintf(numbers[0], sizeof(numbers[0]), "%lld", (long long)query->offset);
        snprintf(numbers[1], sizeof(numbers[1]), "%d", query->limit + 1);
        arguments[count++] = slice_of(numbers[0]);
        arguments[count++] = slice_of(numbers[1]);
        arguments[count++] = ranking;
        arguments[count++] = slice_of(with_values);
        break;
    case STANDING_AFTER:
        arguments[1] = SLICE(KV_FUNCTION("after"));
        snprintf(numbers[0], sizeof(numbers[0]), "%d", query->limit + 1);
        arguments[count++] = slice_of(score);
        arguments[count++] = (struct slice){(const char *)bytes, bytes_size};
        arguments[count++] = slice_of(numbers[0]);
        arguments[count++] = ranking;
        arguments[count++] = slice_of(with_values);
        if (query->k1_max < INT64_MAX) {
            sort_key_score_text(query->k1_max + 1, stop_score);
            arguments[count++] = slice_of(stop_score);
            arguments[count++] =
                (struct slice){(const char *)stop_bytes, sort_key_encode_integer(query->k1_max + 1, stop_bytes)};
        } else {
            arguments[count++] = SLICE("");
            arguments[count++] = SLICE("");
        }
        break;
    case STANDING_AROUND:
        arguments[1] = SLICE(KV_FUNCTION("around"));
        snprintf(numbers[0], sizeof(numbers[0]), "%d", query->above);
        snprintf(numbers[1], sizeof(numbers[1]), "%d", query->below);
        arguments[count++] = query->player;
        arguments[count++] = slice_of(numbers[0]);
        arguments[count++] = slice_of(numbers[1]);
        arguments[count++] = ranking;
        arguments[count++] = slice_of(with_values);
        arguments[count++] = slice_of(absent_names[query->absent]);
        break;
    case STANDING_PERCENTILE:
        arguments[1] = SLICE(KV_FUNCTION("percentile"));
        snprintf(numbers[0], sizeof(numbers[0]), "%.17g", query->percentile);
        snprintf(numbers[1], sizeof(numbers[1]), "%d", query->limit + 1);
        arguments[count++] = slice_of(numbers[0]);
        arguments[count++] = slice_of(numbers[1]);
        arguments[count++] = ranking;
        arguments[count++] = slice_of(with_values);
        break;
    case STANDING_PLAYERS:
        arguments[1] = SLICE(KV_FUNCTION("players"));
        arguments[count++] = ranking;
        for (size_t i = 0; i < query->player_count; i++)
            arguments[count++] = query->players[i];
        break;
    case STANDING_SEEK:
        arguments[1] = SLICE(KV_FUNCTION("seek"));
        arguments[count++] = slice_of(score);
        arguments[count++] = (struct slice){(const char *)bytes, bytes_size};
        arguments[count++] = ranking;
        break;
    case STANDING_STATISTICS:
        arguments[1] = SLICE(KV_FUNCTION("statistics"));
        count += standing_statistics_arguments(read, arguments + count);
        break;
    }
    const struct kv_command command = {arguments, count};
    return standing_replica_send(read, 1, &command, on_replica) ||
           kv_call(read->store->kv, count, arguments, on_redis, read);
}

void standing_script_send(struct standing_read *read)
{
    if (!standing_redis_may_answer(read) || !script_send(read))
        standing_redis_failed(read, false);
}

void standing_read(struct store *store, struct arena *arena, const struct standing_query *query, standing_done_fn *done,
                   void *context)
{
    struct standing_read *read = arena_alloc(arena, sizeof(*read));

    ASSERT(query->player_count <= STANDING_PLAYERS_MAX && query->limit <= STANDING_ROWS_MAX);
    if (!read) {
        struct standing_answer answer = {.total = -1};
        error_set(&answer.error, ERROR_OVERLOADED, "out of memory");
        done(context, &answer);
        return;
    }
    *read = (struct standing_read){.store = store, .arena = arena, .query = *query, .done = done, .context = context};
    read->answer.total = -1;
    if (query->period.id == 0) {
        /* No submission ever: nothing to ask. */
        read->answer.source = query->period.source;
        read->answer.total = 0;
        if (query->kind == STANDING_AROUND && query->absent == ABSENT_404)
            standing_fail(read, ERROR_PLAYER_NOT_FOUND, "the player has no entry in this standing");
        else
            standing_finish(read);
        return;
    }
    if (!standing_players_split(read))
        standing_turn_ask(read);
}

void standing_send(struct standing_read *read)
{
    if (!standing_redis_may_answer(read) || (!standing_page_send(read) && !script_send(read)))
        standing_sql_send(read);
}
