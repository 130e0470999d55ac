/*
 * deadline.c -- absolute deadlines: for a header, a body, an answer, and the idle time between.
 *
 * The library's own timer restarts with every byte, so one byte a second would hold a connection for ever.
 */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "http/private.h"

/* What the kernel has taken in on the connection. */
int64_t peer_bytes_received(const struct peer *peer)
{
    struct tcp_info info;
    socklen_t size = sizeof(info);

    memset(&info, 0, sizeof(info));
    if (getsockopt(peer->fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return 0;
    return (int64_t)info.tcpi_bytes_received;
}

/* because: what the client is told; NULL: nothing. */
static void peer_close(struct peer *peer, const struct error *because)
{
    if (because)
        peer_answer(peer, because);
    peer->is_reaped = true;
    shutdown(peer->fd, SHUT_RDWR);
}

static void peer_reap(struct peer *peer, const struct error *because)
{
    if (peer->is_reaped)
        return;
    http_count(&peer->server->counters->reaped);
    peer_close(peer, because);
}

void peer_end(struct peer *peer, const struct error *error)
{
    const struct http_exchange *exchange = peer->exchange;

    peer_close(peer, exchange->has_refusal ? &exchange->refusal : exchange->status == 0 ? error : NULL);
}

static void header_late(struct peer *peer)
{
    struct error error;

    error_set(&error, ERROR_REQUEST_TIMEOUT, "the header did not arrive within %d ms",
              peer->server->settings.header_timeout_ms);
    peer_reap(peer, &error);
}

static void body_late(struct peer *peer)
{
    const struct http_exchange *exchange = peer->exchange;
    struct error error;

    error_set(&error, ERROR_REQUEST_TIMEOUT,
              exchange->is_streamed ? "no more of the body arrived within %d ms; lines before may have been taken"
                                    : "the body did not arrive within %d ms",
              peer->server->settings.body_timeout_ms);
    peer_reap(peer, exchange->has_refusal ? &exchange->refusal : exchange->status == 0 ? &error : NULL);
}

void peer_check(struct peer *peer, int64_t now_us)
{
    const struct http_settings *settings = &peer->server->settings;
    struct http_exchange *exchange = peer->exchange;

    if (!exchange) {
        if (peer->header_since_us == 0 && peer_bytes_received(peer) > peer->bytes_consumed)
            peer->header_since_us = now_us;
        bool is_late = peer->header_since_us ? now_us - peer->header_since_us > settings->header_timeout_ms * 1000LL
                                             : now_us - peer->quiet_since_us > settings->idle_timeout_ms * 1000LL;
        if (is_late && peer->header_since_us)
            header_late(peer);
        else if (is_late || (peer->server->is_draining && peer->header_since_us == 0))
            peer_reap(peer, NULL);
        return;
    }
    int64_t phase_us = now_us - exchange->phase_since_us;
    if (exchange->state == EXCHANGE_HEADER && phase_us > settings->header_timeout_ms * 1000LL) {
        header_late(peer);
    } else if (exchange->state == EXCHANGE_BODY && !exchange->is_paused &&
               phase_us > settings->body_timeout_ms * 1000LL) {
        body_late(peer);
    } else if ((exchange->state == EXCHANGE_OPENING ||
                (exchange->state == EXCHANGE_HANDLING && !exchange->is_streamed)) &&
               exchange->status == 0 && phase_us > settings->answer_timeout_ms * 1000LL) {
        struct error error;
        error_set(&error, ERROR_DEADLINE,
                  "the answer was not ready within server.answer_timeout_ms; a write may or may not have happened");
        http_reply_error(&exchange->request, &error);
    } else if (exchange->state == EXCHANGE_ANSWERING && !exchange->is_parked &&
               phase_us > settings->idle_timeout_ms * 1000LL) {
        peer_reap(peer, NULL);
    }
}
