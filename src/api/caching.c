#include "api/caching.h"

#include <stdio.h>

#include "base/put.h"

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
        snprintf(text + size, CACHE_CONTROL_MAX - size, ", %s=%lld", name,
                 (long long)(seconds < most_s ? seconds : most_s));
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

void cache_control_texts(const struct api_call *call, int status, char control[static CACHE_CONTROL_MAX],
                         char edge[static CACHE_CONTROL_MAX])
{
    const struct board_caching *caching = &call->board.caching;
    bool is_absence = status == 404;

    int64_t final_s = call->is_final ? api_settings_of(call->api)->closed_max_age_s : 0;

    edge[0] = 0;
    if (!is_shared(call)) {
        strcpy(control, "private, no-store");
        return;
    }
    freshness_text(control, final_s > caching->max_age_s ? final_s : caching->max_age_s, caching,
                   is_absence ? ABSENCE_S : INT64_MAX);
    if (final_s > 0)
        strcat(control, ", immutable");
    if (caching->edge_max_age_s > 0 && !call->is_untold)
        freshness_text(edge, caching->edge_max_age_s, caching, is_absence ? ABSENCE_EDGE_S : INT64_MAX);
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
