/*
 * refresh.c -- see refresh.h.
 *
 *   lock -> look again -> row in refresh_run -> gather -> one transaction: refresh, refresh_state -> end of the row -> unlock
 *
 * The lock comes before the transaction: a snapshot from before the last holder's commit would set the view back. What
 * refresh_state remembers is the view's greatest mark as it was before the refresh read anything: boards that change
 * meanwhile are marked with more, which leaves the view dirty. A board whose rows raise an error is left out
 * (ladder.refresh_aside), with a line in the log for each.
 */
#include "work/refresh.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "work/alone.h"

bool refresh_list(struct link *link, struct refresh_views *ret_views, struct error *error)
{
    struct dbb_result *result;

    if (!link_open(link, false, error) || !link_query(link, STATEMENT_refresh_list, 0, NULL, &result, error))
        return false;
    ret_views->count = 0;
    for (size_t i = 0; i < dbb_rows(result) && i < REFRESH_VIEWS_MAX; i++) {
        snprintf(ret_views->names[i], REFRESH_NAME_MAX, "%s", dbb_text(result, i, 0));
        ret_views->are_due[i] = dbb_bool(result, i, 1);
        ret_views->count++;
    }
    dbb_result_free(&result);
    return true;
}

static bool run_begin(struct link *link, const char *view, const char *reason, int64_t *ret_id, int64_t *ret_boards,
                      struct error *error)
{
    char host[64] = "", runner[96];
    const char *parameters[] = {view, reason, runner};
    struct dbb_result *result;

    gethostname(host, sizeof(host) - 1);
    snprintf(runner, sizeof(runner), "%s/%d", host, getpid());
    if (!link_query(link, STATEMENT_refresh_start, 3, parameters, &result, error))
        return false;
    *ret_id = dbb_int64(result, 0, 0);
    *ret_boards = dbb_int64(result, 0, 1);
    dbb_result_free(&result);
    return true;
}

static bool run_end(struct link *link, int64_t id, int64_t rows, const char *failure, int64_t took_ms,
                    struct error *error)
{
    char id_text[24], rows_text[24], took_text[24];
    bool was_stopped = link_is_stopping(link);
    const char *parameters[] = {id_text, rows_text, failure, took_text, was_stopped ? "true" : "false"};

    snprintf(id_text, sizeof(id_text), "%lld", (long long)id);
    snprintf(rows_text, sizeof(rows_text), "%lld", (long long)rows);
    snprintf(took_text, sizeof(took_text), "%lld", (long long)took_ms);
    return link_query(link, STATEMENT_refresh_end, 5, parameters, NULL, error);
}

/* Of the session, since the rollup of a view is gathered in transactions of its own. */
static bool settings_set(struct link *link, struct error *error)
{
    char memory[24], timeout[24], share[24];
    const char *parameters[] = {memory, timeout, share};

    snprintf(memory, sizeof(memory), "%lldMB", (long long)link->settings->worker_refresh_memory_mb);
    snprintf(timeout, sizeof(timeout), "%lld", (long long)link->settings->worker_refresh_timeout_ms);
    snprintf(share, sizeof(share), "%lld", (long long)link->settings->worker_refresh_percent);
    return link_query(link, STATEMENT_refresh_settings, 3, parameters, NULL, error);
}

static bool view_refresh(struct link *link, const char *view, int64_t *ret_rows, struct error *error)
{
    const char *parameters[] = {view};
    struct dbb_result *result;

    if (!link_query(link, STATEMENT_refresh_gather, 1, parameters, NULL, error) || !dbb_begin(link->db, false, error))
        return false;
    if (!link_query(link, STATEMENT_refresh_view, 1, parameters, &result, error)) {
        dbb_rollback(link->db);
        return false;
    }
    *ret_rows = dbb_int64(result, 0, 0);
    dbb_result_free(&result);
    return dbb_commit(link->db, error);
}

/* Boards whose rows raise an error: the view was refreshed without them. */
static bool aside_note(struct link *link, const char *view, int64_t id, struct error *error)
{
    char id_text[24];
    const char *parameters[] = {view, id_text};
    struct dbb_result *result;

    snprintf(id_text, sizeof(id_text), "%lld", (long long)id);
    if (!link_query(link, STATEMENT_refresh_aside, 2, parameters, &result, error))
        return false;
    for (size_t i = 0; i < dbb_rows(result); i++)
        alone_note("refresh", dbb_int64(result, i, 0), dbb_text(result, i, 1));
    dbb_result_free(&result);
    return true;
}

/* With the lock. */
static enum refresh_outcome refresh_locked(struct link *link, const char *view, int64_t older_than_ms,
                                           const char *reason, struct refresh_done *ret_done, struct error *error)
{
    char age[24];
    const char *parameters[] = {view, older_than_ms < 0 ? NULL : age};
    struct dbb_result *result;
    struct error ignored;
    int64_t id;

    snprintf(age, sizeof(age), "%lld", (long long)older_than_ms);
    if (!link_query(link, STATEMENT_refresh_look, 2, parameters, &result, error))
        return REFRESH_FAILED;
    bool is_there = dbb_rows(result) == 1;
    bool is_dirty = is_there && dbb_bool(result, 0, 0), is_old = is_there && dbb_bool(result, 0, 1);
    dbb_result_free(&result);
    if (!is_there) {
        error_set(error, ERROR_NOT_FOUND, "there is no view %.60s", view);
        return REFRESH_FAILED;
    }
    if (!is_dirty || !is_old)
        return is_dirty ? REFRESH_RECENT : REFRESH_UNCHANGED;
    if (!run_begin(link, view, reason, &id, &ret_done->boards, error))
        return REFRESH_FAILED;
    int64_t start_us = clock_monotonic_us();
    bool is_ok = settings_set(link, error) && view_refresh(link, view, &ret_done->rows, error);
    link_query(link, STATEMENT_refresh_settings_reset, 0, NULL, NULL, &ignored);
    ret_done->took_ms = (clock_monotonic_us() - start_us) / 1000;
    if (is_ok)
        return aside_note(link, view, id, error) && run_end(link, id, ret_done->rows, NULL, ret_done->took_ms, error)
                   ? REFRESH_DONE
                   : REFRESH_FAILED;
    run_end(link, id, 0, error->message, ret_done->took_ms, &ignored);
    return REFRESH_FAILED;
}

enum refresh_outcome refresh_view(struct link *link, const char *view, int64_t older_than_ms, const char *reason,
                                  struct refresh_done *ret_done, struct error *error)
{
    char name[REFRESH_NAME_MAX + 16];
    bool is_ours;

    *ret_done = (struct refresh_done){0};
    snprintf(name, sizeof(name), "refresh %s", view);
    if (!link_open(link, false, error) || !link_lock(link, name, &is_ours, error))
        return REFRESH_FAILED;
    if (!is_ours)
        return REFRESH_ELSEWHERE;
    enum refresh_outcome outcome = refresh_locked(link, view, older_than_ms, reason, ret_done, error);
    link_unlock(link, name);
    return outcome;
}
