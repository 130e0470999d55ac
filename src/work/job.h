/*
 * job.h -- the periodic jobs: what they are, and how one is run.
 *
 * A job runs on one worker at a time: a PostgreSQL advisory lock elects it, for cron's runs too. Every run has a row in
 * ladder.job_run, from its start on; of those that found nothing to do only the last one's is kept. The lock ends with
 * the session, so when a runner dies the next one may start at once; it ends the dead one's row.
 */
#ifndef WORK_JOB_H
#define WORK_JOB_H

#include "work/link.h"

struct job {
    const char *name;
    const char *parts; /* those that work board by board (alone.h), as an array's text; NULL: none */
    int64_t period_ms;
    bool needs_kv;
    /* Does what is due; ret_rows: how much that was. */
    bool (*run)(struct link *link, int64_t *ret_rows, struct error *error);
};

extern const struct job roll_job, partitions_job, purge_job, popular_job, snapshot_job, combine_job;

enum job_outcome {
    JOB_DONE,
    JOB_ELSEWHERE, /* another runner is at it */
    JOB_RECENT,    /* somebody did it less than unless_within_ms ago */
    JOB_FAILED,    /* *error says why */
};

/* Runs it once. unless_within_ms: 0, always; otherwise a run that began less than so long ago and succeeded counts as
 * ours. */
enum job_outcome job_run(struct link *link, const struct job *job, int64_t unless_within_ms, int64_t *ret_rows,
                         struct error *error);

#endif
