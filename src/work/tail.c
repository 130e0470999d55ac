/*
 * tail.c -- see tail.h.
 *
 * Every change has an event, inserted by the transaction that made it. A poll asks for the events that became visible
 * since the last poll's snapshot, exactly: xid in progress then, or not begun then. (Not "xid below the oldest running
 * one": a long REFRESH would hold that back.) For each it applies the entry's state as it is now.
 *
 *   T1  the cursor of each shard says up to which snapshot Redis has everything
 *   T2  fetch the difference, and the next snapshot
 *   T3  apply it, through the gate of revisions: what the servers applied already is a no-op
 *   T4  when every reply is good: put on the edges' lists what they must forget (edge_tail.h), and move the cursors, each
 *       only if it still is what we wrote last, and with each what was submitted meanwhile (activity_tail.h)
 *
 * I3: a cursor is written behind its data, to the same Redis. So whatever prefix of its history a Redis comes back with
 * (an old file, a replica that lagged), its cursors say from where to go on; and one that lost everything has none.
 *
 * Trust. Between such a return and the end of our replay, Redis is old but looks whole. So servers believe a Redis
 * process only if `ladder:ready` names that very process (its run id) and the epoch: an old file brings back an old run
 * id. We write it when, on one connection, we have read the cursors, replayed from the oldest, and moved all of them.
 *
 * In a cluster the same holds of each shard by itself (ready.h), because what a node loses are its shards and their
 * cursors; and everything between two reads of the cursors goes by the same connections (kv/blocking.h).
 *
 * A shard without a cursor of this epoch starts empty: the snapshot is taken first, then a mark put in the cursor's
 * place, then its standings are dropped, then the cursor is set, if the mark is there still: what was told and wanted
 * meanwhile lies in the same Redis, and would be lost with it. A standing that is rebuilt later takes its own snapshot
 * after that, so nothing falls between.
 * What was changed before the snapshot and never came to Redis is not replayed: so whoever remembers answers is told to
 * forget them.
 */
#include "work/tail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/text.h"
#include "board/board.h"
#include "kv/keys.h"
#include "kv/scripts.h"
#include "work/activity_tail.h"
#include "work/alone.h"
#include "work/edge_tail.h"
#include "work/l2_tail.h"
#include "work/ready.h"
#include "work/rebuild.h"
#include "work/review.h"
#include "work/tail_apart.h"

enum {
    APPLY_ROWS_MAX = 100,
    PIPELINE_MAX = 64,
    UPKEEP_US = 1000000,
    WANT_MAX = 10000,
};

struct shard {
    char *cursor; /* what we believe is in Redis (kv/keys.h); NULL: nothing */
    bool is_touched;
};

struct tail {
    struct link link;
    bool is_locked;
    bool is_synced; /* cursors were read, and the replay from the oldest has begun */
    struct ready ready;
    char *snapshot; /* everything up to it is applied, or will be by the next poll */
    int64_t at_us;
    int64_t upkeep_us; /* when the next is due, monotonic */
    struct shard shards[KV_SHARDS];
    struct edge_tail edges;
    struct l2_tail l2;
    struct activity_tail activity;
};

/* ---- small things ---- */

static void cursors_forget(struct tail *tail)
{
    for (int i = 0; i < KV_SHARDS; i++) {
        free(tail->shards[i].cursor);
        tail->shards[i] = (struct shard){NULL, false};
    }
    free(tail->snapshot);
    tail->snapshot = NULL;
    tail->is_synced = false;
    tail->ready.is_written = false;
}

static bool cursor_parse(const struct tail *tail, const char *cursor, int64_t *ret_at_us, struct slice *ret_snapshot)
{
    const char *first = cursor ? strchr(cursor, ' ') : NULL;
    const char *second = first ? strchr(first + 1, ' ') : NULL;
    int64_t epoch;

    if (!second || !text_parse_int64((struct slice){cursor, (size_t)(first - cursor)}, &epoch) ||
        epoch != tail->link.epoch ||
        !text_parse_int64((struct slice){first + 1, (size_t)(second - first - 1)}, ret_at_us))
        return false;
    *ret_snapshot = (struct slice){second + 1, strcspn(second + 1, " ")};
    return true;
}

