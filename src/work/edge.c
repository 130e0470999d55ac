#include "work/edge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"

enum { RETRY_MS = 100, ELSEWHERE_MS = 500, LOG_US = 1000000, TAKE_MAX = 1000 };

void edge_sender_init(struct edge_sender *sender, const struct settings *settings, const struct edge_target *target,
                      const atomic_bool *stop)
{
    *sender = (struct edge_sender){.link = {.settings = settings, .name = "ladder work edge", .stop = stop},
                                   .target = target};
    sender->client = edge_client_new(target, (int)settings->edge_timeout_ms);
}

void edge_sender_done(struct edge_sender *sender)
{
    edge_client_free(&sender->client);
    link_close(&sender->link);
}

static bool lock_take(struct edge_sender *sender, struct error *error)
{
    char name[EDGE_ID_MAX + 8];

    snprintf(name, sizeof(name), "edge %s", sender->target->id);
    return sender->is_locked || link_lock(&sender->link, name, &sender->is_locked, error);
}

static bool batch_send(struct edge_sender *sender, const char *const *tags, size_t count, struct error *error)
{
    int64_t start_us = clock_monotonic_us();

    if (!edge_client_purge(sender->client, tags, count, error))
        return false;
    sender->requests++;
    sender->tags += (int64_t)count;
    sender->took_us += clock_monotonic_us() - start_us;
    return true;
}

static bool batches_send(struct edge_sender *sender, const char *const *tags, size_t count, struct error *error)
{
    size_t max = sender->target->tags_max;

    for (size_t from = 0; from < count; from += max)
        if (!batch_send(sender, tags + from, count - from < max ? count - from : max, error))
            return false;
    return true;
}

/* Everything: the tag that all boards of a game carry, of every game. */
static bool all_send(struct edge_sender *sender, struct error *error)
{
    struct dbb_result *games;

    if (!link_query(&sender->link, STATEMENT_edge_games, 0, NULL, &games, error))
        return false;
    size_t count = dbb_rows(games);
    char(*texts)[EDGE_TAG_MAX] = calloc(count + 1, sizeof(*texts));
    const char **tags = calloc(count + 1, sizeof(*tags));
    ASSERT(texts && tags);
    for (size_t i = 0; i < count; i++) {
        snprintf(texts[i], EDGE_TAG_MAX, "game:%s", dbb_text(games, i, 0));
        tags[i] = texts[i];
    }
    bool is_ok = batches_send(sender, tags, count, error);
    free(tags);
    free(texts);
    dbb_result_free(&games);
    return is_ok;
}

static bool taken_send(struct edge_sender *sender, const struct edge_taken *taken, struct error *error)
{
    const char **tags = calloc(taken->count, sizeof(*tags));
    bool is_all = false;

    ASSERT(tags != NULL);
    for (size_t i = 0; i < taken->count; i++) {
        tags[i] = taken->tags[i];
        is_all = is_all || strcmp(tags[i], EDGE_ALL) == 0;
    }
    bool is_ok = is_all ? all_send(sender, error) : batches_send(sender, tags, taken->count, error);
    free(tags);
    return is_ok;
}

static void sent_log(struct edge_sender *sender)
{
    if (sender->requests == 0 || clock_monotonic_us() - sender->logged_us < LOG_US)
        return;
    log_info("edge-purged", LOG_TEXT("edge", sender->target->name), LOG_INT("tags", sender->tags),
             LOG_INT("requests", sender->requests), LOG_INT("took_ms", sender->took_us / 1000));
    sender->logged_us = clock_monotonic_us();
    sender->tags = sender->requests = sender->took_us = 0;
}

static int64_t retry_pause_ms(struct edge_sender *sender)
{
    int64_t pause_ms = RETRY_MS << (sender->failures < 16 ? sender->failures : 16);
    int64_t max_ms = sender->link.settings->edge_retry_max_ms;

    sender->failures++;
    return pause_ms < max_ms ? pause_ms : max_ms;
}

static bool step(struct edge_sender *sender, int64_t *ret_pause_ms, struct error *error)
{
    struct link *link = &sender->link;
    struct edge_taken taken;

    if (!link->db || dbb_is_broken(link->db))
        sender->is_locked = false; /* it ended with its session */
    link_check(link);
    if (!link_open(link, true, error) || !lock_take(sender, error))
        return false;
    *ret_pause_ms = ELSEWHERE_MS;
    if (!sender->is_locked)
        return true;
    if (!edge_queue_take(link, sender->target, TAKE_MAX, &taken, error))
        return false;
    /* Where there was more than one send takes, the next follows at once. */
    *ret_pause_ms = taken.count < TAKE_MAX ? link->settings->edge_batch_ms : 0;
    bool is_ok =
        taken.count == 0 || (taken_send(sender, &taken, error) && edge_queue_done(link, sender->target, error));
    free(taken.tags);
    return is_ok;
}

bool edge_sender_step(struct edge_sender *sender, int64_t *ret_pause_ms, struct error *error)
{
    bool is_ok = step(sender, ret_pause_ms, error);

    sent_log(sender);
    if (is_ok)
        sender->failures = 0;
    else
        *ret_pause_ms = retry_pause_ms(sender);
    return is_ok;
}
