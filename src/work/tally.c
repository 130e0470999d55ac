#include "work/tally.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "work/alone.h"

static const char *const lock_name = "tally";

enum { PACE_STEP_US = 20000 };

/* Boards whose events raise an error: the others were added up. */
static bool aside_note(struct dbb *db, struct error *error)
{
    struct dbb_result *result;

    if (!dbb_query(db, statement_text(STATEMENT_tally_aside), 0, NULL, &result, error))
        return false;
    for (size_t i = 0; i < dbb_rows(result); i++)
        alone_note(lock_name, dbb_int64(result, i, 0), dbb_text(result, i, 1));
    dbb_result_free(&result);
    return true;
}

static bool fold(struct dbb *db, int64_t retention_days, enum tally_outcome *ret_outcome, struct error *error)
{
    char days[24];
    const char *parameters[] = {days};
    struct dbb_result *result;

    snprintf(days, sizeof(days), "%lld", (long long)retention_days);
    if (!dbb_script(db, "begin isolation level repeatable read", error))
        return false;
    if (!dbb_query(db, statement_text(STATEMENT_tally_fold), 1, parameters, &result, error)) {
        bool is_race = strcmp(dbb_sqlstate(db), "40001") == 0;
        dbb_rollback(db);
        return is_race; /* with the erasure of a player: the next call sees both */
    }
    int64_t counted = dbb_int64(result, 0, 1);
    bool has_more = dbb_bool(result, 0, 2);
    dbb_result_free(&result);
    if (!aside_note(db, error)) {
        dbb_rollback(db);
        return false;
    }
    if (!dbb_commit(db, error))
        return false;
    *ret_outcome = has_more ? TALLY_HAS_MORE : TALLY_DONE;
    if (counted > 0)
        log_info("standings-counted", LOG_INT("standings", counted));
    return true;
}

bool tally_run(struct link *link, enum tally_outcome *ret_outcome, struct error *error)
{
    bool is_ours;

    *ret_outcome = TALLY_ELSEWHERE;
    if (!link_open(link, false, error) || !link_lock(link, lock_name, &is_ours, error))
        return false;
    if (!is_ours)
        return true;
    bool is_ok = fold(link->db, link->settings->worker_event_retention_days, ret_outcome, error);
    link_unlock(link, lock_name);
    return is_ok;
}

/* ---- for writers of many rows ---- */

static bool query_bool(struct dbb *db, enum statement statement, const char *parameter, bool *ret_value,
                       struct error *error)
{
    struct dbb_result *result;

    if (!dbb_query(db, statement_text(statement), 1, &parameter, &result, error))
        return false;
    *ret_value = dbb_bool(result, 0, 0);
    dbb_result_free(&result);
    return true;
}

static bool fold_unless_elsewhere(struct dbb *db, int64_t retention_days, enum tally_outcome *ret_outcome,
                                  struct error *error)
{
    struct error ignored;
    bool is_ours;

    *ret_outcome = TALLY_ELSEWHERE;
    if (!query_bool(db, STATEMENT_job_lock, lock_name, &is_ours, error))
        return false;
    if (!is_ours)
        return true;
    bool is_ok = fold(db, retention_days, ret_outcome, error);
    if (!dbb_is_broken(db))
        dbb_query(db, statement_text(STATEMENT_job_unlock), 1, &lock_name, NULL, &ignored);
    return is_ok;
}

bool tally_pace(struct dbb *db, int64_t retention_days, struct error *error)
{
    const int64_t until_us = clock_monotonic_us() + TALLY_PACE_MAX_MS * 1000LL;
    enum tally_outcome outcome;
    char most[16];
    bool is_behind;

    snprintf(most, sizeof(most), "%d", TALLY_BEHIND_MAX);
    for (;;) {
        if (!query_bool(db, STATEMENT_tally_behind, most, &is_behind, error))
            return false;
        if (!is_behind || clock_monotonic_us() > until_us)
            return true;
        if (!fold_unless_elsewhere(db, retention_days, &outcome, error))
            return false;
        if (outcome == TALLY_ELSEWHERE)
            usleep(PACE_STEP_US);
    }
}
