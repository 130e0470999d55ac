"""What a board does with scores: the semantics that leaderboards are known to get wrong, each held by a test."""
import math
import random

import pytest

from checks import problem_is, refused
from harness import Client, wait_until

LOW, HIGH = -2**63, 2**63 - 1


def score_of(client, board, player):
    entry = client.read(f"/boards/{board}/players/{player}")
    return entry["score"], entry["subscore"]


def post(client, board, **fields):
    return client.request("POST", f"/boards/{board}/scores", fields)


# ---- operators ----

@pytest.mark.parametrize("order, steps", [
    ("desc", [((10, 5), True), ((12, 1), True), ((12, 0), False), ((11, 99), False), ((12, 2), True), ((12, 2), False), ((HIGH, LOW), True),
              ((HIGH, LOW), False), ((HIGH, LOW + 1), True)]),
    ("asc", [((10, 5), True), ((9, 50), True), ((9, 51), False), ((10, -9), False), ((9, 49), True), ((9, 49), False), ((LOW, HIGH), True),
             ((LOW, HIGH), False), ((LOW, HIGH - 1), True)]),
])
def test_best_compares_the_whole_pair(client, order, steps):
    """Field by field it could make a pair that nobody ever reached."""
    client.put_board("b", order=order)
    best = None
    for (score, subscore), improves in steps:
        answer = client.submit("b", "ann", score, subscore=subscore)
        best = (score, subscore) if improves else best
        assert answer["improved"] is improves
        assert (answer["entry"]["score"], answer["entry"]["subscore"]) == best == score_of(client, "b", "ann")


def test_what_does_not_improve_changes_nothing(client, stack):
    """Neither time nor metadata nor place: an equal score later does not fall behind, or come before, who was level."""
    client.put_board("b", windows=["all", "daily"])
    first = client.submit("b", "ann", 10, metadata={"take": 1})
    client.submit("b", "bob", 10)
    for score, subscore in ((10, 0), (9, 99), (10, -1)):
        answer = client.submit("b", "ann", score, subscore=subscore, metadata={"take": 2})
        assert answer["improved"] is False and answer["entry"] == first["entry"]
        assert answer["previous"] == {"score": 10, "subscore": 0, "rank": 1}
        assert all(w["improved"] is False for w in answer["windows"].values())
    assert [e["player"] for e in client.read("/boards/b/top")["entries"]] == ["ann", "bob"]
    assert client.read("/boards/b/players/ann")["metadata"] == {"take": 1}
    assert stack.sql("select count(*) from ladder.score_event v join ladder.board b on b.id = v.board_id join ladder.game g on g.id = b.game_id "
                     "where g.name = %s and v.player = 'ann'", client.game) == [(4,)], "but history has it"


def test_last_keeps_the_time_of_an_equal_pair(client):
    client.put_board("b", operator="last")
    first = client.submit("b", "ann", 10, metadata={"take": 1})
    client.submit("b", "bob", 10)
    again = client.submit("b", "ann", 10, metadata={"take": 2})
    assert again["entry"]["achieved_at"] == first["entry"]["achieved_at"] and again["entry"]["rank"] == 1
    assert again["entry"]["metadata"] == {"take": 2}
    worse = client.submit("b", "ann", -5)
    assert (worse["entry"]["score"], worse["entry"]["metadata"], worse["entry"]["rank"]) == (-5, None, 2)
    assert worse["previous"] == {"score": 10, "subscore": 0, "rank": 1}


def test_sum_of_negative_steps(client):
    client.put_board("b", operator="sum")
    total = subtotal = 0
    for step, substep in ((5, 1), (-7, -3), (0, 1), (-2**62, 0), (2**62, 2**62)):
        answer = client.submit("b", "ann", step, subscore=substep)
        total, subtotal = total + step, subtotal + substep
        assert (answer["entry"]["score"], answer["entry"]["subscore"]) == (total, subtotal) and answer["improved"] is True


