/*
 * roll.c -- opening the coming periods, closing those that ended.
 *
 * Both read what is due by an index: ladder.job_item says when a board needs its next periods, ladder.period when one
 * ends. A board that fails is left out for a while (alone.h).
 *
 * The row of a coming period is made ahead and its standing loaded (empty) into Redis, so that the second it opens is
 * like any other. Closing takes steps, because a submission that is on its way has looked at the state before it
 * commits:
 *
 *   open -> closing   from here no transaction that begins takes more
 *   settle_xid        whoever may have seen it open and writes entries has a smaller transaction id: he took it, and the
 *                     lock by which we know him, before he looked (sql/functions/15_write.sql)
 *   closing -> closed when all of those have ended: now it is final. One transaction a period writes its state, its final
 *                     ranks and the message for the game's webhook (sql/functions/80_close.sql)
 *
 * A worker that dies between leaves it closing, and the next one goes on from there. settle_xid is noted once, so that
 * long transactions one after the other put closing off by the first of them, not for good.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "kv/keys.h"
#include "work/alone.h"
#include "work/job.h"
#include "work/l2_tail.h"
#include "work/rebuild.h"

enum { AHEAD_S = 60, SETTLE_STEP_US = 20000, SETTLE_STEPS_MAX = 100, CLOSED_MAX = 100, ROUNDS_MAX = 1000 };
#define SOME "100" /* CLOSED_MAX */
#define MANY "1000"

static const char close_part[] = "close";

/* Lists what is due and runs it, until nothing is: what fails is not due for a while. */
static bool due_run(struct link *link, enum statement find, size_t count, const char *const *parameters,
                    struct alone_list *list, struct error *error)
{
    bool is_ok = true;
    size_t rows = 1;

    for (int i = 0; i < ROUNDS_MAX && is_ok && rows > 0; i++) {
        struct dbb_result *due;
        if (!link_query(link, find, count, parameters, &due, error))
            return false;
        list->rows = due;
        rows = dbb_rows(due);
        is_ok = alone_run(link, list, error);
        dbb_result_free(&due);
    }
    return is_ok;
}

static bool some_open(struct link *link, const char *boards, void *context, struct error *error)
{
    char ahead[16];
    const char *parameters[] = {boards, ahead};
    struct dbb_result *made;
    int64_t *rows = context;
    bool is_ok = true;

    snprintf(ahead, sizeof(ahead), "%d", AHEAD_S);
    if (!link_query(link, STATEMENT_roll_open, 2, parameters, &made, error))
        return false;
    for (size_t i = 0; i < dbb_rows(made) && is_ok; i++)
        is_ok = rebuild_want(link, dbb_int64(made, i, 0), false, 1, error);
    *rows += (int64_t)dbb_rows(made);
    dbb_result_free(&made);
    return is_ok;
}

static bool periods_open(struct link *link, int64_t *rows, struct error *error)
{
    const char *parameters[] = {MANY};
    struct alone_list list = {.part = "roll", .run = some_open, .context = rows};

    return due_run(link, STATEMENT_roll_due, 1, parameters, &list, error);
}

static bool some_closing(struct link *link, const char *periods, void *context, struct error *error)
{
    (void)context;
    return link_query(link, STATEMENT_roll_closing, 1, &periods, NULL, error);
}

static bool some_settling(struct link *link, const char *periods, void *context, struct error *error)
{
    (void)context;
    return link_query(link, STATEMENT_roll_settling, 1, &periods, NULL, error);
}

/* Everything of a period that fails puts off its board's closing alone. */
static bool period_close(struct link *link, const struct dbb_result *settled, size_t row, int64_t *rows,
                         struct error *error)
{
    const char *period = dbb_text(settled, row, 0);
    struct dbb_result *result;
    struct error why;

