/*
 * combine.c -- boards made of others, brought up to date every second or two. One transaction a board
 * (sql/functions/83_combine.sql): whoever dies in between has done nothing, and the next does it.
 */
#include "work/alone.h"
#include "work/job.h"

static bool combine_run(struct link *link, int64_t *ret_rows, struct error *error)
{
    struct dbb_result *boards;
    bool is_ok = true;

    if (!link_query(link, STATEMENT_combine_list, 0, NULL, &boards, error))
        return false;
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
    dbb_result_free(&boards);
    return is_ok;
}

const struct job combine_job = {.name = "combine", .parts = "{combine}", .period_ms = 1500, .run = combine_run};
