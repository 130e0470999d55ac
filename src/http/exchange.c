/*
 * exchange.c -- the memory of exchanges: used again with its first block, so that a request costs no allocation.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "http/private.h"

enum { KEPT_MAX = 64 }; /* a crowd that has left leaves no more */

struct http_exchange *exchange_new(struct http_server *server)
{
    struct http_exchange *exchange = server->free_exchanges;

    if (exchange) {
        struct arena arena = exchange->request.arena;
        server->free_exchanges = exchange->next_free;
        server->free_exchange_count--;
        memset(exchange, 0, sizeof(*exchange));
        exchange->request.arena = arena;
    } else {
        exchange = calloc(1, sizeof(*exchange));
        ASSERT(exchange != NULL);
        arena_init(&exchange->request.arena, HTTP_ARENA_BYTES_MAX);
    }
    exchange->server = server;
    return exchange;
}

void exchange_response_drop(struct http_exchange *exchange)
{
    if (exchange->response && !exchange->shared && !exchange->is_response_lent)
        MHD_destroy_response(exchange->response);
    exchange->response = NULL;
    exchange->is_response_lent = false;
    http_shared_free(&exchange->shared);
}

void exchange_free(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;

    exchange_response_drop(exchange);
    exchange_sent(exchange);
    exchange_charge_nothing(exchange);
    growing_drop(&exchange->growing);
    body_drop(exchange);
    buf_done(&exchange->request.body);
    if (server->free_exchange_count >= KEPT_MAX) {
        arena_done(&exchange->request.arena);
        free(exchange);
        return;
    }
    arena_reset(&exchange->request.arena);
    exchange->next_free = server->free_exchanges;
    server->free_exchanges = exchange;
    server->free_exchange_count++;
}

void exchanges_free(struct http_server *server)
{
    while (server->free_exchanges) {
        struct http_exchange *exchange = server->free_exchanges;
        server->free_exchanges = exchange->next_free;
        arena_done(&exchange->request.arena);
        free(exchange);
    }
}
