"""A real trio of Redis with sentinels: the primary dies and is replaced under load; no answer is wrong, and all is healed by itself."""
import itertools

import pytest
import requests

import modelrun
import redissentinel
from harness import Client, wait_until
from redissentinel import SentinelStack


@pytest.fixture(scope="module")
def trio():
    stack = SentinelStack()
    stack.the_worker = stack.worker(worker_tail_idle_ms=50)
    yield stack
    stack.close()


@pytest.fixture(autouse=True)
def primary(trio):
    """Whichever it is by now: the sentinels may have had reason to choose another."""
    trio.follow()


def test_a_primary_dies_under_load(trio):
    def kill(setting):
        trio.redis_process.kill()
        gone = trio.moved_on()
        trio.node_start(gone)  # it takes itself for a primary, until a sentinel tells it
    counts = modelrun.under_load(trio, kill, redis_replicas="sentinels")
    assert counts["redis"] > 50, counts


def test_a_primary_is_replaced_under_load(trio):
    """By an operator: nothing is lost, and connections to the old one stay only as long as it takes to hear of it."""
    counts = modelrun.under_load(trio, lambda setting: (trio.redis_order(), trio.moved_on()))
    assert counts["redis"] > 50, counts


def known(server):
    answer = requests.get(f"http://127.0.0.1:{server.port}/monitoring/performance", timeout=10).json()["redis"]
    return {int(r["name"].rsplit(":")[1]): r for r in answer["replicas"] if r["loops"]}


def test_replicas_are_found_and_read(trio):
    """Those that the sentinels know, by a user of their own; another set of them when another is the primary."""
    sentinels = ",".join(f"127.0.0.1:{port}" for port in trio.sentinel_ports)
    server = trio.serve(redis_replicas="sentinels", server_loops=1,
                        redis_url=f"redis-sentinel://{sentinels}/{redissentinel.NAME}?sentinel_user={redissentinel.USER}&sentinel_password={redissentinel.PASSWORD}")
    client = Client(server, game := trio.new_game(), trio.key(game))
    client.put_board("b")
    client.submit_many([dict(board="b", player=f"p{i}", score=100 - i) for i in range(50)])

    def are_read(count):
        """So many of them, each; never the primary."""
        others = set(trio.redis_ports) - {trio.redis_port}
        before = known(server)
        if not set(before) <= others or sum(r["state"] == "ok" for r in before.values()) < count:
            return False
        assert [client.read("/boards/b/top", offset=i, limit=next(limits))["entries"][0]["player"] for i in range(10)] == [f"p{i}" for i in range(10)]
        return sum(r["reads"] > before.get(port, r)["reads"] for port, r in known(server).items()) >= count
    limits = itertools.count(1)
    wait_until(lambda: are_read(2), 20, "the replicas are read")
    trio.redis_order()
    trio.moved_on()
    wait_until(lambda: are_read(1), 30, "a replica of the new one is read")
    server.stop()


def test_sentinels_that_want_another_password(trio):
    sentinels = ",".join(f"127.0.0.1:{port}" for port in trio.sentinel_ports)
    server = trio.serve(redis_url=f"redis-sentinel://{sentinels}/{redissentinel.NAME}?sentinel_password=wrong")
    assert requests.get(f"http://127.0.0.1:{server.port}/readyz", timeout=50).json()["checks"]["redis"] != "ok"
    said = trio.cli("cache", "stats", redis_url=f"redis-sentinel://{sentinels}/{redissentinel.NAME}", status=1)
    assert "no sentinel names a primary" in said and redissentinel.PASSWORD not in server.log()
    server.stop()


def test_without_the_worker_it_is_not_believed(trio):
    """A primary that is cut off can't know that there is another: what the worker keeps saying there is what counts."""
    server = trio.serve()
    trio.trusted(server)
    game = trio.new_game()
    client = Client(server, game, trio.key(game))
    client.put_board("b")
    assert client.submit("b", "ann", 1)["entry"]["rank"] == 1
    trio.the_worker.stop()
    wait_until(lambda: requests.get(f"http://127.0.0.1:{server.port}/readyz", timeout=50).json()["status"] == "degraded", 15, "it is not trusted")
    assert client.submit("b", "bob", 2)["entry"]["rank"] == 1
    assert [e["player"] for e in client.read("/boards/b/top")["entries"]] == ["bob", "ann"]
    trio.the_worker = trio.worker(worker_tail_idle_ms=50)
    trio.trusted(server)
    server.stop()