def test_sum_of_nothing_changes_nothing(client):
    """The rank in the answer, alone and in the page must agree after a step of 0."""
    client.put_board("b", operator="sum")
    first = client.submit("b", "ann", 3)
    client.submit("b", "bob", 3)
    answer = client.submit("b", "ann", 0, metadata={"a": 1})
    assert answer["improved"] is False and answer["entry"] == first["entry"]
    assert answer["entry"]["rank"] == client.read("/boards/b/players/ann")["rank"] == client.read("/boards/b/top")["entries"][0]["rank"] == 1
    zero = client.submit("b", "cy", 0)
    assert zero["improved"] is True and zero["entry"]["rank"] == 3, "a first step of 0 is an entry"


@pytest.mark.parametrize("start, step", [((HIGH, 0), (1, 0)), ((LOW, 0), (-1, 0)), ((0, HIGH), (0, 1)), ((0, LOW), (0, -1)), ((LOW, 5), (LOW, 0)),
                                         ((HIGH, 0), (HIGH, 0))])
def test_sum_refuses_what_overflows(client, start, step):
    client.put_board("b", operator="sum", windows=["all", "daily"])
    before = client.submit("b", "ann", start[0], subscore=start[1])
    answer = refused(post(client, "b", player="ann", score=step[0], subscore=step[1], metadata={"x": 1}), "score-overflow")
    assert str(start[0]) in answer.text or str(start[1]) in answer.text or "range" in answer.json()["detail"]
    after = client.read("/boards/b/players/ann")
    assert {k: after[k] for k in before["entry"]} == before["entry"]


def test_bounds_are_of_the_result(client):
    client.put_board("b", score_min=-10, score_max=10, operator="sum")
    client.submit("b", "ann", 10)
    refused(post(client, "b", player="ann", score=1), "score-out-of-range", "/score")
    assert client.submit("b", "ann", -20)["entry"]["score"] == -10
    refused(post(client, "b", player="ann", score=-1), "score-out-of-range", "/score")
    client.put_board("c", score_min=-10, score_max=10)
    for score in (-10, 10):
        client.submit("c", "ann", score)
    for score in (-11, 11, LOW, HIGH):
        refused(post(client, "c", player="ann", score=score), "score-out-of-range", "/score")


# ---- order ----

@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("around", [0, 2**53, -2**53, 2**62, HIGH - 3, LOW + 3])
def test_neighbours_that_a_double_cannot_tell_apart(client, order, around):
    client.put_board("b", order=order)
    scores = [around + d for d in range(-3, 4)]
    mixed = random.sample(scores, len(scores))
    client.submit_many([dict(board="b", player=f"p{s}", score=s, subscore=-s if s > LOW else HIGH) for s in mixed])
    entries = client.read("/boards/b/top")["entries"]
    assert [e["score"] for e in entries] == sorted(scores, reverse=order == "desc")
    for rank, entry in enumerate(entries, 1):
        one = client.read(f"/boards/b/players/{entry['player']}")
        assert (one["rank"], one["score"], one["subscore"]) == (rank, entry["score"], entry["subscore"])
        assert client.read("/boards/b/at", rank=rank)["entry"]["score"] == entry["score"]


@pytest.mark.parametrize("tie", ["first", "last"])
def test_ties(client, tie):
    """By the time the present pair was reached, then by id; at the same microsecond by id alone."""
    client.put_board("b", tie=tie)
    client.put_board("same", tie=tie)
    order = ["m", "z", "a", "k"]
    for i, player in enumerate(order):
        client.submit("b", player, 5, at=f"2026-01-01T00:00:00.00000{i}Z")
        client.submit("same", player, 5, at="2026-01-01T00:00:00Z")
    assert [e["player"] for e in client.read("/boards/b/top")["entries"]] == (order if tie == "first" else order[::-1])
    assert [e["player"] for e in client.read("/boards/same/top")["entries"]] == sorted(order)
    client.submit("b", "m", 5, at="2026-01-01T00:00:00.000009Z")  # no better: it keeps its place
    assert [e["player"] for e in client.read("/boards/b/top")["entries"]] == (order if tie == "first" else order[::-1])


