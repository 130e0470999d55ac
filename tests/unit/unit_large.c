/* Requests with large bodies, and what passes between them: a server of http/ on a loop, and clients in the same thread. */
#include "unit.h"

#include <arpa/inet.h>
#include <ev.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/server.h"

enum { CLIENTS = 24, LARGE = 40000, MEDIUM = 16000, SMALL = 100, TURNS_MAX = 100000 };

struct handled {
    size_t size;
    int turn;
    int64_t began_us, ended_us;
};

struct site {
    struct ev_loop *loop;
    struct http_server *server;
    struct http_counters counters;
    int port, turn;
    int64_t spin_us; /* what a request takes */
    struct handled handled[CLIENTS];
    size_t handled_count;
    ev_check check;
};

static void on_check(struct ev_loop *loop, ev_check *watcher, int events)
{
    (void)loop;
    (void)events;
    ((struct site *)watcher->data)->turn++;
}

static void handle(void *context, struct http_request *request)
{
    struct site *site = context;
    struct buf body;

    assert_true(site->handled_count < CLIENTS);
    struct handled *one = &site->handled[site->handled_count++];
    *one = (struct handled){request->body.size, site->turn, clock_monotonic_us(), 0};
    do
        one->ended_us = clock_monotonic_us();
    while (one->ended_us < one->began_us + site->spin_us);
    buf_init(&body, 100);
    buf_append_text(&body, "{}");
    http_reply(request, 200, "application/json", &body);
}

static int site_setup(void **state)
{
    struct site *site = calloc(1, sizeof(*site));
    struct error error;
    struct http_settings settings = {.connections_max = CLIENTS,
                                     .uri_bytes_max = 100,
                                     .header_bytes_max = 1000,
                                     .body_bytes_max = 1 << 20,
                                     .header_timeout_ms = 60000,
                                     .body_timeout_ms = 60000,
                                     .answer_timeout_ms = 60000,
                                     .idle_timeout_ms = 60000,
                                     .counters = &site->counters};
    const struct http_application application = {.context = site, .handle = handle};

    site->loop = ev_loop_new(EVFLAG_AUTO);
    assert_true(http_listen("127.0.0.1", 0, &settings.listen_fd, &site->port, &error));
    site->server = http_server_new(site->loop, &settings, &application);
    assert_non_null(site->server);
    ev_check_init(&site->check, on_check);
    site->check.data = site;
    ev_check_start(site->loop, &site->check);
    *state = site;
    return 0;
}

static int site_teardown(void **state)
{
    struct site *site = *state;

    http_server_free(&site->server);
    ev_check_stop(site->loop, &site->check);
    ev_loop_destroy(site->loop);
    free(site);
    return 0;
}

struct client {
    int fd;
    char *bytes;
    size_t size, sent;
};

static void client_open(const struct site *site, struct client *client, size_t body)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)site->port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
    client->bytes = malloc(body + 200);
    int head = snprintf(client->bytes, 200, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", body);
    memset(client->bytes + head, ' ', body);
    client->size = (size_t)head + body;
    client->sent = 0;
}

/* All but the last byte of a body. */
static void clients_fill(struct site *site, struct client *clients, size_t count, size_t left)
{
    bool is_all = false;

    for (int i = 0; i < TURNS_MAX && !is_all; i++) {
        is_all = true;
        for (size_t c = 0; c < count; c++) {
            struct client *client = &clients[c];
            size_t more = client->size - left - client->sent;
            ssize_t n = more ? send(client->fd, client->bytes + client->sent, more, MSG_NOSIGNAL) : 0;
            client->sent += n > 0 ? (size_t)n : 0;
            is_all = is_all && client->sent + left == client->size;
        }
        ev_run(site->loop, EVRUN_NOWAIT);
    }
    assert_true(is_all);
}

static void turns_run(struct site *site, size_t wanted)
{
    for (int i = 0; i < TURNS_MAX && site->handled_count < wanted; i++)
        ev_run(site->loop, EVRUN_ONCE);
    assert_int_equal(site->handled_count, wanted);
}

static void client_close(struct client *client)
{
    close(client->fd);
    free(client->bytes);
}

