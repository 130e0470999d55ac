"""Boards made of others: always what an independent sum over the sources says, within seconds, whatever happens to them."""
import contextlib
import random

import psycopg2
import pytest

import compare
from checks import refused
from harness import Client, wait_until

MAX = 2 ** 63 - 1


@pytest.fixture
def sources(stack, client):
    client.stack = stack
    for name in "abc":
        client.put_board(name, operator="sum", windows=["all", "daily"] if name == "b" else ["all"])
    client.put_board("low", order="asc")
    client.put_board("x")
    return client


def combine(client, by, of, board="x"):
    answer = client.request("PUT", f"/boards/{board}/combination", {"by": by, "of": [{"board": b, "weight": w} for b, w in of.items()]})
    assert answer.status_code == 200, answer.text
    return answer.json()


def table(client, board):
    return {e["player"]: e["score"] for e in client.pages(board)}


def wanted(client, by, of):
    tables = {b: table(client, b) for b in of}
    players = {p for t in tables.values() for p in t}
    fold = {"sum": sum, "max": max, "min": min}[by]
    return {p: max(-2 ** 63, min(MAX, fold([t[p] * of[b] for b, t in tables.items() if p in t]))) for p in players}


@contextlib.contextmanager
def held(stack, board):
    """Meanwhile the worker does not make this board."""
    with contextlib.closing(psycopg2.connect(stack.primary_as("ladder_work"))) as connection:
        connection.cursor().execute("select pg_advisory_lock(hashtextextended('ladder.combine', %s))", [board])
        yield


def settles(client, by, of, board="x"):
    """The worker's job does it in its time, too; a test need not wait for that each time."""
    client.stack.sql("select ladder.combine(c.board_id) from ladder.combination c", url=client.stack.primary_as("ladder_work"))
    wait_until(lambda: table(client, board) == wanted(client, by, of), 20, f"{board} is the {by} of {of}")


@pytest.mark.parametrize("by, of", [("sum", {"a": 1, "b": 3, "low": -2}), ("max", {"a": 1, "b": 2, "c": 1}), ("min", {"a": 2, "b": 1, "low": 1})])
def test_it_follows_its_sources(stack, sources, by, of):
    """Filled before, changed after, by random submissions, removals and erasures."""
    client, draw = sources, random.Random(by)

    def some(count):
        client.submit_many([dict(board=draw.choice(list(of)), player=f"p{draw.randrange(60)}", score=draw.randrange(-1000, 1000)) for _ in range(count)])
    some(300)
    combine(client, by, of)
    settles(client, by, of)
    for _ in range(2):
        some(50)
        client.request("DELETE", f"/boards/{draw.choice(list(of))}/players/p{draw.randrange(60)}")
        client.request("DELETE", f"/players/p{draw.randrange(60)}")
        settles(client, by, of)
    entries = client.pages("x")
    assert [e["score"] for e in entries] == sorted((e["score"] for e in entries), reverse=True) and [e["rank"] for e in entries] == list(range(1, len(entries) + 1))
    wait_until(lambda: compare.same(stack, client.game), 10, "Redis equals PostgreSQL")
    # Made anew, it is the same to the last digit, time and all: what it writes depends on nothing but the sources.
    before = client.pages("x")
    stack.sql("update ladder.combination set snapshot = null")
    wait_until(lambda: stack.sql("select bool_and(snapshot is not null) from ladder.combination") == [(True,)], 20, "made anew")
    assert client.pages("x") == before


def test_sums_stop_at_the_ends(sources):
    client = sources
    client.submit_many([dict(board=b, player=p, score=s) for b in "ab" for p, s in (("top", MAX), ("bottom", -MAX), ("fits", 5))])
    combine(client, "sum", {"a": 1000000, "b": 1})
    wait_until(lambda: table(client, "x") == {"top": MAX, "bottom": -MAX - 1, "fits": 5000005}, 20, "bounded")


def test_its_age_is_shown(sources):
    client = sources
    made = combine(client, "sum", {"a": 1, "b": 2})
    assert made == {"by": "sum", "of": [{"board": "a", "weight": 1}, {"board": "b", "weight": 2}], "combined_at": made["combined_at"]} and made["combined_at"]
    client.submit("a", "ann", 1)
    settles(client, "sum", {"a": 1, "b": 2})
    first = wait_until(lambda: client.read("/boards/x/top")["combined_at"], 20, "the definition is read again")
    wait_until(lambda: client.read("/boards/x/top")["combined_at"] > first, 20, "it goes on though nothing changes")
    assert client.read("/boards/x/players/ann")["combined_at"] >= first and client.read("/boards/x/combination")["combined_at"] >= first
    assert "combined_at" not in client.read("/boards/a/top")
    refused(client.get("/boards/a/combination"), "not-found")


def test_it_is_made_before_the_answer(stack, sources):
    """On this server for all who ask; on others for those who have the token."""
    client = sources
    others = [Client(stack.serve(), client.game, client.key) for _ in range(2)]
    client.submit_many([dict(board=b, player=f"p{i}", score=i) for b in "abc" for i in range(50)])
    try:
        for turn, (by, of) in enumerate([("sum", {"a": 1, "b": 2}), ("max", {"c": -1}), ("min", {"a": 5, "c": 2}), ("sum", {"b": 7})] * 2):
            assert all(c.get("/boards/x/top").status_code == 200 for c in others), "they know the board"
            answer = client.request("PUT", "/boards/x/combination", {"by": by, "of": [{"board": b, "weight": w} for b, w in of.items()]})
            assert answer.status_code == 200 and answer.json()["combined_at"], answer.text
            expected = wanted(client, by, of)
            assert len(expected) == 50 and table(client, "x") == expected, turn
            for other in others:
                seen = other.request("GET", "/boards/x/top?limit=100", headers={"Ladder-Token": answer.headers["Ladder-Token"]})
                assert {e["player"]: e["score"] for e in seen.json()["entries"]} == expected, turn
    finally:
        [other.server.stop() for other in others]


