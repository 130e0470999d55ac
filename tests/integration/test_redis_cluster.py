"""A real Redis Cluster of six nodes: slots move and a primary dies under load; no answer is wrong, and all is healed by itself."""
import multiprocessing
import threading
import time

import pytest

import compare
import modelrun
from harness import Client, wait_until
from rediscluster import ClusterStack


@pytest.fixture(scope="module")
def cluster():
    stack = ClusterStack()
    stack.the_worker = stack.worker(worker_tail_idle_ms=50)
    yield stack
    stack.close()


def under_load(cluster, what):
    """Random clients on two servers, held to the model, while `what` happens; then Redis equals PostgreSQL, and answers again."""
    with modelrun.Setting(cluster) as setting:
        found, stop = [], multiprocessing.Event()
        load = threading.Thread(target=lambda: found.append(setting.check(10 ** 9, seconds=120, is_disturbed=True, stop=stop)))
        load.start()
        wait_until(lambda: len(compare.periods(cluster, setting.game, "all")) > 10, 20, "the boards are written")
        what(setting)  # here: what it starts would end with another thread
        assert load.is_alive(), "there was load to the end"
        time.sleep(1)  # and there is some behind it
        stop.set()
        load.join()
        counts, violations, _ = found[0]
        assert not violations, violations[0]
        for server in setting.servers:
            cluster.trusted(server, 30)
        setting.same_in_the_end()
        for client in (setting.here, setting.there):
            for board in setting.boards:
                wait_until(lambda: client.get(f"/boards/{board}/top").headers["Server-Timing"].startswith("redis"), 20, "Redis answers again")
        return counts


def test_every_node_answers(cluster):
    """Boards spread over all primaries; each is written, read from Redis, and the same as in PostgreSQL."""
    server = cluster.serve()
    cluster.trusted(server)
    game = cluster.new_game()
    client = Client(server, game, cluster.key(game))
    for i in range(24):
        client.put_board(f"b{i}")
        client.submit_many([dict(board=f"b{i}", player=f"p{n}", score=n * i) for n in range(50)])
    nodes = {cluster.redis.get_node_from_key(f"ladder:{{{period % 256}}}:{period}:meta").port for period in compare.periods(cluster, game)}
    assert nodes == set(cluster.primaries())
    for i in range(24):
        wait_until(lambda: client.get(f"/boards/b{i}/top").headers["Server-Timing"].startswith("redis"), 10, "Redis answers")
        assert client.read(f"/boards/b{i}/players/p49")["score"] == 49 * i
        assert client.submit(f"b{i}", "p1", 10 ** 6)["entry"]["rank"] == 1
        assert client.read(f"/boards/b{i}/top", limit=1)["entries"][0]["player"] == "p1"
    assert compare.same(cluster, game)
    server.stop()


def test_slots_move_under_load(cluster):
    """By redis-cli, and those of the boards one by one, key by key."""
    def reshard(setting):
        first, second, third = cluster.primaries()
        cluster.reshard(first, second, 100)
        slots = sorted({cluster.redis.keyslot(f"{{{period % 256}}}") for period in compare.periods(cluster, setting.game, "all")})
        moved = 0
        for slot in slots[:8]:
            owner = cluster.redis.nodes_manager.get_node_from_slot(slot).port
            moved += cluster.slot_move(slot, third if owner != third else first, 0.01)
        assert moved > 40, "what is read and written was moved"
    counts = under_load(cluster, reshard)
    assert counts["redis"] > 1000, counts


def test_a_primary_dies_under_load(cluster):
    def kill(setting):
        victim = cluster.primaries()[1]
        cluster.replace_primary(victim)
        cluster.node_start(victim)
        wait_until(lambda: cluster.is_settled() and "slave" in cluster.nodes()[victim][1], 30, "it is back, as a replica")
    counts = under_load(cluster, kill)
    assert counts["redis"] > 1000, counts
