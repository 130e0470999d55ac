"""A TCP link that can go wrong: late, slow, in slices, silent, half open, reset, with garbage.

A process of its own passes the bytes on, so that its delays don't depend on what the test does; `set` returns when the new
rules hold, for the connections that there are too.
"""
import collections
import dataclasses
import heapq
import itertools
import multiprocessing
import random
import selectors
import signal
import socket
import struct
import time

RECEIVE = 65536
BACKLOG_MAX = 1 << 20   # bytes on their way to one end: then the other is not read for a while
GARBAGE = b"\xff\x00garbage\r\n\x00\xff"


@dataclasses.dataclass
class Rules:
    """What a link does to what passes. `up` is towards the server; delays are (low, high) in ms, evenly drawn."""
    up_ms: tuple = (0, 0)
    down_ms: tuple = (0, 0)
    stream_ms: tuple = None      # in place of down_ms on a connection that has subscribed to Redis
    bytes_per_s: int = 0         # 0: as fast as it can
    slice_bytes: int = 0         # passed on in pieces of so many bytes
    drop: str = ""               # "up", "down" or "both": swallowed, nobody is told; new connections wait as a lost SYN does
    is_refusing: bool = False    # new connections are reset
    is_half_open: bool = False   # new connections are taken, and nothing is ever read from them
    reset_after: int = 0         # a connection that has passed so many bytes is reset
    has_garbage: bool = False    # in place of the next answer comes nonsense, then the end


class End:
    """One socket of a pair; `queue` is what is on its way to it."""

    def __init__(self, sock, is_server):
        self.socket, self.is_server = sock, is_server
        self.other = None
        self.queue, self.queued = collections.deque(), 0
        self.out = bytearray()       # due, but the socket takes no more at the moment
        self.last_at = 0.0
        self.passed = 0              # bytes, both ways, counted at the client's end
        self.watched = 0             # what the selector waits for
        self.is_stream = self.is_lossy = self.is_silent = self.is_ending = False