def test_ranks_in_every_answer_agree(client):
    """The write, the player, the page, the neighbours and the list give one rank."""
    client.put_board("b", operator="last")
    dice = random.Random(7)
    for _ in range(150):
        player = f"p{dice.randrange(12)}"
        answer = client.submit("b", player, dice.randrange(4), subscore=dice.randrange(2))
        ranks = {"write": answer["entry"]["rank"], "player": client.read(f"/boards/b/players/{player}")["rank"],
                 "window": answer["windows"]["all"]["rank"]}
        page = {e["player"]: e["rank"] for e in client.read("/boards/b/top")["entries"]}
        ranks["page"] = page[player]
        ranks["around"] = {e["player"]: e["rank"] for e in client.read(f"/boards/b/players/{player}/around", above=1, below=1)["entries"]}[player]
        ranks["list"] = client.read("/boards/b/players", ids=player)["entries"][0]["rank"]
        assert len(set(ranks.values())) == 1, ranks
        assert sorted(page.values()) == list(range(1, len(page) + 1))


def test_previous_is_what_this_submission_replaced(client):
    client.put_board("b", operator="last", windows=["all", "daily"])
    assert client.submit("b", "ann", 1)["previous"] is None
    client.submit("b", "bob", 2)
    client.submit("b", "cy", 3)
    answer = client.submit("b", "ann", 4, subscore=9)
    assert answer["previous"] == {"score": 1, "subscore": 0, "rank": 3} and answer["entry"]["rank"] == 1
    answer = client.submit("b", "ann", 0)
    assert answer["previous"] == {"score": 4, "subscore": 9, "rank": 1} and answer["entry"]["rank"] == 3
    client.request("DELETE", "/boards/b/players/ann")
    assert client.submit("b", "ann", 1)["previous"] is None, "what was removed is nobody's past"


def test_each_window_says_whether_it_improved(client):
    client.put_board("b", windows=["all", "daily"])
    client.submit("b", "ann", 100, at="2026-01-01T00:00:00Z")
    windows = client.submit("b", "ann", 50)["windows"]
    assert (windows["all"]["improved"], windows["all"]["score"]) == (False, 100)
    assert (windows["daily"]["improved"], windows["daily"]["score"], windows["daily"]["rank"]) == (True, 50, 1)


# ---- where ----

def test_at_a_rank_score_and_percentile(client):
    client.put_board("b")
    scores = [50, 40, 40, 30, 30, 30, 10]
    client.submit_many([dict(board="b", player=f"p{i}", score=s) for i, s in enumerate(scores)])
    for rank in range(1, 8):
        assert client.read("/boards/b/at", rank=rank)["entry"]["player"] == f"p{rank - 1}"
    assert client.read("/boards/b/at", rank=8)["entry"] is None
    for percentile in (0, 0.1, 16, 16.7, 33, 50, 66.6, 83.4, 99.9, 100):
        rank = len(scores) - math.ceil(percentile * (len(scores) - 1) / 100)
        entry = client.read("/boards/b/at", percentile=percentile)["entry"]
        assert entry["rank"] == rank
        assert client.read(f"/boards/b/players/{entry['player']}")["percentile"] >= percentile
    for i, player in enumerate(f"p{i}" for i in range(7)):
        assert client.read(f"/boards/b/players/{player}")["percentile"] == pytest.approx(100 * (7 - (i + 1)) / 6)


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("tie", ["first", "last"])
@pytest.mark.parametrize("ranking", ["ordinal", "competition", "dense"])
def test_at_a_score_is_the_rank_that_it_would_get(client, order, tie, ranking):
    client.put_board("b", order=order, tie=tie)
    rows = [(50, 0), (40, 1), (40, 0), (40, 0), (30, 0), (30, -1), (10, 0)]
    client.submit_many([dict(board="b", player=f"p{i}", score=s, subscore=u) for i, (s, u) in enumerate(rows)])
    for score, subscore in [(60, 0), (50, 0), (45, 0), (40, 1), (40, 0), (40, -1), (30, 0), (20, 7), (10, 0), (9, 0), (LOW, LOW), (HIGH, HIGH)]:
        told = client.read("/boards/b/at", score=score, subscore=subscore, ranking=ranking, fields="total")
        assert told["total"] == 7 and told["score"] == score
        client.submit("b", "new", score, subscore=subscore)
        got = client.read("/boards/b/players/new", ranking=ranking)["rank"]
        assert told["rank"] == got, (score, subscore)
        client.request("DELETE", "/boards/b/players/new")


