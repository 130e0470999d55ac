#include "api/context.h"

#include "api/metrics.h"

size_t api_route_index(const struct api_call *call)
{
    return (size_t)(call->route - call->api->routes);
}

void api_count(struct api_call *call, enum api_cache outcome, int64_t age_us)
{
    metrics_answered(call->api->metrics, api_route_index(call), outcome, age_us);
}

void api_count_l2(struct api_call *call, bool is_refresh)
{
    struct metrics *metrics = call->api->metrics;
    size_t route = api_route_index(call);

    http_count(is_refresh ? &metrics->routes[route].l2_refreshes : &metrics->routes[route].l2_misses);
}

const struct crypto_key *api_cursor_key(const struct api *api)
{
    return &api->cursor_key;
}

const struct crypto_key *api_token_key(const struct api *api)
{
    return &api->token_key;
}

const struct api_settings *api_settings_of(const struct api *api)
{
    return &api->settings;
}

struct documents *api_documents(const struct api *api)
{
    return api->documents;
}

struct ev_loop *api_loop(const struct api *api)
{
    return api->loop;
}

bool api_is_draining(const struct api *api)
{
    return api->is_draining;
}
