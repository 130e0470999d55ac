"""Ranks within a batch: the same, item by item, whether Redis tells them or PostgreSQL counts."""
import random
import signal
import threading

import pytest

from harness import Client, wait_until


class Ladder:
    """A standing of one board, as one submission after the other changes it."""

    def __init__(self, is_better):
        self.scores, self.order, self.is_better = {}, [], is_better

    def rank(self, player):
        return self.order.index(player) + 1

    def submit(self, player, score):
        """(rank after it, rank before it or None)"""
        before = self.rank(player) if player in self.scores else None
        if player not in self.scores or self.is_better(score, self.scores[player]):
            self.scores[player] = score
            if before:
                self.order.remove(player)
            # Behind who is level: he reached it later.
            at = sum(not self.is_better(score, self.scores[other]) for other in self.order)
            self.order.insert(at, player)
        return self.rank(player), before


def told(answer):
    return [(r["entry"]["rank"], r["previous"] and r["previous"]["rank"]) for r in answer.json()["results"]]


def away(stack, client):
    """Redis lacks the boards: they are loaded by a worker only, and none runs."""
    stack.redis_process.kill()
    wait_until(lambda: client.get("/boards/b/top", source="true").json().get("source") != "redis", 30, "Redis is given up")


@pytest.mark.parametrize("store", ["redis", "postgresql"])
def test_who_moved_first(stack, client, whole_again, store):
    client.put_board("b")
    for player, score in (("m1", 200), ("m2", 150), ("m3", 100)):
        client.submit("b", player, score)
    if store == "postgresql":
        away(stack, client)
    answer = client.request("POST", "/scores", {"scores": [{"board": "b", "player": "m2", "score": 300}, {"board": "b", "player": "m3", "score": 250}]})
    assert told(answer) == [(1, 2), (2, 3)], answer.text


@pytest.mark.parametrize("store", ["redis", "postgresql"])
@pytest.mark.parametrize("order", ["desc", "asc"])
def test_random_batches(stack, client, whole_again, store, order):
    """A player may be in a batch several times."""
    draw = random.Random(16)
    client.put_board("b", order=order)
    model = Ladder((lambda a, b: a > b) if order == "desc" else (lambda a, b: a < b))
    if store == "postgresql":
        away(stack, client)
    for size in (1, 5, 40, 120):
        rows = [(f"p{draw.randrange(30)}", draw.randrange(200)) for _ in range(size)]
        answer = client.request("POST", "/scores", {"scores": [{"board": "b", "player": p, "score": s} for p, s in rows]})
        assert told(answer) == [model.submit(*row) for row in rows], (size, rows)


@pytest.mark.parametrize("other, before", [(None, 2), ("other", 2), ("b", None)], ids=["nobody", "on another board", "on this board"])
def test_another_commit_before_the_count(stack, client, whole_again, other, before):
    """The server is stopped between its commit and its count. What another server commits meanwhile can't be told from what was there before,
    so the rank before the submission is not known; on another board it changes nothing."""
    for board in ("b", "other"):
        client.put_board(board)
        client.submit_many([dict(board=board, player=player, score=score) for player, score in (("m1", 200), ("m2", 150), ("m3", 100))])
    away(stack, client)
    server = stack.serve(faults="stop-committed")
    try:
        one = Client(server, client.game, client.key)
        answers = []
        thread = threading.Thread(target=lambda: answers.append(one.request("POST", "/boards/b/scores", {"player": "m2", "score": 160})))
        thread.start()
        wait_until(server.is_stopped, 60, "the commit")
        if other:
            client.submit(other, "new", 1000)
        server.send(signal.SIGCONT)
        thread.join()
        found = answers[0].json()
        assert found["previous"]["score"] == 150 and found["previous"]["rank"] == before, found
        assert found["entry"]["rank"] in ((2, 3) if other == "b" else (2,))
    finally:
        server.send(signal.SIGCONT)
        assert server.stop() == 0
