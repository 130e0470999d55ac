"""The main job: define boards, submit, read, with the shapes the documentation promises."""
import json

import pytest

from harness import Client, wait_until


def test_a_first_board(client):
    board = client.put_board("arcade", order="desc", operator="best", windows=["all", "daily"])
    assert (board["name"], board["order"], board["operator"], board["windows"]) == ("arcade", "desc", "best", ["all", "daily"])
    first = client.submit("arcade", "ann", 120, metadata={"car": "red"})
    assert first["entry"]["rank"] == 1 and first["previous"] is None and first["improved"] is True
    assert first["entry"]["metadata"] == {"car": "red"} and set(first["windows"]) == {"all", "daily"}
    client.submit("arcade", "bob", 150)
    worse = client.submit("arcade", "ann", 90, metadata={"car": "blue"})
    assert worse["improved"] is False
    assert (worse["entry"]["score"], worse["entry"]["achieved_at"]) == (120, first["entry"]["achieved_at"])
    assert worse["entry"]["metadata"] == {"car": "red"}
    better = client.submit("arcade", "ann", 200)
    assert better["previous"] == {"score": 120, "subscore": 0, "rank": 2} and better["entry"]["rank"] == 1
    page = client.read("/boards/arcade/top")
    assert [(e["rank"], e["player"], e["score"]) for e in page["entries"]] == [(1, "ann", 200), (2, "bob", 150)]
    assert page["next"] is None and page["board"] == "arcade" and page["window"] == "all" and page["period"] == "all"
    one = client.read("/boards/arcade/players/bob")
    assert (one["rank"], one["score"], one["total"], one["percentile"]) == (2, 150, 2, 0)
    assert client.get("/boards/arcade/players/eve").status_code == 404


def test_the_token_is_in_body_and_header(client):
    client.put_board("b")
    answer = client.request("POST", "/boards/b/scores", {"player": "a", "score": 1})
    assert answer.headers["Ladder-Token"] == answer.json()["token"]
    assert client.request("GET", "/boards/b/players/a", headers={"Ladder-Token": answer.json()["token"]}).json()["score"] == 1
    forged = answer.json()["token"][:-2] + "AA"
    assert client.request("GET", "/boards/b/top", headers={"Ladder-Token": forged}).status_code == 400


@pytest.mark.parametrize("definition, expected", [
    (dict(operator="last"), [(3, 3), (1, 1)]),
    (dict(operator="sum"), [(5, 5), (6, 6)]),
    (dict(operator="best", order="asc"), [(2, 2), (1, 1)]),
])
def test_operators(client, definition, expected):
    client.put_board("b", **definition)
    for score in (2, 3) if definition["operator"] != "sum" else (2, 3):
        a = client.submit("b", "a", score)
    assert (a["entry"]["score"], client.read("/boards/b/players/a")["score"]) == expected[0]
    z = client.submit("b", "z", 1 if definition["operator"] != "sum" else 6)
    assert (z["entry"]["score"], client.read("/boards/b/players/z")["score"]) == expected[1]


def test_best_compares_the_whole_pair(client):
    client.put_board("b", operator="best")
    client.submit("b", "a", 10, subscore=5)
    won = client.submit("b", "a", 12, subscore=1)
    assert (won["entry"]["score"], won["entry"]["subscore"]) == (12, 1)
    assert client.submit("b", "a", 12, subscore=0)["improved"] is False


def test_sum_takes_negative_steps_and_refuses_overflow(client):
    client.put_board("b", operator="sum", order="desc")
    client.submit("b", "a", 10)
    assert client.submit("b", "a", -3)["entry"]["score"] == 7
    zero = client.submit("b", "a", 0)
    assert zero["improved"] is False and zero["entry"]["score"] == 7
    client.submit("b", "a", 2**63 - 1 - 7)
    refused = client.request("POST", "/boards/b/scores", {"player": "a", "score": 1})
    assert refused.status_code == 422 and refused.json()["type"].endswith("score-overflow")
    assert client.read("/boards/b/players/a")["score"] == 2**63 - 1