class Link:
    def __init__(self, listener, to, control, rules):
        self.listener, self.to, self.control, self.rules = listener, to, control, rules
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ, "listener")
        self.selector.register(control, selectors.EVENT_READ, "control")
        self.is_listening = True
        self.heap, self.serial, self.ends = [], itertools.count(), set()

    def run(self):
        while True:
            timeout = max(0.0, self.heap[0][0] - time.monotonic()) if self.heap else None
            for key, happened in self.selector.select(timeout):
                if key.data == "control":
                    if not self.on_control():
                        return
                elif key.data == "listener":
                    self.accept()
                else:
                    if key.data in self.ends and happened & selectors.EVENT_WRITE:
                        self.flush(key.data)
                    if key.data in self.ends and happened & selectors.EVENT_READ:
                        self.read(key.data)
            while self.heap and self.heap[0][0] <= time.monotonic():
                end = heapq.heappop(self.heap)[2]
                if end in self.ends:
                    data = end.queue.popleft()
                    end.queued -= len(data)
                    self.write(end, data)

    def on_control(self):
        try:
            what = self.control.recv()
        except EOFError:
            return False
        if what == "reset":
            for end in list(self.ends):
                self.close(end, is_reset=True)
        else:
            self.rules = what
            if not what.is_half_open:  # who was taken and never read finds that out now
                for end in [end for end in self.ends if end.is_silent]:
                    self.close(end, is_reset=True)
            self.listen(not what.drop)
        self.control.send("done")
        return True

    def listen(self, is_listening):
        if is_listening and not self.is_listening:
            self.selector.register(self.listener, selectors.EVENT_READ, "listener")
        elif self.is_listening and not is_listening:
            self.selector.unregister(self.listener)
        self.is_listening = is_listening

    def accept(self):
        near = End(self.listener.accept()[0], False)
        if self.rules.is_refusing:
            self.linger_not(near.socket)
            near.socket.close()
            return
        near.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.rules.is_half_open:
            near.is_silent = True
            self.ends.add(near)
            return
        try:
            far = End(socket.create_connection(("127.0.0.1", self.to), timeout=2), True)
        except OSError:
            near.socket.close()
            return
        far.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        near.other, far.other = far, near
        for end in (near, far):
            end.socket.setblocking(False)
            self.ends.add(end)
        self.watch(near)

    def read(self, end):
        """Takes what came from `end` and says when it goes on to the other."""
        rules, other = self.rules, end.other
        try:
            data = end.socket.recv(RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data and rules.drop in ("both", "down" if end.is_server else "up"):
            end.is_lossy = other.is_lossy = True
            return
        if end.is_lossy:  # a gap in a stream of bytes can't be passed on
            self.close(end)
            return
        if not end.is_server:
            other.is_stream |= b"\r\nSUBSCRIBE\r\n" in data
        elif rules.has_garbage and data:
            self.rules = dataclasses.replace(rules, has_garbage=False)
            self.send_later(other, GARBAGE, 0.0)
            self.send_later(other, b"", 0.0)
            return
        low_high = rules.up_ms if not end.is_server else rules.stream_ms if end.is_stream and rules.stream_ms else rules.down_ms
        delay = max(0.0, random.uniform(*low_high)) / 1000
        size = rules.slice_bytes or len(data) or 1
        for at in range(0, len(data) or 1, size):
            self.send_later(other, data[at:at + size], delay)
        if other in self.ends:
            self.watch(other)

    def send_later(self, end, data, delay):
        cost = len(data) / self.rules.bytes_per_s if self.rules.bytes_per_s else 0.0
        at = end.last_at = max(end.last_at, time.monotonic() + delay) + cost
        if at <= time.monotonic() and not end.queue:
            self.write(end, data)
            return
        end.queue.append(data)
        end.queued += len(data)
        heapq.heappush(self.heap, (at, next(self.serial), end))

    def write(self, end, data):
        if end not in self.ends:
            return
        client = end.other if end.is_server else end
        client.passed += len(data)
        if not data and not end.out:
            self.close(end)
        elif self.rules.reset_after and client.passed > self.rules.reset_after:
            self.close(end, is_reset=True)
        elif data:
            end.out += data
            self.flush(end)
        else:
            end.is_ending = True

    def flush(self, end):
        try:
            sent = end.socket.send(end.out) if end.out else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close(end)
            return
        del end.out[:sent]
        if end.is_ending and not end.out:
            self.close(end)
        else:
            self.watch(end)

    def watch(self, end):
        """What to wait for on an end, and on the one that its bytes come from."""
        for one in (end, end.other):
            is_full = len(one.other.out) + one.other.queued > BACKLOG_MAX
            wanted = (0 if is_full else selectors.EVENT_READ) | (selectors.EVENT_WRITE if one.out else 0)
            if wanted != one.watched:
                if one.watched and wanted:
                    self.selector.modify(one.socket, wanted, one)
                elif wanted:
                    self.selector.register(one.socket, wanted, one)
                else:
                    self.selector.unregister(one.socket)
                one.watched = wanted

    @staticmethod
    def linger_not(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self, end, is_reset=False):
        for one in (end, end.other):
            if one in self.ends:
                self.ends.remove(one)
                if one.watched:
                    self.selector.unregister(one.socket)
                if is_reset:
                    self.linger_not(one.socket)
                one.socket.close()


class Proxy:
    """The link to 127.0.0.1:`to`; it listens on `port`."""

    def __init__(self, to, **rules):
        self.to = to
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = listener.getsockname()[1]
        self.pipe, there = multiprocessing.Pipe()

        def run():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # pytest's would raise here
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self.pipe.close()
            Link(listener, to, there, Rules(**rules)).run()
        self.process = multiprocessing.get_context("fork").Process(target=run, daemon=True)
        self.process.start()
        listener.close()
        there.close()

    def tell(self, what):
        self.pipe.send(what)
        assert self.pipe.poll(10), "the link does not answer"
        self.pipe.recv()

    def set(self, **rules):
        """From now on these rules hold, and no other."""
        self.tell(Rules(**rules))

    def heal(self):
        """What was lost stays lost: a connection that misses bytes is broken, the others and new ones pass."""
        self.set()

    def reset(self):
        """Every connection that there is now gets an RST."""
        self.tell("reset")

    def close(self):
        self.process.terminate()
        self.process.join(5)
        self.pipe.close()
