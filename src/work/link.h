/*
 * link.h -- the two connections of a background job, made again when they are lost.
 */
#ifndef WORK_LINK_H
#define WORK_LINK_H

#include "conf/settings.h"
#include "db/blocking.h"
#include "db/statements.h"
#include "kv/blocking.h"

enum { LINK_TEXT_MAX = 96 };

struct link {
    const struct settings *settings; /* borrowed */
    const char *name;                /* application_name; borrowed */
    const atomic_bool *stop;         /* NULL, or what ends a statement that runs: dbb_stop_with; borrowed */
    bool is_hasty;                   /* gives up a PostgreSQL that says nothing, as it does with Redis */
    int silences; /* so many times, one after the other: each time it waits twice as long, for what is only slow */
    struct dbb *db;
    struct kvb *kv;
    int64_t epoch;
    char epoch_text[16];
};

/* Is the program asked to end? */
bool link_is_stopping(const struct link *link);

/*
 * Opens what is closed or broken, and reads the epoch when the database was opened. Leaves a primary that was replaced
 * (link_look).
 */
bool link_open(struct link *link, bool needs_kv, struct error *error);
void link_close(struct link *link);
/* Looks which of the configured servers is the primary of the newest timeline: a primary that was replaced may live on
 * and take all that it is given. Does nothing where only one server is configured. For all links of the process; on one
 * thread. */
bool link_look(const struct settings *settings, struct error *error);
/* Closes the connection to a Redis that is no primary any more. Not where it matters that all goes to the same one. */
void link_check(struct link *link);
/* What it was opened for was done, or failed. */
void link_done(struct link *link, bool is_ok);
/* The epoch, again. */
bool link_epoch(struct link *link, struct error *error);

/* Takes from one of the lists that readers fill: a command and its arguments, the list's key first. A value of another kind
 * under that name, from whomever, would stop every reader from adding to it, and us for good: it goes, and *ret_reply is NULL. */
bool link_pop(struct link *link, size_t count, const struct slice *command, struct kvb_reply **ret_reply,
              struct error *error);

/* A lock by name among all workers and commands: one session of PostgreSQL has it, until it lets go or ends. Never waits;
 * *ret_is_ours says whether it is this link's now. */
bool link_lock(struct link *link, const char *name, bool *ret_is_ours, struct error *error);
/* A session that was lost has let go already. */
void link_unlock(struct link *link, const char *name);

/* A statement by name. */
bool link_query(struct link *link, enum statement statement, size_t count, const char *const *parameters,
                struct dbb_result **ret_result, struct error *error);

#endif
