/*
 * purging.c -- DELETE /cache: what the second cache has of a game, or of one of its boards, is void.
 */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "store/l2.h"

struct purging {
    struct api_call *call;
    const char *tag; /* in the arena */
};

static void on_purged(void *context, bool is_done)
{
    struct purging *purging = context;
    struct api_call *call = purging->call;
    struct buf body;
    struct jsonw json;

    if (is_done) {
        buf_init(&body, 1024);
        jsonw_init(&json, &body);
        jsonw_object_open(&json);
        jsonw_key(&json, "purged");
        jsonw_text(&json, purging->tag);
        jsonw_object_close(&json);
        api_answer(call, 200, &body, "");
    } else {
        api_fail_with(call, ERROR_UNAVAILABLE, "the Redis of the second cache is not reachable; nothing was purged");
    }
    http_release(call->http);
}

/* "game:<g>" or "board:<g>/<b>", of the game in the path. */
static const char *tag_read(struct api_call *call, struct error *error)
{
    struct slice tag = api_text(call, "tag");
    char *own = arena_printf(call->arena, "game:%s", call->game.data);
    char *prefix = arena_printf(call->arena, "board:%s/", call->game.data);

    if (!own || !prefix) {
        error_set(error, ERROR_OVERLOADED, "out of memory");
        return NULL;
    }
    if (!tag.data || slice_is(tag, own))
        return own;
    size_t size = strlen(prefix);
    if (tag.size > size && memcmp(tag.data, prefix, size) == 0 &&
        name_is_valid((struct slice){tag.data + size, tag.size - size}))
        return tag.data;
    error_set_field(error, ERROR_INVALID_PARAMETER, "tag", "must be %s or %s followed by a board", own, prefix);
    return NULL;
}

void api_cache_purge(struct api_call *call)
{
    struct purging *purging = arena_calloc(call->arena, 1, sizeof(*purging));
    struct error error;

    error_set(&error, ERROR_OVERLOADED, "out of memory");
    if (purging)
        *purging = (struct purging){call, tag_read(call, &error)};
    if (!purging || !purging->tag) {
        api_fail(call, &error);
        return;
    }
    http_hold(call->http);
    if (l2_is_on(call->store))
        l2_purge(call->store, &purging->tag, 1, on_purged, purging);
    else
        on_purged(purging, true); /* it has nothing */
}
