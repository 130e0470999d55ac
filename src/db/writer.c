/*
 * writer.c -- the connections for submissions: to whoever leads.
 *
 * On each new one the epoch is asked before a submission goes over it: which history this is. They stay with a leader
 * that is away, and go over to another as soon as it was found.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/magic.h"
#include "db/primary_clock.h"
#include "db/private.h"

static void on_epoch(void *context, const struct db_outcome *outcome)
{
    struct writer *writer = context;
    struct db *db = writer->db;

    ASSERT_MAGIC(writer, WRITER_MAGIC);
    if (outcome->error.code != ERROR_NONE) {
        if (!db->is_closing)
            log_warn("primary-refused", LOG_TEXT("because", outcome->error.message));
        return;
    }
    db->upwards->entered(db, (int)db_int64(outcome->rows[0], 0, 0), (int)db_int64(outcome->rows[0], 0, 1));
    primary_clock_saw(db_int64(outcome->rows[0], 0, 2));
    writer->is_open = true;
    if (db->settings.writer_ready)
        db->settings.writer_ready(db->settings.writer_context);
}

static void writer_changed(void *context, struct db_connection *connection, bool is_ready)
{
    struct writer *writer = context;
    struct db *db = writer->db;
    const struct db_call call = {.statement = STATEMENT_epoch, .is_last_of_transaction = true};

    ASSERT_MAGIC(writer, WRITER_MAGIC);
    writer->is_open = false;
    if (is_ready)
        db_connection_send(connection, &call, 1, on_epoch, writer);
    else if (db->leader && !db->is_closing)
        db_server_check(db->leader);
}

void writers_new(struct db *db)
{
    const struct db_settings *settings = &db->settings;

    for (int i = 0; i < settings->write_connections; i++) {
        struct writer *writer = &db->writers[i];
        writer->magic = WRITER_MAGIC;
        writer->db = db;
        writer->connection = db_connection_new(db->loop, &(struct db_connection_settings){
                                                             .name = "primary",
                                                             .synchronous_commit = db->settings.synchronous_commit,
                                                             .connect_timeout_ms = settings->connect_timeout_ms,
                                                             .statement_timeout_ms = settings->statement_timeout_ms,
                                                             .tcp_user_timeout_ms = settings->tcp_user_timeout_ms,
                                                             .reconnect_max_ms = settings->reconnect_max_ms,
                                                             .changed = writer_changed,
                                                             .changed_context = writer,
                                                         });
    }
}

void writers_redirect(struct db *db)
{
    const struct db_line *line = db->leader ? &db->leader->line : NULL;

    for (int i = 0; i < db->settings.write_connections; i++)
        db_connection_redirect(db->writers[i].connection, line ? line->conninfo : NULL, line ? line->name : NULL,
                               line && line->is_pooled);
}

void writers_free(struct db *db)
{
    for (int i = 0; i < db->settings.write_connections; i++)
        db_connection_free(&db->writers[i].connection);
}

bool db_can_write(const struct db *db)
{
    for (int i = 0; i < db->settings.write_connections; i++)
        if (db->writers[i].is_open)
            return true;
    return false;
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
