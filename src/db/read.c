/*
 * read.c -- a read's way to an answer.
 *
 *   db_read -> place --> a standby that is fit, by choice.h, with the check in front -- it covers --> done
 *                |            |  it does not          |  it failed, or does not answer
 *                |            v                       v
 *                |       for_position            budget? -- yes --> place, without that server
 *                |            | a standby got there, or wait_ms is over       no --> done, with the error
 *                |            v
 *                +--- no room anywhere: for_room, until there is some or queue_timeout_ms is over
 *
 *   R1  done is called exactly once, from the loop.
 *   R2  An answer is of a server that had all the wish names, on the connection that answered, before the read's snapshot;
 *       or says is_behind, which happens only while nobody leads, and never takes back what the client has shown.
 *   R3  A server that does not answer is given up after stall_ms: the attempt stays behind, its answer is dropped. If it answered
 *       a check or a read that was sent later, only this attempt is given up: the statement takes long, not the server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/magic.h"
#include "db/private.h"
#include "db/random.h"

/* One for the server that failed, at once; one more if the next was just dying as well, after a rest: who ends one
 * session ends them all, and of some it is not heard at once. */
enum { RETRIES_MAX = 2, REST_MS = 100 };

struct db_read {
    struct db *db;
    struct db_call call; /* parameters borrowed from the caller */
    struct db_wish wish;
    db_read_fn *done;
    void *context;
    bool is_primary_first;
    struct attempt *attempt; /* NULL: it waits */
    int64_t start_us;
    int64_t patience_us; /* waits for a standby's position until then */
    int64_t deadline_us; /* waits for anything until then */
    int64_t rests_us;    /* waits until then at least */
    uint64_t refused;    /* ids of servers that lacked something */
    int failed;          /* the id of the last one that failed; -1: none */
    int retries;
    TAILQ_ENTRY(db_read) link;
    struct read_list *list; /* while it waits */
};

enum placed { PLACED, NO_ROOM, NOT_THERE_YET, NOBODY };

/* ---- waiting ---- */

static void park(struct db_read *read, struct read_list *list)
{
    read->list = list;
    TAILQ_INSERT_TAIL(&list->reads, read, link);
    list->count++;
    if (!ev_is_active(&read->db->soon))
        ev_timer_again(read->db->loop, &read->db->soon);
}

static void unpark(struct db_read *read)
{
    if (!read->list)
        return;
    TAILQ_REMOVE(&read->list->reads, read, link);
    read->list->count--;
    read->list = NULL;
}

static void read_end(struct db_read *read, const struct db_outcome *outcome, enum db_source source)
{
    unpark(read);
    ASSERT(read->attempt == NULL);
    read->done(read->context, outcome, source);
    free(read);
}

static void read_fail(struct db_read *read, enum error_code code, const char *message)
{
    struct db_outcome outcome = {.count = 0};

    error_set(&outcome.error, code, "%s", message);
    read_end(read, &outcome, DB_NOWHERE);
}

/* ---- choosing ---- */

/* Can it be that the server has what the read must see? */
static bool may_cover(const struct db_read *read, const struct db_server *server)
{
    if (read->wish.lsn == 0)
        return true;
    if (server->epoch == read->db->epoch && server->lsn >= read->wish.lsn)
        return true;
    return !(read->refused >> server->id & 1);
}

/* It was behind what somebody wanted for longer than anybody waits: nobody need wait to see that again. */
static bool is_hopeless(const struct db_read *read, const struct db_server *server, int64_t now_us)
{
    return server->behind_us && now_us - server->behind_us > read->db->settings.wait_ms * 1000LL;
}

static struct choice_candidate candidate_of(struct db_server *server, int64_t now_us)
{
    const struct db *db = server->db;
    struct db_pool_counts counts = db_pool_count(server->pool);
    int64_t oldest_us = TAILQ_EMPTY(&server->attempts) ? 0 : now_us - TAILQ_FIRST(&server->attempts)->sent_us;
    bool is_trial = server->breaker.state != BREAKER_CLOSED; /* what it cost before would only put it off */

    return (struct choice_candidate){
        .id = server->id,
        .name = server->name_hash,
        .weight = server->line.weight,
        .in_flight = counts.in_flight,
        .cost =
            is_trial ? 0.0 : latency_cost(&server->latency, counts.in_flight, oldest_us, now_us) / server->line.weight,
        .is_near = db->settings.zone[0] && strcmp(db->settings.zone, server->line.zone) == 0,
        .credit = &server->credit,
    };
}

