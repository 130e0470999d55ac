/*
 * listener.h -- takes connections from a listening socket, in place of the daemon's own accept.
 *
 * That one does not listen again, once the process was out of descriptors, until one of its connections ends. Here those
 * who cannot be taken wait in the kernel's queue: for a connection to end where as many are open as may be, and for
 * LISTENER_PAUSE_MS where the kernel has no descriptor or no memory. One loop, its thread.
 */
#ifndef HTTP_LISTENER_H
#define HTTP_LISTENER_H

#include <ev.h>
#include <stdbool.h>
#include <sys/socket.h>

enum { LISTENER_PAUSE_MS = 100 };

/* A connection: non-blocking, closed on exec. It is the callee's. */
typedef void listener_take_fn(void *context, int fd, const struct sockaddr *address, socklen_t size);

struct listener {
    struct ev_loop *loop;
    ev_io readable;
    ev_timer pause; /* while the kernel has nothing to give */
    listener_take_fn *take;
    void *context;
    int fd; /* -1: closed */
    int open, open_max;
    bool is_short;
};

/* fd: bound and listening; the listener takes it. open_max: connections at a time. */
void listener_init(struct listener *listener, struct ev_loop *loop, int fd, int open_max, listener_take_fn *take,
                   void *context);
/* One of those taken is open; it has ended. */
void listener_began(struct listener *listener);
void listener_ended(struct listener *listener);
/* Takes no more; those in the kernel's queue are reset. May be called again. */
void listener_close(struct listener *listener);

#endif