static bool snapshot_read(struct tail *tail, char **ret_snapshot, int64_t *ret_at_us, struct error *error)
{
    struct dbb_result *result;

    if (!link_query(&tail->link, STATEMENT_tail_snapshot, 0, NULL, &result, error))
        return false;
    *ret_snapshot = strdup(dbb_text(result, 0, 0));
    *ret_at_us = dbb_int64(result, 0, 1);
    dbb_result_free(&result);
    return true;
}

/* ---- T4 ---- */

static bool cursor_send(struct tail *tail, int shard, const char *text, struct error *error)
{
    enum { FIXED = 7 };
    size_t activity = activity_tail_size(&tail->activity, shard);
    struct slice few[FIXED], *arguments = activity ? malloc((FIXED + activity) * sizeof(*arguments)) : few;
    const char *expected = tail->shards[shard].cursor;
    char key[KV_KEY_MAX];

    ASSERT(arguments != NULL);
    arguments[0] = SLICE("FCALL");
    arguments[1] = SLICE(KV_FUNCTION("cursor"));
    arguments[2] = SLICE("1");
    arguments[3] = kv_cursor_key(shard, key);
    arguments[4] = slice_of(expected ? expected : "");
    arguments[5] = slice_of(text);
    arguments[6] = slice_of(tail->activity.name);
    activity_tail_arguments(&tail->activity, shard, arguments + FIXED);
    bool is_ok = kvb_append(tail->link.kv, FIXED + activity, arguments, error);
    if (arguments != few)
        free(arguments);
    return is_ok;
}

/* Each shard's cursor to this text, if it still is what it was, where it is wanted. */
static bool cursors_write(struct tail *tail, const char *text, const bool is_wanted[static KV_SHARDS],
                          struct error *error)
{
    bool is_sent[KV_SHARDS] = {false};
    bool is_ok = true;

    for (int i = 0; i < KV_SHARDS && is_ok; i++)
        if (is_wanted[i])
            is_ok = is_sent[i] = cursor_send(tail, i, text, error);
    for (int i = 0; i < KV_SHARDS; i++) {
        struct kvb_reply *reply;
        if (!is_sent[i] || !is_ok)
            continue;
        is_ok = kvb_read(tail->link.kv, &reply, error);
        if (!is_ok)
            break;
        if (kvb_kind(reply) != KVB_INT || kvb_int(reply) != 1)
            is_ok = error_set(
                error, ERROR_CONFLICT,
                "the cursor of shard %d is not what this worker wrote: Redis lost data, or another worker tails", i);
        kvb_reply_free(&reply);
        free(tail->shards[i].cursor);
        tail->shards[i].cursor = strdup(text);
        tail->shards[i].is_touched = false;
    }
    if (!is_ok)
        kvb_close(&tail->link.kv); /* replies may be left */
    return is_ok;
}

static bool cursors_move(struct tail *tail, bool all, struct error *error)
{
    size_t size = strlen(tail->snapshot) + 64 + ACTIVITY_NAME_MAX;
    char *text = malloc(size);
    bool is_wanted[KV_SHARDS];

    ASSERT(text != NULL);
    snprintf(text, size, "%s %lld %s %s", tail->link.epoch_text, (long long)tail->at_us, tail->snapshot,
             tail->activity.name);
    for (int i = 0; i < KV_SHARDS; i++)
        is_wanted[i] = all || tail->shards[i].is_touched || activity_tail_size(&tail->activity, i) > 0;
    bool is_ok = cursors_write(tail, text, is_wanted, error);
    free(text);
    if (is_ok)
        activity_tail_sent(&tail->activity);
    return is_ok;
}

/* Where there is no cursor, a mark that is none, another one each time: who loses it loses what we begin with, and the
 * cursors that are to take its place find that. */
static bool cursors_begin(struct tail *tail, const bool is_missing[static KV_SHARDS], struct error *error)
{
    char text[48];

    snprintf(text, sizeof(text), "0 0 %lld", (long long)tail->ready.beat);
    return cursors_write(tail, text, is_missing, error);
}

