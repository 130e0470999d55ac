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

static void tcp_look(const struct peer *peer, struct tcp_info *ret_info)
{
    socklen_t size = sizeof(*ret_info);

    memset(ret_info, 0, sizeof(*ret_info));
    if (getsockopt(peer->fd, IPPROTO_TCP, TCP_INFO, ret_info, &size) != 0)
        memset(ret_info, 0, sizeof(*ret_info));
}

/* What the kernel has taken in on the connection. */
int64_t peer_bytes_received(const struct peer *peer)
{
    struct tcp_info info;

    tcp_look(peer, &info);
    return (int64_t)info.tcpi_bytes_received;
}

/* What the other side has taken of what was sent. */
int64_t peer_bytes_taken(const struct peer *peer)
{
    struct tcp_info info;

    tcp_look(peer, &info);
    return (int64_t)info.tcpi_bytes_acked;
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

/* A body that arrives, or an answer that is read, so slowly that the connection is only held. false: it was ended. */
static bool rate_check(struct peer *peer, int64_t now_us)
{
    const struct http_settings *settings = &peer->server->settings;
    struct http_exchange *exchange = peer->exchange;
    bool is_body = exchange->state == EXCHANGE_BODY && !exchange->is_paused && !exchange->is_turn_over;
    bool is_answer = exchange->state == EXCHANGE_ANSWERING && !exchange->is_parked;
    struct error error;

    if (settings->least_rate == 0 || is_answer != exchange->is_rate_of_answer || !(is_body || is_answer))
        rate_stop(&exchange->rate);
    exchange->is_rate_of_answer = is_answer;
    if (settings->least_rate == 0 || !(is_body || is_answer) ||
        rate_is_kept(&exchange->rate, is_body ? exchange->received_bytes : peer_bytes_taken(peer), now_us,
                     settings->least_rate_window_ms * 1000LL,
                     settings->least_rate * settings->least_rate_window_ms / 1000))
        return true;
    error_set(&error, ERROR_REQUEST_TIMEOUT,
              exchange->is_streamed
                  ? "less than %lld bytes of the body arrived within %d ms; lines before may have been taken"
                  : "less than %lld bytes of the body arrived within %d ms",
              (long long)(settings->least_rate * settings->least_rate_window_ms / 1000),
              settings->least_rate_window_ms);
    peer_reap(peer, !is_body                ? NULL
                    : exchange->has_refusal ? &exchange->refusal
                    : exchange->status == 0 ? &error
                                            : NULL);
    return false;
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
    if (!rate_check(peer, now_us))
        return;
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
