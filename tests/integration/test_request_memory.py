"""The memory of requests: bounded for all of them together (server.memory_bytes), and given back to the machine."""
import re
import socket
import time

import pytest

from harness import wait_until
from test_bodies import MB, head, query, rss, serving, unread
from test_http_wire import check_problem
from wire import Wire

pytestmark = pytest.mark.alone

LIMIT = 16 * MB
CONNECTION = 64 << 10  # more than a connection takes beside its body


def metric(client, name):
    text = client.session.get(f"http://127.0.0.1:{client.server.port}/metrics", timeout=60).text
    assert "memory-full" not in text, text
    return int(re.search(rf"^{re.escape(name)} (\d+)$", text, re.M)[1])


def used(client):
    """By others than the request that asks."""
    return metric(client, "ladder_request_memory_bytes")


class Unread(Wire):
    """The kernels take little of what it does not read."""

    def __init__(self, port, timeout):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self.data, self.is_closed = b"", False

    def receive(self):
        self.data += self.socket.recv(100)
        return True


class Crowd:
    """So many connections."""

    def __init__(self, client, count, is_reading=True):
        self.client = client
        self.wires = [(Wire if is_reading else Unread)(client.server.port, 120) for _ in range(count)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for wire in self.wires:
            wire.socket.close()

    def send(self, data):
        for i, wire in enumerate(self.wires):
            wire.send(data(i) if callable(data) else data)
        wait_until(lambda: unread(self.client.server.port) == 0, 60, "the server has read it all")


def body_of(client, key, size=MB):
    body = query(1, size)
    return head(client, "POST", f"/v1/games/{client.game}/query", len(body), key), body


def test_bodies_have_a_limit_together(stack):
    """Half of a crowd's bodies fit. The rest is told so; reads, and bodies after that, are served as ever."""
    with serving(stack, server_loops=2, server_memory_bytes=LIMIT, server_body_timeout_ms=60000) as client:
        assert metric(client, "ladder_request_memory_limit_bytes") == LIMIT
        before, at_rest = rss(client.server), used(client)
        text, body = body_of(client, client.key)
        with Crowd(client, 48) as crowd:
            crowd.send(text + body[:-1])
            assert LIMIT // 4 < used(client) <= LIMIT + 2 * MB
            assert rss(client.server) - before < 2 * LIMIT + 48 * CONNECTION, "48 MB were sent"  # what was freed is given back a few seconds later
            assert client.read("/boards/b/players/ann")["score"] == 3
            answers = [wire.send(body[-1:]).answer() for wire in crowd.wires]
            refused = [answer for answer in answers if answer.status != 200]
            assert 48 - 16 <= len(refused) < 48 and {answer.status for answer in refused} == {503}
            for answer in refused:
                problem = check_problem(answer, 503, "server.memory_bytes")
                assert problem["type"] == "urn:ladder:problem:memory-full" and answer.headers["retry-after"] == "1"
            assert metric(client, 'ladder_unavailable_total{cause="memory"}') == len(refused)
            assert "event=unavailable cause=memory" in client.server.log()
            wait_until(lambda: used(client) <= at_rest, 10, "all is given back while the connections stay")
            kept = next(wire for wire, answer in zip(crowd.wires, answers) if answer.status == 200)
            assert kept.send(text + body).answer().status == 200
        with Crowd(client, 12) as crowd:
            crowd.send(text + body[:-1])
            assert used(client) > 10 * MB
        wait_until(lambda: used(client) <= at_rest, 10, "clients that left have nothing")


def test_bodies_without_a_key_may_have_half(stack):
    """However many there are, those with a key have room."""
    with serving(stack, server_memory_bytes=LIMIT, server_anonymous_body_bytes_max=MB, server_body_timeout_ms=60000) as client:
        text, body = body_of(client, None)
        with Crowd(client, 40) as crowd:
            crowd.send(text + body[:-1])
            assert LIMIT // 4 < used(client) <= LIMIT // 2 + MB
            keyed, _ = body_of(client, client.key)
            for _ in range(5):
                with Wire(client.server.port) as wire:
                    assert wire.send(keyed + body).answer().status == 200


@pytest.fixture(scope="module")
def worker(stack):
    worker = stack.worker()
    yield worker
    assert worker.stop() == 0


def fill(client, count=1000):
    client.put_board("large", public=True)
    client.submit_many([dict(board="large", player=f"p{i}", score=i, metadata={"x": "a" * 1900}) for i in range(count)])


def slow_read(client, offset):
    path = f"/v1/games/{client.game}/boards/large/top?limit=900&offset={offset}&fields=metadata"
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\n\r\n".encode()


def status_of(wire):
    """The answer has begun: its status."""
    while b"\r\n" not in wire.data and wire.receive():
        pass
    return int(wire.data.split()[1])


def test_answers_that_are_not_read_have_a_limit_together(stack, worker):
    """Different ones of 1.8 MB to readers that do not read: those beyond the limit are 503. One that all of them get counts once."""
    with serving(stack, server_memory_bytes=LIMIT, cache_l1_bytes=MB) as client:
        fill(client)
        at_rest = used(client)
        with Crowd(client, 40, is_reading=False) as crowd:
            for i, wire in enumerate(crowd.wires):
                wire.send(b"".join(slow_read(client, i + 40 * j) for j in range(4)))
            assert [status_of(wire) for wire in crowd.wires] == [200] * 40
            wait_until(lambda: metric(client, 'ladder_unavailable_total{cause="memory"}') > 0, 60, "some are refused")
            assert LIMIT // 4 < used(client) <= LIMIT + 2 * MB
            assert client.read("/boards/b/players/ann")["score"] == 3
        wait_until(lambda: used(client) <= at_rest, 10, "clients that left have nothing")
    with serving(stack, server_memory_bytes=LIMIT) as client:
        fill(client)
        with Wire(client.server.port, 60) as wire:
            while wire.send(slow_read(client, 0)).answer().headers["ladder-cache"] != "hit":
                pass
        with Crowd(client, 40, is_reading=False) as crowd:
            for wire in crowd.wires:
                wire.send(4 * slow_read(client, 0))
            assert [status_of(wire) for wire in crowd.wires] == [200] * 40
            wait_until(lambda: MB < used(client) < 4 * MB, 10, "one answer")


def test_answers_within_an_answer_count(stack, worker):
    """POST /query collects up to 8 MB: many at a time are refused before the machine is short of memory."""
    with serving(stack, server_memory_bytes=4 * MB) as client:
        fill(client)
        at_rest = used(client)
        body = {"queries": [f"/boards/large/top?limit=500&offset={i}&fields=metadata" for i in range(5)]}
        answer = client.session.post(client.base + "/query", json=body, headers={"Authorization": "Bearer " + client.key}, timeout=60)
        assert answer.status_code == 503 and answer.json()["type"] == "urn:ladder:problem:memory-full", answer.text[:300]
        wait_until(lambda: used(client) <= at_rest, 10, "what was collected is gone")
        body["queries"] = body["queries"][:1]
        assert client.request("POST", "/query", body).status_code == 200


def test_the_memory_of_a_crowd_is_given_back(stack):
    """Bodies, twice: the resident memory is back within a minute."""
    with serving(stack, server_loops=2, server_memory_bytes=1 << 30, server_body_timeout_ms=60000) as client:
        text, body = body_of(client, client.key)
        with Crowd(client, 200) as crowd:  # as many as a server has that is in use, with small bodies
            small = body_of(client, client.key, 1000)
            crowd.send(small[0] + small[1])
            assert all(wire.answer().status == 200 for wire in crowd.wires)
        before = rss(client.server)
        for _ in range(2):
            with Crowd(client, 300) as crowd:
                crowd.send(text + body[:-1])
                assert rss(client.server) - before > 200 * MB
                for wire in crowd.wires[::2]:
                    assert wire.send(body[-1:]).answer().status == 200
            wait_until(lambda: rss(client.server) < 1.1 * before, 60, f"resident memory within 10 % of {before}")


def unread_answers(client, crowd):
    for i, wire in enumerate(crowd.wires):
        wire.send(b"".join(slow_read(client, i + 40 * j) for j in range(4)))
    assert [status_of(wire) for wire in crowd.wires] == [200] * len(crowd.wires)


def streams(client, crowd):
    """Lines that are refused: the server keeps a result of each."""
    line = b'{"board": "none", "player": "ann", "score": 1}\n'
    text = f"POST /v1/games/{client.game}/scores HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\n" \
           f"Content-Type: application/x-ndjson\r\nContent-Length: {2000 * len(line)}\r\n\r\n"
    crowd.send(text.encode() + 1999 * line)
    for wire in crowd.wires[::2]:  # the others leave in the middle
        assert wire.send(line).answer().status == 200


def idle_connections(client, crowd):
    crowd.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert all(wire.answer().status == 200 for wire in crowd.wires)


def begun_requests(client, crowd):
    """Heads without an end."""
    crowd.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * 4000)


@pytest.mark.parametrize("attack, count, is_reading", [(unread_answers, 40, False), (streams, 40, True), (idle_connections, 1500, True),
                                                       (begun_requests, 800, True)], ids=lambda value: getattr(value, "__name__", ""))
def test_the_memory_of_other_crowds_is_given_back(stack, worker, attack, count, is_reading):
    """Of a server that has met one such crowd: after three more its resident memory is within 10 % of what it was, in a minute."""
    with serving(stack, server_loops=2, cache_l1_bytes=MB, server_connections_per_address=4096, server_connections_max=4096,
                 server_header_timeout_ms=60000, server_body_timeout_ms=60000, server_idle_timeout_ms=60000) as client:
        fill(client, 1000)
        for times in range(4):
            with Crowd(client, count, is_reading) as crowd:
                attack(client, crowd)
            wait_until(lambda: metric(client, "ladder_http_connections_open") < 10, 30, "the crowd is gone")
            if times == 0:
                wait_until(lambda: used(client) < MB, 30, "its memory is free")
                time.sleep(5)  # what is free is given back to the machine every few seconds
                before = rss(client.server)
        wait_until(lambda: rss(client.server) < 1.1 * before, 60, f"resident memory within 10 % of {before}")
