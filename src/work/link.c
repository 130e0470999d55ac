#include "work/link.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"

bool link_is_stopping(const struct link *link)
{
    return link->stop && *link->stop;
}

bool link_query(struct link *link, enum statement statement, size_t count, const char *const *parameters,
                struct dbb_result **ret_result, struct error *error)
{
    return dbb_query(link->db, statement_text(statement), count, parameters, ret_result, error);
}

bool link_lock(struct link *link, const char *name, bool *ret_is_ours, struct error *error)
{
    struct dbb_result *result;

    if (!link_query(link, STATEMENT_job_lock, 1, &name, &result, error))
        return false;
    *ret_is_ours = dbb_bool(result, 0, 0);
    dbb_result_free(&result);
    return true;
}

void link_unlock(struct link *link, const char *name)
{
    struct error ignored;

    if (link->db)
        link_query(link, STATEMENT_job_unlock, 1, &name, NULL, &ignored);
}

bool link_epoch(struct link *link, struct error *error)
{
    struct dbb_result *result;

    if (!link_query(link, STATEMENT_epoch, 0, NULL, &result, error))
        return false;
    link->epoch = dbb_int64(result, 0, 0);
    snprintf(link->epoch_text, sizeof(link->epoch_text), "%lld", (long long)link->epoch);
    dbb_result_free(&result);
    return true;
}

static int silence_ms(const struct link *link)
{
    enum { DOUBLINGS_MAX = 6 };

    return (int)link->settings->worker_answer_timeout_ms
           << (link->silences < DOUBLINGS_MAX ? link->silences : DOUBLINGS_MAX);
}

void link_done(struct link *link, bool is_ok)
{
    if (is_ok)
        link->silences = 0;
    else if (link->db && dbb_was_silent(link->db))
        link->silences++;
}

/* ---- which server ---- */

static atomic_int newest_timeline;

static struct dbb *primary_open(const struct settings *settings, const char *name, struct error *error)
{
    const struct settings_list *list = &settings->database_replicas;
    const char *replicas[SETTINGS_LIST_MAX];

    for (size_t i = 0; i < list->count; i++)
        replicas[i] = list->items[i];
    return dbb_open_primary(settings->database_url, replicas, (int)list->count, name, 0, error);
}

bool link_look(const struct settings *settings, struct error *error)
{
    struct dbb *db = primary_open(settings, "ladder work look", error);
    int timeline = db ? dbb_timeline(db) : 0, before = newest_timeline;

    if (!db)
        return false;
    dbb_close(&db);
    if (timeline > before) {
        newest_timeline = timeline;
        if (before > 0)
            log_warn("primary-replaced", LOG_INT("timeline", timeline), LOG_INT("before", before));
    }
    return true;
}

/* ---- the connections ---- */

bool link_open(struct link *link, bool needs_kv, struct error *error)
{
    if (link->db && dbb_timeline(link->db) < newest_timeline)
        dbb_close(&link->db);
    if (link->db && dbb_is_broken(link->db))
        dbb_close(&link->db);
    if (link->kv && kvb_is_broken(link->kv))
        kvb_close(&link->kv);
    if (!link->db) {
        link->db = primary_open(link->settings, link->name, error);
        if (!link->db)
            return false;
        dbb_stop_with(link->db, link->stop);
        dbb_patience(link->db, link->is_hasty ? silence_ms(link) : 0);
        if (!link_epoch(link, error)) {
            link_done(link, false);
            dbb_close(&link->db);
            return false;
        }
    }
    if (needs_kv && !link->kv)
        link->kv = kvb_open(link->settings->redis_url, (int)link->settings->worker_answer_timeout_ms, error);
    return !needs_kv || link->kv;
}

void link_check(struct link *link)
{
    if (link->kv && !kvb_check(link->kv))
        kvb_close(&link->kv);
}

void link_close(struct link *link)
{
    dbb_close(&link->db);
    kvb_close(&link->kv);
}

bool link_pop(struct link *link, size_t count, const struct slice *command, struct kvb_reply **ret_reply,
              struct error *error)
{
    const struct slice drop[] = {SLICE("UNLINK"), command[1]};
    struct kvb_reply *reply;

    if (kvb_call(link->kv, count, command, ret_reply, error))
        return true;
    *ret_reply = NULL;
    if (!strstr(error->message, "WRONGTYPE"))
        return false;
    log_warn("wanted-dropped", LOG_SLICE("key", command[1]), LOG_TEXT("because", error->message));
    if (!kvb_call(link->kv, ARRAY_SIZE(drop), drop, &reply, error))
        return false;
    kvb_reply_free(&reply);
    return true;
}
