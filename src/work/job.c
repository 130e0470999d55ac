#include "work/job.h"

#include <stdio.h>
#include <unistd.h>

#include "work/alone.h"

static bool is_due(struct link *link, const char *name, int64_t unless_within_ms, bool *ret_is_due, struct error *error)
{
    char within[24];
    const char *parameters[] = {name, within};
    struct dbb_result *result;

    snprintf(within, sizeof(within), "%lld", (long long)unless_within_ms);
    if (!link_query(link, STATEMENT_job_due, 2, parameters, &result, error))
        return false;
    *ret_is_due = dbb_bool(result, 0, 0);
    dbb_result_free(&result);
    return true;
}

static bool ledger_begin(struct link *link, const char *name, int64_t *ret_id, struct error *error)
{
    char host[64] = "", runner[96];
    const char *parameters[] = {name, runner};
    struct dbb_result *result;

    gethostname(host, sizeof(host) - 1);
    snprintf(runner, sizeof(runner), "%s/%d", host, getpid());
    if (!link_query(link, STATEMENT_job_start, 2, parameters, &result, error))
        return false;
    *ret_id = dbb_int64(result, 0, 0);
    dbb_result_free(&result);
    return true;
}

static bool ledger_end(struct link *link, int64_t id, int64_t rows, const char *failure, struct error *error)
{
    char id_text[24], rows_text[24];
    const char *parameters[] = {id_text, rows_text, failure};

    snprintf(id_text, sizeof(id_text), "%lld", (long long)id);
    snprintf(rows_text, sizeof(rows_text), "%lld", (long long)rows);
    return link_query(link, STATEMENT_job_end, 3, parameters, NULL, error);
}

/* With the lock. */
static enum job_outcome run_locked(struct link *link, const struct job *job, int64_t unless_within_ms,
                                   int64_t *ret_rows, struct error *error)
{
    bool is_wanted = true;
    int64_t id;

    if (unless_within_ms && !is_due(link, job->name, unless_within_ms, &is_wanted, error))
        return JOB_FAILED;
    if (!is_wanted)
        return JOB_RECENT;
    if (!ledger_begin(link, job->name, &id, error))
        return JOB_FAILED;
    if (job->run(link, ret_rows, error) && (!job->parts || alone_worked(link, job->parts, job->name, error)))
        return ledger_end(link, id, *ret_rows, NULL, error) ? JOB_DONE : JOB_FAILED;
    struct error ignored;
    dbb_rollback(link->db);
    ledger_end(link, id, *ret_rows, error->message, &ignored);
    return JOB_FAILED;
}

enum job_outcome job_run(struct link *link, const struct job *job, int64_t unless_within_ms, int64_t *ret_rows,
                         struct error *error)
{
    bool is_ours;

    *ret_rows = 0;
    if (!link_open(link, job->needs_kv, error) || !link_lock(link, job->name, &is_ours, error))
        return JOB_FAILED;
    if (!is_ours)
        return JOB_ELSEWHERE;
    enum job_outcome outcome = run_locked(link, job, unless_within_ms, ret_rows, error);
    link_unlock(link, job->name);
    return outcome;
}
