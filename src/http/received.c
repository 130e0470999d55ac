/*
 * received.c -- finds connections whose request the library can't read on.
 *
 * A line of a chunked body (a chunk's size and its extensions) must fit into the connection's buffer. Once the buffer is
 * full of such a line, libmicrohttpd 0.9.75 neither reads on nor refuses the request: it asks to be run again at once,
 * and the loop spins until the body's deadline. The library has no hook for that state, but it shows in how it reads:
 *
 *   recv fills the buffer -> READ: the next run calls recv again, because the socket was not read until EAGAIN
 *                         -> stuck: no run calls recv again
 *
 * So the program defines recv itself, which comes before libc's (ld.so(8)), as own_answer.c does with a function of the
 * library, and notes the calls for the daemon's connections. A connection in its body that filled its buffer and was
 * not read in RUNS_MAX further runs is refused. Waiting for "100 Continue" to be sent is the other reason for a run
 * without recv, so the socket must be writable meanwhile.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "http/private.h"

enum { RUNS_MAX = 4, FDS_MIN = 64, DISCARDS_MAX = 64 };

static _Thread_local struct http_server *running;

void received_join(struct peer *peer)
{
    struct http_server *server = peer->server;
    size_t fd = (size_t)peer->fd, count = server->peer_of_count ? server->peer_of_count : FDS_MIN;

    while (count <= fd)
        count *= 2;
    if (count > server->peer_of_count) {
        struct peer **grown = realloc(server->peer_of, count * sizeof(struct peer *));
        if (!grown)
            return; /* it is not watched: its deadline still holds */
        memset(grown + server->peer_of_count, 0, (count - server->peer_of_count) * sizeof(struct peer *));
        server->peer_of = grown;
        server->peer_of_count = count;
    }
    server->peer_of[fd] = peer;
}

static void full_set(struct peer *peer, bool is_full)
{
    if (is_full != peer->is_full && is_full)
        LIST_INSERT_HEAD(&peer->server->full, peer, full_link);
    if (is_full != peer->is_full && !is_full)
        LIST_REMOVE(peer, full_link);
    peer->is_full = is_full;
    peer->runs_without_recv = -1; /* this one does not count */
}

void received_leave(struct peer *peer)
{
    struct http_server *server = peer->server;

    full_set(peer, false);
    if ((size_t)peer->fd < server->peer_of_count && server->peer_of[peer->fd] == peer)
        server->peer_of[peer->fd] = NULL;
}

__attribute__((visibility("default"))) ssize_t recv(int fd, void *data, size_t size, int flags)
{
    ssize_t got = recvfrom(fd, data, size, flags, NULL, NULL);
    struct http_server *server = running;

    if (server && fd >= 0 && (size_t)fd < server->peer_of_count && server->peer_of[fd]) {
        int number = errno;
        full_set(server->peer_of[fd], got > 0 && (size_t)got == size);
        errno = number;
    }
    return got;
}

static bool is_writable(const struct peer *peer)
{
    struct pollfd poll_fd = {.fd = peer->fd, .events = POLLOUT};

    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLOUT) != 0;
}

/* Unread bytes would turn the end of the connection into a reset, which overtakes the answer. */
static void unread_discard(const struct peer *peer)
{
    char bytes[16384];

    for (int i = 0; i < DISCARDS_MAX && recvfrom(peer->fd, bytes, sizeof(bytes), MSG_DONTWAIT, NULL, NULL) > 0;)
        i++;
}

static void peer_refuse(struct peer *peer)
{
    struct error error;

    error_set(&error, ERROR_BAD_REQUEST,
              "a line of the chunked body (a chunk's size and its extensions) is longer than the connection's buffer");
    http_count(&peer->server->counters->refused);
    unread_discard(peer);
    peer_end(peer, &error);
}

static bool is_stuck(const struct peer *peer)
{
    const struct http_exchange *exchange = peer->exchange;

    return exchange && exchange->state == EXCHANGE_BODY && !exchange->is_parked && !exchange->is_turn_over &&
           !peer->is_reaped && is_writable(peer);
}

void received_run(struct http_server *server)
{
    struct peer *peer, *next;

    running = server;
    MHD_run(server->daemon);
    running = NULL;
    for (peer = LIST_FIRST(&server->full); peer; peer = next) {
        next = LIST_NEXT(peer, full_link);
        if (peer->runs_without_recv < 0 || !is_stuck(peer))
            peer->runs_without_recv = 0;
        else if (++peer->runs_without_recv >= RUNS_MAX)
            peer_refuse(peer);
    }
}