/* Is there another one that could be asked? */
static bool has_other(const struct db_read *read, const struct db_server *server, int64_t now_us)
{
    for (int i = 0; i < read->db->server_count; i++)
        if (read->db->servers[i] != server && db_server_is_fit(read->db->servers[i], true, now_us))
            return true;
    return false;
}

/* Nobody leads, as far as can be told since the read began: so no write was acknowledged since that could be missed. */
static bool leader_is_away(const struct db_read *read, int64_t now_us)
{
    const struct db_server *leader = read->db->leader;

    if (!leader)
        return true;
    if (!db_pool_is_ready(leader->pool))
        return db_pool_failed_us(leader->pool) >= read->start_us;
    return now_us >= read->deadline_us && db_server_is_mute(leader, now_us) && leader->asked_us <= read->start_us;
}

/* ---- sending ---- */

static void on_attempt(void *context, const struct db_outcome *outcome);

static bool attempt_send(struct db_read *read, struct db_server *server, bool is_checked, bool is_behind)
{
    struct db_connection *c = db_pool_pick(server->pool, db_server_is_leader(server) && read->is_primary_first);
    bool is_leader = db_server_is_leader(server);
    struct db_call calls[2];
    char lsn[24], epoch[16];
    int count = 0;

    if (!c)
        return false;
    if (is_leader && db_connection_is_standby(c)) {
        db_server_check(server); /* it was demoted */
        return false;
    }
    struct attempt *attempt = malloc(sizeof(*attempt));
    ASSERT(attempt != NULL);
    *attempt = (struct attempt){.magic = ATTEMPT_MAGIC,
                                .read = read,
                                .server = server,
                                .sent_us = clock_monotonic_us(),
                                .is_checked = is_checked,
                                .is_behind = is_behind,
                                .source = is_leader ? DB_PRIMARY : DB_REPLICA,
                                .statement = read->call.statement};
    if (is_checked) {
        snprintf(lsn, sizeof(lsn), "%lld", (long long)read->wish.lsn);
        snprintf(epoch, sizeof(epoch), "%d", read->db->epoch);
        calls[count++] = (struct db_call){
            .statement = STATEMENT_replay_covers,
            .parameter_count = 2,
            .is_last_of_transaction = true, /* its own: the read's snapshot must be taken after it */
            .parameters = {{.data = lsn, .format = DB_TEXT}, {.data = epoch, .format = DB_TEXT}},
        };
    }
    calls[count] = read->call;
    calls[count++].is_last_of_transaction = true;
    if (!db_connection_send(c, calls, count, on_attempt, attempt)) {
        free(attempt);
        return false;
    }
    attempt->is_trial = breaker_begin(&server->breaker, attempt->sent_us);
    TAILQ_INSERT_TAIL(&server->attempts, attempt, link);
    server->reads++;
    read->attempt = attempt;
    unpark(read);
    return true;
}

/* Of the standbys that are fit (or, in despair, of all that can't lie), one with room. */
static enum placed place_on_standby(struct db_read *read, bool is_desperate, int64_t now_us)
{
    struct db *db = read->db;
    struct choice_candidate candidates[DB_SERVERS_MAX];
    bool is_any_hopeful = false;
    int count = 0;

    for (int i = 0; i < db->server_count; i++) {
        struct db_server *server = db->servers[i];
        bool is_share = db->settings.primary_reads && db_server_is_leader(server) && db_pool_is_ready(server->pool) &&
                        !server->line.is_drained;
        if (!is_share && !db_server_is_fit(server, is_desperate, now_us))
            continue;
        /* One that has failed once is nobody's trial. */
        bool is_risky = server->id == read->failed || (read->retries > 0 && server->breaker.state != BREAKER_CLOSED);
        if (is_risky && !is_desperate)
            continue;
        if (is_share || may_cover(read, server))
            candidates[count++] = candidate_of(server, now_us);
        else
            is_any_hopeful = is_any_hopeful || !is_hopeless(read, server, now_us);
    }
    bool has_candidates = count > 0;
    while (count > 0) {
        int chosen = choice_make(db->settings.balance, candidates, count, read->wish.client,
                                 (uint64_t)(random_unit(&db->random) * 0x1p63), &db->turn);
        struct db_server *server = db_server_of(db, candidates[chosen].id);
        if (attempt_send(read, server,
                         read->wish.lsn > 0 && !db_server_is_leader(server) && !fault_is("replica-unchecked"), false))
            return PLACED;
        candidates[chosen] = candidates[--count];
    }
    if (has_candidates)
        return NO_ROOM;
    return is_any_hopeful ? NOT_THERE_YET : NOBODY;
}

