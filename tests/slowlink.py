"""A link to Redis on which messages, and answers to commands, come later than they could: each connection keeps its order,
but what two connections say of the same moment arrives at different times. Races that are otherwise rare become frequent."""
import heapq
import itertools
import multiprocessing
import random
import selectors
import signal
import socket
import time


class End:
    def __init__(self, link, sock, is_redis):
        self.link, self.socket, self.is_redis = link, sock, is_redis
        self.other = None
        self.is_stream = False  # Redis's end of a connection that subscribed
        self.last_at = 0.0

    def close(self):
        for end in (self, self.other):
            if end.socket.fileno() >= 0:
                self.link.selector.unregister(end.socket)
                end.socket.close()


class Link:
    def __init__(self, listener, port, stream_ms, command_ms):
        """Delays: (low, high) in ms, evenly drawn; below 0: none."""
        self.listener, self.port, self.stream_ms, self.command_ms = listener, port, stream_ms, command_ms
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ, None)
        self.heap, self.serial = [], itertools.count()

    def accept(self):
        near = self.listener.accept()[0]
        try:
            far = socket.create_connection(("127.0.0.1", self.port))
        except OSError:
            near.close()
            return
        client, server = End(self, near, False), End(self, far, True)
        client.other, server.other = server, client
        for end in (client, server):
            end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(end.socket, selectors.EVENT_READ, end)

    def delay(self, end):
        return max(0.0, random.uniform(*(self.stream_ms if end.is_stream else self.command_ms)) / 1000)

    def read(self, end):
        try:
            data = end.socket.recv(262144)
        except OSError:
            data = b""
        if not data:
            end.close()
            return
        if not end.is_redis:  # what goes there goes at once
            end.other.is_stream |= b"\r\nSUBSCRIBE\r\n" in data
            self.write(end.other, data)
            return
        at = end.last_at = max(end.last_at, time.monotonic() + self.delay(end))
        heapq.heappush(self.heap, (at, next(self.serial), end.other, data))

    @staticmethod
    def write(end, data):
        try:
            end.socket.sendall(data)
        except OSError:
            end.close()

    def run(self):
        while True:
            timeout = max(0, self.heap[0][0] - time.monotonic()) if self.heap else None
            for key, _ in self.selector.select(timeout):
                if key.data is None:
                    self.accept()
                elif key.fileobj.fileno() >= 0:
                    self.read(key.data)
            while self.heap and self.heap[0][0] <= time.monotonic():
                _, _, end, data = heapq.heappop(self.heap)
                if end.socket.fileno() >= 0:
                    self.write(end, data)


def start(redis_port, stream_ms, command_ms):
    """-> (port, process to be terminated)."""
    listener = socket.create_server(("127.0.0.1", 0))
    def run():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # pytest's would raise here
        Link(listener, redis_port, stream_ms, command_ms).run()
    process = multiprocessing.get_context("fork").Process(target=run, daemon=True)
    process.start()
    port = listener.getsockname()[1]
    listener.close()
    return port, process