def test_bounds(client):
    client.put_board("b", score_min=0, score_max=100)
    assert client.request("POST", "/boards/b/scores", {"player": "a", "score": 101}).status_code == 422
    assert client.submit("b", "a", 100)["entry"]["score"] == 100
    client.put_board("s", operator="sum", score_min=0)
    assert client.request("POST", "/boards/s/scores", {"player": "a", "score": -1}).status_code == 422


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("tie", ["first", "last"])
def test_int64_and_ties_are_exact(client, order, tie):
    client.put_board("b", order=order, tie=tie, operator="best")
    scores = [-2**63, -2**63 + 1, -1, 0, 1, 2**53 - 1, 2**53, 2**53 + 1, 2**62, 2**62 + 1, 2**63 - 2, 2**63 - 1]
    client.submit_many([dict(board="b", player=f"p{i:02d}", score=s) for i, s in enumerate(scores)])
    client.submit_many([dict(board="b", player=f"q{i:02d}", score=s) for i, s in enumerate(scores)])
    expected = []
    for i in reversed(range(len(scores))) if order == "desc" else range(len(scores)):
        expected += [f"p{i:02d}", f"q{i:02d}"] if tie == "first" else [f"q{i:02d}", f"p{i:02d}"]
    entries = client.pages("b", limit=5)
    assert [e["player"] for e in entries] == expected and [e["rank"] for e in entries] == list(range(1, 25))
    assert {e["player"]: e["score"] for e in entries}["p10"] == 2**63 - 2
    text = client.read("/boards/b/top", integers="string", limit=1)["entries"][0]["score"]
    assert text == str(scores[-1] if order == "desc" else scores[0])


def test_rankings(client):
    client.put_board("b")
    client.submit_many([dict(board="b", player=p, score=s) for p, s in zip("abcdefg", [50, 40, 40, 30, 30, 30, 10])])
    wanted = {"ordinal": [1, 2, 3, 4, 5, 6, 7], "competition": [1, 2, 2, 4, 4, 4, 7], "dense": [1, 2, 2, 3, 3, 3, 4]}
    for ranking, ranks in wanted.items():
        assert [e["rank"] for e in client.read("/boards/b/top", ranking=ranking)["entries"]] == ranks
        for offset in range(7):
            page = client.read("/boards/b/top", ranking=ranking, offset=offset, limit=2)
            assert [e["rank"] for e in page["entries"]] == ranks[offset:offset + 2], (ranking, offset)
        assert client.read("/boards/b/players/f", ranking=ranking)["rank"] == ranks[5]


def test_around_fills_up_from_the_other_side(client):
    client.put_board("b")
    client.submit_many([dict(board="b", player=f"p{i}", score=100 - i) for i in range(10)])

    def around(player, above, below, **more):
        return [e["player"] for e in client.read(f"/boards/b/players/{player}/around", above=above, below=below, **more)["entries"]]
    assert around("p5", 2, 2) == ["p3", "p4", "p5", "p6", "p7"]
    assert around("p0", 2, 2) == ["p0", "p1", "p2", "p3", "p4"]
    assert around("p9", 2, 2) == ["p5", "p6", "p7", "p8", "p9"]
    assert around("p1", 0, 0) == ["p1"]
    assert len(around("p1", 50, 50)) == 10
    assert client.get("/boards/b/players/nobody/around").status_code == 404
    assert around("nobody", 1, 1, absent="top") == ["p0", "p1", "p2"]
    assert around("nobody", 1, 1, absent="last") == ["p7", "p8", "p9"]


def test_range_and_at(client):
    client.put_board("b")
    client.submit_many([dict(board="b", player=f"p{i}", score=10 * i) for i in range(10)])
    page = client.read("/boards/b/range", min=20, max=50, limit=3)
    assert [e["score"] for e in page["entries"]] == [50, 40, 30]
    rest = client.read("/boards/b/range", cursor=page["next"])
    assert [(e["rank"], e["score"]) for e in rest["entries"]] == [(8, 20)] and rest["next"] is None
    assert client.read("/boards/b/at", rank=3)["entry"]["player"] == "p7"
    assert client.read("/boards/b/at", score=50)["rank"] == 6
    assert client.read("/boards/b/at", percentile=100)["entry"]["player"] == "p9"
    assert client.read("/boards/b/at", percentile=0)["entry"]["player"] == "p0"
    assert client.get("/boards/b/at").status_code == 400


