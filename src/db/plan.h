/*
 * plan.h -- which servers there are and how they are used, changed while the process runs.
 *
 * One plan a process. Every loop's db takes it over by itself soon after it was changed: a server that is new is
 * dialled, one that is gone gets no new call and is closed when those under way were answered. Any thread.
 */
#ifndef DB_PLAN_H
#define DB_PLAN_H

#include "db/db.h"

/* The settings as they were read again: servers, and how reads are spread. What the operator drained stays drained.
 * Sizes of what is made at the start (write_connections) and its timeouts stay as they were. */
void plan_replace(const struct db_settings *settings);

/* What `ladder servers` asks for. ERROR_NOT_FOUND, ERROR_CONFLICT (the last one), ERROR_CONFIG. */
bool plan_drain(const char *name, bool is_drained, struct error *error);
bool plan_add(const char *line, struct error *error);
bool plan_remove(const char *name, struct error *error);

#endif
