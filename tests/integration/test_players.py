"""Names and what belongs to them: ids of any characters, lists of players, boards' names, and definitions."""
import json
import urllib.parse

import pytest

from checks import refused
from harness import Client, wait_until

ODD = ["a/b", "a//b", "/", "//", "%", "%2F", "%252F", "a?b", "a#b", "a&b=c", "a+b", "a b", " ", "  a ", ",", "a,b", '"', '"a"', 'a"b', "\\", "\\u0041", "'",
       "{player}", "...", "~", "*", "{1}", "NULL", "null", "true", "0", "-1", "é", "e\u0301", "日本語", "\U0001F600", "\u200b", "\ufeff", "\ufffd",
       "\u202e", "\U0010ffff", "\ue000", "ß", "ẞ", "a" * 64, "é" * 32, "日" * 21, "\U0001F600" * 16, "around", "top", "--", "$1", "%s", "\xa0", "\xad"]
CONTROL = ["\0", "a\0b", "\x01", "\n", "\r\n", "\t", "\x1b[0m", "\x1f", "\x7f", "\x80", "\x85", "\x9f"]


@pytest.fixture(scope="module")
def shared(stack, ladder):
    """One game for the many that are refused, or tidy up after themselves."""
    game = stack.new_game()
    return Client(ladder, game, stack.key(game))


def quoted(player):
    return urllib.parse.quote(player, safe="")


def in_list(players):
    """The form of ids=: as in CSV."""
    return ",".join('"' + p.replace('"', '""') + '"' if "," in p or p.startswith('"') else p for p in players)


@pytest.mark.parametrize("player", ODD, ids=lambda p: ascii(p)[:20])
def test_an_id_of_odd_characters_goes_everywhere(shared, player):
    shared.put_board("odd", operator="last")
    assert shared.submit("odd", player, 5)["entry"]["player"] == player
    shared.submit("odd", "other", 4)
    path = f"/boards/odd/players/{quoted(player)}"
    assert shared.read(path)["player"] == player
    assert [e["player"] for e in shared.read(path + "/around", above=1, below=1)["entries"]] == [player, "other"]
    listed = shared.read("/boards/odd/players", ids=in_list([player, "other", "none"]))
    assert [e["player"] for e in listed["entries"]] == [player, "other"] and listed["not_found"] == ["none"]
    page = shared.read("/boards/odd/top", limit=1)
    assert page["entries"][0]["player"] == player
    assert shared.read("/boards/odd/top", cursor=page["next"])["entries"][0]["player"] == "other"
    assert shared.request("POST", "/scores", {"scores": [{"board": "odd", "player": player, "score": 6}]}).json()["results"][0]["entry"]["player"] == player
    assert shared.request("DELETE", path).json() | {"token": 0} == {"player": player, "removed": True, "standings": 1, "token": 0}
    refused(shared.get(path), "player-not-found", "player")
    shared.submit("odd", player, 1)
    assert shared.request("DELETE", f"/players/{quoted(player)}").json()["removed"] is True


def test_ids_are_bytes_not_text(client):
    """Composed and decomposed, upper and lower case, are different players; nobody normalizes."""
    client.put_board("b")
    pairs = ["é", "e\u0301", "E", "e", "ß", "ss", "K", "\u212a", "a", "a ", " a"]
    for i, player in enumerate(pairs):
        client.submit("b", player, i)
    assert [e["player"] for e in client.read("/boards/b/top")["entries"]] == pairs[::-1]


@pytest.mark.parametrize("player", CONTROL + ["", "a" * 65, "é" * 33, "日" * 22, "\ud800"], ids=lambda p: ascii(p)[:20])
def test_ids_that_are_refused(shared, player):
    shared.put_board("plain")
    body = json.dumps({"player": player, "score": 1}).encode()
    answer = shared.request("POST", "/boards/plain/scores", body, headers={"Content-Type": "application/json"})
    refused(answer, "invalid-body", "/player" if "\0" not in player and player != "\ud800" else None)
    results = shared.request("POST", "/scores", b'{"board":"plain","player":"x","score":1}\n' + json.dumps(
        {"board": "plain", "player": player, "score": 1}).encode(), headers={"Content-Type": "application/x-ndjson"}).json()["results"]
    assert [r["status"] for r in results] == [200, 400]
    if player != "\ud800" and player:
        assert shared.get(f"/boards/plain/players/{quoted(player)}").status_code == 400
        assert shared.get("/boards/plain/players", ids=player).status_code == 400
        assert shared.request("DELETE", f"/players/{quoted(player)}").status_code == 400


