#include "api/caching.h"

#include <stdio.h>

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

void cache_control_texts(const struct api_call *call, char control[static CACHE_CONTROL_MAX], char edge[static CACHE_CONTROL_MAX])
{
    const struct board_caching *caching = &call->board.caching;

    edge[0] = 0;
    if (!is_shared(call)) {
        strcpy(control, "private, no-store");
        return;
    }
    strcpy(control, "public");
    directive_add(control, "max-age", caching->max_age_s);
    if (caching->max_age_s == 0)
        strcat(control, caching->stale_while_revalidate_s || caching->stale_if_error_s ? ", max-age=0" : ", no-cache");
    directive_add(control, "stale-while-revalidate", caching->stale_while_revalidate_s);
    directive_add(control, "stale-if-error", caching->stale_if_error_s);
    if (caching->edge_max_age_s == 0)
        return;
    strcpy(edge, "public");
    directive_add(edge, "max-age", caching->edge_max_age_s);
    directive_add(edge, "stale-while-revalidate", caching->stale_while_revalidate_s);
    directive_add(edge, "stale-if-error", caching->stale_if_error_s);
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