def test_many_players(client):
    client.put_board("b")
    client.submit_many([dict(board="b", player=p, score=s) for p, s in (("ann", 5), ("bob", 9), ("cy", 7))])
    page = client.read("/boards/b/players", ids="cy,zoe,ann,cy")
    assert [(e["position"], e["player"], e["rank"]) for e in page["entries"]] == [(1, "cy", 2), (2, "ann", 3)]
    assert page["not_found"] == ["zoe"]
    assert client.get("/boards/b/players", ids=",".join(f"p{i}" for i in range(501))).status_code == 400


def test_bulk_answers_in_order(client):
    client.put_board("b")
    answer = client.request("POST", "/scores", {"scores": [
        {"board": "b", "player": "a", "score": 1}, {"board": "no", "player": "a", "score": 1},
        {"board": "b", "player": "", "score": 1}, {"board": "b", "player": "a", "score": 5}, {"board": "b", "player": "a", "score": 2}]})
    results = answer.json()["results"]
    assert [r["status"] for r in results] == [200, 404, 400, 200, 200]
    assert results[3]["previous"]["score"] == 1 and results[4]["improved"] is False and results[4]["entry"]["score"] == 5
    assert results[2]["problem"]["errors"][0]["pointer"] == "/scores/2/player"


def test_a_long_stream(client):
    client.put_board("b", operator="sum")
    results = client.submit_many([dict(board="b", player=f"p{i % 700}", score=1) for i in range(5000)])
    assert len(results) == 5000 and all(r["status"] == 200 for r in results)
    assert sum(e["score"] for e in client.pages("b")) == 5000


def test_removing_and_erasing(client, stack):
    client.put_board("b")
    client.put_board("c")
    for board in "bc":
        client.submit_many([dict(board=board, player=p, score=s) for p, s in (("ann", 5), ("bob", 9))])
    gone = client.request("DELETE", "/boards/b/players/bob").json()
    assert gone["removed"] is True and [e["player"] for e in client.read("/boards/b/top")["entries"]] == ["ann"]
    assert client.request("DELETE", "/boards/b/players/bob").json()["removed"] is False
    assert client.submit("b", "bob", 1)["previous"] is None
    assert client.request("DELETE", "/players/bob").json()["standings"] == 2
    assert client.get("/boards/c/players/bob").status_code == 404
    left = stack.sql("select count(*) from ladder.score_event v join ladder.board b on b.id = v.board_id join ladder.game g "
                     "on g.id = b.game_id where g.name = %s and v.player = 'bob' and v.kind = 'submit'", client.game)
    assert left == [(0,)]


def test_a_board_made_again_starts_empty(client):
    client.put_board("b")
    client.submit("b", "ann", 5)
    cursor_page = client.read("/boards/b/top")
    assert len(cursor_page["entries"]) == 1
    assert client.request("DELETE", "/boards/b").status_code == 204
    assert client.get("/boards/b/top").status_code == 404
    client.put_board("b", order="asc")
    assert client.read("/boards/b/top")["entries"] == []
    assert client.submit("b", "bob", 7)["entry"]["rank"] == 1


def test_boards(client):
    created = client.request("PUT", "/boards/b", {"order": "asc", "operator": "sum"})
    assert created.status_code == 201 and client.request("PUT", "/boards/b", {"order": "asc", "operator": "sum"}).status_code == 200
    assert client.request("PUT", "/boards/b", {"order": "desc", "operator": "sum"}).status_code == 409
    assert client.request("PATCH", "/boards/b", {"score_max": 10}).json()["score_max"] == 10
    assert client.request("PATCH", "/boards/b", {"order": "desc"}).status_code == 409
    assert client.request("PUT", "/boards/x", {"time_zone": "Mars/Olympus", "windows": ["daily"]}).status_code == 400
    assert client.request("PUT", "/boards/x", {"windows": ["daily", "daily"]}).status_code == 400
    assert [b["name"] for b in client.read("/boards")["boards"]] == ["b"]
    assert client.read("/boards/b")["score_max"] == 10