    /* While it was open nobody purged: its changes were no changes of a closed period. */
    bool is_ok = (!dbb_bool(settled, row, 3) || l2_standing_forget(link, dbb_int64(settled, row, 0), &why)) &&
                 link_query(link, STATEMENT_roll_close, 1, &period, &result, &why);
    if (is_ok) {
        *rows += !dbb_is_null(result, 0, 0); /* null: somebody else did */
        dbb_result_free(&result);
        is_ok = rebuild_want(link, dbb_int64(settled, row, 0), false, 1, &why);
    }
    return is_ok || alone_failed(link, close_part, dbb_text(settled, row, 2), &why, error);
}

/* Of the games of periods that were closed; a game with many at once, once. */
static void histories_forget(struct link *link, const struct dbb_result *closed)
{
    int64_t games[CLOSED_MAX];
    size_t count = 0;

    for (size_t i = 0; i < dbb_rows(closed); i++) {
        int64_t game = dbb_int64(closed, i, 1);
        if (count == 0 || games[count - 1] != game)
            games[count++] = game;
    }
    l2_histories_forget(link, games, count);
}

/* Closes what has settled; PostgreSQL serves closed periods, so Redis has room for open ones. */
static bool settled_close(struct link *link, int64_t *rows, struct error *error)
{
    const char *parameters[] = {SOME};
    struct dbb_result *result;
    size_t count;
    bool is_ok = true;

    do {
        int64_t before = *rows;
        if (!link_query(link, STATEMENT_roll_settled, 1, parameters, &result, error))
            return false;
        count = dbb_rows(result);
        for (size_t i = 0; i < count && is_ok; i++)
            is_ok = period_close(link, result, i, rows, error);
        histories_forget(link, result);
        dbb_result_free(&result);
        if (*rows == before)
            break;
    } while (is_ok && count > 0);
    return is_ok;
}

static bool pending_count(struct link *link, int64_t *ret_periods, struct error *error)
{
    struct dbb_result *result;

    if (!link_query(link, STATEMENT_roll_pending, 0, NULL, &result, error))
        return false;
    *ret_periods = dbb_int64(result, 0, 0);
    dbb_result_free(&result);
    return true;
}

static bool periods_close(struct link *link, int64_t *rows, struct error *error)
{
    char grace[24], backfill[24];
    const char *of_ended[] = {grace, backfill, MANY}, *of_unsettled[] = {MANY};
    struct alone_list closing = {.part = close_part, .board = 1, .run = some_closing};
    struct alone_list settling = {.part = close_part, .board = 1, .run = some_settling};
    int64_t pending;

    snprintf(grace, sizeof(grace), "%lld", (long long)link->settings->worker_close_grace_ms);
    snprintf(backfill, sizeof(backfill), "%lld", (long long)link->settings->worker_backfill_grace_s);
    if (!due_run(link, STATEMENT_roll_ended, 3, of_ended, &closing, error) || !pending_count(link, &pending, error))
        return false;
    if (pending == 0)
        return settled_close(link, rows, error); /* those of an earlier program */
    if (!due_run(link, STATEMENT_roll_unsettled, 1, of_unsettled, &settling, error))
        return false;
    for (int i = 0; i < SETTLE_STEPS_MAX; i++) {
        if (!settled_close(link, rows, error) || !pending_count(link, &pending, error))
            return false;
        if (pending == 0)
            return true;
        usleep(SETTLE_STEP_US);
    }
    /* A transaction that writes entries runs long: the next run looks again. */
    log_info("periods-not-settled", LOG_INT("periods", pending));
    return true;
}

static bool roll_run(struct link *link, int64_t *ret_rows, struct error *error)
{
    struct error closing;
    bool is_opened = periods_open(link, ret_rows, error);

    /* Periods that cannot be opened are no reason not to close others. */
    return periods_close(link, ret_rows, is_opened ? error : &closing) && is_opened;
}

const struct job roll_job = {.name = "roll", .parts = "{close}", .period_ms = 5000, .needs_kv = true, .run = roll_run};
