/*
 * snapshot.c -- the standings that never end, noted once a day at their board's midnight.
 *
 * At ten million entries a whole copy a day would be a gigabyte that says again what yesterday's said. So a snapshot
 * has who moved since the last one, and the best worker.snapshot_top: whoever is not in it has the score that he had.
 * What moved is told by the revisions, which every change draws. One that is drawn may not be committed: so first a
 * revision is noted, then we wait until all transactions that may have drawn a smaller one (sql/functions/15_write.sql)
 * have ended, then we look.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "work/alone.h"
#include "work/job.h"
#include "work/l2_tail.h"

enum { SETTLE_STEP_US = 20000, SETTLE_STEPS_MAX = 100, SOME_COUNT = 200 };
#define SOME "200" /* SOME_COUNT */

static bool wait_settled(struct link *link, bool *ret_is_settled, struct error *error)
{
    char text[24];
    const char *xmax = text;
    struct dbb_result *settling;

    *ret_is_settled = false;
    if (!link_query(link, STATEMENT_snapshot_settling, 0, NULL, &settling, error))
        return false;
    snprintf(text, sizeof(text), "%s", dbb_text(settling, 0, 0));
    dbb_result_free(&settling);
    for (int i = 0; i < SETTLE_STEPS_MAX && !*ret_is_settled; i++) {
        struct dbb_result *result;
        if (i > 0)
            usleep(SETTLE_STEP_US);
        if (!link_query(link, STATEMENT_snapshot_is_settled, 1, &xmax, &result, error))
            return false;
        *ret_is_settled = dbb_bool(result, 0, 0);
        dbb_result_free(&result);
    }
    return true;
}

static bool snapshot_take(struct link *link, const struct dbb_result *due, size_t row, int64_t *rows,
                          struct error *error)
{
    char top[24];
    const char *parameters[] = {dbb_text(due, row, 0), dbb_text(due, row, 1), dbb_text(due, row, 2), top};
    struct dbb_result *result;

    snprintf(top, sizeof(top), "%lld", (long long)link->settings->worker_snapshot_top);
    if (!link_query(link, STATEMENT_snapshot_take, 4, parameters, &result, error))
        return false;
    *rows += dbb_int64(result, 0, 0);
    dbb_result_free(&result);
    return true;
}

/* One that needs none now is looked at again at its next midnight, as one that was noted. */
static bool board_run(struct link *link, const struct dbb_result *due, size_t row, int64_t *rows, struct error *error)
{
    const char *noted[] = {dbb_text(due, row, 0), dbb_text(due, row, 5)};
    int64_t game = dbb_int64(due, row, 3);
    bool is_wanted = dbb_bool(due, row, 4);
    struct error why;

    bool is_ok = (!is_wanted || snapshot_take(link, due, row, rows, &why)) &&
                 link_query(link, STATEMENT_snapshot_noted, 2, noted, NULL, &why);
    if (is_wanted)
        l2_histories_forget(link, &game, 1);
    return is_ok || alone_failed(link, "snapshot", noted[0], &why, error);
}

static bool snapshot_run(struct link *link, int64_t *ret_rows, struct error *error)
{
    const char *limit[] = {SOME};
    struct dbb_result *due;
    bool is_settled = true, is_any_wanted = false, is_ok = true;
    size_t count;

    do {
        if (!link_query(link, STATEMENT_snapshot_due, 1, limit, &due, error))
            return false;
        count = dbb_rows(due);
        for (size_t i = 0; i < count; i++)
            is_any_wanted = is_any_wanted || dbb_bool(due, i, 4);
        if (is_any_wanted)
            is_ok = wait_settled(link, &is_settled, error);
        if (!is_settled)
            log_info("snapshots-not-settled", LOG_INT("boards", (int64_t)count));
        for (size_t i = 0; i < count && is_ok && is_settled; i++)
            is_ok = board_run(link, due, i, ret_rows, error);
        dbb_result_free(&due);
    } while (count == SOME_COUNT && is_ok && is_settled);
    return is_ok;
}

const struct job snapshot_job = {.name = "snapshot", .period_ms = 60000, .run = snapshot_run};
