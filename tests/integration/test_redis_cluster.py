"""A real Redis Cluster of six nodes: slots move and a primary dies under load; no answer is wrong, and all is healed by itself."""
import signal

import pytest
import requests

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


def test_every_node_answers(cluster):
    """Boards spread over all primaries; each is written, read from Redis, and the same as in PostgreSQL."""
    server = cluster.serve()
    cluster.trusted(server)
    game = cluster.new_game()
    client = Client(server, game, cluster.key(game))
    for i in range(24):
        client.put_board(f"b{i}")
    client.submit_many([dict(board=f"b{i}", player=f"p{n}", score=n * i) for i in range(24) for n in range(50)])
    nodes = {cluster.redis.get_node_from_key(f"ladder:{{{period % 256}}}:{period}:meta").port for period in compare.periods(cluster, game)}
    assert nodes == set(cluster.primaries())
    for i in range(1, 24, 3):
        wait_until(lambda: client.get(f"/boards/b{i}/top").headers["Server-Timing"].startswith("redis"), 10, "Redis answers")
        assert client.read(f"/boards/b{i}/players/p49")["score"] == 49 * i
        assert client.submit(f"b{i}", "p1", 10 ** 6)["entry"]["rank"] == 1
        assert client.read(f"/boards/b{i}/top", limit=1)["entries"][0]["player"] == "p1"
        dense = client.read(f"/boards/b{i}/top", ranking="dense", offset=1, limit=3, source="true")
        assert dense["source"] == "redis" and [e["rank"] for e in dense["entries"]] == [2, 3, 4]
        client.submit(f"b{i}", "p2", 10 ** 6)
        assert client.read(f"/boards/b{i}/players/p49", ranking="dense")["rank"] == 2
    assert compare.same(cluster, game)
    server.stop()


def test_slots_move_under_load(cluster):
    """By redis-cli, and those of the boards one by one, key by key."""
    def reshard(setting):
        first, second, third = cluster.primaries()
        cluster.reshard(first, second, 100)
        slots = sorted({cluster.redis.keyslot(f"{{{period % 256}}}") for period in compare.periods(cluster, setting.game, "all")})
        moved = 0
        for slot in slots[:5]:
            owner = cluster.redis.nodes_manager.get_node_from_slot(slot).port
            moved += cluster.slot_move(slot, third if owner != third else first, 0.01)
        assert moved > 20, "what is read and written was moved"
    counts = modelrun.under_load(cluster, reshard)
    assert counts["redis"] > 50, counts


def test_a_primary_dies_under_load(cluster):
    def kill(setting):
        victim = cluster.primaries()[1]
        cluster.replace_primary(victim)
        cluster.node_start(victim)
        wait_until(lambda: cluster.is_settled() and "slave" in cluster.nodes()[victim][1], 30, "it is back, as a replica")
    counts = modelrun.under_load(cluster, kill)
    assert counts["redis"] > 50, counts


def test_a_standing_that_came_in_part_is_loaded_anew(cluster):
    """As when the node to which its slot moved dies, and the replica there has got its cursor but not all of its keys."""
    server = cluster.serve()
    cluster.trusted(server)
    game = cluster.new_game()
    client = Client(server, game, cluster.key(game))
    client.put_board("b")
    client.submit_many([dict(board="b", player=f"p{n}", score=n) for n in range(50)])
    wait_until(lambda: compare.same(cluster, game), 10, "Redis has it")
    period, = compare.periods(cluster, game)
    base = f"ladder:{{{period % 256}}}:"
    cluster.the_worker.send(signal.SIGSTOP)
    try:
        cluster.redis.set(base + "ready", b"1 0123456789abcdef")  # another process's

        def no_loop_believes():
            return all(requests.get(f"http://127.0.0.1:{server.port}/readyz", timeout=50).json()["status"] == "degraded" for _ in range(8))
        wait_until(no_loop_believes, 10, "it is not believed")
        cluster.redis.delete(f"{base}{period}:{cluster.redis.hget(f'{base}{period}:meta', 'gen').decode()}:entry")
        assert client.read("/boards/b/players/p7")["rank"] == 43
    finally:
        cluster.the_worker.send(signal.SIGCONT)
    wait_until(lambda: compare.same(cluster, game), 20, "it was loaded anew")
    assert f"event=standing-not-whole key={base}{period}:meta" in cluster.the_worker.log()
    wait_until(lambda: client.get("/boards/b/players/p7").headers["Server-Timing"].startswith("redis"), 20, "Redis answers again")
    assert client.read("/boards/b/players/p7")["rank"] == 43
    server.stop()
