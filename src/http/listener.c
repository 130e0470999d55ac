#include "http/listener.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

enum { TURN_MAX = 64 }; /* connections at a time: what is under way has its turn between */

static bool is_of_kernel(int number)
{
    return number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM;
}

static void pause_begin(struct listener *listener)
{
    if (!listener->is_short)
        log_warn("connections-wait", LOG_TEXT("because", strerror(errno)));
    listener->is_short = true;
    ev_io_stop(listener->loop, &listener->readable);
    ev_timer_set(&listener->pause, LISTENER_PAUSE_MS / 1000.0, 0);
    ev_timer_start(listener->loop, &listener->pause);
}

/* What fails for another reason concerns one client, who has gone (accept(2), "Error handling"). */
static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct listener *listener = watcher->data;

    (void)events;
    for (int i = 0; i < TURN_MAX && listener->open < listener->open_max; i++) {
        struct sockaddr_storage address;
        socklen_t size = sizeof(address);
        int fd = accept4(listener->fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && is_of_kernel(errno)) {
            pause_begin(listener);
            return;
        }
        if (fd < 0)
            return;
        listener->is_short = false;
        listener->take(listener->context, fd, (struct sockaddr *)&address, size);
    }
    if (listener->open >= listener->open_max)
        ev_io_stop(loop, watcher);
}

static void on_pause_over(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct listener *listener = watcher->data;

    (void)events;
    ev_io_start(loop, &listener->readable);
}

void listener_init(struct listener *listener, struct ev_loop *loop, int fd, int open_max, listener_take_fn *take,
                   void *context)
{
    *listener = (struct listener){.loop = loop, .fd = fd, .open_max = open_max, .take = take, .context = context};
    ev_io_init(&listener->readable, on_readable, fd, EV_READ);
    ev_init(&listener->pause, on_pause_over);
    listener->readable.data = listener->pause.data = listener;
    ev_io_start(loop, &listener->readable);
}

void listener_began(struct listener *listener)
{
    listener->open++;
}

void listener_ended(struct listener *listener)
{
    listener->open--;
    if (listener->fd >= 0 && !ev_is_active(&listener->pause))
        ev_io_start(listener->loop, &listener->readable);
}

void listener_close(struct listener *listener)
{
    if (listener->fd < 0)
        return;
    ev_io_stop(listener->loop, &listener->readable);
    ev_timer_stop(listener->loop, &listener->pause);
    close(listener->fd);
    listener->fd = -1;
}
