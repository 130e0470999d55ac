"""Memory runs out: every allocation of every route is made to fail in turn, then the machine has none for a while.

The program's allocator (src/cli/allocator.c) fails where a test says so: with the reserve, which then answers the request, and the next
one gets 503; and without it, where whoever allocates handles the failure (MEMORY_HANDLED, decision 0113): a clean 500 or 503. The
process lives, leaks nothing, and is itself again within a second.
"""
import collections
import contextlib
import json
import mmap
import re
import resource
import struct
import threading
import time

import pytest

import described
from checks import refused
from harness import Client, wait_until

FIELDS = ["countdown", "size_min", "failed", "counted", "blocks", "renews", "is_bare"]


class Injected:
    """struct injected of src/cli/allocator.c, which the server maps too."""

    def __init__(self, path):
        path.write_bytes(bytes(8 * len(FIELDS)))
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 8 * len(FIELDS))

    def __getattr__(self, name):
        return struct.unpack_from("<q", self.map, 8 * FIELDS.index(name))[0]

    def set(self, **values):
        for name, value in values.items():
            struct.pack_into("<q", self.map, 8 * FIELDS.index(name), value)


@pytest.fixture(scope="module")
def injected(tmp_path_factory):
    return Injected(tmp_path_factory.mktemp("memory") / "injected")


@pytest.fixture(scope="module")
def client(stack, injected):
    """One loop, one connection of each kind: what a request allocates is then nearly the same each time. No L1, so that reads
    are made anew."""
    server = stack.serve(fault_memory=injected.file.name, server_loops=1, cache_l1_bytes=0, database_read_connections=1)
    worker = stack.worker()
    stack.trusted(server)
    game = stack.new_game()
    client = Client(server, game, stack.key(game))
    client.put_board("b", windows=["all", "daily"], public=True)
    client.submit_many([dict(board="b", player=f"p{i}", score=i, metadata={"x": "a" * 1900}) for i in range(1000)])
    client.put_board("made")
    assert client.request("PUT", "/boards/made/combination", {"by": "sum", "of": [{"board": "b"}]}).status_code == 200
    if injected.counted == 0:
        pytest.skip("a build with a sanitizer's allocator, or without faults")
    yield client
    assert server.stop() == 0, server.log()[-2000:]
    server.check_clean()
    worker.stop()


def post(path, body, kind="application/json"):
    return "POST", path, {"Content-Type": kind}, body if isinstance(body, bytes) else json.dumps(body).encode()


ROUTES = {
    "top": ("GET", "/boards/b/top?limit=20&fields=metadata", {}, b""),
    "at": ("GET", "/boards/b/at?score=5", {}, b""),
    "range": ("GET", "/boards/b/range?min=3&max=9&window=daily", {}, b""),
    "players": ("GET", "/boards/b/players?ids=p1,p2,nobody", {}, b""),
    "player": ("GET", "/boards/b/players/p7", {"If-None-Match": '"x"'}, b""),
    "around": ("GET", "/boards/b/players/p7/around?above=3", {}, b""),
    "of PostgreSQL": ("GET", "/boards/b/top?limit=5&period=previous&window=daily", {}, b""),
    "periods": ("GET", "/boards/b/periods?window=daily", {}, b""),
    "compare": ("GET", "/boards/b/compare?limit=5", {}, b""),
    "history": ("GET", "/boards/b/players/p7/history", {}, b""),
    "statistics": ("GET", "/boards/b/stats?p=50,99", {}, b""),
    "history of statistics": ("GET", "/boards/b/stats/history", {}, b""),
    "boards": ("GET", "/boards", {}, b""),
    "board": ("GET", "/boards/b", {}, b""),
    "put": ("PUT", "/boards/c", {}, b'{"windows": ["all", "hourly"]}'),
    "patch": ("PATCH", "/boards/b", {}, b'{"max_age_s": 1}'),
    "submit": post("/boards/b/scores", {"player": "p1", "score": 5, "metadata": {"a": [1, 2]}}),
    "submit many": post("/scores", {"scores": [{"board": "b", "player": f"q{i}", "score": i} for i in range(3)]}),
    "stream": post("/scores", b'{"board": "b", "player": "p2", "score": 5}\n{"board": "none", "player": "p", "score": 1}\n', "application/x-ndjson"),
    "query": post("/query", {"queries": ["/boards/b/top?limit=2", "/boards/b/players/p3", "/boards"]}),
    "remove": ("DELETE", "/boards/b/players/nobody", {}, b""),
    "erase": ("DELETE", "/players/nobody", {}, b""),
    "delete board": ("DELETE", "/boards/none", {}, b""),
    "cache": ("DELETE", "/cache", {}, b""),
    "a player's boards": ("GET", "/players/p7/boards", {}, b""),
    "statistics of the game": ("GET", "/stats", {}, b""),
    "hall of fame": ("GET", "/hall-of-fame", {}, b""),
    "statistics of a player": ("GET", "/players/p7/stats", {}, b""),
    "metadata": ("PATCH", "/boards/b/players/p3", {}, b'{"metadata": {"a": "b"}}'),
    "combination": ("GET", "/boards/made/combination", {}, b""),
    "combine": ("PUT", "/boards/made/combination", {}, b'{"by": "sum", "of": [{"board": "b"}]}'),
    "uncombine": ("DELETE", "/boards/b/combination", {}, b""),
    "health": ("GET", "http:/healthz", {}, b""),
    "readiness": ("GET", "http:/readyz", {}, b""),
    "version": ("GET", "http:/version", {}, b""),
    "performance": ("GET", "http:/monitoring/performance", {}, b""),
    "alerts": ("GET", "http:/monitoring/alerts", {}, b""),
    "servers": ("POST", "http:/monitoring/servers", {"Content-Type": "application/json"}, b'{"drain": "nobody"}'),
    "metrics": ("GET", "http:/metrics", {}, b""),
    "description": ("GET", "http:/openapi.json", {"Accept-Encoding": "gzip"}, b""),
    "page of the description": ("GET", "http:/docs", {"Accept-Encoding": "gzip"}, b""),
}
MADE_ONCE = {"description", "page of the description"}  # the first time; then they are sent as they are