def test_keys_and_scopes(client, stack, ladder):
    client.put_board("b")
    client.put_board("open", public=True)
    other = stack.new_game()
    reader, writer = Client(ladder, client.game, stack.key(client.game, "read")), Client(ladder, client.game, stack.key(client.game, "write"))
    nobody, stranger = Client(ladder, client.game), Client(ladder, client.game, stack.key(other))
    assert reader.get("/boards/b/top").status_code == 200
    assert reader.request("POST", "/boards/b/scores", {"player": "a", "score": 1}).status_code == 403
    assert writer.submit("b", "a", 1) and writer.request("PUT", "/boards/z", {}).status_code == 403
    assert writer.request("POST", "/boards/b/scores", {"player": "a", "score": 1, "at": "2020-01-01T00:00:00Z"}).status_code == 403
    assert nobody.get("/boards/b/top").status_code == 401 and nobody.get("/boards/open/top").status_code == 200
    assert nobody.get("/boards/missing/top").status_code == 401
    assert stranger.get("/boards/b/top").status_code == 403
    bad = Client(ladder, client.game, client.key[:-1] + ("a" if client.key[-1] != "a" else "b"))
    assert bad.get("/boards/b/top").status_code == 401
    stack.cli("key", "revoke", reader.key.split("_")[1])
    wait_until(lambda: reader.get("/boards/b/top").status_code == 401, 5, "the revoked key dies")


def test_idempotency(client):
    client.put_board("b", operator="sum")
    headers = {"Idempotency-Key": "once"}
    first = client.request("POST", "/boards/b/scores", {"player": "a", "score": 5}, headers=headers)
    again = client.request("POST", "/boards/b/scores", {"player": "a", "score": 5}, headers=headers)
    assert first.status_code == again.status_code == 200 and first.content == again.content
    assert first.headers["Ladder-Token"] == again.headers["Ladder-Token"]
    assert client.read("/boards/b/players/a")["score"] == 5
    assert client.request("POST", "/boards/b/scores", {"player": "a", "score": 6}, headers=headers).status_code == 422
    for method, path, body in (("PUT", "/boards/n", {}), ("PATCH", "/boards/n", {"public": True}), ("DELETE", "/boards/n", None),
                               ("DELETE", "/boards/b/players/a", None), ("POST", "/scores", {"scores": [{"board": "b", "player": "q", "score": 1}]})):
        headers = {"Idempotency-Key": f'"{method}{path}"'}
        one, two = (client.request(method, path, body, headers=headers) for _ in range(2))
        assert one.status_code == two.status_code < 300 and one.content == two.content, (method, path, one.text, two.text)
    assert client.read("/boards/b/players/q")["score"] == 1


def test_periods(client):
    client.put_board("b", windows=["daily", "monthly"], time_zone="Europe/Paris")
    client.submit("b", "ann", 5, at="2026-03-28T22:59:59Z")
    client.submit("b", "bob", 6, at="2026-03-28T23:00:00Z")
    client.submit("b", "cy", 7, at="2026-03-29T21:59:59Z")
    client.submit("b", "dee", 8, at="2026-03-29T22:00:00Z")
    periods = client.read("/boards/b/periods", window="daily")["periods"]
    assert [p["starts_at"] for p in periods] == ["2026-03-29T22:00:00Z", "2026-03-28T23:00:00Z", "2026-03-27T23:00:00Z"]
    assert periods[1]["ends_at"] == "2026-03-29T22:00:00Z"  # 23 hours: the clocks went forward
    page = client.read("/boards/b/top", window="daily", period=periods[1]["id"])
    assert [e["player"] for e in page["entries"]] == ["cy", "bob"] and page["period"] == periods[1]["id"]
    month = client.read("/boards/b/top", window="monthly", period="2026-02-28T23:00:00Z")
    assert [e["player"] for e in month["entries"]] == ["dee", "cy", "bob", "ann"]
    assert client.read("/boards/b/top", window="daily")["entries"] == []
    assert client.get("/boards/b/top", window="daily", period="2020-01-01T00:00:00Z").status_code == 404
    assert client.get("/boards/b/top", window="weekly").status_code == 400


