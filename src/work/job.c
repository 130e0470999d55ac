#include "work/job.h"

#include <stdio.h>

#include "base/log.h"

static bool locked(struct link *link, enum statement statement, const char *name, bool *ret_is_ours, struct error *error)
{
    struct dbb_result *result;

    if (!link_query(link, statement, 1, &name, &result, error))
        return false;
    *ret_is_ours = dbb_bool(result, 0, 0);
    dbb_result_free(&result);
    return true;
}

/* The run's row is written behind it, so that a run with nothing to do leaves none. */
static void ledger_write(struct link *link, const char *name, int64_t rows, const char *failure)
{
    char id[24], rows_text[24];
    struct dbb_result *result;
    struct error error;

    if (!link_query(link, STATEMENT_job_start, 1, &name, &result, &error))
        return;
    snprintf(id, sizeof(id), "%lld", (long long)dbb_int64(result, 0, 0));
    dbb_result_free(&result);
    snprintf(rows_text, sizeof(rows_text), "%lld", (long long)rows);
    const char *parameters[] = {id, rows_text, failure};
    link_query(link, STATEMENT_job_end, 3, parameters, NULL, &error);
}

enum job_outcome job_run(struct link *link, const struct job *job, int64_t *ret_rows, struct error *error)
{
    struct error ignored;
    bool is_ours = false;

    *ret_rows = 0;
    if (!link_open(link, job->needs_kv, error) || !locked(link, STATEMENT_job_lock, job->name, &is_ours, error))
        return JOB_FAILED;
    if (!is_ours)
        return JOB_ELSEWHERE;
    bool is_ok = job->run(link, ret_rows, error);
    if (!is_ok && dbb_is_broken(link->db))
        return JOB_FAILED; /* the lock ended with the session */
    if (!is_ok)
        dbb_rollback(link->db);
    if (!is_ok || *ret_rows > 0)
        ledger_write(link, job->name, *ret_rows, is_ok ? NULL : error->message);
    locked(link, STATEMENT_job_unlock, job->name, &is_ours, &ignored);
    return is_ok ? JOB_DONE : JOB_FAILED;
}
