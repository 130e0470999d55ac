"""When past periods close: told by an import, or by the backfill grace; and closed ones that are opened again."""
import time

import pytest

import compare
import modelrun
from checks import refused
from harness import Client, wait_until
from test_closed_windows import DAY, close, post

PERIOD = "2026-01-01T00:00:00Z"


def states(client, window="daily"):
    return {p["id"]: p["state"] for p in client.read("/boards/b/periods", window=window)["periods"] if p["id"] < "2026-02"}


def import_days(stack, client, tmp_path, *words):
    path = tmp_path / "days.csv"
    path.write_text(f"p,s,d\nann,5,{DAY}\nbob,7,{DAY}\n")
    return stack.cli("import", path, "--game", client.game, "--board", "b", "--player", "p", "--score", "s", "--at", "d", *words)


def test_an_import_closes_its_periods(stack, client, tmp_path):
    client.put_board("b", windows=["daily", "all"])
    said = import_days(stack, client, tmp_path, "--close")
    assert "1 ended periods of the board close" in said
    wait_until(lambda: stack.roll() or states(client) == {PERIOD: "closed"}, 30, "the period is closed")
    assert [e["player"] for e in client.read("/boards/b/top", window="daily", period=PERIOD)["entries"]] == ["bob", "ann"]


def test_without_it_they_close_after_the_grace(stack, client, tmp_path):
    client.put_board("b", windows=["daily", "all"])
    assert "close" not in import_days(stack, client, tmp_path)
    stack.roll()
    assert states(client) == {PERIOD: "open"}
    wait_until(lambda: stack.cli("roll", worker_backfill_grace_s=0) and states(client) == {PERIOD: "closed"}, 30, "the period is closed")


def reopen(stack, client, *words, status=0):
    return stack.cli("period", "reopen", "--game", client.game, "--board", "b", "--window", "daily", "--period", PERIOD, *words, status=status)


def board_make(client):
    client.put_board("b", windows=["daily", "all"], facets=["country"])
    client.submit("b", "ann", 5, at=DAY, facets={"country": "BR"})
    client.submit("b", "bob", 7, at=DAY, facets={"country": "BR"})


@pytest.fixture
def closed(stack, client):
    board_make(client)
    close(stack, client, "daily")
    assert states(client) == {PERIOD: "closed"}
    return client


def test_a_closed_period_is_opened_again_and_closes_again(stack, closed):
    top = lambda: [(e["rank"], e["player"], e["score"]) for e in closed.read("/boards/b/top", window="daily", period=PERIOD)["entries"]]  # noqa: E731
    history = lambda: [(p["rank"], p["score"], p["entries"]) for p in closed.read("/boards/b/players/ann/history", window="daily")["points"]]  # noqa: E731
    assert top() == [(1, "bob", 7), (2, "ann", 5)] and history() == [(2, 5, 2)]
    refused(post(closed, "ann", 9, at=DAY, windows=["daily"]), "period-closed", "/at")
    assert "open for 3600 s, for tester: bob cheated" in reopen(stack, closed, "--reason", "bob cheated", "--by", "tester")
    assert states(closed) == {PERIOD: "open"}
    assert post(closed, "ann", 9, at=DAY, windows=["daily"]).json()["windows"]["daily"]["score"] == 9
    assert closed.request("DELETE", "/boards/b/players/bob").json()["removed"]
    assert top() == [(1, "ann", 9)]
    wait_until(lambda: closed.read("/boards/b/top", window="daily", period=PERIOD, facet="country:BR")["entries"][0]["score"] == 9, 30, "its facets follow")
    wait_until(lambda: history() == [], 30, "it is no closed period any more")
    stack.roll()
    assert states(closed) == {PERIOD: "open"}, "it stays open for its time"
    time.sleep(6)  # a server may take it for closed for 5 s, and a period is open for 10 s at least
    stack.sql("update ladder.period set close_at = now() where close_at is not null")
    wait_until(lambda: stack.roll() or states(closed) == {PERIOD: "closed"}, 30, "the period is closed again")
    assert top() == [(1, "ann", 9)]
    wait_until(lambda: history() == [(1, 9, 1)], 30, "with its new rank")
    assert [(e["rank"], e["player"]) for e in closed.read("/boards/b/top", window="daily", period=PERIOD, facet="country:BR")["entries"]] == [(1, "ann")]
    wait_until(lambda: compare.same(stack, closed.game), 30, "Redis equals PostgreSQL")


