/*
 * raw.c -- answers that are written to the socket past the library.
 *
 * The library sends an answer only before the first byte of a body or behind the last one. A request that does not
 * arrive in time, or that is refused while its body still comes, is answered here. So are the requests that the library
 * refuses itself (own_answer.c).
 */
#include <microhttpd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/jsonw.h"
#include "http/private.h"

static void head_write(struct buf *out, const struct http_server *server, int status, size_t body_size)
{
    char date[64];
    struct tm parts;
    time_t now = time(NULL);

    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &parts));
    buf_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: close\r\nContent-Length: %zu\r\n", status,
               MHD_get_reason_phrase_for((unsigned)status), date, body_size);
    buf_append_text(out, "Content-Type: application/problem+json\r\nX-Content-Type-Options: nosniff\r\n"
                         "Cache-Control: no-store\r\n");
    for (size_t i = 0; i < server->application.field_count; i++)
        buf_printf(out, "%s: %s\r\n", server->application.fields[i].name, server->application.fields[i].value);
    buf_append_text(out, "\r\n");
}

static void problem_send(const struct http_server *server, int fd, bool is_head, const struct error *error)
{
    int status = error_status(error->code);
    struct buf body, out;
    struct jsonw json;

    http_count(&server->counters->status[status / 100 % 6]);
    buf_init(&body, 4096);
    buf_init(&out, 8192);
    jsonw_init(&json, &body);
    http_problem(&json, error);
    buf_append_byte(&body, '\n');
    head_write(&out, server, status, body.size);
    if (!is_head)
        buf_append_slice(&out, buf_slice(&body));
    if (!out.is_overflown && !body.is_overflown)
        (void)!send(fd, out.data, out.size, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(fd, SHUT_WR);
    buf_done(&body);
    buf_done(&out);
}

void peer_answer(struct peer *peer, const struct error *error)
{
    if (peer->is_answered)
        return;
    peer->is_answered = true;
    problem_send(peer->server, peer->fd, peer->exchange && peer->exchange->request.method == HTTP_HEAD, error);
}

void stranger_refuse(const struct http_server *server, int fd, const struct error *error)
{
    char bytes[4096];

    problem_send(server, fd, false, error);
    /* What is unread would turn the end of the connection into a reset, which overtakes the answer. */
    while (recvfrom(fd, bytes, sizeof(bytes), MSG_DONTWAIT, NULL, NULL) == (ssize_t)sizeof(bytes))
        ;
    close(fd);
}
