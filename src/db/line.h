/*
 * line.h -- one server, as a line of the settings names it: ladder's own words, then a connection string.
 *
 *     postgresql://ladder_serve@10.0.0.1/ladder
 *     name=eu-2 zone=eu weight=3 postgresql://ladder_serve@10.0.0.2/ladder
 *     name=pool pooled=yes connections=8 host=10.0.0.3 port=6432 dbname=ladder
 *
 *     name=NAME          for logs, metrics and `ladder servers`; up to 31 of letters, digits, '.', '_', '-'
 *     zone=NAME          where it stands; same rules
 *     weight=N           1 to 1000; default 1
 *     connections=N      the most from each loop; default: the setting's
 *     connections_min=N  how many are kept open
 *     pooled=yes         PgBouncer in transaction mode is in between
 *
 * Without a connection string, libpq's defaults and environment say where it is.
 *
 * A connection string with several hosts is several servers, named NAME-1, NAME-2, …
 */
#ifndef DB_LINE_H
#define DB_LINE_H

#include <stdbool.h>

#include "base/error.h"

enum { DB_SERVERS_MAX = 32, DB_NAME_MAX = 32, DB_CONNINFO_MAX = 1024 };

struct db_line {
    char name[DB_NAME_MAX];
    char zone[DB_NAME_MAX];
    char conninfo[DB_CONNINFO_MAX];
    int weight;
    int connections;     /* 0: as the setting says */
    int connections_min; /* -1: as the setting says */
    bool is_pooled;
    bool is_drained; /* by the operator: no new reads */
};

/*
 * Appends the line's servers to lines[*count], of which there is room for DB_SERVERS_MAX. fallback: the name of one
 * that has none. ERROR_CONFIG says what is wrong: an unknown word, a number out of range, a name that is taken, a
 * connection string that libpq does not understand, or would refuse when it connects (a port, an sslmode). Values of
 * the connection string are not repeated: one of them is the password.
 */
bool db_line_parse(const char *text, const char *fallback, struct db_line *lines, int *count, struct error *error);

#endif
