#include "db/db.h"

#include <ev.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "db/primary_clock.h"

enum { CONNECTIONS_MAX = 64 };

struct server {
    char name[16];
    struct db_connection *connections[CONNECTIONS_MAX];
    int count;
};

struct writer {
    struct db *db; /* borrowed */
    struct db_connection *connection;
    bool is_open; /* its epoch was asked for since it was made, and answered */
};

struct db {
    struct ev_loop *loop;
    struct db_settings settings;
    struct server primary; /* reads, and writes that are no submissions */
    struct server replicas[DB_REPLICAS_MAX];
    struct writer writers[CONNECTIONS_MAX];
    int next_replica;
    int epoch;
    int timeline;
    bool is_closing; /* no connection is picked any more */
};

/* What this process has acknowledged, by any of its loops: a client's next request may come to another one. */
static _Atomic int64_t process_lsn;

/* ---- the epoch: asked on each new connection to the primary before a submission goes over it ---- */

static void on_epoch(void *context, const struct db_outcome *outcome)
{
    struct writer *writer = context;
    struct db *db = writer->db;

    if (outcome->error.code != ERROR_NONE) {
        log_warn("primary-refused", LOG_TEXT("because", outcome->error.message));
        return;
    }
    int epoch = (int)db_int64(outcome->rows[0], 0, 0);
    if (epoch != db->epoch) {
        log_info("epoch", LOG_INT("epoch", epoch), LOG_INT("was", db->epoch));
        /* Positions of the old history mean nothing in the new one. */
        process_lsn = 0;
        primary_clock_forget();
    }
    primary_clock_saw(db_int64(outcome->rows[0], 0, 2));
    db->epoch = epoch;
    db->timeline = (int)db_int64(outcome->rows[0], 0, 1);
    writer->is_open = true;
    if (db->settings.writer_ready)
        db->settings.writer_ready(db->settings.writer_context);
}

static void writer_changed(void *context, struct db_connection *connection, bool is_ready)
{
    struct writer *writer = context;
    const struct db_call call = {.statement = STATEMENT_epoch, .is_last_of_transaction = true};

    writer->is_open = false;
    if (is_ready)
        db_connection_send(connection, &call, 1, on_epoch, writer);
}

/* ---- life ---- */

static void server_open(struct db *db, struct server *server, const char *conninfo)
{
    server->count = db->settings.read_connections;
    for (int i = 0; i < server->count; i++)
        server->connections[i] = db_connection_new(db->loop, &(struct db_connection_settings){
                                                                 .conninfo = conninfo,
                                                                 .name = server->name,
                                                                 .connect_timeout_ms = db->settings.connect_timeout_ms,
                                                                 .statement_timeout_ms = db->settings.statement_timeout_ms,
                                                                 .reconnect_max_ms = db->settings.reconnect_max_ms,
                                                             });
}

struct db *db_new(struct ev_loop *loop, const struct db_settings *settings)
{
    struct db *db = calloc(1, sizeof(*db));

    ASSERT(db != NULL && settings->write_connections <= CONNECTIONS_MAX && settings->read_connections <= CONNECTIONS_MAX);
    db->loop = loop;
    db->settings = *settings;
    strcpy(db->primary.name, "primary");
    server_open(db, &db->primary, settings->primary);
    for (int i = 0; i < settings->replica_count; i++) {
        snprintf(db->replicas[i].name, sizeof(db->replicas[i].name), "replica-%d", i + 1);
        server_open(db, &db->replicas[i], settings->replicas[i]);
    }
    for (int i = 0; i < settings->write_connections; i++) {
        struct writer *writer = &db->writers[i];
        writer->db = db;
        writer->connection = db_connection_new(loop, &(struct db_connection_settings){
                                                         .conninfo = settings->primary,
                                                         .name = "primary",
                                                         .connect_timeout_ms = settings->connect_timeout_ms,
                                                         .statement_timeout_ms = settings->statement_timeout_ms,
                                                         .reconnect_max_ms = settings->reconnect_max_ms,
                                                         .changed = writer_changed,
                                                         .changed_context = writer,
                                                     });
    }
    return db;
}

void db_free(struct db **pdb)
{
    struct db *db = *pdb;

    if (!db)
        return;
    db->is_closing = true;
    for (int i = 0; i < db->settings.write_connections; i++)
        db_connection_free(&db->writers[i].connection);
    for (int i = 0; i < db->primary.count; i++)
        db_connection_free(&db->primary.connections[i]);
    for (int r = 0; r < db->settings.replica_count; r++)
        for (int i = 0; i < db->replicas[r].count; i++)
            db_connection_free(&db->replicas[r].connections[i]);
    free(db);
    *pdb = NULL;
}

/* ---- choosing ---- */

static struct db_connection *server_pick(const struct server *server)
{
    struct db_connection *best = NULL;

    for (int i = 0; i < server->count; i++) {
        struct db_connection *c = server->connections[i];
        if (db_connection_is_ready(c) && (!best || db_connection_pending(c) < db_connection_pending(best)))
            best = c;
    }
    return best;
}

static struct db_connection *primary_pick(const struct db *db)
{
    struct db_connection *c = db->is_closing ? NULL : server_pick(&db->primary);

    return c && !db_connection_is_standby(c) ? c : NULL;
}

static struct db_connection *replica_pick(struct db *db)
{
    for (int i = 0; i < db->settings.replica_count && !db->is_closing; i++) {
        struct db_connection *c = server_pick(&db->replicas[db->next_replica++ % db->settings.replica_count]);
        if (c)
            return c;
    }
    return NULL;
}

