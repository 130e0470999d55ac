"""The load of one well-behaved tenant, and what it feels: sent by a clock, so that a slow answer does not slow the load down.

A process of its own, single-threaded. Each request has a due time; its latency counts from then, so what waits for a free connection
counts too.
"""
import collections
import heapq
import multiprocessing
import os
import pathlib
import selectors
import socket
import time

READS, READ_CONNECTIONS = 40, 8    # a second
WRITES, WRITE_CONNECTIONS = 8, 4
PATIENCE = 30  # seconds, for what is still under way at the end


def prefer(pid):
    """Ten times the share of the processors of each other session, when they are all busy; as CPUWeight=1000 of a systemd unit. pid leads a session."""
    try:
        pathlib.Path(f"/proc/{pid}/autogroup").write_text("-10")
    except OSError:
        pass  # no root, or a kernel without: it has the share of all


class Feeling:
    """Latencies in ms and statuses of one kind of request; 0: no answer."""

    def __init__(self, ms=(), statuses=()):
        self.ms, self.statuses = list(ms), collections.Counter(statuses)

    def __add__(self, other):
        return Feeling(self.ms + other.ms, self.statuses + other.statuses)

    def percentile(self, part):
        ms = sorted(self.ms)
        return ms[min(len(ms) - 1, int(len(ms) * part))]

    @property
    def p50(self):
        return self.percentile(.5)

    @property
    def p99(self):
        return self.percentile(.99)

    @property
    def failed(self):
        return sum(count for status, count in self.statuses.items() if status != 200)


class Connection:
    def __init__(self, port, selector):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data, self.due, self.feeling = b"", None, None
        selector.register(self.socket, selectors.EVENT_READ, self)

    def send(self, request, due, feeling):
        self.data, self.due, self.feeling = b"", due, feeling
        self.socket.sendall(request)

    def take(self):
        """Reads what there is; the status once the answer is whole, 0 if the connection ended before."""
        try:
            more = self.socket.recv(1 << 20)
        except ConnectionError:
            more = b""
        self.data += more
        return status_of(self.data) if more else 0


