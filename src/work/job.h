/*
 * job.h -- the periodic jobs: what they are, and how one is run.
 *
 * A job runs on one worker at a time: a PostgreSQL advisory lock elects it, for cron's runs too. A run that did something,
 * or failed, has a row in ladder.job_run.
 */
#ifndef WORK_JOB_H
#define WORK_JOB_H

#include "work/link.h"

struct job {
    const char *name;
    int64_t period_ms;
    bool needs_kv;
    /* Does what is due; ret_rows: how much that was. */
    bool (*run)(struct link *link, int64_t *ret_rows, struct error *error);
};

extern const struct job roll_job, partitions_job, purge_job;

enum job_outcome { JOB_DONE, JOB_ELSEWHERE /* another runner has it */, JOB_FAILED };
enum job_outcome job_run(struct link *link, const struct job *job, int64_t *ret_rows, struct error *error);

#endif