/* ---- T1 ---- */

static bool cursors_read(struct tail *tail, bool is_missing[static KV_SHARDS], bool *ret_any_missing,
                         struct error *error)
{
    int64_t oldest_us = INT64_MAX;
    int64_t expired_us = clock_realtime_us() - tail->link.settings->worker_event_retention_days * 86400 * 1000000LL;

    *ret_any_missing = false;
    for (int i = 0; i < KV_SHARDS; i++) {
        char key[KV_KEY_MAX];
        const struct slice get[] = {SLICE("GET"), kv_cursor_key(i, key)};
        if (!kvb_append(tail->link.kv, ARRAY_SIZE(get), get, error))
            return false;
    }
    for (int i = 0; i < KV_SHARDS; i++) {
        struct kvb_reply *reply;
        struct slice snapshot;
        int64_t at_us;
        if (!kvb_read(tail->link.kv, &reply, error))
            return false;
        if (kvb_kind(reply) == KVB_ERROR && kvb_is_cluster(tail->link.kv)) {
            /* It is not missing: the node can't say. Replies are left behind. */
            error_set(error, ERROR_UNAVAILABLE, "Redis did not say where the cursor is: %.150s", kvb_text(reply).data);
            kvb_reply_free(&reply);
            kvb_close(&tail->link.kv);
            return false;
        }
        tail->shards[i].cursor = kvb_kind(reply) == KVB_TEXT ? strdup(kvb_text(reply).data) : NULL;
        kvb_reply_free(&reply);
        is_missing[i] = !cursor_parse(tail, tail->shards[i].cursor, &at_us, &snapshot) || at_us < expired_us;
        *ret_any_missing = *ret_any_missing || is_missing[i];
        if (!is_missing[i] && at_us < oldest_us) {
            oldest_us = at_us;
            free(tail->snapshot);
            tail->snapshot = strndup(snapshot.data, snapshot.size);
            tail->at_us = at_us;
        }
    }
    return true;
}

/* All standings that should be in Redis are put on the rebuild list: those that it does not hold are loaded. Where a row of
 * one cannot be read, each is loaded when it is read. */
static bool standings_want(struct tail *tail, struct error *error)
{
    char limit[16];
    const char *parameters[] = {NULL, NULL, limit};
    struct dbb_result *result;
    struct error why;
    bool is_ok = true;

    snprintf(limit, sizeof(limit), "%d", WANT_MAX);
    if (!link_query(&tail->link, STATEMENT_standing_live, 3, parameters, &result, &why))
        return alone_failed(&tail->link, "tail", "0", &why, error);
    for (size_t i = 0; i < dbb_rows(result) && is_ok; i++)
        is_ok =
            rebuild_want(&tail->link, dbb_int64(result, i, 0), true, -(int64_t)i, error); /* the most read come first */
    dbb_result_free(&result);
    return is_ok;
}

static bool tail_sync(struct tail *tail, struct error *error)
{
    bool is_missing[KV_SHARDS], is_stranger[KV_SHARDS], any_missing, any_stranger = false;
    char *snapshot;
    int64_t at_us;

    cursors_forget(tail);
    activity_tail_begin(&tail->activity);
    if (!ready_begin(&tail->ready, &tail->link, is_stranger, error) || !snapshot_read(tail, &snapshot, &at_us, error))
        return false;
    bool is_ok = cursors_read(tail, is_missing, &any_missing, error) && cursors_begin(tail, is_missing, error);
    for (int i = 0; i < KV_SHARDS; i++)
        any_stranger = any_stranger || is_stranger[i];
    if (is_ok && (any_missing || any_stranger))
        is_ok = review_standings(&tail->link, is_missing, is_stranger, error);
    if (is_ok && any_missing) {
        log_info("tail-starts-shards", LOG_TEXT("because", "they have no cursor of this epoch"));
        is_ok = alone_forget_tell(&tail->link, error); /* before the cursors move, by which servers are sure again */
        l2_tail_note_all(&tail->l2);
    }
    /* This Redis may have come back without some that it had. */
    is_ok = is_ok && standings_want(tail, error) && edge_queue_sync(&tail->link, tail->edges.edges, any_missing, error);
    if (is_ok)
        fault_point("synced");
    if (is_ok && !tail->snapshot) {
        /* None has one: all start at the snapshot that was taken before the drop. */
        tail->snapshot = snapshot;
        tail->at_us = at_us;
        snapshot = NULL;
    }
    free(snapshot);
    tail->is_synced = is_ok;
    return is_ok;
}

