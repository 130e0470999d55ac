"""Bodies: who may send one is known before its first byte is kept."""
import contextlib
import json
import re
import time

import pytest

from harness import Client, wait_until
from test_http_wire import check_problem
from wire import Wire

MB = 1 << 20
CROWD = 200


def rss(server):
    return int(re.search(r"VmRSS:\s+(\d+) kB", open(f"/proc/{server.pid}/status").read())[1]) << 10


@contextlib.contextmanager
def serving(stack, **settings):
    """One loop, and the admin of a game with a public board; at the end the server is well and stops."""
    server = stack.serve(**{"server_loops": 1, **settings})
    game = stack.new_game()
    client = Client(server, game, stack.key(game))
    client.put_board("b", public=True)
    client.submit("b", "ann", 3)
    try:
        yield client
        assert client.read("/boards/b/players/ann")["score"] == 3
    finally:
        assert server.stop() == 0, server.log()[-2000:]
        server.check_clean()


def head(client, method, path, size, key=None, *fields):
    authorization = [f"Authorization: Bearer {key}"] if key else []
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {size}", "Content-Type: application/json", *authorization, *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def unread(port):
    """Bytes that the server has not read from its connections yet."""
    rows = [line.split() for line in open("/proc/net/tcp").read().splitlines()[1:]]
    return sum(int(row[4].split(":")[1], 16) for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01")


REFUSED = [
    ("no key", "POST", "/boards/b/scores", lambda stack, client: None, 401),
    ("an unknown key", "POST", "/boards/b/scores", lambda stack, client: "lk_abc_def", 401),
    ("a key of another game", "POST", "/scores", lambda stack, client: stack.key(stack.new_game()), 403),
    ("a key that may only read", "PUT", "/boards/c", lambda stack, client: stack.key(client.game, "read"), 403),
    ("no such path", "POST", "/nothing/here", lambda stack, client: client.key, 404),
    ("no such method", "PUT", "/boards/b/top", lambda stack, client: client.key, 405),
    ("an unknown parameter", "POST", "/boards/b/scores?x=1", lambda stack, client: client.key, 400),
    ("a token that is none", "POST", "/boards/b/scores", lambda stack, client: client.key, 400),
]


@pytest.mark.parametrize("name, method, path, key, status", REFUSED)
def test_a_body_that_is_refused_is_not_kept(stack, name, method, path, key, status):
    """All of the bodies but their last byte costs no memory; the answer comes behind the last byte, and the connection goes on."""
    with serving(stack, server_body_timeout_ms=60000) as client:
        key = key(stack, client)
        fields = ["Ladder-Token: nonsense"] if name == "a token that is none" else []
        body = b'{"player": "ann", "score": 4, "metadata": "' + b"a" * (MB - 45) + b'"}'
        text = head(client, method, f"/v1/games/{client.game}{path}", len(body), key, *fields)
        wires = [Wire(client.server.port, 60) for _ in range(CROWD)]
        try:
            for wire in wires:  # what a connection costs by itself is there
                assert wire.send(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n").answer().status == 200
            before = rss(client.server)
            for wire in wires:
                wire.send(text + body[:-1])
            wait_until(lambda: unread(client.server.port) == 0, 60, "the server has read them")
            assert rss(client.server) - before < 16 * MB, "200 MB were sent"
            for wire in wires[::20]:
                check_problem(wire.send(body[-1:]).answer(), status)
                assert wire.send(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n").answer().status == 200
        finally:
            for wire in wires:
                wire.socket.close()


def test_a_client_that_waits_to_be_asked_is_refused_at_once(stack):
    with serving(stack) as client:
        path = f"/v1/games/{client.game}/boards/b/scores"
        with Wire(client.server.port) as wire:
            wire.send(head(client, "POST", path, 30, None, "Expect: 100-continue"))
            (answer,) = wire.answers()
            check_problem(answer, 401)
            assert answer.headers["connection"].lower() == "close"
        with Wire(client.server.port) as wire:
            body = b'{"player": "ann", "score": 3}'
            wire.send(head(client, "POST", path, len(body), client.key, "Expect: 100-continue"))
            assert wire.answer().status == 100 and wire.send(body).answer().status == 200


def test_the_refusal_is_what_a_slow_client_gets(stack):
    """Not 408: what was wrong is known before its body."""
    with serving(stack, server_body_timeout_ms=500) as client:
        with Wire(client.server.port) as wire:
            (answer,) = wire.send(head(client, "POST", f"/v1/games/{client.game}/boards/b/scores", 30) + b"{").answers()
            check_problem(answer, 401)


def test_a_key_is_looked_up_while_the_body_waits(stack):
    """The database answers late: nothing of the body is read until then, and it is taken all the same."""
    with serving(stack, cache_key_ttl_ms=0) as client:
        body = b'{"player": "bob", "score": 7, "metadata": "' + b"a" * 1000 + b'"}'
        for _ in range(20):
            with Wire(client.server.port) as wire:
                assert wire.send(head(client, "POST", f"/v1/games/{client.game}/boards/b/scores", len(body), client.key) + body).answer().status == 200


def query(count, size):
    """As long as asked for, and right."""
    paths = ["/boards/b/players/ann"] * count
    text = json.dumps({"queries": paths}).encode()
    return text + b" " * (size - len(text))


def test_a_query_without_a_key_has_a_smaller_limit(stack):
    """Also where the key is unknown or of another game, or the body is chunked."""
    with serving(stack, server_anonymous_body_bytes_max=4096) as client:
        path = f"/v1/games/{client.game}/query"
        for key, size, status in ((None, 4096, 200), (None, 4097, 413), ("lk_abc_def", 4096, 200), ("lk_abc_def", 4097, 413),
                                  (stack.key(stack.new_game()), 4097, 413), (client.key, 4097, 200), (client.key, MB, 200),
                                  (stack.key(client.game, "read"), MB, 200), (client.key, MB + 1, 413)):
            with Wire(client.server.port) as wire:
                answer = wire.send(head(client, "POST", path, size, key) + query(3, size)).answer()
                assert answer.status == status, (key, size, answer)
                if status == 413:
                    check_problem(answer, 413, "the limit without a key is 4096" if size == 4097 else "the limit is 1048576")
        chunked = head(client, "POST", path, 1).replace(b"Content-Length: 1", b"Transfer-Encoding: chunked")
        with Wire(client.server.port) as wire:
            answer = wire.send(chunked + b"1388\r\n" + query(3, 5000) + b"\r\n0\r\n\r\n").answer()
            check_problem(answer, 413, "without a key")


def test_many_texts_are_counted_before_they_are_parsed(stack):
    """A megabyte of short texts is refused in a fraction of the time that it takes to parse a body of the size that is right."""
    with serving(stack) as client:
        texts = b'{"queries": [' + b'"",' * (MB // 3 - 10) + b'""]}'
        path = f"/v1/games/{client.game}/query"

        def took(body, status):
            begin = time.monotonic()
            with Wire(client.server.port) as wire:
                answer = wire.send(head(client, "POST", path, len(body), client.key) + body).answer()
            assert answer.status == status, answer
            return time.monotonic() - begin, answer
        check_problem(took(texts, 400)[1], 400, "100")
        plain = min(took(query(1, MB), 200)[0] for _ in range(5))
        many = min(took(texts, 400)[0] for _ in range(5))
        assert many < 3 * plain + 0.005, (many, plain)
