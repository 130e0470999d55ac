"""A real trio of Redis with sentinels: the primary dies and is replaced under load; no answer is wrong, and all is healed by itself."""
import pytest
import requests

import modelrun
from harness import Client, wait_until
from redissentinel import SentinelStack


@pytest.fixture(scope="module")
def trio():
    stack = SentinelStack()
    stack.the_worker = stack.worker(worker_tail_idle_ms=50)
    yield stack
    stack.close()


def test_a_primary_dies_under_load(trio):
    def kill(setting):
        trio.redis_process.kill()
        gone = trio.moved_on()
        trio.node_start(gone)  # it takes itself for a primary, until a sentinel tells it
    counts = modelrun.under_load(trio, kill)
    assert counts["redis"] > 500, counts


def test_a_primary_is_replaced_under_load(trio):
    """By an operator: nothing is lost, and connections to the old one stay only as long as it takes to hear of it."""
    counts = modelrun.under_load(trio, lambda setting: (trio.redis_order(), trio.moved_on()))
    assert counts["redis"] > 500, counts


def test_without_the_worker_it_is_not_believed(trio):
    """A primary that is cut off can't know that there is another: what the worker keeps saying there is what counts."""
    server = trio.serve()
    trio.trusted(server)
    game = trio.new_game()
    client = Client(server, game, trio.key(game))
    client.put_board("b")
    assert client.submit("b", "ann", 1)["entry"]["rank"] == 1
    trio.the_worker.stop()
    wait_until(lambda: requests.get(f"http://127.0.0.1:{server.port}/readyz", timeout=5).json()["status"] == "degraded", 15, "it is not trusted")
    assert client.submit("b", "bob", 2)["entry"]["rank"] == 1
    assert [e["player"] for e in client.read("/boards/b/top")["entries"]] == ["bob", "ann"]
    trio.the_worker = trio.worker(worker_tail_idle_ms=50)
    trio.trusted(server)
    server.stop()