/* ---- T2, T3 ---- */

struct change {
    int64_t standing;
    size_t row;
};

static int change_compare(const void *a, const void *b)
{
    const struct change *left = a, *right = b;

    return (left->standing > right->standing) - (left->standing < right->standing);
}

/* Of what was sent: a standing each. One that Redis raises an error for leaves it, before the cursors move on. */
static bool replies_take(struct tail *tail, int count, const int64_t standings[static PIPELINE_MAX],
                         struct error *error)
{
    struct error refused[PIPELINE_MAX];
    bool is_ok = true;

    for (int i = 0; i < count; i++) {
        struct kvb_reply *reply;
        if (!kvb_read(tail->link.kv, &reply, error))
            return false;
        refused[i].code = ERROR_NONE;
        if (kvb_kind(reply) != KVB_ARRAY)
            error_set(&refused[i], ERROR_INTERNAL, "Redis refused an apply: %.150s", kvb_text(reply).data);
        kvb_reply_free(&reply);
    }
    for (int i = 0; i < count && is_ok; i++)
        if (refused[i].code != ERROR_NONE)
            is_ok = alone_standing_failed(&tail->link, "tail", standings[i], &refused[i], error) &&
                    alone_standing_drop(&tail->link, standings[i], error) &&
                    rebuild_want(&tail->link, standings[i], false, 0, error);
    return is_ok;
}

static bool changes_send(struct tail *tail, const struct dbb_result *result, const struct change *changes, size_t count,
                         struct error *error)
{
    enum { FIXED = 6 };
    struct slice arguments[FIXED + 5 * APPLY_ROWS_MAX];
    uint8_t keys[APPLY_ROWS_MAX][SORT_KEY_MAX], revisions[APPLY_ROWS_MAX][KV_REVISION_SIZE];
    char scores[APPLY_ROWS_MAX][SORT_KEY_SCORE_TEXT_MAX], meta[KV_KEY_MAX];

    arguments[0] = SLICE("FCALL");
    arguments[1] = SLICE(KV_FUNCTION("apply"));
    arguments[2] = SLICE("1");
    arguments[3] = kv_meta_key(changes[0].standing, meta);
    arguments[4] = slice_of(tail->link.epoch_text);
    arguments[5] = SLICE("0");
    for (size_t i = 0; i < count; i++) {
        size_t row = changes[i].row;
        struct slice *a = &arguments[FIXED + 5 * i];
        struct sort_key key = {dbb_int64(result, row, 2), dbb_int64(result, row, 3), dbb_int64(result, row, 4)};
        bool is_removed = dbb_bool(result, row, 6);
        kv_revision_encode(dbb_int64(result, row, 5), revisions[i]);
        a[0] = (struct slice){dbb_text(result, row, 1), dbb_size(result, row, 1)};
        a[1] = (struct slice){(char *)keys[i], is_removed ? 0 : sort_key_encode(&key, keys[i])};
        a[2] = (struct slice){scores[i], sort_key_score_text(key.k1, scores[i])};
        a[3] = (struct slice){(char *)revisions[i], KV_REVISION_SIZE};
        a[4] = (struct slice){dbb_text(result, row, 7), is_removed ? 0 : dbb_size(result, row, 7)};
    }
    tail->shards[changes[0].standing % KV_SHARDS].is_touched = true;
    return kvb_append(tail->link.kv, FIXED + 5 * count, arguments, error);
}