@pytest.mark.parametrize("query, field", [
    ("", "rank"), ("rank=1&score=1", "rank"), ("rank=0", "rank"), ("rank=-1", "rank"), ("rank=1.5", "rank"), ("percentile=-0.1", "percentile"),
    ("percentile=100.1", "percentile"), ("percentile=nan", "percentile"), ("percentile=inf", "percentile"), ("percentile=1e1", None),
    ("score=9223372036854775808", "score"), ("score=x", "score"), ("rank=1&subscore=1", "subscore"), ("rank=1000000001", "rank")])
def test_at_refuses(client, query, field):
    client.put_board("b")
    client.submit("b", "ann", 1)
    answer = client.get("/boards/b/at?" + query)
    if field:
        refused(answer, "invalid-parameter", field)
    else:
        assert answer.status_code in (200, 400)


def test_around_is_filled_up_at_the_ends(client):
    client.put_board("b")
    client.submit_many([dict(board="b", player=f"p{i}", score=-i) for i in range(9)])
    for size in (1, 2, 5, 8, 9, 12):
        for me in range(9):
            for above in range(size):
                page = client.read(f"/boards/b/players/p{me}/around", above=above, below=size - 1 - above, fields="total")
                ranks = [e["rank"] for e in page["entries"]]
                start = max(0, min(me - above, 9 - size))
                assert ranks == list(range(start + 1, min(9, start + size) + 1)) and page["total"] == 9


def test_around_who_is_absent(client):
    client.put_board("b")
    refused(client.get("/boards/b/players/x/around"), "player-not-found")
    for absent in ("top", "last"):
        assert client.read("/boards/b/players/x/around", absent=absent)["entries"] == [], "an empty board"
    client.submit_many([dict(board="b", player=f"p{i}", score=-i) for i in range(5)])
    refused(client.get("/boards/b/players/x/around", absent="404"), "player-not-found")
    refused(client.get("/boards/b/players/x/around", absent="first"), "invalid-parameter", "absent")
    for above, below in ((0, 0), (1, 1), (5, 5)):
        size = above + below + 1
        page = client.read("/boards/b/players/x/around", above=above, below=below, absent="top")
        assert [e["rank"] for e in page["entries"]] == list(range(1, min(5, size) + 1))
        page = client.read("/boards/b/players/x/around", above=above, below=below, absent="last")
        assert [e["rank"] for e in page["entries"]] == list(range(max(1, 6 - size), 6))


# ---- limits ----

@pytest.mark.parametrize("path", ["top", "range", "periods"])
@pytest.mark.parametrize("limit", ["0", "-1", "1001", "9223372036854775808", "x", "", "1.0", "1e2", " 1", "+1", "0x10", "NaN"])
def test_limits_are_refused(client, path, limit):
    client.put_board("b")
    answer = client.get(f"/boards/b/{path}", limit=limit)
    if limit == "+1":  # a + is a space in a query; escaped it is a sign
        assert answer.status_code in (200, 400)
    else:
        refused(answer, "invalid-parameter", "limit")