def status_of(data):
    """The status of the answer in data, or None: not whole yet. Only what the server sends here: a length in the header."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end].lower()
    at = head.find(b"content-length:")
    size = int(head[at + 15:].split(b"\r\n")[0]) if at >= 0 else 0
    return int(data[9:12]) if len(data) >= end + 4 + size else None


def victim_load(port, reads, write, seconds):
    """(reads, writes): what they felt. reads: requests, in turn; write: makes the request of a number."""
    os.setsid()
    prefer(os.getpid())  # clients are elsewhere: they do not wait for this machine's processors
    selector = selectors.DefaultSelector()
    begin = time.monotonic() + 0.05
    kinds = []
    for number, (rate, connections, make) in enumerate(((READS, READ_CONNECTIONS, lambda n: reads[n % len(reads)]),
                                                        (WRITES, WRITE_CONNECTIONS, write))):
        free = collections.deque(Connection(port, selector) for _ in range(connections))
        kinds.append((free, make, Feeling()))
    plan = [(begin + n / READS, 0, n) for n in range(int(seconds * READS))] + [(begin + n / WRITES, 1, n) for n in range(int(seconds * WRITES))]
    heapq.heapify(plan)
    waiting = [collections.deque(), collections.deque()]
    under_way = 0
    while (plan or under_way or any(waiting)) and time.monotonic() < begin + seconds + PATIENCE:
        now = time.monotonic()
        while plan and plan[0][0] <= now:
            due, kind, n = heapq.heappop(plan)
            waiting[kind].append((due, n))
        for kind, (free, make, feeling) in enumerate(kinds):
            while waiting[kind] and free:
                due, n = waiting[kind].popleft()
                connection = free.popleft()
                connection.kind = kind
                connection.send(make(n), due, feeling)
                under_way += 1
        until = plan[0][0] - time.monotonic() if plan else 1
        for key, _ in selector.select(max(0, until)):
            connection = key.data
            status = connection.take()
            if status is None:
                continue
            if connection.due is not None:
                connection.feeling.ms.append((time.monotonic() - connection.due) * 1000)
                connection.feeling.statuses[status] += 1
                connection.due = None
                under_way -= 1
            if status == 0:
                selector.unregister(connection.socket)
                connection.socket.close()
                kind = connection.kind
                connection = Connection(port, selector)
                connection.kind = kind
            kinds[connection.kind][0].append(connection)
    felt = [feeling for _, _, feeling in kinds]
    for kind in (0, 1):
        felt[kind].statuses[0] += len(waiting[kind])
    felt[0].statuses[0] += under_way
    for key in list(selector.get_map().values()):
        key.data.socket.close()
    return [(feeling.ms, +feeling.statuses) for feeling in felt]


def attack_load(port, requests, connections, in_flight, stop, pipe):
    """Each connection sends the next request as soon as in_flight of its own are not answered any more; until told to stop."""
    selector, states = selectors.DefaultSelector(), []
    statuses, bytes_sent, turn = collections.Counter(), 0, 0

    def send(state):
        nonlocal turn, bytes_sent
        request = requests[turn % len(requests)]
        turn += 1
        state["left"] += request
        state["under_way"] += 1
        bytes_sent += len(request)

    def dial():
        s = socket.create_connection(("127.0.0.1", port), 10)
        s.setblocking(False)
        state = {"socket": s, "left": bytearray(), "data": bytearray(), "under_way": 0}
        for _ in range(in_flight):
            send(state)
        selector.register(s, selectors.EVENT_READ | selectors.EVENT_WRITE, state)
        states.append(state)

    for _ in range(connections):
        dial()
    while True:
        is_over = stop.is_set()
        if is_over and not any(state["under_way"] for state in states):
            break
        for key, events in selector.select(0.1):
            state = key.data
            try:
                if events & selectors.EVENT_WRITE and state["left"]:
                    del state["left"][:state["socket"].send(state["left"][:1 << 20])]
                if events & selectors.EVENT_READ:
                    more = state["socket"].recv(1 << 20)
                    if not more:
                        raise ConnectionError
                    state["data"] += more
            except BlockingIOError:
                continue
            except ConnectionError:
                selector.unregister(state["socket"])
                state["socket"].close()
                states.remove(state)
                statuses[0] += state["under_way"]
                if not is_over:
                    dial()
                continue
            while (status := status_of(state["data"])) is not None:
                end = state["data"].find(b"\r\n\r\n")
                head = bytes(state["data"][:end]).lower()
                at = head.find(b"content-length:")
                del state["data"][:end + 4 + (int(head[at + 15:].split(b"\r\n")[0]) if at >= 0 else 0)]
                statuses[status] += 1
                state["under_way"] -= 1
                if not is_over:
                    send(state)
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if state["left"] else 0)
            if selector.get_key(state["socket"]).events != wanted:
                selector.modify(state["socket"], wanted, state)
    pipe.send((dict(statuses), bytes_sent))


def in_process(function, *arguments):
    """Starts it; returns what ends it and what gets its result."""
    fork = multiprocessing.get_context("fork")
    mine, its = fork.Pipe(False)
    process = fork.Process(target=lambda: its.send(function(*arguments)), daemon=True)
    process.start()
    return process, mine


def alone(port, reads, write, seconds):
    process, pipe = in_process(victim_load, port, reads, write, seconds)
    felt = pipe.recv()
    process.join()
    return [Feeling(*part) for part in felt]


class Attack:
    """Runs from `with` on; `statuses` after it."""

    def __init__(self, port, requests, connections=1, in_flight=1):
        self.arguments = port, requests, connections, in_flight
        self.statuses, self.seconds, self.bytes_sent = collections.Counter(), 0.0, 0

    def __enter__(self):
        fork = multiprocessing.get_context("fork")
        self.stop = fork.Event()
        self.mine, its = fork.Pipe(False)
        self.process = fork.Process(target=attack_load, args=(*self.arguments, self.stop, its), daemon=True)
        self.began = time.monotonic()
        self.process.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        took = time.monotonic() - self.began
        assert self.mine.poll(120), "the attack's last requests were not answered"
        statuses, sent = self.mine.recv()
        self.process.join()
        took = time.monotonic() - self.began
        self.statuses += collections.Counter(statuses)
        self.seconds += took
        self.bytes_sent += sent
