"""The router, when the network goes: a primary and two replicas, each on a host of its own with a cable that is pulled."""
import pytest

import network
from harness import wait_until
from test_replicas import Load, filled, servers
from trio import Cabled

REFUSAL = network.refusal()
pytestmark = pytest.mark.skipif(bool(REFUSAL), reason=f"no network of its own here: {REFUSAL}")


@pytest.fixture(scope="module")
def cabled():
    cabled = Cabled()
    yield cabled
    cabled.close()


def test_cables_are_pulled(cabled):
    """Nobody is told that a server is gone; those who read don't notice, and those who write wait or are refused, but lose nothing."""
    server = cabled.serve(database_tcp_user_timeout_ms=1000)
    wait_until(lambda: {s["role"] for s in servers(server).values()} == {"primary", "replica"}, 10, "the servers are known")
    game = cabled.new_game()
    client = filled(cabled, server, game, cabled.key(game), "b")
    with Load(server, game, client.key, "b") as load:
        for name, host in ("first", "replica"), ("second", "second"):
            cabled.network.pull(host)
            wait_until(lambda: servers(server)[name]["state"] == "unhealthy", 10, "it is noticed")
            load.some(300)
            before = servers(server)[name]["reads"]
            load.some(300)
            assert servers(server)[name]["reads"] == before
            cabled.network.plug(host)
            wait_until(lambda: servers(server)[name]["state"] == "ok" and servers(server)[name]["reads"] > before, 20, "it is taken back")
        client.submit("b", "writer", -3)
        cabled.network.pull("primary")
        try:
            load.some(300)
            answer = client.request("POST", "/boards/b/scores", {"player": "writer", "score": -2})
            assert answer.status_code == 503 and answer.headers["Retry-After"], answer.text
            load.some(300)
        finally:
            cabled.network.plug("primary")
        wait_until(lambda: client.request("POST", "/boards/b/scores", {"player": "writer", "score": -1}).status_code == 200, 20, "writes go on")
        assert client.read("/boards/b/players/writer")["score"] == -1
    log = server.log()
    assert "timed out" in log, log
    server.stop()
    server.check_clean()