def test_other_numbers_are_refused(client):
    client.put_board("b")
    client.submit("b", "ann", 1)
    for path, parameters, field in (
            ("top", dict(offset=-1), "offset"), ("top", dict(offset="x"), "offset"), ("top", dict(offset=10**9 + 1), "offset"),
            ("range", dict(min=2, max=1), "min"), ("range", dict(min="x"), "min"), ("range", dict(max=2**63), "max"),
            ("players/ann/around", dict(above=-1), "above"), ("players/ann/around", dict(above=501), "above"),
            ("players/ann/around", dict(below=500), "below"), ("players/ann/around", dict(below=-1), "below"),
            ("top", dict(ranking="modified"), "ranking"), ("top", dict(window="yearly"), "window"), ("top", dict(window="daily"), "window"),
            ("top", dict(fields="secret"), "fields"), ("top", dict(integers="hex"), "integers"), ("top", dict(source="yes"), "source")):
        refused(client.get(f"/boards/b/{path}", **parameters), "invalid-parameter", field)
    assert client.read("/boards/b/top", limit=1000, offset=10**9)["entries"] == []
    assert len(client.read("/boards/b/players/ann/around", above=500, below=499)["entries"]) == 1


@pytest.mark.parametrize("path, many", [("top", True), ("range?min=0", True), ("players?ids=a,z", True), ("players/a/around", True), ("players/a", False)])
def test_integers_as_strings(client, path, many):
    """JavaScript's numbers end at 2^53: scores then come as strings, counts and ranks stay numbers."""
    client.put_board("b")
    client.submit_many([dict(board="b", player=p, score=s, subscore=-s) for p, s in (("a", HIGH), ("z", 2**53 + 1))])
    for mode, kind in (("string", str), ("number", int)):
        body = client.read(f"/boards/b/{path}{'&' if '?' in path else '?'}integers={mode}")
        entries = body["entries"] if many else [body]
        assert {e["player"]: int(e["score"]) for e in entries}["a"] == HIGH
        for entry in entries:
            assert type(entry["score"]) is kind and type(entry["subscore"]) is kind and type(entry["rank"]) is int
    written = client.request("POST", "/boards/b/scores?integers=string", {"player": "a", "score": str(HIGH), "subscore": str(-HIGH)}).json()
    assert written["entry"]["score"] == written["previous"]["score"] == written["windows"]["all"]["score"] == str(HIGH)
    assert client.read("/boards/b/at?score=5&integers=string")["score"] == "5"


# ---- boards made again, players erased ----

def test_a_board_made_again_is_empty_everywhere(client, stack):
    """Also on a server that knew the old one, in PostgreSQL, in Redis, for its cursors and its windows."""
    other = stack.serve()
    elsewhere = Client(other, client.game, client.key)
    client.put_board("b", operator="sum", windows=["all", "daily"])
    client.submit_many([dict(board="b", player=f"p{i}", score=i) for i in range(50)])
    assert elsewhere.read("/boards/b/top")["entries"]
    assert client.request("DELETE", "/boards/b").status_code == 204
    assert client.request("DELETE", "/boards/b").status_code == 204, "as removing a player twice is no error"
    made = client.put_board("b", order="asc", operator="best", windows=["daily"])
    assert (made["order"], made["operator"], made["windows"]) == ("asc", "best", ["daily"])
    assert client.read("/boards/b/top")["entries"] == [] and len(client.read("/boards/b/periods")["periods"]) <= 1
    token = client.submit("b", "p7", 100)["token"]
    assert client.read("/boards/b/players/p7")["score"] == 100 and client.read("/boards/b/players/p7")["total"] == 1
    wait_until(lambda: [e["score"] for e in elsewhere.request("GET", "/boards/b/top", headers={"Ladder-Token": token}).json().get("entries", [])]
               == [100], 5, "the other server has forgotten the old definition")
    assert elsewhere.submit("b", "p8", 50)["entry"]["rank"] == 1, "ascending now"
    assert other.stop() == 0


