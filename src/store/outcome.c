/*
 * outcome.c -- who answered a read, and what PostgreSQL's refusals mean to a caller (store.h). Uses no other file of the room.
 */
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "store/store.h"

bool store_is_passing(const char *sqlstate)
{
    /* Shutting down, out of resources, a disk that fails, too slow, raced too often, not the primary any more, not
     * prepared in time: all pass. The same list as submit_is_passing. */
    static const char *const passing[] = {"08", "53", "57", "58", "40", "25006", "55P03", "26000"};

    for (size_t i = 0; i < ARRAY_SIZE(passing); i++)
        if (strncmp(sqlstate, passing[i], strlen(passing[i])) == 0)
            return true;
    return false;
}

void store_error_of(const struct db_outcome *outcome, struct error *error)
{
    *error = outcome->error;
    if (error->code == ERROR_WRITE_UNCERTAIN)
        error_set(error, ERROR_UNAVAILABLE, "the connection to the database was lost");
    if (error->code != ERROR_INTERNAL)
        return;
    log_error("database-refused", LOG_TEXT("sqlstate", outcome->sqlstate), LOG_TEXT("message", outcome->error.message));
    if (store_is_passing(outcome->sqlstate)) {
        bool is_cancelled = strcmp(outcome->sqlstate, "57014") == 0;
        error_set(error, is_cancelled ? ERROR_DEADLINE : ERROR_UNAVAILABLE,
                  is_cancelled ? "the statement took longer than database.statement_timeout_ms and was undone"
                               : "the database cannot do this now; try again");
        return;
    }
    error_set(error, ERROR_INTERNAL, "the database refused a statement");
}

enum source store_source_of(const struct db_outcome *outcome, enum db_source source)
{
    return outcome->is_behind ? SOURCE_BEHIND : source == DB_REPLICA ? SOURCE_REPLICA : SOURCE_PRIMARY;
}
