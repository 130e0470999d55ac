#include "work/edge_tail.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"

enum { LOOK_US = 10000000, AHEAD_US = 60000000, IDS_BYTES_MAX = 1 << 20 };

void edge_tail_forget(struct edge_tail *tail)
{
    dbb_result_free(&tail->changed);
    dbb_result_free(&tail->defined);
}

bool edge_tail_find(struct edge_tail *tail, struct link *link, const char *const parameters[static 3],
                    struct error *error)
{
    edge_tail_forget(tail);
    return (tail->edges->count == 0 ||
            link_query(link, STATEMENT_edge_changed, 3, parameters, &tail->changed, error)) &&
           link_query(link, STATEMENT_edge_defined, 0, NULL, &tail->defined, error);
}

/* Their rows have done their work. */
static bool defined_delete(const struct edge_tail *tail, struct link *link, struct error *error)
{
    struct buf ids;

    buf_init(&ids, IDS_BYTES_MAX);
    for (size_t i = 0; i < dbb_rows(tail->defined); i++)
        buf_printf(&ids, "%s%s", i ? "," : "{", dbb_text(tail->defined, i, 0));
    buf_append_text(&ids, "}");
    const char *parameters[] = {ids.data};
    bool is_ok = dbb_rows(tail->defined) == 0 || link_query(link, STATEMENT_edge_told, 1, parameters, NULL, error);
    buf_done(&ids);
    return is_ok;
}

static bool periods_queue(struct edge_tail *tail, struct link *link, struct error *error)
{
    char from[24], to[24];
    const char *parameters[] = {from, to};
    struct dbb_result *begin;
    int64_t until_us = clock_realtime_us() + AHEAD_US;
    bool is_ok = true;

    if (clock_monotonic_us() < tail->look_us)
        return true;
    snprintf(from, sizeof(from), "%lld", (long long)tail->rolled_us);
    snprintf(to, sizeof(to), "%lld", (long long)until_us);
    if (!link_query(link, STATEMENT_edge_periods, 2, parameters, &begin, error))
        return false;
    for (size_t i = 0; i < dbb_rows(begin) && is_ok; i++)
        is_ok = edge_queue_at(link, tail->edges, dbb_text(begin, i, 0), dbb_text(begin, i, 1), dbb_int64(begin, i, 2),
                              error);
    dbb_result_free(&begin);
    if (is_ok) {
        tail->rolled_us = until_us;
        tail->look_us = clock_monotonic_us() + LOOK_US;
    }
    return is_ok;
}

bool edge_tail_queue(struct edge_tail *tail, struct link *link, int64_t *ret_count, struct error *error)
{
    bool is_ok = true;

    *ret_count = 0;
    if (tail->edges->count > 0) {
        for (size_t i = 0; i < dbb_rows(tail->changed) && is_ok; i++, ++*ret_count)
            is_ok = edge_queue_change(link, tail->edges, dbb_text(tail->changed, i, 0), dbb_text(tail->changed, i, 1),
                                      dbb_int64(tail->changed, i, 2), error);
        for (size_t i = 0; i < dbb_rows(tail->defined) && is_ok; i++, ++*ret_count)
            is_ok = edge_queue_change(link, tail->edges, dbb_text(tail->defined, i, 1), dbb_text(tail->defined, i, 2),
                                      0, error);
        is_ok = is_ok && periods_queue(tail, link, error);
    }
    is_ok = is_ok && defined_delete(tail, link, error);
    edge_tail_forget(tail);
    return is_ok;
}
