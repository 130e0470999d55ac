/*
 * large.c -- requests with large bodies are handled a few in each turn of the loop, so that others pass between.
 *
 * Reading a body costs some 10 us a KiB. When many clients have sent theirs at the same moment, the last of them, and
 * whoever comes meanwhile, would wait for all. So the bodies that are handled in one turn have at most TURN_BYTES
 * together, or it is one that alone is larger. The others wait with their connections parked, first come, first served.
 * Bodies of up to SMALL_BYTES neither wait nor count.
 */
#include "base/fault.h"
#include "http/private.h"

enum { SMALL_BYTES = 4096, TURN_BYTES = 65536 };

static bool fits(const struct http_server *server, size_t size)
{
    return server->large_bytes == 0 || server->large_bytes + size <= TURN_BYTES;
}

bool large_goes(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    size_t size = exchange->request.body.size;

    if (exchange->is_large_next || size <= SMALL_BYTES || fault_is("large"))
        return true;
    if (TAILQ_EMPTY(&server->large) && fits(server, size)) {
        server->large_bytes += size;
        return true;
    }
    TAILQ_INSERT_TAIL(&server->large, exchange, large_link);
    exchange->is_large_waiting = true;
    return false;
}

void large_leave(struct http_exchange *exchange)
{
    if (!exchange->is_large_waiting)
        return;
    TAILQ_REMOVE(&exchange->server->large, exchange, large_link);
    exchange->is_large_waiting = false;
}

struct http_exchange *large_next(struct http_server *server)
{
    struct http_exchange *exchange = TAILQ_FIRST(&server->large);

    if (!exchange || !fits(server, exchange->request.body.size))
        return NULL;
    server->large_bytes += exchange->request.body.size;
    large_leave(exchange);
    exchange->is_large_next = true;
    return exchange;
}
