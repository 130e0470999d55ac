#include "api/caching.h"

#include <stdio.h>

/* Seconds that somebody's absence is kept: by who is told of changes, and by others. */
enum { ABSENCE_EDGE_S = 60, ABSENCE_S = 10 };

static bool is_shared(const struct api_call *call)
{
    return call->key.scope == SCOPE_NONE && call->board.is_public;
}

static void directive_add(char *text, const char *name, int64_t seconds, int64_t most_s)
{
    size_t size = strlen(text);

    if (seconds > 0)
        snprintf(text + size, CACHE_CONTROL_MAX - size, ", %s=%lld", name, (long long)(seconds < most_s ? seconds : most_s));
}

/* most_s: no period of time may be longer. */
static void freshness_text(char *text, int64_t max_age_s, const struct board_caching *caching, int64_t most_s)
{
    bool may_be_stale = caching->stale_while_revalidate_s > 0 || caching->stale_if_error_s > 0;

    strcpy(text, "public");
    directive_add(text, "max-age", max_age_s, most_s);
    if (max_age_s == 0)
        strcat(text, may_be_stale ? ", max-age=0" : ", no-cache");
    directive_add(text, "stale-while-revalidate", caching->stale_while_revalidate_s, most_s);
    directive_add(text, "stale-if-error", caching->stale_if_error_s, most_s);
    /* A cache that can't reach us may else go on with what it has, however old (RFC 9111, 4.2.4). */
    if (max_age_s > 0 && !may_be_stale)
        strcat(text, ", must-revalidate");
}

void cache_control_texts(const struct api_call *call, int status, char control[static CACHE_CONTROL_MAX], char edge[static CACHE_CONTROL_MAX])
{
    const struct board_caching *caching = &call->board.caching;
    bool is_absence = status == 404;

    edge[0] = 0;
    if (!is_shared(call)) {
        strcpy(control, "private, no-store");
        return;
    }
    freshness_text(control, caching->max_age_s, caching, is_absence ? ABSENCE_S : INT64_MAX);
    if (caching->edge_max_age_s > 0)
        freshness_text(edge, caching->edge_max_age_s, caching, is_absence ? ABSENCE_EDGE_S : INT64_MAX);
}

void cache_tags_texts(const struct api_call *call, char keys[static CACHE_TAGS_MAX], char tags[static CACHE_TAGS_MAX])
{
    keys[0] = tags[0] = 0;
    if (!is_shared(call))
        return;
    int game = (int)call->game.size;
    snprintf(keys, CACHE_TAGS_MAX, "game:%.*s board:%.*s/%s", game, call->game.data, game, call->game.data, call->board.name);
    snprintf(tags, CACHE_TAGS_MAX, "game:%.*s,board:%.*s/%s", game, call->game.data, game, call->game.data, call->board.name);
}