static void clients_open(struct site *site, struct client *clients, size_t count, const size_t *sizes)
{
    for (size_t i = 0; i < count; i++)
        client_open(site, &clients[i], sizes[i]);
    clients_fill(site, clients, count, 1);
    for (int i = 0; i < 200; i++) /* whatever is in the sockets is read */
        ev_run(site->loop, EVRUN_NOWAIT);
    assert_int_equal(site->handled_count, 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(send(clients[i].fd, clients[i].bytes + clients[i].sent, 1, MSG_NOSIGNAL), 1);
}

/* All of them are complete before the loop runs on: no turn handles more than it may. */
static void test_large_bodies_take_turns(void **state)
{
    struct site *site = *state;
    struct client clients[CLIENTS];
    size_t sizes[CLIENTS], bytes = 0, small_count = 0;

    for (size_t i = 0; i < CLIENTS; i++)
        sizes[i] = i % 3 == 0 ? LARGE : i % 3 == 1 ? MEDIUM : SMALL;
    clients_open(site, clients, CLIENTS, sizes);
    turns_run(site, CLIENTS);
    for (size_t i = 0; i < CLIENTS; i++) {
        const struct handled *one = &site->handled[i];
        if (i == 0 || one->turn != site->handled[i - 1].turn)
            bytes = 0;
        small_count += one->size == SMALL;
        /* Nobody who is small waits behind one who is large. */
        assert_true(one->size != SMALL || one->turn == site->handled[0].turn);
        bytes += one->size == SMALL ? 0 : one->size;
        assert_true(bytes <= 65536);
    }
    assert_int_equal(small_count, CLIENTS / 3);
    for (size_t i = 0; i < CLIENTS; i++)
        client_close(&clients[i]);
}

/* Between two of them there is as much time as the first one took, less what may be owed. */
static void test_large_bodies_have_half_of_the_time(void **state)
{
    enum { AHEAD_US = 2000, REST_US_MAX = 100000 };
    struct site *site = *state;
    struct client clients[8];
    size_t sizes[8];
    int64_t due_us = 0;

    site->spin_us = 5000;
    for (size_t i = 0; i < 8; i++)
        sizes[i] = LARGE;
    clients_open(site, clients, 8, sizes);
    turns_run(site, 8);
    for (size_t i = 0; i < 8; i++) {
        const struct handled *one = &site->handled[i];
        int64_t took_us = one->ended_us - one->began_us;
        assert_true(one->began_us >= due_us - AHEAD_US);
        due_us = (due_us > one->began_us ? due_us : one->began_us) + took_us +
                 (took_us < REST_US_MAX ? took_us : REST_US_MAX);
        client_close(&clients[i]);
    }
}

/* Those that leave while they wait are not handled, and hold up nobody. */
static void test_who_waits_may_leave(void **state)
{
    struct site *site = *state;
    struct client clients[CLIENTS];
    size_t sizes[CLIENTS];

    for (size_t i = 0; i < CLIENTS; i++)
        sizes[i] = LARGE;
    clients_open(site, clients, CLIENTS, sizes);
    turns_run(site, 1);
    assert_false(http_server_is_idle(site->server));
    http_server_drain(site->server);
    for (size_t i = 0; i < CLIENTS; i++)
        client_close(&clients[i]);
    for (int i = 0; i < TURNS_MAX && !http_server_is_idle(site->server); i++)
        ev_run(site->loop, EVRUN_NOWAIT);
    assert_true(http_server_is_idle(site->server));
}

/* The server ends while some wait. */
static void test_the_server_may_end(void **state)
{
    struct site *site = *state;
    struct client clients[CLIENTS];
    size_t sizes[CLIENTS];

    for (size_t i = 0; i < CLIENTS; i++)
        sizes[i] = LARGE;
    clients_open(site, clients, CLIENTS, sizes);
    turns_run(site, 1);
    for (size_t i = 0; i < CLIENTS; i++)
        client_close(&clients[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_large_bodies_take_turns, site_setup, site_teardown),
        cmocka_unit_test_setup_teardown(test_large_bodies_have_half_of_the_time, site_setup, site_teardown),
        cmocka_unit_test_setup_teardown(test_who_waits_may_leave, site_setup, site_teardown),
        cmocka_unit_test_setup_teardown(test_the_server_may_end, site_setup, site_teardown),
    };

    return cmocka_run_group_tests_name("large", tests, NULL, NULL);
}
