"""While Redis is up, a changed definition is in use on every server within 50 ms of the change's answer (p99), without a token.

Measured is how long after that answer the last request was sent that was answered by the old definition: so the test's own time, and
that of the requests, do not count.
"""
import time

import pytest
from harness import Client, patience, wait_until
from wire import Wire

pytestmark = pytest.mark.alone

ROUNDS = 200
BOUND_MS = 50


def report(what, took_ms):
    took_ms = sorted(took_ms)
    marks = {name: took_ms[min(len(took_ms) - 1, int(len(took_ms) * part))] for name, part in (("p50", .5), ("p90", .9), ("p99", .99), ("max", 1))}
    print(f"{what}, ms after the answer, {len(took_ms)} rounds:", *(f"{name} {value:.1f}" for name, value in marks.items()))
    return marks["p99"]


@pytest.fixture
def pair(stack, ladder, game):
    """Copies live for a minute, so that their age ends none."""
    servers = [stack.serve(server_loops=2, cache_board_ttl_ms=60000, cache_key_ttl_ms=60000) for _ in range(2)]
    for server in servers:
        stack.trusted(server)
    key = stack.key(game)
    yield [Client(server, game, key) for server in servers]
    for server in servers:
        assert server.stop() == 0
        server.check_clean()


class Reader(Wire):
    """Reads the board as fast as it is answered."""

    def __init__(self, client, key):
        super().__init__(client.server.port, timeout=30)
        self.request = (f"GET /v1/games/{client.game}/boards/b/top HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n").encode()

    def status(self):
        self.send(self.request)
        return self.answer().status

    def old_ms(self, since, status):
        """Reads until it has this status for the third time running."""
        last, right = 0.0, 0
        while right < 3:
            sent = time.monotonic()
            right = right + 1 if self.status() == status else 0
            last = last if right else (sent - since) * 1000
            assert last < 30000
        return last


def test_a_deleted_board(stack, pair):
    here, there = pair
    readers = [Reader(there, there.key) for _ in range(4)]
    took = []
    for n in range(ROUNDS):
        here.put_board("b")
        for reader in readers:
            wait_until(lambda: reader.status() == 200, 30, "it is there")
        assert here.request("DELETE", "/boards/b").status_code == 204
        took.append(readers[n % 4].old_ms(time.monotonic(), 404))
    assert report("a deleted board is gone from the other server", took) < BOUND_MS * patience()


def test_a_revoked_key(stack, pair):
    here, there = pair
    here.put_board("b")
    took, readers = [], []
    for _ in range(ROUNDS // 4):
        key = stack.key(here.game, "read")
        for reader in readers:
            reader.socket.close()
        readers = [Reader(client, key) for client in (here, there)]
        assert all(reader.status() == 200 for reader in readers)
        stack.cli("key", "revoke", key.split("_")[1])
        since = time.monotonic()
        took.append(max(reader.old_ms(since, 401) for reader in readers))
    assert report("a revoked key is refused by both servers", took) < BOUND_MS * patience()
