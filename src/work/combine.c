/*
 * combine.c -- boards made of others, brought up to date every second or two: those whose sources have changed. One
 * transaction a board (sql/functions/83_combine.sql): whoever dies in between has done nothing, and the next does it.
 */
#include "work/alone.h"
#include "work/job.h"

enum { AT_ONCE = 1000, ROUNDS_MAX = 100 };
#define AT_ONCE_TEXT "1000"

/* boards: those that are due. What fails is not due for a while. */
static bool boards_combine(struct link *link, const struct dbb_result *boards, int64_t *ret_rows, struct error *error)
{
    bool is_ok = true;

    for (size_t i = 0; i < dbb_rows(boards) && is_ok; i++) {
        const char *board = dbb_text(boards, i, 0);
        struct dbb_result *changed;
        struct error why;
        if (!link_query(link, STATEMENT_combine, 1, &board, &changed, &why)) {
            is_ok = alone_failed(link, "combine", board, &why, error);
            continue;
        }
        *ret_rows += dbb_int64(changed, 0, 0);
        dbb_result_free(&changed);
    }
    return is_ok;
}

static bool combine_run(struct link *link, int64_t *ret_rows, struct error *error)
{
    static const char *const parameters[] = {AT_ONCE_TEXT};
    bool is_ok = true;
    size_t count = AT_ONCE;

    for (int i = 0; i < ROUNDS_MAX && is_ok && count == AT_ONCE; i++) {
        struct dbb_result *boards;
        if (!link_query(link, STATEMENT_combine_due, 1, parameters, &boards, error))
            return false;
        count = dbb_rows(boards);
        is_ok = boards_combine(link, boards, ret_rows, error);
        dbb_result_free(&boards);
    }
    return is_ok;
}

const struct job combine_job = {.name = "combine", .period_ms = 1500, .run = combine_run};