def send(client, route, **more):
    method, path, headers, body = ROUTES[route]
    if path.startswith("http:"):
        path = f"http://127.0.0.1:{client.server.port}{path[5:]}"
    return client.request(method, path, body, headers={**headers, **more})


def recovered(client):
    """It lets requests in again: the reserve is there."""
    def is_well():
        with contextlib.suppress(OSError):
            return client.get("/boards/b/players/p7").status_code == 200
    wait_until(is_well, 10, "it is itself again")


def each_failed(client, injected, route, step=1, is_bare=0, **more):
    """Fails the first, second, … allocation from a request's first byte on, until one is answered without reaching it. Client.request
    holds each answer against the description."""
    found = collections.Counter()
    injected.set(renews=1, is_bare=is_bare)
    for at in range(1, 2000, step):
        before = injected.failed
        injected.set(countdown=at)
        try:
            answer = send(client, route, **more)
            found[answer.status_code] += 1
            if answer.status_code == 503:
                assert answer.headers["Retry-After"] == "1"
        except OSError:
            found["closed"] += 1
            client.session.close()
        finally:
            injected.set(countdown=0)
        assert client.server.is_alive(), f"{route}: the {at}. allocation: {client.server.log()[-2000:]}"
        if injected.failed == before:
            break
    injected.set(is_bare=0)
    return found, at


def refused_while_short(client, injected, route):
    """The reserve is taken, and the next request refused; it may be back before that one, on a busy machine: then again."""
    def is_refused():
        injected.set(renews=0, is_bare=0, countdown=1)
        client.get("/boards/b/players/p7")
        injected.set(countdown=0)
        answer = send(client, route)
        return [answer] if answer.status_code == 503 else None  # a response that is no success is false itself
    try:
        return refused(wait_until(is_refused, 10, f"{route} is refused")[0], "overloaded")
    finally:
        injected.set(countdown=0)


def test_every_route_is_here():
    tried = {described.find(method, path[5:] if path.startswith("http:") else f"/v1/games/g{path}".split("?")[0]).name
             for method, path, *_ in ROUTES.values()}
    assert tried == {operation.name for operation in described.operations()}


@pytest.mark.parametrize("route", ROUTES)
def test_every_allocation_fails_once(client, injected, route):
    """With the reserve, out of which each is tried again: so all are answered."""
    usual = [send(client, route).status_code for _ in range(2)][1]  # a board that is made is there the second time
    found, count = each_failed(client, injected, route)
    print(route, count, dict(found))
    assert set(found) <= {usual, 204}, found  # 204: what was to be removed is not there any more
    assert count > 3 or route in MADE_ONCE


@pytest.mark.parametrize("route", ROUTES)
def test_every_handled_allocation_fails_without_the_reserve(client, injected, route):
    """What is answered as ever lacks nothing; the failures reached this route: some were not."""
    more = {"Accept-Encoding": "br"} if route in MADE_ONCE else {}  # a form that nobody has asked for
    usual = 200 if more else [send(client, route).status_code for _ in range(2)][1]  # as above
    found, count = each_failed(client, injected, route, is_bare=1, **more)
    print(route, count, dict(found))
    assert set(found) <= {usual, 204, 500, 503}, found
    assert found[500] + found[503] > 0 and found[usual] + found[204] > 0, found