static bool changes_apply(struct tail *tail, const struct dbb_result *result, struct error *error)
{
    size_t count = dbb_rows(result);
    struct change *changes = malloc((count + 1) * sizeof(*changes));
    int64_t standings[PIPELINE_MAX];
    int in_flight = 0;
    bool is_ok = true;
    static unsigned skipped;

    ASSERT(changes != NULL);
    for (size_t i = 0; i < count; i++) {
        changes[i] = (struct change){dbb_int64(result, i, 0), i};
        if (dbb_bool(result, i, 8) && !fault_is("l2-tail"))
            l2_tail_note(&tail->l2, changes[i].standing);
    }
    qsort(changes, count, sizeof(*changes), change_compare);
    for (size_t from = 0; from < count && is_ok;) {
        size_t to = from + 1;
        if (fault_is("tail-skip") && ++skipped % 3 == 0) {
            from = to;
            continue;
        }
        while (to < count && to - from < APPLY_ROWS_MAX && changes[to].standing == changes[from].standing)
            to++;
        standings[in_flight] = changes[from].standing;
        is_ok = changes_send(tail, result, changes + from, to - from, error);
        from = to;
        if (is_ok && ++in_flight == PIPELINE_MAX) {
            is_ok = replies_take(tail, in_flight, standings, error);
            in_flight = 0;
        }
    }
    is_ok = is_ok && replies_take(tail, in_flight, standings, error);
    free(changes);
    if (!is_ok)
        kvb_close(&tail->link.kv);
    return is_ok;
}

struct fetched {
    char *snapshot; /* the caller's to free */
    int64_t at_us;
    struct dbb_result *result;
};

/* activity: of some standing it may be what raises an error; all are loaded anew when somebody asks. */
static bool activity_find(struct tail *tail, const char *const parameters[static 2], bool is_apart, struct error *error)
{
    struct link *link = &tail->link;

    if (!is_apart)
        return activity_tail_find(&tail->activity, link, parameters, error);
    if (!dbb_script(link->db, "savepoint activity", error) ||
        activity_tail_find(&tail->activity, link, parameters, error))
        return dbb_script(link->db, "release savepoint activity", error);
    activity_tail_begin(&tail->activity);
    return dbb_script(link->db, "rollback to savepoint activity", error);
}

/* apart: NULL, or without the boards that raise an error. */
static bool changes_read(struct tail *tail, struct tail_apart *apart, struct fetched *ret, bool *ret_is_of_server,
                         struct error *error)
{
    char since[CLOCK_TEXT_MAX];
    const char *parameters[] = {tail->snapshot, since, NULL};
    struct link *link = &tail->link;

    /* A transaction may have begun, and stamped its events, well before it became visible. */
    clock_format(tail->at_us - 3600 * 1000000LL, since);
    ret->snapshot = NULL;
    bool is_ok = dbb_begin(link->db, true, error) && snapshot_read(tail, &ret->snapshot, &ret->at_us, error) &&
                 (!apart || tail_apart_find(apart, link, parameters, error));
    if (is_ok && apart)
        parameters[2] = apart->boards.data;
    is_ok = is_ok && edge_tail_find(&tail->edges, link, parameters, error) &&
            activity_find(tail, parameters, apart != NULL, error) &&
            link_query(link, STATEMENT_tail_changes, ARRAY_SIZE(parameters), parameters, &ret->result, error);
    *ret_is_of_server = !is_ok && alone_is_of_server(link, error);
    if (!is_ok)
        free(ret->snapshot);
    dbb_rollback(link->db);
    return is_ok;
}

static bool changes_fetch(struct tail *tail, struct fetched *ret, struct error *error)
{
    struct tail_apart apart = {.count = 0};
    bool is_of_server;

    if (changes_read(tail, NULL, ret, &is_of_server, error))
        return true;
    if (is_of_server)
        return false;
    buf_init(&apart.boards, 1);
    bool is_ok = changes_read(tail, &apart, ret, &is_of_server, error);
    if (is_ok && !tail_apart_leave(&apart, &tail->link, &tail->l2, error)) {
        dbb_result_free(&ret->result);
        free(ret->snapshot);
        is_ok = false;
    }
    tail_apart_done(&apart);
    return is_ok;
}

/* ---- upkeep ---- */

