/*
 * partitions.c -- partitions ahead, and the end of old ones.
 *
 * An old partition is detached first (CONCURRENTLY: readers and writers of the others go on) and dropped then, so that
 * the drop locks nobody but itself. Detaching so can't be done in a function, and only by the parent's owner: the
 * worker.
 */
#include <stdio.h>
#include <string.h>

#include "work/job.h"

static bool partition_drop(struct link *link, const char *name, const char *state, struct error *error)
{
    char sql[256];
    struct error ignored;

    if (strcmp(state, "detached") != 0) {
        /* The name matched ^score_event_[0-9]{8}$. What an earlier run began, it can only be finished. */
        snprintf(sql, sizeof(sql), "alter table ladder.score_event detach partition ladder.%s %s", name,
                 strcmp(state, "detaching") == 0 ? "finalize" : "concurrently");
        bool is_ok = dbb_script(link->db, "set lock_timeout = '1s'", error) && dbb_script(link->db, sql, error);
        if (!dbb_script(link->db, "reset lock_timeout", is_ok ? error : &ignored) || !is_ok)
            return false;
    }
    return link_query(link, STATEMENT_partition_drop, 1, &name, NULL, error);
}

static bool partitions_run(struct link *link, int64_t *ret_rows, struct error *error)
{
    char ahead[24], days[24];
    const char *ahead_parameter[] = {ahead}, *days_parameter[] = {days};
    struct dbb_result *result;
    bool is_ok = true;

    snprintf(ahead, sizeof(ahead), "%lld", (long long)link->settings->worker_partitions_ahead);
    snprintf(days, sizeof(days), "%lld", (long long)link->settings->worker_event_retention_days);
    if (!link_query(link, STATEMENT_partition_ensure, 1, ahead_parameter, &result, error))
        return false;
    *ret_rows += dbb_int64(result, 0, 0);
    dbb_result_free(&result);
    if (!link_query(link, STATEMENT_partition_expired, 1, days_parameter, &result, error))
        return false;
    for (size_t i = 0; i < dbb_rows(result) && is_ok; i++) {
        is_ok = partition_drop(link, dbb_text(result, i, 0), dbb_text(result, i, 1), error);
        *ret_rows += is_ok;
    }
    dbb_result_free(&result);
    snprintf(days, sizeof(days), "%lld", (long long)link->settings->worker_snapshot_retention_days);
    if (!is_ok || !link_query(link, STATEMENT_snapshot_expire, 1, days_parameter, &result, error))
        return false;
    *ret_rows += dbb_int64(result, 0, 0);
    dbb_result_free(&result);
    return true;
}

const struct job partitions_job = {.name = "partitions", .period_ms = 3600000, .run = partitions_run};