def test_cursors_are_stable_and_signed(client):
    client.put_board("b")
    client.submit_many([dict(board="b", player=f"p{i:03d}", score=1000 - i // 3) for i in range(300)])
    seen, cursor, step = [], None, 0
    while True:
        page = client.read("/boards/b/top", limit=7, **({"cursor": cursor} if cursor else {}))
        seen += [e["player"] for e in page["entries"]]
        cursor = page["next"]
        if not cursor:
            break
        step += 1
        client.submit("b", f"new{step}", 5000 + step)                  # arrives above
        client.request("DELETE", f"/boards/b/players/{seen[-1]}")      # the one the cursor names goes
    old = [p for p in seen if p.startswith("p")]
    assert old == sorted(old) and len(old) == len(set(old)) == 300
    forged = client.read("/boards/b/top", limit=1)["next"]
    forged = forged[:10] + ("A" if forged[10] != "A" else "B") + forged[11:]
    assert client.get("/boards/b/top", cursor=forged).status_code == 400
    client.put_board("c")
    assert client.get("/boards/c/top", cursor=client.read("/boards/b/top", limit=1)["next"]).status_code == 400


@pytest.mark.parametrize("path, status", [
    ("/boards/b/top?limit=-1", 400), ("/boards/b/top?limit=1001", 400), ("/boards/b/top?limit=0", 400), ("/boards/b/top?limit=x", 400),
    ("/boards/b/top?offset=-5", 400), ("/boards/b/top?nonsense=1", 400), ("/boards/b/top?limit=1&limit=2", 400),
    ("/boards/b/top?ranking=best", 400), ("/boards/b/top?fields=secret", 400), ("/boards/b/top?cursor=AAAA", 400),
    ("/boards/nope/top", 404), ("/nope", 404), ("/boards/b/players/%00", 400), ("/boards/b/players/%0A", 400),
    ("/boards/b/players/" + "x" * 65, 400), ("/boards/b/players/%C3%28", 400), ("/boards/b/range?min=5&max=1", 400),
])
def test_bad_reads(client, path, status):
    client.put_board("b")
    answer = client.request("GET", path)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json" and answer.json()["status"] == status


@pytest.mark.parametrize("body, pointer", [
    (b'{"player":"a"}', "/score"), (b'{"score":1}', "/player"), (b'{"player":"a","score":1.0}', "/score"),
    (b'{"player":"a","score":"x"}', "/score"), (b'{"player":"a","score":9223372036854775808}', None),
    (b'{"player":"a","score":1,"x":2}', "/x"), (b'{"player":"a","score":1,"score":2}', None), (b'{"player":"a","score":1}\x00', None),
    (b'[]', None), (b'{', None), (b'', None), (b'[' * 100, None), (b'{"player":"\xff","score":1}', None),
    (b'{"player":"a\\u0007","score":1}', "/player"), (b'{"player":"a","score":1,"metadata":"' + b"y" * 2047 + b'"}', "/metadata"),
    (b'{"player":"a","score":1,"metadata":{"x":"' + b"y" * 2100 + b'"}}', "/metadata"), (b'{"player":"a","score":1,"at":"yesterday"}', "/at"),
    (b'{"player":"a","score":1,"subscore":null}', "/subscore"),
])
def test_bad_bodies(client, body, pointer):
    client.put_board("b")
    answer = client.request("POST", "/boards/b/scores", body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    if pointer:
        assert answer.json()["errors"][0]["pointer"] == pointer


def test_methods_and_types(client):
    client.put_board("b")
    wrong = client.request("POST", "/boards/b/top", {})
    assert wrong.status_code == 405 and wrong.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert client.request("OPTIONS", "/boards/b").headers["Allow"] == "PUT, GET, HEAD, PATCH, DELETE, OPTIONS"
    assert client.request("POST", "/boards/b/scores", b"x", headers={"Content-Type": "text/plain"}).status_code == 415
    assert client.request("POST", "/boards/b/scores", b"x" * (1 << 21), headers={"Content-Type": "application/json"}).status_code == 413
    head = client.request("HEAD", "/boards/b/top")
    assert head.status_code == 200 and head.content == b""


def test_players_of_any_characters(client):
    client.put_board("b")
    names = ["a/b", "a,b", "ü", "日本", 'quote"\\back', "{x}", "%41", "a b", "'; drop table", "x" * 64, "+", "&=?#"]
    client.submit_many([dict(board="b", player=n, score=i) for i, n in enumerate(names)])
    assert [e["player"] for e in client.read("/boards/b/top")["entries"]] == names[::-1]
    import urllib.parse
    for i, name in enumerate(names):
        assert client.read(f"/boards/b/players/{urllib.parse.quote(name, safe='')}")["score"] == i
