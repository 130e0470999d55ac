"""A board that was deleted and made again under the same name is another board: it starts empty everywhere."""
import datetime

import pytest
from harness import Client, wait_until


@pytest.mark.parametrize("redis", ["redis", "postgresql"])
def test_nothing_of_the_old_board_is_left(stack, redis):
    server, worker = stack.serve(worker_tail_idle_ms=20), stack.worker(worker_tail_idle_ms=20)
    stack.trusted(server)
    game = stack.new_game()
    client = Client(server, game, stack.key(game))
    definition = dict(operator="sum", windows=["all", "daily"])
    client.put_board("b", **definition)
    key = {"Idempotency-Key": "first"}
    first = client.request("POST", "/boards/b/scores", {"player": "ann", "score": 5}, headers=key).json()
    client.submit("b", "bob", 3)
    yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    client.submit("b", "ann", 7, at=yesterday.isoformat())
    page = client.read("/boards/b/top", limit=1)
    days = [period["id"] for period in client.read("/boards/b/periods", window="daily")["periods"]]
    assert page["next"] and len(days) == 2

    if redis == "postgresql":
        stack.redis_process.kill()
    assert client.request("DELETE", "/boards/b").status_code == 204
    for path in ("/boards/b", "/boards/b/top", "/boards/b/players/ann", "/boards/b/periods?window=daily"):
        assert client.get(path).status_code == 404, path
    assert client.get("/boards/b/top", cursor=page["next"]).status_code == 404
    assert client.request("POST", "/boards/b/scores", {"player": "ann", "score": 1}).status_code == 404
    client.put_board("b", **definition)

    assert client.read("/boards/b/top")["entries"] == [] == client.read("/boards/b/top", window="daily")["entries"]
    assert client.get("/boards/b/players/ann").status_code == 404 and client.read("/boards/b/players", ids="ann,bob")["entries"] == []
    assert client.get("/boards/b/top", window="daily", period=days[1]).status_code == 404
    assert days[1] not in [period["id"] for period in client.read("/boards/b/periods", window="daily")["periods"]]
    refused = client.get("/boards/b/top", cursor=page["next"])
    assert refused.status_code == 400 and refused.json()["type"].endswith("invalid-cursor")
    # A token of the old board is no more than a moment of the database: it is read as any other.
    assert client.request("GET", "/boards/b/top", headers={"Ladder-Token": first["token"]}).json()["entries"] == []
    # An Idempotency-Key is answered as it was the first time, and nothing of it gets onto the new board.
    again = client.request("POST", "/boards/b/scores", {"player": "ann", "score": 5}, headers=key)
    assert again.status_code == 200 and again.json() == first
    assert client.read("/boards/b/top")["entries"] == [] == client.read("/boards/b/top", window="daily")["entries"]
    assert client.submit("b", "ann", 5)["previous"] is None
    assert [(e["player"], e["score"]) for e in client.pages("b")] == [("ann", 5)] == [(e["player"], e["score"]) for e in client.pages("b", window="daily")]
    assert client.submit("b", "bob", 1)["entry"]["rank"] == 2
    if redis == "postgresql":
        stack.redis_start()
        stack.trusted(server)
    wait_until(lambda: client.read("/boards/b/top", source="true")["source"] == "redis", 10, "Redis answers")
    assert [(e["player"], e["score"]) for e in client.pages("b")] == [("ann", 5), ("bob", 1)]
    for process in (server, worker):
        assert process.stop() == 0
