"""Boards that there are not cost PostgreSQL a bounded number of reads, and what is made is found. Of API keys: test_key_ids.py."""
import random
import re
import time

import pytest
import requests
from harness import Client, wait_until

LONG = dict(cache_board_ttl_ms=60000, cache_key_ttl_ms=60000)


@pytest.fixture
def serve(stack, ladder):
    servers = []

    def start(**settings):
        servers.append(stack.serve(server_loops=1, **settings))
        stack.trusted(servers[-1])
        return servers[-1]
    yield start
    for server in servers:
        server.stop()


def reads(server):
    """Of PostgreSQL, by this server."""
    text = requests.get(f"http://127.0.0.1:{server.port}/metrics", timeout=30).text
    return sum(int(n) for n in re.findall(r"^ladder_server_reads_total\{.*\} (\d+)", text, re.M))


MARKS = 30


def reads_for(server, keyed, count, ask, at_least):
    """How many reads of the database `count` requests cost. The counter is told from time to time: what is told with reads that come
    behind has them all."""
    before = reads(server)
    statuses = [ask(n).status_code for n in range(count)]
    for _ in range(MARKS):
        assert keyed.get(f"/boards/mark-{random.randrange(10 ** 12)}/top").status_code == 404
    return wait_until(lambda: max(0, reads(server) - before - MARKS + 1) if reads(server) - before >= MARKS + at_least else None, 20, "the counter") - 1, statuses


@pytest.mark.parametrize("faults", ["", "absent"])
def test_an_absent_board_is_remembered(stack, serve, game, faults):
    """The control reads the database for each, as before."""
    server = serve(**LONG, faults=faults)
    keyed, anonymous, nowhere = Client(server, game, stack.key(game)), Client(server, game), Client(server, "no-such-game")
    for client, status in ((keyed, 404), (anonymous, 401), (nowhere, 401)):
        def few():
            """While messages are late, as on a busy machine, what is absent is not believed: then once more."""
            count, statuses = reads_for(server, keyed, 100, lambda n: client.get("/boards/absent/top"), 100 if faults else 0)
            assert set(statuses) == {status}
            return count <= 20
        if faults:
            assert not few()
        else:
            wait_until(few, 20, "100 requests cost no more than 20 reads, with those that a server does by itself")


def test_a_board_that_is_made_is_found(stack, serve, game):
    """On the server that made it at once, on another one with the token at once, without it soon."""
    here, there = (Client(serve(**LONG), game, stack.key(game)) for _ in range(2))
    for n in range(50):
        board = f"b{n}"
        assert [client.get(f"/boards/{board}/top").status_code for client in (here, there) for _ in range(2)] == [404] * 4
        token = here.request("PUT", f"/boards/{board}", {}).headers["Ladder-Token"]
        assert here.get(f"/boards/{board}/top").status_code == 200
        if n % 2:
            assert there.request("GET", f"/boards/{board}/top", headers={"Ladder-Token": token}).status_code == 200
        wait_until(lambda: there.get(f"/boards/{board}/top").status_code == 200, 5, "the message")


def test_a_game_that_is_made_is_found(stack, serve):
    here, there = serve(**LONG), serve(**LONG)
    game = f"later-{time.time_ns()}"
    for server in (here, there):
        assert Client(server, game).get("/boards/b/top").status_code == 401
    stack.cli("game", "create", game)
    Client(here, game, stack.key(game)).put_board("b", public=True)
    assert Client(here, game).get("/boards/b/top").status_code == 200
    wait_until(lambda: Client(there, game).get("/boards/b/top").status_code == 200, 5, "the message")


def test_without_messages_absence_is_not_remembered(stack, game):
    """Redis is away: a board that another server makes is there at the next request."""
    here, there = (Client(stack.serve(redis_url="redis://127.0.0.1:1/0", **LONG), game, stack.key(game))
                   for _ in range(2))
    assert there.get("/boards/b/top").status_code == 404
    here.put_board("b")
    assert there.get("/boards/b/top").status_code == 200
    for client in (here, there):
        client.server.stop()


@pytest.mark.parametrize("faults", ["", "absent"])
def test_made_up_boards_have_a_rate(stack, serve, game, faults):
    server = serve(faults=faults, limits_unknown_lookups=20)
    keyed = Client(server, game, stack.key(game))
    keyed.put_board("b", public=True)
    anonymous = Client(server, game)
    assert anonymous.get("/boards/b/top").status_code == 200
    began = time.monotonic()
    count, statuses = reads_for(server, keyed, 200, lambda n: anonymous.get(f"/boards/made-up-{n}/top"), 200 if faults else 0)
    took = time.monotonic() - began
    if faults:
        assert set(statuses) == {401} and count >= 200
        return
    assert set(statuses) == {401, 503} and statuses.count(401) <= 41 + 20 * took
    refused = anonymous.get("/boards/made-up/top")
    if refused.status_code == 503:
        assert refused.json()["type"] == "urn:ladder:problem:overloaded" and refused.headers["Retry-After"]
    assert anonymous.get("/boards/b/top").status_code == 200, "what is known is not counted"
    assert keyed.get("/boards/made-up-too/top").status_code == 404, "nor are those with a key, here"
    keyed.put_board("c", public=True)
    assert keyed.get("/boards/c/top").status_code == 200


def test_what_is_found_is_not_counted(stack, serve, game):
    """A server that has just started learns all boards and keys as fast as they are asked for."""
    maker = Client(serve(), game, stack.key(game))
    for n in range(60):
        maker.put_board(f"b{n}", public=True)
    keys = [stack.key(game) for _ in range(10)]
    server = serve(limits_unknown_lookups=1)
    assert {Client(server, game).get(f"/boards/b{n}/top").status_code for n in range(60)} == {200}
    assert {Client(server, game, key).get("/boards/b1/top").status_code for key in keys} == {200}
