"""A token of a write that Redis lacked when it was answered: Redis answers its holder once it has the write, and not before."""
import contextlib
import signal

import compare
import modelrun
import pytest
from harness import Client, wait_until

NO_REDIS = "redis://127.0.0.1:1/0"
SOURCES = ("redis", "memory")


def read(client, token, path="/boards/b/top"):
    """-> what answered, the entries."""
    answer = client.request("GET", path, headers={"Ladder-Token": token})
    assert answer.status_code == 200, answer.text
    return answer.headers["Server-Timing"].split(",")[0].split(";")[0], [(e["player"], e["score"]) for e in answer.json()["entries"]]


def answered_by_redis(client, token, expected):
    """Waits until Redis or memory answers the holder; every answer on the way is right."""
    def is_there(sources):
        source, entries = read(client, token)
        assert entries == expected, (source, entries)
        return source in sources
    wait_until(lambda: is_there(SOURCES), 30, "Redis answers the holder of the token")
    wait_until(lambda: is_there(("memory",)), 30, "memory answers the holder of the token")


@pytest.fixture
def two(stack, ladder, client):
    """A server without Redis and one with it; and the worker."""
    without, server = stack.serve(redis_url=NO_REDIS), stack.serve(server_loops=2)
    stack.trusted(server)
    worker, = modelrun.workers(stack)
    yield Client(without, client.game, client.key), Client(server, client.game, client.key), worker
    worker.send(signal.SIGCONT)
    for process in (without, server):
        assert process.stop() == 0
        process.check_clean()


def test_the_first_write_to_a_board(stack, client):
    """Redis does not hold a board that was just made; it is loaded a moment later."""
    client.put_board("b")
    answer = client.request("POST", "/boards/b/scores", {"player": "ann", "score": 7})
    answered_by_redis(client, answer.headers["Ladder-Token"], [("ann", 7)])


def test_every_kind_of_write(stack, two):
    here, there, _ = two
    here.put_board("b", windows=["all", "daily"])
    tokens = [here.request("POST", "/boards/b/scores", {"player": f"p{i}", "score": 10 + i}).headers["Ladder-Token"] for i in range(3)]
    expected = [("p2", 12), ("p1", 11), ("p0", 10)]
    for token in tokens:
        wait_until(lambda: read(there, token)[0] in SOURCES, 30, "Redis answers the holder of the token")
    answered_by_redis(there, tokens[-1], expected)
    lines = "".join(f'{{"board": "b", "player": "p{i}", "score": {20 + i}}}\n' for i in range(3)).encode()
    bulk = here.request("POST", "/scores", lines, headers={"Content-Type": "application/x-ndjson"})
    answered_by_redis(there, bulk.json()["token"], [("p2", 22), ("p1", 21), ("p0", 20)])
    removed = here.request("DELETE", "/boards/b/players/p2")
    answered_by_redis(there, removed.headers["Ladder-Token"], [("p1", 21), ("p0", 20)])


@contextlib.contextmanager
def stopped(worker):
    worker.send(signal.SIGSTOP)
    wait_until(worker.is_stopped, 30, "the worker stands still")
    try:
        yield
    finally:
        worker.send(signal.SIGCONT)


def never_too_early(stack, here, there, worker):
    """The tail stands still, so Redis lacks the write: PostgreSQL answers the holder. Then the tail goes on."""
    here.put_board("b")
    here.submit("b", "ann", 1)
    wait_until(lambda: there.get("/boards/b/top").headers["Ladder-Cache"] == "hit", 30, "a hit")
    for n in range(3):
        with stopped(worker):
            token = here.submit("b", "ann", 2 + n)["token"]
            for _ in range(20):
                source, entries = read(there, token)
                if entries != [("ann", 2 + n)]:
                    return False
                assert source not in SOURCES
        answered_by_redis(there, token, [("ann", 2 + n)])
    return True


def test_redis_does_not_answer_before_it_has_the_write(stack, two):
    assert never_too_early(stack, *two)


def test_a_removal_behind_a_write_that_redis_lacks(stack, two, client):
    """Its token, too, tells that Redis lacks something: the same server had answered the write before."""
    _, there, worker = two
    client.put_board("b")
    for player, score in (("ann", 1), ("bob", 2), ("cat", 3)):
        client.submit("b", player, score)
    for its in (client, there):
        wait_until(lambda: its.get("/boards/b/top").headers["Ladder-Cache"] == "hit", 30, "a hit")
    period, = compare.periods(stack, client.game)
    meta = f"ladder:{{{period % 256}}}:{period}:meta"
    with stopped(worker):
        held = stack.redis.dump(meta)
        assert stack.redis.delete(meta) == 1
        client.submit("b", "ann", 7)
        stack.redis.restore(meta, 0, held)
        token = client.request("DELETE", "/boards/b/players/bob").headers["Ladder-Token"]
        assert read(there, token)[1] == [("ann", 7), ("cat", 3)]
    answered_by_redis(there, token, [("ann", 7), ("cat", 3)])


def test_a_server_that_does_not_wait_for_it_is_found(stack, two):
    here, _, worker = two
    careless = stack.serve(faults="reached")
    stack.trusted(careless)
    assert not never_too_early(stack, here, Client(careless, here.game, here.key), worker)
    careless.stop()
