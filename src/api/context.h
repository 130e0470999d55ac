/*
 * context.h -- what all calls of a loop share: made and freed by api.c, used by every handler.
 *
 * Handlers ask it through the functions of api.h; only what renders or measures the whole looks inside.
 */
#ifndef API_CONTEXT_H
#define API_CONTEXT_H

#include <ev.h>

#include "api/api.h"

struct metrics;
struct warming;

struct api {
    struct store *store;
    struct api_settings settings;
    const struct api_route *routes; /* api_routes() */
    size_t route_count;
    struct crypto_key cursor_key;
    struct crypto_key token_key;
    bool is_draining;
    struct metrics *metrics;
    struct ev_loop *loop;
    ev_timer look;
    struct warming *warming;
    struct documents *documents;
};

#endif