int db_epoch(const struct db *db)
{
    return db->epoch;
}

int db_timeline(const struct db *db)
{
    return db->timeline;
}

bool db_can_write(const struct db *db)
{
    for (int i = 0; i < db->settings.write_connections; i++)
        if (db->writers[i].is_open)
            return true;
    return false;
}

bool db_can_read(const struct db *db)
{
    return server_pick(&db->primary) || db_replicas_ready(db) > 0;
}

int db_replicas_ready(const struct db *db)
{
    int ready = 0;

    for (int i = 0; i < db->settings.replica_count; i++)
        ready += server_pick(&db->replicas[i]) != NULL;
    return ready;
}

int db_replica_count(const struct db *db)
{
    return db->settings.replica_count;
}

void db_saw_lsn(struct db *db, int64_t lsn)
{
    int64_t seen = process_lsn;

    (void)db;
    while (lsn > seen && !atomic_compare_exchange_weak(&process_lsn, &seen, lsn))
        ;
}

int64_t db_lsn(const struct db *db)
{
    (void)db;
    return process_lsn;
}

struct db_connection *db_writer(struct db *db, int index)
{
    struct writer *writer = &db->writers[index];

    return !db->is_closing && writer->is_open && db_connection_is_ready(writer->connection) ? writer->connection : NULL;
}

int db_writer_count(const struct db *db)
{
    return db->settings.write_connections;
}

bool db_write(struct db *db, const struct db_call *calls, int count, db_done_fn *done, void *context)
{
    struct db_connection *c = primary_pick(db);

    return c && db_connection_send(c, calls, count, done, context);
}

/* ---- reads ---- */

struct read {
    struct db *db;
    struct db_call call; /* parameters borrowed from the caller */
    int64_t lsn;
    db_read_fn *done;
    void *context;
    bool is_checked; /* a replica_covers goes in front */
    enum db_source source;
    int attempts;
};

/* Each may find one more connection of a server that has just died. */
enum { READ_ATTEMPTS_MAX = 8 };

static bool read_send(struct read *read, bool to_replica);

static void on_read(void *context, const struct db_outcome *outcome)
{
    struct read *read = context;
    struct db_outcome own = {.count = 0};
    bool is_lost = outcome->error.code == ERROR_WRITE_UNCERTAIN;
    /* A replica cancels reads that are in the way of its replay (40001), and says so when it is shutting down (57P0x). */
    bool is_cancelled = read->source == DB_REPLICA &&
                        (strcmp(outcome->sqlstate, "40001") == 0 || strncmp(outcome->sqlstate, "57P0", 4) == 0);
    bool is_behind = outcome->error.code == ERROR_NONE && read->is_checked && !db_bool(outcome->rows[0], 0, 0);

    if (is_lost || is_cancelled || is_behind) {
        /* Reads may be asked again: of the other side first, the primary for what a replica lacks. */
        bool to_replica = read->source == DB_PRIMARY;
        if (read->attempts < READ_ATTEMPTS_MAX && (read_send(read, to_replica) || read_send(read, !to_replica)))
            return;
        error_set(&own.error, ERROR_UNAVAILABLE, "no database server can answer this read now");
    } else if (outcome->error.code != ERROR_NONE) {
        own.error = outcome->error;
        memcpy(own.sqlstate, outcome->sqlstate, sizeof(own.sqlstate));
        if (strcmp(own.sqlstate, "57014") == 0)
            error_set(&own.error, ERROR_UNAVAILABLE, "the database took too long");
    } else {
        own.rows[0] = outcome->rows[read->is_checked ? 1 : 0];
        own.count = 1;
    }
    read->done(read->context, &own, read->source);
    free(read);
}

static bool read_send(struct read *read, bool to_replica)
{
    struct db_connection *c = to_replica ? replica_pick(read->db) : primary_pick(read->db);
    struct db_call calls[2];
    char lsn[24];
    int count = 0;

    if (!c)
        return false;
    read->is_checked = to_replica && read->lsn > 0;
    read->source = to_replica ? DB_REPLICA : DB_PRIMARY;
    if (read->is_checked) {
        snprintf(lsn, sizeof(lsn), "%lld", (long long)read->lsn);
        calls[count++] = (struct db_call){
            .statement = STATEMENT_replay_covers,
            .parameter_count = 1,
            .is_last_of_transaction = true, /* its own: the read's snapshot must be taken after it */
            .parameters = {{.data = lsn, .format = DB_TEXT}},
        };
    }
    calls[count] = read->call;
    calls[count++].is_last_of_transaction = true;
    if (!db_connection_send(c, calls, count, on_read, read))
        return false;
    read->attempts++;
    return true;
}

static bool read_start(struct db *db, const struct db_call *call, int64_t lsn, bool replica_first, db_read_fn *done, void *context)
{
    struct read *read = malloc(sizeof(*read));

    ASSERT(read != NULL);
    *read = (struct read){.db = db, .call = *call, .lsn = lsn, .done = done, .context = context};
    if (read_send(read, replica_first) || read_send(read, !replica_first))
        return true;
    free(read);
    return false;
}

bool db_read(struct db *db, const struct db_call *call, int64_t lsn, db_read_fn *done, void *context)
{
    return read_start(db, call, lsn, true, done, context);
}

bool db_read_primary(struct db *db, const struct db_call *call, db_read_fn *done, void *context)
{
    /* On a replica, at least what this loop wrote. */
    return read_start(db, call, process_lsn, false, done, context);
}
