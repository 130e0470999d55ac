#include "api/caching.h"

#include <stdio.h>

/* Seconds that somebody's absence is kept: by who is told of changes, and by others. */
enum { ABSENCE_EDGE_S = 60, ABSENCE_S = 10 };

static bool is_shared(const struct api_call *call)
{
    return call->key.scope == SCOPE_NONE && call->board.is_public;
}

static void directive_add(char *text, const char *name, int64_t seconds)
{
    size_t size = strlen(text);

    if (seconds > 0)
        snprintf(text + size, CACHE_CONTROL_MAX - size, ", %s=%lld", name, (long long)seconds);
}

static void freshness_text(char *text, int64_t max_age_s, const struct board_caching *caching)
{
    bool may_be_stale = caching->stale_while_revalidate_s > 0 || caching->stale_if_error_s > 0;

    strcpy(text, "public");
    directive_add(text, "max-age", max_age_s);
    if (max_age_s == 0)
        strcat(text, may_be_stale ? ", max-age=0" : ", no-cache");
    directive_add(text, "stale-while-revalidate", caching->stale_while_revalidate_s);
    directive_add(text, "stale-if-error", caching->stale_if_error_s);
    /* A cache that can't reach us may else go on with what it has, however old (RFC 9111, 4.2.4). */
    if (max_age_s > 0 && !may_be_stale)
        strcat(text, ", must-revalidate");
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* What the board allows, but no more than so many seconds each. */
static struct board_caching brief(const struct board_caching *caching, int64_t most_s)
{
    struct board_caching brief = *caching;

    brief.max_age_s = smaller(caching->max_age_s, most_s);
    brief.edge_max_age_s = smaller(caching->edge_max_age_s, most_s);
    brief.stale_while_revalidate_s = smaller(caching->stale_while_revalidate_s, most_s);
    brief.stale_if_error_s = smaller(caching->stale_if_error_s, most_s);
    return brief;
}

void cache_control_texts(const struct api_call *call, int status, char control[static CACHE_CONTROL_MAX], char edge[static CACHE_CONTROL_MAX])
{
    bool is_absence = status == 404;
    struct board_caching caching = brief(&call->board.caching, is_absence ? ABSENCE_S : INT64_MAX);
    struct board_caching edge_caching = brief(&call->board.caching, is_absence ? ABSENCE_EDGE_S : INT64_MAX);

    edge[0] = 0;
    if (!is_shared(call)) {
        strcpy(control, "private, no-store");
        return;
    }
    freshness_text(control, caching.max_age_s, &caching);
    if (edge_caching.edge_max_age_s > 0)
        freshness_text(edge, edge_caching.edge_max_age_s, &edge_caching);
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
