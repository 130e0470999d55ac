/*
 * alone.h -- a job that fails for one board goes on with the others.
 *
 * What fails is logged (job-failed, with the board), counted by job (ladder_job_board_failures_total), told to the
 * servers for their alert (board-job-failed), and left out for 5 s, then twice as long each time, up to 5 min. The
 * table ladder.job_item remembers it, so that it holds for all workers and for cron's runs.
 *
 * Only an error of the board's own data is treated so: where PostgreSQL or Redis is away, shuts down or is out of
 * resources, the whole run fails, as before.
 */
#ifndef WORK_ALONE_H
#define WORK_ALONE_H

#include "work/link.h"

/*
 * A step of the job failed for a board, with *why. true: it was noted, go on with the next. false: it says nothing of
 * the board, or could not be noted; *error says what to fail with. A transaction that is open is undone. part: the job,
 * or its part that has attempts of its own: static.
 */
bool alone_failed(struct link *link, const char *part, const char *board, const struct error *why, struct error *error);

/* Logs and counts a failure that SQL has written to ladder.job_item. part: static. */
void alone_note(const char *part, int64_t board, const char *because);

/* The same, of the board of a standing: what cannot be in Redis. Where its row cannot be read, it is noted of board 0.
 * false only if the server is at fault. */
bool alone_standing_failed(struct link *link, const char *part, int64_t standing, const struct error *why,
                           struct error *error);
/* Tells the servers by an empty message that anything may have changed, in any standing. */
bool alone_forget_tell(struct link *link, struct error *error);
/*
 * Takes a standing that Redis raises errors for out of Redis, so that PostgreSQL answers for it. The caller asks for it
 * to be rebuilt (rebuild_want).
 */
bool alone_standing_drop(struct link *link, int64_t standing, struct error *error);

/* Of a failure: does it speak of PostgreSQL or Redis, and not of what they were asked for? */
bool alone_is_of_server(const struct link *link, const struct error *why);

/* Rows of a list that one statement takes together: it gets the ids of the column `id`, as an array's text. */
struct alone_list {
    const char *part;
    const struct dbb_result *rows;
    size_t id, board; /* columns */
    bool (*run)(struct link *link, const char *ids, void *context, struct error *error);
    void *context;
};

/* Runs the list, some hundred rows at a time. Where that fails, in halves, until what fails stands alone. */
bool alone_run(struct link *link, const struct alone_list *list, struct error *error);

/* After a run of a job: what its parts (an array's text) do not fail for any more. */
bool alone_worked(struct link *link, const char *parts, const char *job, struct error *error);

/* Tells the servers, by way of Redis, which jobs fail for how many boards. */
bool alone_tell(struct link *link, struct error *error);

#endif
