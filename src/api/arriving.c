#include "api/arriving.h"

#include "api/checks.h"
#include "api/servers.h"

static void limit(struct api_call *call)
{
    http_body_limit(call->http, api_settings_of(call->api)->anonymous_body_bytes_max, " without a key");
}

static void on_key(void *context, const struct api_key *key, const struct error *error)
{
    struct api_call *call = context;
    struct error refusal;

    if (!http_is_answered(call->http)) { /* else by the deadline */
        bool is_good = error ? (refusal = *error, false) : key_check(call, key, call->route->scope, &refusal);
        if (is_good && !(call->route->flags & API_OPEN))
            call->key = *key;
        call->is_authorized = is_good;
        if (!is_good && call->route->flags & API_OPEN)
            limit(call);
        else if (!is_good)
            api_fail(call, &refusal);
        http_stream_resume(call->http);
    }
    http_release(call->http);
}

void arriving_check(struct api_call *call)
{
    struct slice key = api_bearer(call);
    struct error error;

    if (call->route->flags & API_OPERATOR) {
        call->is_authorized = operator_check(call, &error);
        if (!call->is_authorized)
            api_fail(call, &error);
        return;
    }
    if (key.size) {
        http_hold(call->http);
        http_stream_pause(call->http);
        store_key_find(call->store, key, call->has_token ? &call->token : NULL, on_key, call);
        return;
    }
    if (call->route->flags & API_OPEN)
        limit(call);
    else
        key_demand(call);
}
