#include "work/alone.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/text.h"
#include "kv/keys.h"
#include "kv/scripts.h"
#include "work/status.h"

enum { TOGETHER = 200, IDS_BYTES_MAX = 1 << 16 };

/* Gone, out of resources, shutting down, a disk that fails, not the primary any more. A cancelled statement is of what it
 * was asked for: the next one may be quicker. */
static bool is_of_postgresql(const struct link *link)
{
    static const char *const states[] = {"08", "53", "57P", "58", "25006"};

    if (!link->db || dbb_is_broken(link->db))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(states); i++)
        if (strncmp(dbb_sqlstate(link->db), states[i], strlen(states[i])) == 0)
            return true;
    return link_is_stopping(link);
}

bool alone_is_of_server(const struct link *link, const struct error *why)
{
    return is_of_postgresql(link) || (link->kv && kvb_is_broken(link->kv)) || kvb_error_is_of_server(why);
}

void alone_note(const char *part, int64_t board, const char *because)
{
    log_warn("job-failed", LOG_TEXT("job", part), LOG_INT("board", board), LOG_TEXT("because", because));
    status_note_board(part);
}

bool alone_failed(struct link *link, const char *part, const char *board, const struct error *why, struct error *error)
{
    const char *parameters[] = {part, board, why->message};
    int64_t id = 0;

    if (alone_is_of_server(link, why)) {
        *error = *why;
        return false;
    }
    dbb_rollback(link->db);
    text_parse_int64(slice_of(board), &id);
    alone_note(part, id, why->message);
    return link_query(link, STATEMENT_job_item_failed, 3, parameters, NULL, error);
}

bool alone_standing_failed(struct link *link, const char *part, int64_t standing, const struct error *why,
                           struct error *error)
{
    char id[24];
    const char *parameters[] = {part, id, why->message};
    struct dbb_result *result;

    if (alone_is_of_server(link, why)) {
        *error = *why;
        return false;
    }
    dbb_rollback(link->db);
    snprintf(id, sizeof(id), "%lld", (long long)standing);
    if (!link_query(link, STATEMENT_job_standing_failed, 3, parameters, &result, error))
        return alone_failed(link, part, "0", why, error); /* of which board it is cannot be read */
    log_warn("job-failed", LOG_TEXT("job", part), LOG_INT("board", dbb_rows(result) ? dbb_int64(result, 0, 1) : 0),
             LOG_INT("standing", standing), LOG_TEXT("because", why->message));
    status_note_board(part);
    dbb_result_free(&result);
    return true;
}

static bool call(struct link *link, size_t count, const struct slice *arguments, struct error *error)
{
    struct kvb_reply *reply;

    if (!kvb_call(link->kv, count, arguments, &reply, error))
        return false;
    kvb_reply_free(&reply);
    return true;
}

bool alone_forget_tell(struct link *link, struct error *error)
{
    const struct slice publish[] = {SLICE("PUBLISH"), SLICE(KV_MOVES), SLICE("")};

    return call(link, ARRAY_SIZE(publish), publish, error);
}

bool alone_standing_drop(struct link *link, int64_t standing, struct error *error)
{
    char meta[KV_KEY_MAX];
    const struct slice drop[] = {SLICE("FCALL"), SLICE(KV_FUNCTION("drop")), SLICE("1"), kv_meta_key(standing, meta)};
    /* Without its meta it is cold, whatever else there is. */
    const struct slice unlink[] = {SLICE("UNLINK"), kv_meta_key(standing, meta)};

    return call(link, ARRAY_SIZE(drop), drop, error) ||
           (!kvb_error_is_of_server(error) && call(link, ARRAY_SIZE(unlink), unlink, error) &&
            alone_forget_tell(link, error));
}

static bool rows_run(struct link *link, const struct alone_list *list, size_t from, size_t to, struct error *error)
{
    struct error why;
    struct buf ids;

    buf_init(&ids, IDS_BYTES_MAX);
    for (size_t i = from; i < to; i++)
        buf_printf(&ids, "%c%s", i == from ? '{' : ',', dbb_text(list->rows, i, list->id));
    buf_append_text(&ids, "}");
    ASSERT(!ids.is_overflown);
    bool is_ok = list->run(link, ids.data, list->context, &why);
    buf_done(&ids);
    if (is_ok)
        return true;
    if (to - from == 1)
        return alone_failed(link, list->part, dbb_text(list->rows, from, list->board), &why, error);
    if (alone_is_of_server(link, &why)) {
        *error = why;
        return false;
    }
    size_t middle = from + (to - from) / 2;
    return rows_run(link, list, from, middle, error) && rows_run(link, list, middle, to, error);
}

bool alone_run(struct link *link, const struct alone_list *list, struct error *error)
{
    size_t count = dbb_rows(list->rows);

    for (size_t from = 0; from < count; from += TOGETHER)
        if (!rows_run(link, list, from, from + TOGETHER < count ? from + TOGETHER : count, error))
            return false;
    return true;
}

bool alone_worked(struct link *link, const char *parts, const char *job, struct error *error)
{
    const char *parameters[] = {parts, job};

    return link_query(link, STATEMENT_job_item_worked, 2, parameters, NULL, error);
}

bool alone_tell(struct link *link, struct error *error)
{
    struct dbb_result *result;
    struct kvb_reply *reply;
    char live[24];

    if (!link_open(link, true, error) || !link_query(link, STATEMENT_job_item_failing, 0, NULL, &result, error))
        return false;
    snprintf(live, sizeof(live), "%d", KV_FAILING_LIVE_MS);
    const struct slice set[] = {SLICE("SET"), SLICE(KV_FAILING), slice_of(dbb_text(result, 0, 0)), SLICE("PX"),
                                slice_of(live)};
    bool is_ok = kvb_call(link->kv, ARRAY_SIZE(set), set, &reply, error);
    if (is_ok)
        kvb_reply_free(&reply);
    dbb_result_free(&result);
    return is_ok;
}
