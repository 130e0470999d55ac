"""config/haproxy.cfg in front of a real server: what the guard can't see does not get through, and nobody gets an answer
that is another's."""
import json
import re
import shutil
import socket

import pytest

from harness import ROOT, Client, free_port, wait_until
from wire import Wire

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
pytestmark = pytest.mark.skipif(not HAPROXY, reason="haproxy is not installed")

INNER = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"


class Edge:
    """HAProxy on a port of its own, a game behind it."""

    def __init__(self, stack, server):
        self.port = free_port()
        environment = {"LADDER_EDGE_BIND": f"127.0.0.1:{self.port}", "LADDER_EDGE_SERVER": f"127.0.0.1:{server.port}"}
        self.process = stack.spawn([HAPROXY, "-db", "-f", str(ROOT / "config" / "haproxy.cfg")], "haproxy", environment)
        self.server = server
        self.game = stack.new_game()
        self.key = stack.key(self.game)
        self.client = Client(self, self.game, self.key)  # by this port
        wait_until(self.is_ready, 10, "haproxy passes requests on")
        self.client.put_board("b")
        for i in range(5):
            self.client.submit("b", f"p{i}", i)

    def is_ready(self):
        try:
            with Wire(self.port) as wire:
                return wire.send(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").answer().status == 200
        except OSError:
            return False

    def read_request(self, player):
        return (f"GET /v1/games/{self.game}/boards/b/players/{player} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\n\r\n").encode()

    def post_head(self, *lines):
        text = f"POST /v1/games/{self.game}/boards/b/scores HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\n"
        return (text + "".join(line + "\r\n" for line in lines) + "\r\n").encode("latin-1")


@pytest.fixture(scope="module")
def edge(stack, ladder):
    edge = Edge(stack, ladder)
    yield edge
    assert edge.process.is_alive()
    edge.process.kill()


def test_it_serves(edge):
    assert [e["player"] for e in edge.client.pages("b", limit=2)] == ["p4", "p3", "p2", "p1", "p0"]
    body = "".join(json.dumps({"board": "b", "player": f"q{i}", "score": -i}) + "\n" for i in range(3000)).encode()
    answer = edge.client.request("POST", "/scores", body, headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 200 and len(answer.json()["results"]) == 3000
    chunked = edge.client.session.post(edge.client.base + "/boards/b/scores", data=iter([b'{"player": "p0",', b' "score": 0}']),
                                       headers={"Authorization": f"Bearer {edge.key}"}, timeout=10)
    assert chunked.status_code == 200
    with Wire(edge.port) as wire:
        wire.send(b"".join(edge.read_request(f"p{i % 5}") for i in range(20)))
        assert [wire.answer().json()["score"] for _ in range(20)] == [i % 5 for i in range(20)]


def operators_paths():
    """Requests for what is for operators, in the spellings that a proxy and ladder could read differently."""
    for path in ("/metrics", "/monitoring", "/monitoring/performance", "/monitoring/alerts"):
        for target in (path, f"{path}?x", f"{path}/", f"http://x{path}", f"https://x{path}", path.replace("i", "%69"), f"/{path}",
                       path.replace("/m", "/./m"), path.replace("/m", "/version/../m"), path.upper(), f"{path}#x"):
            yield "GET", target
    yield "HEAD", "/monitoring/alerts"
    yield "POST", "/monitoring/servers"
    yield "POST", "http://x/monitoring/servers"


@pytest.mark.parametrize("method, target", operators_paths())
def test_operators_paths_are_closed(edge, method, target):
    check_closed(edge.port, method, target)


def check_closed(port, method, target):
    """The proxy or ladder refuses it, and ladder's own 401 for operators is not what refuses."""
    with Wire(port) as wire:
        wire.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        wire.socket.settimeout(10)
        while wire.receive():
            pass
    assert re.match(rb"HTTP/1\.[01] (400|404|405) ", wire.data), wire.data


CHUNK = b'1e\r\n{"player": "p0", "score": -10}\r\n'


@pytest.mark.parametrize("name, lines, body, statuses", [
    ("two lengths", ["Content-Length: 2", "Content-Length: 36"], b"{}" + INNER, [400]),
    ("a bad length, answered once", ["Content-Length: 2x"], INNER, [400]),
    ("a list of lengths", ["Content-Length: 2, 3"], b"{}" + INNER, [400]),
    ("2^64 - 1 bytes", ["Content-Length: 18446744073709551615"], INNER, None),
    ("a length and chunks", ["Content-Length: 4", "Transfer-Encoding: chunked"], b"0\r\n\r\n" + INNER, [400]),
    ("chunked, then identity", ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], b"0\r\n\r\n" + INNER, [400]),
    ("xchunked", ["Transfer-Encoding: xchunked"], b"0\r\n\r\n" + INNER, [400]),
    ("a space before the colon", ["Content-Length : 36"], INNER, [400]),
    ("an underscore", ["Content_Length: 36", "Connection: close"], INNER, [403]),
    ("a NUL in a value", ["X: a\0b", "Content-Length: 2"], b"{}", [400]),
    ("a bare CR", ["X: a\rContent-Length: 36"], INNER, [400]),
    ("a chunk's size with a space", ["Transfer-Encoding: chunked"], b" 1e\r\n" + b'{"player": "p0", "score": -10}' + b"\r\n0\r\n\r\n", [400]),
    ("a chunk's size that is no number", ["Transfer-Encoding: chunked"], b"zz\r\n{}\r\n0\r\n\r\n" + INNER, [400]),
    ("a chunk that is longer than its size", ["Transfer-Encoding: chunked"], b"2\r\n{}}\r\n0\r\n\r\n" + INNER, [400]),
])
def test_smuggling_shapes(edge, name, lines, body, statuses):
    with Wire(edge.port) as wire:
        wire.send(edge.post_head(*lines) + body)
        wire.socket.shutdown(socket.SHUT_WR)
        answers = wire.answers()
    found = [answer.status for answer in answers]
    # None: HAProxy waits for the body and sees us leave, or ladder's answer comes first.
    assert found == statuses if statuses else found in ([], [400]), answers
    check_nobody_else_is_hurt(edge)


def check_nobody_else_is_hurt(edge):
    """Whatever was left on the connections to the server: each of these gets its own answer."""
    for i in range(5):
        with Wire(edge.port) as wire:
            assert wire.send(edge.read_request(f"p{i}")).answer().json()["player"] == f"p{i}"


@pytest.mark.parametrize("name, data", [
    ("a trailer with a length", CHUNK + b"0\r\nContent-Length: 36\r\n\r\n"),
    ("a chunk's extension", CHUNK.replace(b"\r\n", b";a=b\r\n", 1) + b"0\r\n\r\n"),
    ("LF alone around a chunk's size", CHUNK.replace(b"\r\n", b"\n") + b"0\n\n"),
])
def test_what_it_writes_anew(edge, name, data):
    """Taken, but what ladder sees is HAProxy's own framing."""
    with Wire(edge.port) as wire:
        wire.send(edge.post_head("Transfer-Encoding: chunked") + data + INNER)
        first, second = wire.answer(), wire.answer()
    assert first.status in (200, 400) and "version" in second.json(), (first, second)  # two requests, two answers
    check_nobody_else_is_hurt(edge)


@pytest.mark.parametrize("head", [b"GET /version HTTP/1.1\nHost: x\n\n", b"GET /version HTTP/1.1\r\nHost: x\n\r\n",
                                  b"GET /version HTTP/1.1\r\nX: a\r\n b\r\nHost: x\r\n\r\n", b"\r\n\r\nGET /version HTTP/1.1\r\nHost: x\r\n\r\n",
                                  b"GET /version HTTP/1.1\r\nHost: x\0\n\r\n", b"GET /version HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
                                  b"GET /version HTTP/1.1\r\n\r\n", b"GET /ver\0sion HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_odd_headers_are_one_request_or_none(edge, head):
    with Wire(edge.port) as wire:
        wire.send(head)
        wire.socket.shutdown(socket.SHUT_WR)
        answers = wire.answers()
    assert len(answers) <= 1 and all(answer.status in (200, 400) for answer in answers), answers
    check_nobody_else_is_hurt(edge)


def test_a_server_that_is_gone(edge, stack):
    """503, and in time."""
    other = stack.serve()
    lone = Edge(stack, other)
    other.kill()
    with Wire(lone.port) as wire:
        assert wire.send(lone.read_request("p1")).answer().status == 503
    lone.process.kill()