static bool upkeep(struct tail *tail, struct error *error)
{
    int64_t epoch = tail->link.epoch;

    if (!kvb_check(tail->link.kv))
        return error_set(error, ERROR_CONFLICT, "another Redis is the primary");
    if (!tail->ready.is_written)
        return ready_write(&tail->ready, &tail->link, error);
    if (!ready_check(&tail->ready, &tail->link, error) || !link_epoch(&tail->link, error))
        return false;
    if (tail->link.epoch != epoch)
        return error_set(error, ERROR_CONFLICT, "the database is of a new epoch");
    return !ready_must_beat(&tail->link) || ready_write(&tail->ready, &tail->link, error);
}

/* ---- the poll ---- */

static bool lock_take(struct tail *tail, bool *ret_is_ours, struct error *error)
{
    if (!tail->is_locked) {
        if (!link_lock(&tail->link, "tail", &tail->is_locked, error))
            return false;
        if (tail->is_locked)
            log_info("leading", LOG_TEXT("job", "tail"));
    }
    *ret_is_ours = tail->is_locked;
    return true;
}

static bool poll(struct tail *tail, bool *ret_is_ours, int64_t *ret_rows, struct error *error)
{
    struct fetched fetched;

    if (!tail->link.db || dbb_is_broken(tail->link.db))
        tail->is_locked = false; /* it ended with its session */
    if (!link_open(&tail->link, true, error) || !lock_take(tail, ret_is_ours, error))
        return false;
    if (!*ret_is_ours)
        return true;
    if (!tail->is_synced && !tail_sync(tail, error))
        return false;
    if (!changes_fetch(tail, &fetched, error))
        return false;
    int64_t told = 0;
    if (dbb_rows(fetched.result) > 0)
        fault_point("changes-read");
    bool is_ok = changes_apply(tail, fetched.result, error) && edge_tail_queue(&tail->edges, &tail->link, &told, error);
    if (is_ok && dbb_rows(fetched.result) > 0)
        fault_point("changes-applied");
    *ret_rows = (int64_t)dbb_rows(fetched.result) + told;
    dbb_result_free(&fetched.result);
    if (!is_ok) {
        free(fetched.snapshot);
        return false;
    }
    free(tail->snapshot);
    tail->snapshot = fetched.snapshot;
    tail->at_us = fetched.at_us;
    bool is_lost;
    if (!l2_tail_purge(&tail->l2, &tail->link, &is_lost, error))
        return !is_lost; /* that cache alone is down: changes are applied meanwhile, only the cursors stay */
    bool is_due = clock_monotonic_us() >= tail->upkeep_us || !tail->ready.is_written;
    if (!cursors_move(tail, is_due, error))
        return false;
    if (!is_due)
        return true;
    tail->upkeep_us = clock_monotonic_us() + UPKEEP_US;
    return upkeep(tail, error) && activity_tail_want(&tail->activity, &tail->link, error);
}

bool tail_poll(struct tail *tail, bool *ret_is_ours, int64_t *ret_rows, struct error *error)
{
    *ret_is_ours = false;
    *ret_rows = 0;
    bool is_ok = poll(tail, ret_is_ours, ret_rows, error);
    link_done(&tail->link, is_ok);
    if (is_ok)
        return true;
    /* Whatever it was, the next poll reads the cursors again and replays from there. */
    cursors_forget(tail);
    if (tail->link.kv && kvb_is_broken(tail->link.kv))
        kvb_close(&tail->link.kv);
    return false;
}

struct tail *tail_new(const struct settings *settings, const struct edges *edges, const atomic_bool *stop)
{
    struct tail *tail = calloc(1, sizeof(*tail));

    ASSERT(tail != NULL);
    tail->link = (struct link){.settings = settings, .name = "ladder work tail", .stop = stop, .is_hasty = true};
    tail->edges.edges = edges;
    return tail;
}

void tail_free(struct tail **tail)
{
    if (!*tail)
        return;
    cursors_forget(*tail);
    edge_tail_forget(&(*tail)->edges);
    l2_tail_done(&(*tail)->l2);
    activity_tail_done(&(*tail)->activity);
    link_close(&(*tail)->link);
    free(*tail);
    *tail = NULL;
}