@pytest.mark.parametrize("escaped", ["%FF", "%C3%28", "%C0%AF", "%ED%A0%80", "%F4%90%80%80", "%E2%82", "%80"])
def test_bytes_that_are_not_utf8(shared, escaped):
    shared.put_board("plain")
    assert shared.request("GET", f"/boards/plain/players/{escaped}").status_code == 400
    assert shared.request("GET", f"/boards/plain/players?ids={escaped}").status_code == 400
    body = b'{"player":"' + urllib.parse.unquote_to_bytes(escaped) + b'","score":1}'
    refused(shared.request("POST", "/boards/plain/scores", body, headers={"Content-Type": "application/json"}), "invalid-body")


# ---- lists ----

def test_a_list_in_rank_order_with_positions(client):
    client.put_board("b")
    client.submit_many([dict(board="b", player=f"p{i:02}", score=-(i // 2)) for i in range(20)])
    page = client.read("/boards/b/players", ids="p19,x,p03,p02,p03,y,p00,p19,x", ranking="competition", fields="total")
    assert [(e["position"], e["rank"], e["player"]) for e in page["entries"]] == [(1, 1, "p00"), (2, 3, "p02"), (3, 3, "p03"), (4, 19, "p19")]
    assert page["not_found"] == ["x", "y"] and page["total"] == 20
    nobody = client.read("/boards/b/players", ids="x")
    assert nobody["entries"] == [] and nobody["not_found"] == ["x"]


def test_a_list_of_an_empty_standing(client):
    client.put_board("b", windows=["daily"])
    assert client.read("/boards/b/players", ids="a,b,a")["not_found"] == ["a", "b"]


@pytest.mark.parametrize("source", ["redis", "postgresql"])
def test_five_hundred_in_a_list(client, stack, source):
    """Of the longest common ids, UUIDs; repeats do not count."""
    ids = [f"{i:08x}-0000-4000-8000-{i:012x}" for i in range(501)]
    assert client.get("/boards/b/players?ids=" + ",".join(ids)).status_code == 414, "by default; a setting allows it"
    client.put_board("b")
    client.submit_many([dict(board="b", player=p, score=-i) for i, p in enumerate(ids[:400])])
    server = stack.serve(server_uri_bytes_max=20000, **({"redis_url": "redis://127.0.0.1:1/0"} if source == "postgresql" else {}))
    read = Client(server, client.game, client.key)
    read.session.headers["Ladder-Token"] = client.submit("b", ids[0], 0)["token"]
    page = read.read("/boards/b/players?ids=" + ",".join(reversed(ids[:500])))
    assert [e["player"] for e in page["entries"]] == ids[:400] and page["not_found"] == ids[499:399:-1]
    assert [e["position"] for e in page["entries"]] == list(range(1, 401))
    page = read.read("/boards/b/players?ids=" + ",".join(ids[:500] + ids[:20]))
    assert len(page["entries"]) == 400
    refused(read.get("/boards/b/players?ids=" + ",".join(ids)), "invalid-parameter", "ids")
    refused(read.get("/boards/b/players?ids=" + "a," * 1000 + "a"), "invalid-parameter", "ids")
    assert server.stop() == 0


def test_five_hundred_of_the_longest_in_a_query(client):
    """A body has room for what a URL has not: 64 bytes each, all of them escaped."""
    ids = [f"{i:04}" + "é" * 30 for i in range(500)]
    client.put_board("b")
    client.submit_many([dict(board="b", player=p, score=-i) for i, p in enumerate(ids)])
    answer = client.request("POST", "/query", {"queries": ["/boards/b/players?ids=" + ",".join(map(quoted, ids))]}).json()["results"][0]
    assert answer["status"] == 200 and [e["player"] for e in answer["body"]["entries"]] == ids
    answer = client.request("POST", "/query", {"queries": ["/boards/b/top?fields=" + "rank," * 30000]}).json()["results"][0]
    assert answer["status"] == 414


@pytest.mark.parametrize("kind", ["open", "closed"])
def test_the_total_is_in_the_answer_of_either_source(client, stack, kind):
    """Of pages with and without entries, with every ranking."""
    client.put_board("b", windows=["daily"])
    at = {"at": "2026-01-01T00:00:00Z"} if kind == "closed" else {}
    client.submit_many([dict(board="b", player=f"p{i}", score=i // 2, **at) for i in range(10)])
    period = {"period": "2026-01-01"} if kind == "closed" else {}
    server = stack.serve(redis_url="redis://127.0.0.1:1/0")
    alone = Client(server, client.game, client.key)
    alone.session.headers["Ladder-Token"] = client.session.headers["Ladder-Token"] = client.submit("b", "now", -5)["token"]
    total = 10 if kind == "closed" else 11
    for ranking in ("ordinal", "competition", "dense"):
        cursor = client.read("/boards/b/top", limit=3, fields="total", ranking=ranking, **period)["next"]
        for path, asked in (("top", {}), ("top", {"offset": 4, "limit": 2}), ("top", {"offset": 100}), ("range", {"min": 2, "max": 3}), ("range", {"min": 100}),
                            ("top", {"cursor": cursor}), ("at", {"rank": 2}), ("at", {"rank": 99}), ("at", {"percentile": 50}), ("at", {"score": 3}),
                            ("players", {"ids": "p1,x"}), ("players", {"ids": "x"}), ("players/p3", {}), ("players/p3/around", {}),
                            ("players/x/around", {"absent": "last"})):
            more = {} if "cursor" in asked else period
            answers = [c.read(f"/boards/b/{path}", fields="total", ranking=ranking, **asked, **more) for c in (client, alone)]
            assert answers[0] == answers[1] and answers[0]["total"] == total, (path, asked)
    assert "total" not in alone.read("/boards/b/top", **period)
    client.put_board("empty", windows=["daily"])
    for period in ({}, {"period": "previous"}):
        for c in (client, alone):
            assert c.read("/boards/empty/top", fields="total", **period)["total"] == 0
    assert server.stop() == 0


@pytest.mark.parametrize("ids", [None, "", ",", "a,", ",a", "a,,b", '"a', '"a"b', '"a""', '""', '"a",', "a" * 65, '"' + "a" * 65 + '"'])
def test_lists_that_are_refused(shared, ids):
    shared.put_board("plain")
    shared.submit("plain", "a", 1)
    refused(shared.get("/boards/plain/players", **({} if ids is None else {"ids": ids})), "invalid-parameter", "ids")


# ---- fields ----

def test_fields_choose(client):
    client.put_board("b")
    client.submit("b", "a", 1, metadata={"x": 1})
    always = {"rank", "player", "score"}
    for fields, more in ((None, {"subscore", "achieved_at"}), ("metadata", {"metadata"}), ("subscore,metadata", {"subscore", "metadata"}),
                         ("rank", set()), ("achieved_at", {"achieved_at"})):
        page = client.read("/boards/b/top", **({"fields": fields} if fields else {}))
        assert set(page["entries"][0]) == always | more


# ---- boards ----

@pytest.mark.parametrize("name", ["a", "0", "A.b_c-d", "a" * 64, "new", "scores", "players", "boards", "top", "a..b", "1.0"])
def test_names_of_boards(shared, name):
    shared.put_board(name)
    assert shared.read(f"/boards/{name}")["name"] == name
    shared.submit(name, "ann", 1)
    assert shared.read(f"/boards/{name}/top")["entries"][0]["player"] == "ann"
    assert shared.request("DELETE", f"/boards/{name}").status_code == 204


@pytest.mark.parametrize("name", [".a", "-a", "_a", "a" * 65, "a b", "a/b", "ü", "a%", "a,b", "a:b", "a\n", "{a}", "a{1}", "*"])
def test_names_that_are_refused(shared, name):
    refused(shared.request("PUT", f"/boards/{quoted(name)}", {}), "invalid-parameter", "board")
    refused(shared.request("GET", f"/boards/{quoted(name)}/top"), "board-not-found", "board")
    item = shared.request("POST", "/scores", {"scores": [{"board": name, "player": "a", "score": 1}]}).json()["results"][0]
    assert item["status"] == 404 and item["problem"]["type"].endswith("board-not-found")


FIXED = [("order", "asc"), ("operator", "sum"), ("tie", "last"), ("time_zone", "Europe/Paris")]


@pytest.mark.parametrize("field, other", FIXED)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_what_cannot_change_is_a_conflict(client, method, field, other):
    before = client.put_board("b")
    answer = refused(client.request(method, "/boards/b", {field: other}), "conflict", f"/{field}").json()
    assert before[field] in answer["detail"]
    assert client.read("/boards/b") == before
    assert client.request(method, "/boards/b", {field: before[field]}).status_code == 200, "the same is no conflict"


def test_what_can_change(client):
    client.put_board("b", windows=["all"])
    for patch in ({"windows": ["daily", "all"]}, {"score_min": -5}, {"score_max": 5}, {"public": True}, {"score_max": 2**63 - 1, "score_min": -2**63},
                  {"score_max": "7"}):
        board = client.request("PATCH", "/boards/b", patch)
        assert board.status_code == 200
        got = board.json()
        assert {k: got[k] for k in patch} == {k: int(v) if isinstance(v, str) else v for k, v in patch.items()}
    assert client.read("/boards/b/top")["window"] == "daily", "the first window is the one meant when none is named"
    client.submit("b", "ann", 1)
    client.request("PATCH", "/boards/b", {"windows": ["all"]})
    refused(client.get("/boards/b/top", window="daily"), "invalid-parameter", "window")
    client.submit("b", "bob", 1)
    client.request("PATCH", "/boards/b", {"windows": ["all", "daily"]})
    assert [e["player"] for e in client.read("/boards/b/top", window="daily")["entries"]] == ["ann"], "as it was"
    assert len(client.read("/boards/b/top")["entries"]) == 2
    refused(client.request("PATCH", "/boards/b", {"score_min": 8}), "invalid-body", "/score_min")


def test_a_board_goes_round(client):
    """What GET shows can be sent back, by PUT and by PATCH."""
    board = client.put_board("b", order="asc", operator="last", tie="last", windows=["weekly", "all"], time_zone="Asia/Kathmandu", score_min=-1, public=True)
    for method in ("PUT", "PATCH"):
        again = client.request(method, "/boards/b", board)
        assert again.status_code == 200 and again.json() | {"updated_at": 0} == board | {"updated_at": 0}
    refused(client.request("PUT", "/boards/b", board | {"name": "c"}), "invalid-body", "/name")
    refused(client.request("PATCH", "/boards/b", board | {"name": "c"}), "conflict", "/name")
    client.request("PUT", "/boards/b", {k: board[k] for k in ("order", "operator", "tie", "time_zone")})
    assert client.read("/boards/b")["windows"] == ["all"] and client.read("/boards/b")["public"] is False, "PUT replaces the whole definition"


@pytest.mark.parametrize("body, field", [
    ({"order": "up"}, "/order"), ({"order": None}, "/order"), ({"operator": "max"}, "/operator"), ({"tie": ""}, "/tie"), ({"windows": []}, "/windows"),
    ({"windows": ["yearly"]}, "/windows"), ({"windows": ["all", "all"]}, "/windows"), ({"windows": "all"}, "/windows"), ({"windows": [1]}, "/windows"),
    ({"windows": ["all", "monthly", "weekly", "daily", "hourly", "all"]}, "/windows"), ({"time_zone": "Mars/Base"}, "/time_zone"),
    ({"time_zone": ""}, "/time_zone"), ({"time_zone": "x" * 64}, "/time_zone"), ({"time_zone": 1}, "/time_zone"), ({"score_min": 1, "score_max": 0}, "/score_min"),
    ({"score_max": 1.5}, "/score_max"), ({"score_max": 2**63}, None), ({"public": "yes"}, "/public"), ({"public": 1}, "/public"), ({"colour": "red"}, "/colour")])
def test_definitions_that_are_refused(shared, body, field):
    refused(shared.request("PUT", "/boards/undefined", body), "invalid-body", field)
    assert shared.get("/boards/undefined").status_code == 404


def test_percentile_is_shown_wherever_it_is_asked_for(stack, client):
    """Each entry's, as the player's own answer has it; from Redis and from PostgreSQL; from memory too."""
    client.put_board("b")
    client.submit_many([dict(board="b", player=f"p{i}", score=100 - i // 2) for i in range(11)])
    alone = Client(stack.serve(redis_url="redis://127.0.0.1:1/0"), client.game, client.key)
    right = {f"p{i}": 100 * (11 - i - 1) / 10 for i in range(11)}
    for c in (client, alone):
        wait_until(lambda c=c: c.read("/boards/b/top", fields="total")["total"] == 11, 10)
        for path, asked in (("top", dict(limit=4)), ("top", dict(offset=3, limit=100)), ("range", dict(min=96, max=98)), ("players/p5/around", {}),
                            ("players", dict(ids="p1,p10,p0")), ("at", dict(rank=3)), ("at", dict(percentile=50)), ("players/p4", {})):
            for ranking in ("ordinal", "competition", "dense"):
                for _ in range(2):
                    answer = c.read(f"/boards/b/{path}", fields="percentile", ranking=ranking, **asked)
                    entries = answer.get("entries") or [answer.get("entry") or answer]
                    assert {e["player"]: e["percentile"] for e in entries} == {e["player"]: right[e["player"]] for e in entries}, (path, asked)
                    assert "total" not in answer
        assert "percentile" not in c.read("/boards/b/top")["entries"][0]
        refused = c.get("/boards/b/at", score=99, fields="percentile")
        assert refused.status_code == 400 and refused.json()["errors"][0]["parameter"] == "fields"
    client.submit("b", "last", 1)  # a newcomer changes all of them
    assert client.read("/boards/b/top", limit=4, fields="percentile")["entries"][1]["percentile"] == 100 * 10 / 11
