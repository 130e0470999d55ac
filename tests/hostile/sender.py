"""Sends many byte strings, each on a connection of its own and cut as asked, and collects what comes back.

A cut counts only if the server has read what stands before it: the next pieces are sent when the kernel shows no unread byte on
any of the server's connections (/proc/net/tcp), so the server must run on this machine.
"""
import contextlib
import pathlib
import selectors
import socket
import time

BATCH = 300
END_S = 60


def pieces(data, how):
    """The ways to cut it: "whole", "bytes" (each byte alone) or "cuts" (in two, at every place)."""
    if how == "whole":
        return [[data]]
    if how == "bytes":
        return [[data[at:at + 1] for at in range(len(data))]]
    return [[data[:at], data[at:]] for at in range(1, len(data))]


def is_unread(port):
    suffix = f":{port:04X}"
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        row = line.split(None, 5)
        if row[1].endswith(suffix) and row[3] == "01" and not row[4].endswith(":00000000"):
            return True
    return False


def wait_until_read(port, bound_s=2):
    end = time.monotonic() + bound_s  # what the server leaves unread for good (it refused the request) is not waited for
    while is_unread(port) and time.monotonic() < end:
        time.sleep(0.001)


def send_all(port, plans):
    """[(what came back, whether the server closed the connection)] for each plan, a list of pieces."""
    results = []
    for at in range(0, len(plans), BATCH):
        results += send_batch(port, plans[at:at + BATCH])
    return results


def send_batch(port, plans):
    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in plans:
            sockets.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), END_S)))
            sockets[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for step in range(max(map(len, plans))):
            for plan, connection in zip(plans, sockets):
                if step < len(plan):
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before its end
                        connection.sendall(plan[step])
            if step + 1 < max(map(len, plans)):
                wait_until_read(port)
        return receive_all(sockets)


def receive_all(sockets):
    """Until the server has closed each of them."""
    data, closed, end = [b""] * len(sockets), [False] * len(sockets), time.monotonic() + END_S
    with selectors.DefaultSelector() as selector:
        for i, connection in enumerate(sockets):
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ, i)
        while selector.get_map() and time.monotonic() < end:
            for key, _ in selector.select(max(0, end - time.monotonic())):
                try:
                    more = key.fileobj.recv(65536)
                except ConnectionResetError:
                    more = b""
                data[key.data] += more
                if not more:
                    closed[key.data] = True
                    selector.unregister(key.fileobj)
    return list(zip(data, closed))
