/*
 * api.c -- the life of a loop's api, and what it does twice a second.
 */
#include <malloc.h>
#include <stdlib.h>

#include "api/context.h"
#include "api/document.h"
#include "api/metrics.h"
#include "api/page.h"
#include "api/warming.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "store/answers.h"
#include "store/l2.h"
#include "store/worker_word.h"

/* What is only kept goes first; then the reserve is set aside again, and requests are let in again. */
static void memory_recover(struct api *api)
{
    answers_forget(api->store);
    malloc_trim(0);
    if (memory_reserve())
        log_warn("memory-short",
                 LOG_TEXT("what", "new requests were refused for a moment, and what was kept in memory is gone"));
}

static void on_look(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct api *api = watcher->data;
    if (memory_is_short())
        memory_recover(api);
    memory_trim_look(api->settings.memory, api->settings.connections, clock_monotonic_us());
    worker_word_ask(api->store);
    metrics_look(api->metrics, api->store);
    warming_look(api->warming);
}

struct api *api_new(struct ev_loop *loop, struct store *store, const struct api_settings *settings)
{
    struct api *api = calloc(1, sizeof(*api));

    ASSERT(api != NULL);
    api->store = store;
    api->loop = loop;
    api->routes = api_routes(&api->route_count);
    api->metrics = metrics_join();
    api->warming = warming_new(loop, store);
    api->documents = documents_new();
    ev_timer_init(&api->look, on_look, 0.5, 0.5);
    api->look.data = api;
    ev_timer_start(loop, &api->look);
    api->settings = *settings;
    answers_open(store, (size_t)settings->l1_bytes, settings->heartbeat_ms, page_free);
    l2_open(store, &(struct l2_settings){settings->l2_url, settings->l2_ttl_ms, settings->secret});
    crypto_derive(&api->cursor_key, settings->secret, "ladder cursor 1");
    crypto_derive(&api->token_key, settings->secret, "ladder token 1");
    return api;
}

void api_free(struct api **api)
{
    ev_timer_stop((*api)->loop, &(*api)->look);
    warming_free(&(*api)->warming);
    documents_free(&(*api)->documents);
    metrics_leave(&(*api)->metrics);
    free(*api);
    *api = NULL;
}

void api_start_draining(struct api *api)
{
    api->is_draining = true;
}

void api_set_server(struct api *api, struct http_server *server)
{
    warming_set_server(api->warming, server);
}

struct http_counters *api_http_counters(struct api *api)
{
    return &api->metrics->http;
}