def test_a_large_one_is_not_shown_before_it_is_made(stack, sources):
    """The worker is kept from it for a moment. A new one then answers 503, a changed one what it did before."""
    client = sources
    client.submit_many([dict(board="a", player=f"p{i}", score=i) for i in range(5001)])
    client.submit("b", "ann", 7)
    board, = stack.sql("select b.id from ladder.board b join ladder.game g on g.id = b.game_id where g.name = %s and b.name = 'x'", client.game)[0]
    reads = ("top", "range?min=1&max=2", "at?rank=1", "stats", "players?ids=p1", "players/p1", "players/p1/around")
    with held(stack, board):
        assert combine(client, "sum", {"a": 2, "b": 1})["combined_at"] is None
        for path in reads:
            answer = client.get(f"/boards/x/{path}")
            refused(answer, "not-combined")
            assert answer.headers["Retry-After"] == "1"
        assert client.read("/boards/x/combination")["combined_at"] is None
    found = wait_until(lambda: (lambda a: a.json() if a.status_code == 200 else None)(client.get("/boards/x/top")), 60, "it is made")
    assert found["entries"][0]["score"] == 10000 and found["combined_at"]
    with held(stack, board):
        combine(client, "sum", {"a": 3})
        assert client.read("/boards/x/top")["entries"][0]["score"] == 10000
    wait_until(lambda: client.read("/boards/x/top")["entries"][0]["score"] == 15000, 60, "it is made anew")


def test_it_takes_no_submissions(stack, sources):
    client = sources
    client.submit("a", "ann", 1)
    combine(client, "sum", {"a": 1})
    settles(client, "sum", {"a": 1})
    refused(client.request("POST", "/boards/x/scores", {"player": "bob", "score": 1}), "conflict")
    results = client.request("POST", "/scores", {"scores": [{"board": "x", "player": "bob", "score": 1}, {"board": "a", "player": "bob", "score": 2}]}).json()["results"]
    assert [r["status"] for r in results] == [409, 200]
    settles(client, "sum", {"a": 1})
    # Removed by hand, it comes back: he still has his scores.
    client.request("DELETE", "/boards/x/players/ann")
    settles(client, "sum", {"a": 1})
    assert client.request("DELETE", "/boards/x/combination").status_code == 204
    assert client.submit("x", "bob", 7)["entry"]["rank"] == 1, "an ordinary board again"
    refused(client.get("/boards/x/combination"), "not-found")


def test_a_deleted_source_counts_nothing(sources):
    client = sources
    client.submit_many([dict(board=b, player=p, score=s) for b, p, s in (("a", "ann", 1), ("b", "ann", 10), ("b", "bob", 20))])
    combine(client, "sum", {"a": 1, "b": 1})
    settles(client, "sum", {"a": 1, "b": 1})
    client.request("DELETE", "/boards/b")
    wait_until(lambda: table(client, "x") == {"ann": 1}, 20, "without it")
    assert client.read("/boards/x/combination")["of"] == [{"board": "a", "weight": 1}]
    client.request("DELETE", "/boards/a")
    wait_until(lambda: table(client, "x") == {}, 20, "without any")
    client.put_board("b")
    combine(client, "max", {"b": 5, "c": 1})
    client.submit("b", "cy", 2)
    wait_until(lambda: table(client, "x") == {"cy": 10}, 20, "changed")


def test_what_can_not_be(sources):
    client = sources
    body = lambda *of, by="sum": {"by": by, "of": [{"board": b} for b in of]}  # noqa: E731
    client.put_board("daily", windows=["daily"])
    client.put_board("y")

    def put(sent, board="x"):
        return client.request("PUT", f"/boards/{board}/combination", sent)
    for sent, slug, field in ((body("a", "nobody"), "invalid-body", "/of/1/board"), (body("x"), "invalid-body", "/of/0/board"),
                              (body("daily"), "invalid-body", "/of/0/board"), (body("a", "a"), "invalid-body", "/of/1/board"),
                              (body(), "invalid-body", "/of"), (body("a", by="mean"), "invalid-body", "/by"), ({"of": []}, "invalid-body", "/by"),
                              ({"by": "sum", "of": [{"board": "a", "weight": 0}]}, "invalid-body", "/of/0/weight")):
        refused(put(sent), slug, field)
    refused(put(body("a"), board="daily"), "conflict")
    refused(put(body("a"), board="nothing"), "board-not-found")
    client.submit("c", "ann", 1)
    refused(put(body("a"), board="c"), "conflict")
    # No circles: a source is not made of others, and what others are made of is not either.
    combine(client, "sum", {"y": 1})
    refused(put(body("x"), board="low"), "invalid-body", "/of/0/board")
    refused(put(body("a"), board="y"), "conflict")
    writer = Client(client.server, client.game)
    refused(writer.request("PUT", "/boards/x/combination", body("a")), "unauthorized")