static enum placed place_on_leader(struct db_read *read, int64_t now_us)
{
    struct db_server *leader = read->db->leader;

    if (!leader)
        return NOBODY;
    db_pool_hurry(leader->pool);
    if (!db_pool_is_ready(leader->pool))
        return NOBODY;
    bool is_avoided = leader->id == read->failed || !breaker_allows(&leader->breaker, now_us);
    if (is_avoided && !read->wish.needs_primary && has_other(read, leader, now_us))
        return NOBODY;
    return attempt_send(read, leader, false, false) ? PLACED : NO_ROOM;
}

/* Nobody leads, and nobody has what the process knows: the furthest of those that there are, if the client can't
 * tell. */
static bool place_behind(struct db_read *read, int64_t now_us)
{
    struct db *db = read->db;
    struct db_server *furthest = NULL;

    if (read->wish.lsn <= read->wish.shown_lsn || !leader_is_away(read, now_us))
        return false;
    for (int i = 0; i < db->server_count; i++) {
        struct db_server *server = db->servers[i];
        if (db_server_is_fit(server, true, now_us) && (!furthest || server->lsn > furthest->lsn))
            furthest = server;
    }
    if (!furthest)
        return false;
    read->wish.lsn = read->wish.shown_lsn;
    if (!attempt_send(read, furthest, read->wish.lsn > 0, true))
        return false;
    db->behind++;
    return true;
}

static enum placed place(struct db_read *read)
{
    struct db *db = read->db;
    int64_t now_us = clock_monotonic_us();
    enum placed placed, leader = NOBODY;

    if (db->is_closing)
        return NOBODY;
    if (read->is_primary_first || read->wish.needs_primary) {
        leader = place_on_leader(read, now_us);
        if (leader == PLACED)
            return PLACED;
        if (read->wish.needs_primary)
            return db->leader ? NOT_THERE_YET : NOBODY;
    }
    placed = place_on_standby(read, false, now_us);
    if (placed == PLACED || placed == NO_ROOM || (placed == NOT_THERE_YET && now_us < read->patience_us))
        return placed;
    if (leader == NOBODY)
        leader = place_on_leader(read, now_us);
    if (leader != NOBODY)
        return leader;
    /* No leader. What is late, left alone or drained is better than nothing. */
    enum placed desperate = place_on_standby(read, true, now_us);
    if (desperate == PLACED || desperate == NO_ROOM)
        return desperate;
    if (place_behind(read, now_us))
        return PLACED;
    return desperate == NOT_THERE_YET || db_can_read(db) || db->leader ? NOT_THERE_YET : NOBODY;
}

static void wait_in(struct db_read *read, struct read_list *list)
{
    struct db *db = read->db;

    if (db->for_room.count + db->for_position.count >= db->settings.queue_max) {
        db->shed++;
        read->deadline_us = 0; /* from the loop, at once */
    }
    park(read, list);
}

/* Places it or lets it wait; false: it was ended, there is nobody to wait for. */
static bool place_or_park(struct db_read *read)
{
    enum placed placed = place(read);

    if (placed == NO_ROOM || placed == NOT_THERE_YET)
        wait_in(read, placed == NO_ROOM ? &read->db->for_room : &read->db->for_position);
    return placed != NOBODY;
}

static void waiting_end(struct db_read *read)
{
    if (read->list == &read->db->for_room) {
        read->db->shed++;
        read_fail(read, ERROR_OVERLOADED, "the database servers have too much to do; try again");
    } else {
        read_fail(read, ERROR_UNAVAILABLE, "no database server can answer this read now");
    }
}

/* A read goes over to the other list when what it lacks is another thing now. */
static bool waiting_try(struct db_read *read)
{
    if (clock_monotonic_us() < read->rests_us)
        return false;
    enum placed placed = place(read);
    struct read_list *list = placed == NO_ROOM ? &read->db->for_room : &read->db->for_position;

    if (placed == PLACED)
        return true;
    if (placed != NOBODY && list != read->list) {
        unpark(read);
        park(read, list);
    }
    return false;
}

void reads_pump(struct db *db)
{
    while (!TAILQ_EMPTY(&db->for_room.reads) && !db->is_closing) {
        struct db_read *head = TAILQ_FIRST(&db->for_room.reads);
        if (!waiting_try(head) && TAILQ_FIRST(&db->for_room.reads) == head)
            break;
    }
}

