"""Submissions to a board of which some periods are closed, and submissions for some of its windows."""
import json

import pytest

import compare
from checks import problem_is, refused
from harness import Client, wait_until

DAY, NEXT = "2026-01-01T12:00:00Z", "2026-01-02T12:00:00Z"


def close(stack, client, *windows):
    """Closes the ended periods of a game's boards, as the worker does."""
    stack.sql("update ladder.period p set created_at = p.starts_at from ladder.board b join ladder.game g on g.id = b.game_id "
              "where b.id = p.board_id and g.name = %s and p.window_kind = any (%s::ladder.window_kind[])", client.game, list(windows))

    def is_closed():
        stack.roll()
        return not stack.sql("select from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
                             "where g.name = %s and p.window_kind = any (%s::ladder.window_kind[]) and p.ends_at < now() and p.state <> 'closed'",
                             client.game, list(windows))
    wait_until(is_closed, 30, "the periods are closed")


def post(client, player, score, **fields):
    return client.request("POST", "/boards/b/scores", dict(player=player, score=score, **fields))


@pytest.fixture
def played(stack, client):
    client.put_board("b", windows=["daily", "all", "monthly"], facets=["country"])
    client.submit("b", "ann", 5, at=DAY, facets={"country": "BR"})
    client.submit("b", "bob", 7, at=DAY)
    close(stack, client, "daily")
    return client


def test_the_open_windows_take_it(stack, played):
    answer = post(played, "ann", 9, at=DAY)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["windows"]["daily"] == {"rank": None, "score": None, "subscore": None, "improved": False, "period": "2026-01-01T00:00:00Z", "closed": True}
    assert {w: (v["score"], v["rank"], v.get("closed")) for w, v in body["windows"].items() if w != "daily"} == {"all": (9, 1, None), "monthly": (9, 1, None)}
    assert (body["entry"]["score"], body["previous"], body["improved"]) == (9, {"score": 5, "subscore": 0, "rank": 2}, True)
    day = dict(window="daily", period="2026-01-01T00:00:00Z")
    assert [(e["player"], e["score"]) for e in played.read("/boards/b/top", **day)["entries"]] == [("bob", 7), ("ann", 5)]
    assert [(e["player"], e["score"]) for e in played.read("/boards/b/top", facet="country:BR", **day)["entries"]] == [("ann", 5)]
    assert [(e["player"], e["score"]) for e in played.read("/boards/b/top", window="all", facet="country:BR")["entries"]] == [("ann", 9)]
    wait_until(lambda: compare.same(stack, played.game), 30, "Redis equals PostgreSQL")


def test_a_strict_one_is_refused(played):
    answer = refused(post(played, "ann", 9, at=DAY, strict=True), "period-closed", "/at")
    assert "one of its windows" in answer.json()["detail"]
    assert post(played, "ann", 9, at=NEXT, strict=True).status_code == 200
    assert post(played, "ann", 10, at=DAY, strict=True, windows=["all", "monthly"]).status_code == 200


def test_it_is_refused_where_every_window_is_closed(played, stack):
    refused(post(played, "ann", 9, at=DAY, windows=["daily"]), "period-closed", "/at")
    close(stack, played, "monthly")
    assert set(w for w, v in post(played, "ann", 9, at=DAY).json()["windows"].items() if "closed" in v) == {"daily", "monthly"}
    assert played.read("/boards/b/top", window="all")["entries"][0]["score"] == 9


def test_what_is_meant_for_one_window_leaves_the_others(stack, played):
    answer = post(played, "ann", 20, at=NEXT, windows=["all"]).json()
    assert set(answer["windows"]) == {"all"} and answer["entry"]["score"] == 20 and answer["previous"]["score"] == 5
    assert played.get("/boards/b/top", window="daily", period="2026-01-02T00:00:00Z").json().get("entries", []) == []
    assert [e["score"] for e in played.read("/boards/b/top", window="monthly", period="2026-01-01T00:00:00Z")["entries"]] == [7, 5]
    both = post(played, "ann", 30, at=NEXT, windows=["monthly", "daily", "monthly"]).json()
    assert {w: v["score"] for w, v in both["windows"].items()} == {"monthly": 30, "daily": 30}
    assert played.read("/boards/b/players/ann", window="all")["score"] == 20
    assert played.read("/boards/b/top", window="daily", period="2026-01-02T00:00:00Z", facet="country:BR")["entries"][0]["score"] == 30
    wait_until(lambda: compare.same(stack, played.game), 30, "Redis equals PostgreSQL")


def test_each_of_a_batch_by_itself(played):
    rows = [dict(board="b", player=f"p{i}", score=i, at=DAY, **fields) for i, fields in enumerate(
        ({}, {"strict": True}, {"windows": ["daily"]}, {"windows": ["all"]}, {"windows": ["hourly"]}, {"windows": []}, {"windows": ["all", "never"]},
         {"windows": "all"}, {"strict": "yes"}))]
    results = played.request("POST", "/scores", {"scores": rows}).json()["results"]
    assert [r["status"] for r in results] == [200, 409, 409, 200, 400, 400, 400, 400, 400]
    assert [set(r["windows"]) for r in results if r["status"] == 200] == [{"daily", "all", "monthly"}, {"all"}]
    problem_is(results[4]["problem"], "invalid-body", "/windows")
    problem_is(results[5]["problem"], "invalid-body", "/scores/5/windows")
    lines = "".join(json.dumps(row) + "\n" for row in rows[:5]).encode()
    streamed = played.request("POST", "/scores", lines, headers={"Content-Type": "application/x-ndjson"}).json()["results"]
    assert [r["status"] for r in streamed] == [200, 409, 409, 200, 400]


def test_a_repeat_is_told_the_same(played):
    sent = {"Idempotency-Key": "late"}
    first = post_with(played, sent)
    assert first.json()["windows"]["daily"]["closed"] and post_with(played, sent).content == first.content


def post_with(client, headers):
    return client.request("POST", "/boards/b/scores", {"player": "ann", "score": 9, "at": DAY}, headers=headers)


def test_an_overflow_refuses_it_whole(stack, client):
    client.put_board("b", windows=["daily", "all"], operator="sum", score_max=10)
    client.submit("b", "ann", 8, at=DAY)
    close(stack, client, "daily")
    refused(post(client, "ann", 8, at=DAY), "score-out-of-range", "/score")
    assert post(client, "ann", 2, at=DAY).json()["windows"]["all"]["score"] == 10


def test_choosing_windows_needs_an_admin_key(stack, ladder, played):
    writer = Client(ladder, played.game, stack.key(played.game, "write"))
    refused(post(writer, "ann", 9, windows=["all"]), "forbidden", "/windows")
    assert post(writer, "ann", 9, strict=True).status_code == 200


def test_an_import_goes_into_the_open_windows_too(stack, played, tmp_path):
    path = tmp_path / "late.csv"
    path.write_text(f"p,s,d\nann,9,{DAY}\ncy,3,{DAY}\n")
    stack.cli("import", path, "--game", played.game, "--board", "b", "--player", "p", "--score", "s", "--at", "d")
    top = lambda: [(e["player"], e["score"]) for e in played.read("/boards/b/top", window="all")["entries"]]  # noqa: E731
    wait_until(lambda: top() == [("ann", 9), ("bob", 7), ("cy", 3)], 30, "the import is seen")
    assert [e["player"] for e in played.read("/boards/b/top", window="daily", period="2026-01-01T00:00:00Z")["entries"]] == ["bob", "ann"]