@pytest.mark.parametrize("route", ROUTES)
def test_each_route_is_refused_while_the_reserve_is_gone(client, injected, route):
    refused_while_short(client, injected, route)
    recovered(client)


@pytest.mark.parametrize("is_bare", [0, 1])
@pytest.mark.parametrize("route", ["top", "submit", "submit many", "stream", "query", "compare", "history", "statistics", "combine", "boards", "performance"])
def test_nothing_leaks(client, injected, route, is_bare):
    """What is in use after a round of failures is what was in use after the round before."""
    def one_round():
        each_failed(client, injected, route, step=1 if is_bare else 4, is_bare=is_bare)
        for _ in range(20):
            send(client, route)

    def in_use():
        samples = []
        for _ in range(20):  # what goes on beside requests has some for a moment
            samples.append(injected.blocks)
            time.sleep(0.02)
        return min(samples)
    one_round()
    before = in_use()
    one_round()
    wait_until(lambda: in_use() - before < 5, 10, f"no more than the {before} blocks from before are in use")


def test_nothing_new_is_let_in_while_memory_is_short(client, injected):
    """One failure: the request that met it is answered, those behind it get 503 until the reserve is set aside again."""
    refusal = refused_while_short(client, injected, "top")
    assert refusal.headers["Retry-After"] == "1" and "memory" in refusal.json()["detail"]
    recovered(client)
    assert "event=memory-short" in client.server.log()


def test_what_is_large_is_refused(client, injected):
    """Such allocations are not tried again: 500 or 503, and the next request is served."""
    path = "/boards/b/top?limit=1000&fields=metadata"
    assert len(client.get(path).content) > 1 << 20
    found = collections.Counter()
    for at in range(1, 100):
        before = injected.failed
        injected.set(size_min=(1 << 20) + 1, countdown=at)
        found[client.get(path).status_code] += 1
        injected.set(countdown=0)
        if injected.failed == before:
            break
    assert set(found) <= {200, 500, 503} and found[500] + found[503] >= 1, found
    injected.set(size_min=0)
    assert client.get(path).status_code == 200


def test_a_machine_without_memory(stack, tmp_path):
    """Its address space is all used up, under load: some get 503, none a wrong answer, it lives, and is well again when there is
    room."""
    injected = Injected(tmp_path / "injected")
    server = stack.serve(server_loops=2, fault_memory=injected.file.name)
    if injected.counted == 0:
        pytest.skip("a build with a sanitizer's allocator, or without faults")
    worker = stack.worker()
    stack.trusted(server)
    game = stack.new_game()
    client = Client(server, game, stack.key(game))
    client.put_board("b")
    client.submit_many([dict(board="b", player=f"p{i}", score=i, metadata={"x": "a" * 1900}) for i in range(1000)])
    client.get("/boards/b/top", limit=1000, fields="metadata")
    found, is_over = collections.Counter(), threading.Event()

    def load(seed):
        own = Client(server, game, client.key)
        at = seed
        while not is_over.is_set():
            at += 1
            try:
                target = f"/boards/b/top?limit={1000 - at % 200}&offset={at % 7}&fields=metadata,achieved_at"
                answer = own.session.get(own.base + target, headers={"Authorization": "Bearer " + own.key}, timeout=30)
                is_right = answer.status_code in (500, 503) or answer.content.count(b'{"rank":') == min(1000 - at % 200, 1000 - at % 7)
                found[answer.status_code if is_right else answer.text[:300]] += 1
            except OSError:
                found["closed"] += 1
                own.session.close()
    used = int(re.search(r"VmSize:\s+(\d+) kB", open(f"/proc/{server.pid}/status").read())[1]) * 1024
    limits = resource.prlimit(server.pid, resource.RLIMIT_AS)
    threads = [threading.Thread(target=load, args=(100 * i,)) for i in range(8)]
    resource.prlimit(server.pid, resource.RLIMIT_AS, (used, limits[1]))
    try:
        for thread in threads:
            thread.start()
        wait_until(lambda: found[503] + found[500] >= 10 or not server.is_alive(), 60, "it is short of memory")
        time.sleep(0.3)
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_AS, limits)
        is_over.set()
        for thread in threads:
            thread.join()
    assert server.is_alive(), server.log()[-3000:]
    assert set(found) <= {200, 500, 503, "closed"}, found
    print(dict(found))
    worker.stop()
    wait_until(lambda: client.get("/boards/b/top", limit=3).status_code == 200, 10, "it is well again")
    assert server.stop() == 0
    server.check_clean()
