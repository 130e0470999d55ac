/*
 * roll.c -- opening the coming periods, closing those that ended.
 *
 * The row of a coming period is made ahead and its standing loaded (empty) into Redis, so that the second it opens is like
 * any other. Closing takes two steps, because a submission that is on its way has looked at the state before it commits:
 *
 *   open -> closing   from here no transaction that begins takes more
 *   closing -> closed when every transaction that may have seen it open has ended: now it is final
 *
 * A worker that dies between leaves it closing, and the next one goes on from there.
 */
#include <stdio.h>
#include <unistd.h>

#include "kv/keys.h"
#include "work/job.h"
#include "work/rebuild.h"

enum { AHEAD_S = 60, SETTLE_STEP_US = 20000, SETTLE_STEPS_MAX = 500 };

static bool periods_open(struct link *link, int64_t *rows, struct error *error)
{
    char ahead[16];
    const char *parameters[] = {ahead};
    struct dbb_result *result;
    bool is_ok = true;

    snprintf(ahead, sizeof(ahead), "%d", AHEAD_S);
    if (!link_query(link, STATEMENT_roll_open, 1, parameters, &result, error))
        return false;
    for (size_t i = 0; i < dbb_rows(result) && is_ok; i++)
        is_ok = rebuild_want(link, dbb_int64(result, i, 0), false, error);
    *rows += (int64_t)dbb_rows(result);
    dbb_result_free(&result);
    return is_ok;
}

static bool wait_settled(struct link *link, const char *xid, bool *ret_is_settled, struct error *error)
{
    *ret_is_settled = false;
    for (int i = 0; i < SETTLE_STEPS_MAX && !*ret_is_settled; i++) {
        struct dbb_result *result;
        if (i)
            usleep(SETTLE_STEP_US);
        if (!link_query(link, STATEMENT_roll_settled, 1, &xid, &result, error))
            return false;
        *ret_is_settled = dbb_bool(result, 0, 0);
        dbb_result_free(&result);
    }
    return true;
}

static bool periods_close(struct link *link, int64_t *rows, struct error *error)
{
    char grace[24], xid[32];
    const char *parameters[] = {grace};
    struct dbb_result *result;
    bool is_settled, is_ok = true;

    snprintf(grace, sizeof(grace), "%lld", (long long)link->settings->worker_close_grace_ms);
    if (!link_query(link, STATEMENT_roll_closing, 1, parameters, NULL, error) ||
        !link_query(link, STATEMENT_roll_pending, 0, NULL, &result, error))
        return false;
    int64_t pending = dbb_int64(result, 0, 0);
    snprintf(xid, sizeof(xid), "%s", dbb_text(result, 0, 1));
    dbb_result_free(&result);
    if (pending == 0)
        return true;
    if (!wait_settled(link, xid, &is_settled, error))
        return false;
    if (!is_settled)
        return true; /* something runs long: the next run looks again */
    if (!link_query(link, STATEMENT_roll_closed, 0, NULL, &result, error))
        return false;
    /* PostgreSQL serves closed periods; Redis has room for open ones. */
    for (size_t i = 0; i < dbb_rows(result) && is_ok; i++)
        is_ok = rebuild_want(link, dbb_int64(result, i, 0), false, error);
    *rows += (int64_t)dbb_rows(result);
    dbb_result_free(&result);
    return is_ok;
}

static bool roll_run(struct link *link, int64_t *ret_rows, struct error *error)
{
    return periods_open(link, ret_rows, error) && periods_close(link, ret_rows, error);
}

const struct job roll_job = {.name = "roll", .period_ms = 5000, .needs_kv = true, .run = roll_run};
