/*
 * large.c -- requests with large bodies are handled a few in each turn of the loop, so that others pass between, and
 * take at most half of its time.
 *
 * Reading a body costs some 10 us a KiB. When many clients have sent theirs at the same moment, the last of them, and
 * whoever comes meanwhile, would wait for all. So the bodies that are handled in one turn have at most TURN_BYTES
 * together, or it is one that alone is larger. The others wait with their connections parked, first come, first served.
 *
 * Clients that send large bodies without a pause would still have a turn of the loop each, and all of a processor. So a body
 * whose handling took some time is followed by as much time without large bodies, up to REST_US_MAX; up to AHEAD_US of it
 * may be owed. It is time by the clock: where other programs have the processor too, the rest is longer.
 *
 *     large_due_us   ----[handled: 3 ms][rest: 3 ms]----> the next one goes at the end of this, less AHEAD_US
 *
 * Bodies of up to SMALL_BYTES neither wait nor count.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "http/private.h"

enum { SMALL_BYTES = 4096, TURN_BYTES = 65536, AHEAD_US = 2000, REST_US_MAX = 100000 };

static bool fits(const struct http_server *server, size_t size)
{
    return server->large_bytes == 0 || server->large_bytes + size <= TURN_BYTES;
}

static int64_t rest_us(const struct http_server *server)
{
    return server->large_due_us - AHEAD_US - clock_monotonic_us();
}

bool large_goes(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    size_t size = exchange->request.body.size;

    if (exchange->is_large_next || size <= SMALL_BYTES || fault_is("large"))
        return true;
    if (TAILQ_EMPTY(&server->large) && fits(server, size) && rest_us(server) <= 0) {
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

    if (!exchange || !fits(server, exchange->request.body.size) || rest_us(server) > 0)
        return NULL;
    server->large_bytes += exchange->request.body.size;
    large_leave(exchange);
    exchange->is_large_next = true;
    return exchange;
}

void large_handle(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    const struct http_application *application = &server->application;
    bool is_large = exchange->request.body.size > SMALL_BYTES;
    int64_t began_us = is_large ? clock_monotonic_us() : 0;

    application->handle(application->context, &exchange->request);
    if (!is_large)
        return;
    int64_t took_us = clock_monotonic_us() - began_us;
    if (server->large_due_us < began_us)
        server->large_due_us = began_us;
    server->large_due_us += took_us + (took_us < REST_US_MAX ? took_us : REST_US_MAX);
}

static void on_rested(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    ((struct http_server *)watcher->data)->must_run = true;
}

bool large_is_due(struct http_server *server)
{
    int64_t rest;

    ev_timer_stop(server->loop, &server->large_rest);
    if (TAILQ_EMPTY(&server->large))
        return false;
    rest = rest_us(server);
    if (rest <= 0)
        return true;
    ev_timer_set(&server->large_rest, (double)rest / 1e6, 0);
    ev_timer_start(server->loop, &server->large_rest);
    return false;
}

void large_init(struct http_server *server)
{
    TAILQ_INIT(&server->large);
    ev_timer_init(&server->large_rest, on_rested, 0, 0);
    server->large_rest.data = server;
}

void large_done(struct http_server *server)
{
    ev_timer_stop(server->loop, &server->large_rest);
}