static void list_expire(struct read_list *list, int64_t now_us)
{
    struct db_read *next;

    for (struct db_read *read = TAILQ_FIRST(&list->reads); read; read = next) {
        next = TAILQ_NEXT(read, link);
        if (now_us >= read->deadline_us && !waiting_try(read))
            waiting_end(read);
    }
}

void reads_look(struct db *db)
{
    struct db_server *closest = NULL;
    int64_t now_us = clock_monotonic_us();

    if (db->is_closing || (TAILQ_EMPTY(&db->for_room.reads) && TAILQ_EMPTY(&db->for_position.reads))) {
        ev_timer_stop(db->loop, &db->soon);
        return;
    }
    bool is_time = db->has_moved || now_us - db->looked_us > LOOK_MS * 1000LL;
    if (is_time) {
        db->has_moved = false;
        db->looked_us = now_us;
    }
    for (int left = db->for_position.count; is_time && left > 0 && !TAILQ_EMPTY(&db->for_position.reads); left--) {
        struct db_read *read = TAILQ_FIRST(&db->for_position.reads);
        unpark(read); /* to the end, if it must go on waiting */
        park(read, &db->for_position);
        waiting_try(read);
    }
    list_expire(&db->for_position, now_us);
    list_expire(&db->for_room, now_us);
    for (int i = 0; !TAILQ_EMPTY(&db->for_position.reads) && i < db->server_count; i++)
        if (db_server_is_fit(db->servers[i], true, now_us) && (!closest || db->servers[i]->lsn > closest->lsn))
            closest = db->servers[i];
    if (closest)
        db_server_poll(closest);
}

void reads_give_up(struct db *db)
{
    struct db_read *read;

    while ((read = TAILQ_FIRST(&db->for_room.reads)) || (read = TAILQ_FIRST(&db->for_position.reads)))
        read_fail(read, ERROR_UNAVAILABLE, "the server is stopping");
}

/* ---- answers ---- */

static bool read_again(struct db_read *read, const struct db_server *failed)
{
    struct db *db = read->db;

    read->failed = failed->id;
    if (db->is_closing || read->retries >= RETRIES_MAX || !budget_take(&db->budget, clock_monotonic_us()))
        return false;
    read->retries++;
    db->retries++;
    int64_t at_least_us = clock_monotonic_us() + db->settings.queue_timeout_ms * 1000LL;
    if (read->deadline_us < at_least_us)
        read->deadline_us = at_least_us;
    if (read->retries < RETRIES_MAX)
        return place_or_park(read);
    read->rests_us = clock_monotonic_us() + REST_MS * 1000LL;
    wait_in(read, &db->for_position);
    return true;
}

static void attempt_free(struct attempt *attempt)
{
    struct db_server *server = attempt->server;

    TAILQ_REMOVE(&server->attempts, attempt, link);
    attempt->magic = 0;
    free(attempt);
}

/* The server, not the statement, is why there is no answer. */
static bool is_servers_fault(const struct db_outcome *outcome)
{
    static const char *const states[] = {"57", "53", "58", "08",
                                         "XX"}; /* stopping, full, its disk, its connection, broken */

    if (outcome->error.code == ERROR_WRITE_UNCERTAIN)
        return true;
    for (size_t i = 0; outcome->error.code != ERROR_NONE && i < ARRAY_SIZE(states); i++)
        if (strncmp(outcome->sqlstate, states[i], 2) == 0)
            return true;
    return false;
}

static void read_refused(struct db_read *read, struct db_server *server, const struct db_outcome *outcome,
                         int64_t now_us)
{
    db_server_moved(server, (int)db_int64(outcome->rows[0], 0, 2), db_int64(outcome->rows[0], 0, 1));
    read->refused |= 1ULL << server->id;
    if (!server->behind_us)
        server->behind_us = now_us;
    if (is_hopeless(read, server, now_us))
        db_server_poll(server); /* perhaps not any more */
    if (!place_or_park(read))
        read_fail(read, ERROR_UNAVAILABLE, "no database server can answer this read now");
}