def test_who_corrected_a_period_sees_it(stack, client):
    """At once, though each server may take the period for closed for 5 s, and the worker has not purged the second cache yet."""
    other = Client(stack.serve(), client.game, client.key)
    stack.trusted(other.server)
    board_make(client)
    wait_until(lambda: compare.same(stack, client.game), 30, "Redis holds the standings")

    def top(client, headers=None):
        answer = client.request("GET", f"/boards/b/top?window=daily&period={PERIOD}", headers=headers)
        assert answer.status_code == 200, answer.text
        return [(e["player"], e["score"]) for e in answer.json()["entries"]]

    def correct(what, expected):
        assert what.status_code == 200, what.text
        assert top(client) == expected
        assert top(other, {"Ladder-Token": what.headers["Ladder-Token"]}) == expected
    with modelrun.worker_stopped(stack):
        close(stack, client, "daily")
        for _ in range(20):  # every loop of both sees it closed
            assert top(client) == top(other) == [("bob", 7), ("ann", 5)]
        reopen(stack, client, "--reason", "a", "--by", "ann")
        correct(post(client, "ann", 9, at=DAY, windows=["daily"]), [("ann", 9), ("bob", 7)])
        correct(client.request("DELETE", "/boards/b/players/bob"), [("ann", 9)])
    assert other.server.stop() == 0


def test_the_second_cache_forgets_what_was_corrected(stack, closed):
    """A server that was not there before finds nothing in the second cache that is older than the correction."""
    def top():
        server = stack.serve()
        try:
            stack.trusted(server)
            one = Client(server, closed.game, closed.key)
            answers = [one.get("/boards/b/top", window="daily", period=PERIOD) for _ in range(2)]
            return [(e["rank"], e["player"], e["score"]) for e in answers[0].json()["entries"]], answers[0].headers["Cache-Status"]
        finally:
            assert server.stop() == 0
    wait_until(lambda: top() == ([(1, "bob", 7), (2, "ann", 5)], "ladder; hit; detail=l2"), 30, "the closed page is in the second cache")
    reopen(stack, closed, "--reason", "a", "--by", "ann")
    assert post(closed, "ann", 9, at=DAY, windows=["daily"]).status_code == 200
    time.sleep(6)
    stack.sql("update ladder.period set close_at = now() where close_at is not null")
    wait_until(lambda: stack.roll() or states(closed) == {PERIOD: "closed"}, 30, "the period is closed again")
    assert top()[0] == [(1, "ann", 9), (2, "bob", 7)]


def test_who_reopened_what_and_why_is_kept(stack, closed):
    reopen(stack, closed, "--reason", "late scores of the regional final", "--by", "ann", "--seconds", "60")
    said = stack.cli("period", "log", "--game", closed.game, "--board", "b")
    for part in ("window=daily", f"period={PERIOD}", "by=ann", "reason=late scores of the regional final", "login="):
        assert part in said, said
    row = stack.sql("select person, reason, closed_at < reopened_at, close_at - reopened_at = interval '60 s' from ladder.period_reopening r "
                    "join ladder.board b on b.id = r.board_id join ladder.game g on g.id = b.game_id where g.name = %s", closed.game)
    assert row == [("ann", "late scores of the regional final", True, True)]


def test_what_cannot_be_reopened(stack, closed):
    reopen(stack, closed, "--reason", "a", "--by", "ann")
    reopen(stack, closed, "--reason", "again", "--by", "ann", status=1)
    reopen(stack, closed, status=2)
    reopen(stack, closed, "--reason", "", status=2)
    reopen(stack, closed, "--reason", "a", "--seconds", "9", status=2)
    reopen(stack, closed, "--reason", "a", "--board", "none", status=1)
    assert stack.sql("select count(*) from ladder.period_reopening r join ladder.board b on b.id = r.board_id join ladder.game g on g.id = b.game_id "
                     "where g.name = %s", closed.game)[0][0] == 1
