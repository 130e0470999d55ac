#include "work/tally.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

static const char lock_name[] = "tally";

static bool fold(struct link *link, bool *ret_is_done, struct error *error)
{
    char days[24];
    const char *parameters[] = {days};
    struct dbb_result *result;

    snprintf(days, sizeof(days), "%lld", (long long)link->settings->worker_event_retention_days);
    if (!dbb_script(link->db, "begin isolation level repeatable read", error))
        return false;
    if (!link_query(link, STATEMENT_tally_fold, 1, parameters, &result, error)) {
        bool is_race = strcmp(dbb_sqlstate(link->db), "40001") == 0;
        dbb_rollback(link->db);
        return is_race; /* with the erasure of a player: the next call sees both */
    }
    int64_t counted = dbb_int64(result, 0, 1);
    dbb_result_free(&result);
    if (!dbb_commit(link->db, error))
        return false;
    *ret_is_done = true;
    if (counted > 0)
        log_info("standings-counted", LOG_INT("standings", counted));
    return true;
}

bool tally_run(struct link *link, bool *ret_is_done, struct error *error)
{
    bool is_ours;

    *ret_is_done = false;
    if (!link_open(link, false, error) || !link_lock(link, lock_name, &is_ours, error))
        return false;
    if (!is_ours)
        return true;
    bool is_ok = fold(link, ret_is_done, error);
    link_unlock(link, lock_name);
    return is_ok;
}