static void on_attempt(void *context, const struct db_outcome *outcome)
{
    struct attempt attempt = *(struct attempt *)context;
    struct db_read *read = attempt.read;
    struct db_server *server = attempt.server;
    struct db *db = server->db;
    struct db_outcome own = {.count = 0};
    int64_t now_us = clock_monotonic_us();
    bool is_timeout = strcmp(outcome->sqlstate, "57014") == 0; /* slow, or blocked: anywhere else it would be as well */
    bool is_lost = is_servers_fault(outcome) && !is_timeout;
    /* A standby cancels reads that are in the way of its replay. */
    bool is_cancelled = attempt.source == DB_REPLICA && strcmp(outcome->sqlstate, "40001") == 0;
    bool is_behind = outcome->error.code == ERROR_NONE && attempt.is_checked && !db_bool(outcome->rows[0], 0, 0);

    ASSERT_MAGIC(&attempt, ATTEMPT_MAGIC);
    attempt_free(context);
    if (is_lost)
        db_server_failed(server, &attempt, is_lost, now_us);
    else if (is_timeout)
        db_server_timed_out(server, &attempt, now_us);
    else
        db_server_succeeded(server, &attempt, now_us);
    reads_pump(db); /* first: whoever is called below may start reads at once, and would overtake those that wait */
    if (!read)
        return;
    read->attempt = NULL;
    if (is_behind) {
        read_refused(read, server, outcome, now_us);
    } else if ((is_lost || is_cancelled) && read_again(read, server)) {
        server->retries++;
    } else if (is_lost || is_cancelled) {
        read_fail(read, ERROR_UNAVAILABLE, "no database server can answer this read now");
    } else if (outcome->error.code != ERROR_NONE) {
        own.error = outcome->error;
        memcpy(own.sqlstate, outcome->sqlstate, sizeof(own.sqlstate));
        if (is_timeout)
            error_set(&own.error, ERROR_DEADLINE, "the database took too long");
        read_end(read, &own, attempt.source);
    } else {
        if (attempt.is_checked)
            db_server_moved(server, (int)db_int64(outcome->rows[0], 0, 2), db_int64(outcome->rows[0], 0, 1));
        own.rows[0] = outcome->rows[attempt.is_checked ? 1 : 0];
        own.count = 1;
        own.is_behind = attempt.is_behind;
        read_end(read, &own, attempt.source);
    }
}

/* ---- servers that do not answer ---- */

void reads_tick(struct db *db, struct db_server *server, int64_t now_us)
{
    struct attempt *next;
    int64_t stall_us = db->settings.stall_ms * 1000LL;

    for (struct attempt *attempt = TAILQ_FIRST(&server->attempts);
         attempt && now_us - attempt->sent_us > stall_us - stall_us / 4; attempt = next) {
        struct db_read *read = attempt->read;
        next = TAILQ_NEXT(attempt, link);
        if (!attempt->is_judged)
            db_attempt_judge(attempt, stall_us, now_us);
        if (!read || now_us - attempt->sent_us <= stall_us)
            continue;
        /* Given up only for another server: alone, it may still answer. */
        if (read->retries >= RETRIES_MAX || db->server_count < 2 || read->wish.needs_primary ||
            !budget_take(&db->budget, now_us))
            continue;
        read->failed = server->id;
        read->attempt = NULL;
        attempt->read = NULL;
        if (place(read) == PLACED) {
            read->retries++;
            db->retries++;
            server->retries++;
        } else {
            read->attempt = attempt;
            attempt->read = read;
        }
    }
}

/* ---- asking ---- */

static bool read_start(struct db *db, const struct db_call *call, const struct db_wish *wish, bool is_primary_first,
                       db_read_fn *done, void *context)
{
    struct db_read *read = malloc(sizeof(*read));
    int64_t now_us = clock_monotonic_us();

    ASSERT(read != NULL);
    *read = (struct db_read){.db = db,
                             .call = *call,
                             .wish = *wish,
                             .done = done,
                             .context = context,
                             .is_primary_first = is_primary_first,
                             .failed = -1,
                             .start_us = now_us,
                             .patience_us = now_us + db->settings.wait_ms * 1000LL,
                             .deadline_us = now_us + db->settings.queue_timeout_ms * 1000LL};
    budget_deposit(&db->budget, db->settings.retry_percent);
    db->reads++;
    if (!db->is_closing && place_or_park(read))
        return true;
    free(read);
    return false;
}

bool db_read_with(struct db *db, const struct db_call *call, const struct db_wish *wish, db_read_fn *done,
                  void *context)
{
    return read_start(db, call, wish, wish->needs_primary || wish->prefers_primary, done, context);
}

bool db_read(struct db *db, const struct db_call *call, int64_t lsn, db_read_fn *done, void *context)
{
    return read_start(db, call, &(struct db_wish){.lsn = lsn, .shown_lsn = lsn}, false, done, context);
}

bool db_read_primary(struct db *db, const struct db_call *call, db_read_fn *done, void *context)
{
    /* On a standby, at least what this process wrote. */
    return read_start(db, call, &(struct db_wish){.lsn = db_lsn(db)}, true, done, context);
}