def test_erasing_leaves_nothing_to_read(client, stack):
    boards = ("a", "b", "c")
    for board in boards:
        client.put_board(board, windows=["all", "daily", "monthly"], operator="sum" if board == "c" else "best")
        for player in ("ann", "bob"):
            client.submit(board, player, 5, metadata={"who": player})
            client.submit(board, player, 6, at="2026-01-15T00:00:00Z")
    gone = client.request("DELETE", "/players/ann").json()
    assert gone["removed"] is True and gone["standings"] == 15 and gone["player"] == "ann"
    for board in boards:
        for window in ("all", "daily", "monthly"):
            for period in ("current", "2026-01-15T00:00:00Z" if window == "daily" else "2026-01-01T00:00:00Z") if window != "all" else ("current",):
                page = client.read(f"/boards/{board}/top", window=window, period=period, fields="metadata")
                assert [e["player"] for e in page["entries"]] == ["bob"], (board, window, period)
                refused(client.get(f"/boards/{board}/players/ann", window=window, period=period), "player-not-found")
    of_game = ("join ladder.period p on p.id = x.period_id join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
               "where g.name = %s and x.player = 'ann'")
    assert stack.sql(f"select distinct x.removed, x.k1, x.k2, x.k3, x.metadata::text from ladder.entry x {of_game}", client.game) \
        == [(True, 0, 0, 0, None)]
    assert stack.sql("select distinct v.kind, v.score, v.subscore from ladder.score_event v join ladder.board b on b.id = v.board_id "
                     "join ladder.game g on g.id = b.game_id where g.name = %s and v.player = 'ann'", client.game) in (
        [("remove", None, None)], [("remove", 0, 0)])
    keys = [k for k in stack.redis.scan_iter("ladder:*:entry") if (stack.redis.hget(k, "ann") or b"").find(b"who") >= 0]
    assert keys == []
    again = client.request("DELETE", "/players/ann").json()
    assert again.pop("token") and again == {"player": "ann", "removed": False, "standings": 0}
    assert client.submit("c", "ann", 1)["entry"]["score"] == 1, "a new beginning"


def test_who_is_removed_has_no_rank_and_the_others_move_up(client):
    client.put_board("b", windows=["all", "daily"])
    client.submit_many([dict(board="b", player=f"p{i}", score=-i) for i in range(6)])
    gone = client.request("DELETE", "/boards/b/players/p2").json()
    assert (gone["removed"], gone["standings"]) == (True, 2)
    for window in ("all", "daily"):
        entries = client.read("/boards/b/top", window=window)["entries"]
        assert [(e["rank"], e["player"]) for e in entries] == [(1, "p0"), (2, "p1"), (3, "p3"), (4, "p4"), (5, "p5")]
        assert client.read("/boards/b/players/p5", window=window)["total"] == 5
    assert client.request("DELETE", "/boards/b/players/p2").json()["removed"] is False
    assert problem_is(client.get("/boards/b/players/p2").json(), "player-not-found", "player") == 404


def test_what_is_removed_twice_answers_alike(client):
    client.put_board("b")
    client.submit("b", "ann", 1)
    assert [client.request("DELETE", "/boards/b/players/ann").status_code for _ in range(2)] == [200, 200]
    assert [client.request("DELETE", "/boards/b").status_code for _ in range(3)] == [204, 204, 204]
    assert client.request("DELETE", "/boards/b", headers={"If-Match": '"a"'}).status_code == 404


@pytest.mark.parametrize("step, field", [((1, 0), "/score"), ((0, 1), "/subscore"), ((1, 1), "/score"), ((-1, 1), "/subscore")])
@pytest.mark.parametrize("order", ["desc", "asc"])
def test_an_overflow_names_what_leaves_its_range(client, step, field, order):
    client.put_board("b", operator="sum", windows=["daily", "all"], order=order)
    client.submit("b", "ann", HIGH, subscore=HIGH)
    refused(post(client, "b", player="ann", score=step[0], subscore=step[1]), "score-overflow", field)
