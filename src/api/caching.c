#include "api/caching.h"

#include <stdio.h>

#include "base/put.h"

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

void cache_control_texts(const struct api_call *call, char control[static CACHE_CONTROL_MAX], char edge[static CACHE_CONTROL_MAX])
{
    const struct board_caching *caching = &call->board.caching;

    int64_t final_s = call->is_final ? api_settings_of(call->api)->closed_max_age_s : 0;

    edge[0] = 0;
    if (!is_shared(call)) {
        strcpy(control, "private, no-store");
        return;
    }
    freshness_text(control, final_s > caching->max_age_s ? final_s : caching->max_age_s, caching);
    if (final_s > 0)
        strcat(control, ", immutable");
    if (caching->edge_max_age_s > 0)
        freshness_text(edge, caching->edge_max_age_s, caching);
}

void cache_tags_texts(const struct api_call *call, char keys[static CACHE_TAGS_MAX], char tags[static CACHE_TAGS_MAX])
{
    keys[0] = tags[0] = 0;
    if (!is_shared(call))
        return;
    size_t game_size = sizeof("game:") - 1 + call->game.size;
    char *at = put_bytes(put_literal(keys, "game:"), call->game.data, call->game.size);
    at = put_bytes(put_literal(at, " board:"), call->game.data, call->game.size);
    strcpy(put_byte(at, '/'), call->board.name);
    strcpy(tags, keys);
    tags[game_size] = ',';
}
