"""Facets through the API: each value's own standing, read by every route, written by every way in."""
import collections
import datetime
import json
import random

import pytest

import checker
import compare
from harness import Client, wait_until


def entries(client, board, facet, **parameters):
    page = client.read(f"/boards/{board}/top", facet=facet, **parameters)
    assert page["facet"] == facet
    return [(e["rank"], e["player"], e["score"]) for e in page["entries"]]


@pytest.fixture
def played(client):
    client.put_board("b", facets=["country", "clan"], windows=["all", "daily"])
    for player, score, facets in (("ann", 50, {"country": "BR", "clan": "red"}), ("bob", 70, {"country": "AR"}), ("cy", 60, {"country": "BR"}),
                                  ("dan", 10, None), ("eve", 20, {"clan": "red", "country": "ÅX:1"})):
        client.submit("b", player, score, **({"facets": facets} if facets else {}))
    return client


def test_an_answer_has_the_rank_in_each(stack, client):
    client.put_board("b", facets=["country", "clan"])
    first = client.submit("b", "ann", 50, facets={"country": "BR"})
    assert first["facets"] == {"country": {"value": "BR", "rank": 1}, "clan": None}
    client.submit("b", "bob", 90)
    second = client.submit("b", "cy", 60, facets={"country": "BR", "clan": "a \"quoted\" name"})
    assert second["entry"]["rank"] == 2 and second["facets"] == {"country": {"value": "BR", "rank": 1}, "clan": {"value": 'a "quoted" name', "rank": 1}}
    # What he was is what he is, until he says another; what does not improve moves him all the same.
    assert client.submit("b", "ann", 40)["facets"] == {"country": {"value": "BR", "rank": 2}, "clan": None}
    moved = client.submit("b", "ann", 40, facets={"country": "AR"})
    assert not moved["improved"] and moved["facets"]["country"] == {"value": "AR", "rank": 1}
    assert entries(client, "b", "country:BR") == [(1, "cy", 60)]
    assert entries(client, "b", "country:AR") == [(1, "ann", 50)]
    assert client.submit("b", "ann", 41, facets={"country": None})["facets"]["country"] is None
    assert entries(client, "b", "country:AR") == []
    wait_until(lambda: compare.same(stack, client.game), 10, "Redis equals PostgreSQL")


def test_a_board_without_says_nothing_of_them(client):
    board = client.put_board("plain")
    assert board["facets"] == [] and board["facet_values_max"] == 10000
    assert "facets" not in client.submit("plain", "ann", 1)
    assert "facet" not in client.read("/boards/plain/top")


def test_every_read_of_a_standing(stack, played):
    wait_until(lambda: compare.same(stack, played.game), 10, "Redis equals PostgreSQL")
    for source in ("redis", "memory", "database"):
        if source == "database":
            stack.redis_process.kill()
        try:
            for window in ("all", "daily"):
                read = lambda path, **p: played.read("/boards/b" + path, facet="country:BR", window=window, **p)  # noqa: E731
                assert [e["player"] for e in read("/top")["entries"]] == ["cy", "ann"]
                assert [e["player"] for e in read("/top", offset=1)["entries"]] == ["ann"]
                assert [e["player"] for e in read("/range", min=55)["entries"]] == ["cy"]
                ann = read("/players/ann", fields="rank,total,percentile,metadata")
                assert (ann["rank"], ann["total"], ann["percentile"], ann["facet"]) == (2, 2, 0, "country:BR")
                assert [e["player"] for e in read("/players/ann/around", above=1, below=1)["entries"]] == ["cy", "ann"]
                friends = read("/players", ids="ann,bob,cy")
                assert [e["player"] for e in friends["entries"]] == ["cy", "ann"] and friends["not_found"] == ["bob"]
                assert read("/at", rank=1)["entry"]["player"] == "cy" and read("/at", score=55)["rank"] == 2
                assert played.get("/boards/b/players/bob", facet="country:BR", window=window).status_code == 404
                assert entries(played, "b", "country:ÅX:1", window=window) == [(1, "eve", 20)]
                assert entries(played, "b", "country:nobody's", window=window) == []
        finally:
            if source == "database":
                stack.redis_start()
                stack.trusted(played.server)


def test_a_cursor_knows_its_facet(client):
    client.put_board("b", facets=["country"])
    client.submit_many([dict(board="b", player=f"p{i}", score=i, facets={"country": "BR" if i % 2 else "AR"}) for i in range(20)])
    page = client.read("/boards/b/top", facet="country:BR", limit=3)
    seen = [e["player"] for e in page["entries"]]
    while page["next"]:
        page = client.read("/boards/b/top", cursor=page["next"], limit=3)
        assert page["facet"] == "country:BR"
        seen += [e["player"] for e in page["entries"]]
    assert seen == [f"p{i}" for i in range(19, 0, -2)]
    cursor = client.read("/boards/b/top", facet="country:BR", limit=3)["next"]
    assert client.get("/boards/b/top", facet="country:AR", cursor=cursor).json()["type"].endswith(":invalid-cursor")
    whole = client.read("/boards/b/top", limit=3)["next"]
    assert client.get("/boards/b/top", facet="country:AR", cursor=whole).json()["type"].endswith(":invalid-cursor")
    assert client.read("/boards/b/top", facet="country:BR", cursor=cursor, limit=1)["entries"][0]["player"] == "p13"
    client.request("PATCH", "/boards/b", {"facets": []})
    assert client.get("/boards/b/top", cursor=cursor).json()["type"].endswith(":invalid-cursor")


@pytest.mark.parametrize("facets, field", (
    ("BR", "/facets"), ([], "/facets"), ({"country": 7}, "/facets"), ({"country": ""}, "/facets/country"), ({"country": "x" * 65}, "/facets/country"),
    ({"country": "a\nb"}, "/facets/country"), ({"planet": "Mars"}, "/facets"), ({str(i): "x" for i in range(5)}, "/facets")))
def test_what_is_refused(played, facets, field):
    answer = played.request("POST", "/boards/b/scores", dict(player="zed", score=99, facets=facets))
    problem = answer.json()
    assert answer.status_code == 400 and problem["type"].endswith(":invalid-body"), problem
    assert problem["errors"][0]["pointer"] == field
    assert played.get("/boards/b/players/zed").status_code == 404
    bulk = played.request("POST", "/scores", {"scores": [dict(board="b", player="zed", score=99, facets=facets), dict(board="b", player="ann", score=51)]})
    assert [r["status"] for r in bulk.json()["results"]] == [400, 200]


@pytest.mark.parametrize("facet", ("country", "country:", "planet:Mars", ":BR", "country:" + "x" * 65, "country:\x01", ""))
def test_a_facet_that_is_none(played, facet):
    for path in ("/boards/b/top", "/boards/b/players/ann", "/boards/b/at?rank=1"):
        answer = played.request("GET", path + ("&" if "?" in path else "?") + "facet=" + facet.replace("\x01", "%01"))
        assert answer.status_code == 400 and "facet" in answer.json()["detail"] + json.dumps(answer.json()), answer.text


@pytest.mark.parametrize("definition", ({"facets": ["a", "b", "c", "d", "e"]}, {"facets": ["Country"]}, {"facets": ["a", "a"]}, {"facets": "a"},
                                        {"facets": [""]}, {"facets": ["x" * 33]}, {"facets": ["a:b"]}, {"facet_values_max": 0}, {"facet_values_max": 1000001}))
def test_a_definition_that_is_refused(client, definition):
    answer = client.request("PUT", "/boards/b", definition)
    assert answer.status_code == 400 and next(iter(definition)) in json.dumps(answer.json()), answer.text


def test_a_value_too_many(client):
    client.put_board("b", facets=["country"], facet_values_max=1)
    client.submit("b", "ann", 1, facets={"country": "BR"})
    answer = client.request("POST", "/boards/b/scores", dict(player="bob", score=2, facets={"country": "AR"}), headers={"Idempotency-Key": "k"})
    problem = answer.json()
    assert answer.status_code == 422 and problem["type"].endswith(":too-many-facet-values") and "facet_values_max is 1" in problem["detail"], problem
    assert "/facets" in json.dumps(problem)
    assert client.request("PATCH", "/boards/b", {"facet_values_max": 2}).json()["facet_values_max"] == 2
    assert client.submit("b", "bob", 2, facets={"country": "AR"})["facets"]["country"]["rank"] == 1
    again = client.request("POST", "/boards/b/scores", dict(player="bob", score=2, facets={"country": "AR"}), headers={"Idempotency-Key": "k"})
    assert again.status_code == 422 and again.headers["Idempotency-Replayed"] == "true"


def test_a_move_leaves_no_answer_behind(stack, ladder, played):
    """What is remembered of both standings goes, on this server and, with the token, on another."""
    other_server = stack.serve()
    stack.trusted(other_server)
    other = Client(other_server, played.game, played.key)
    for i in range(30):
        to = ("BR", "AR")[i % 2]
        for client in (played, other):
            for facet in ("BR", "AR"):
                entries(client, "b", f"country:{facet}")
        token = played.submit("b", "ann", 1, facets={"country": to})["token"]
        for facet in ("BR", "AR"):
            is_in = "ann" in [e[1] for e in entries(played, "b", f"country:{facet}")]
            seen = other.request("GET", f"/boards/b/top?facet=country:{facet}", headers={"Ladder-Token": token}).json()
            assert is_in == (facet == to) == ("ann" in [e["player"] for e in seen["entries"]]), (i, facet)
    other_server.stop()
    page = played.get("/boards/b/top", facet="country:AR")
    again = played.request("GET", "/boards/b/top?facet=country:AR", headers={"If-None-Match": page.headers["ETag"]})
    assert again.status_code == 304
    played.submit("b", "bob", 71)
    assert played.request("GET", "/boards/b/top?facet=country:AR", headers={"If-None-Match": page.headers["ETag"]}).status_code == 200


def test_removed_and_erased_everywhere(stack, played):
    assert played.request("DELETE", "/boards/b/players/ann").json()["standings"] == 6  # two windows, of the board and two facets
    for facet in ("country:BR", "clan:red"):
        assert "ann" not in [e[1] for e in entries(played, "b", facet)]
    assert played.submit("b", "ann", 5)["facets"] == {"country": None, "clan": None}  # he begins anew
    played.submit("b", "eve", 21, facets={"country": "BR"})
    assert played.request("DELETE", "/players/eve").json()["removed"]
    for facet in ("country:BR", "country:ÅX:1", "clan:red"):
        assert "eve" not in [e[1] for e in entries(played, "b", facet, window="daily")]
    assert stack.sql("select count(*) from ladder.player_facet f join ladder.board b on b.id = f.board_id join ladder.game g on g.id = b.game_id "
                     "where g.name = %s and f.player = 'eve'", played.game) == [(0,)]
    wait_until(lambda: compare.same(stack, played.game), 10, "Redis equals PostgreSQL")


def test_facets_come_and_go(stack, client):
    client.put_board("b", windows=["all"])
    client.submit_many([dict(board="b", player=p, score=s) for p, s in (("ann", 3), ("bob", 2))])
    assert client.request("PATCH", "/boards/b", {"facets": ["country"]}).json()["facets"] == ["country"]
    assert entries(client, "b", "country:BR") == []
    assert client.submit("b", "ann", 1, facets={"country": "BR"})["facets"]["country"] == {"value": "BR", "rank": 1}
    assert entries(client, "b", "country:BR") == [(1, "ann", 3)]  # with the entry that he had
    board = client.request("GET", "/boards/b").json()
    assert client.request("PUT", "/boards/b", board).status_code == 200  # as it was read
    assert entries(client, "b", "country:BR") == [(1, "ann", 3)]
    client.request("PATCH", "/boards/b", {"facets": ["clan"]})
    assert client.get("/boards/b/top", facet="country:BR").status_code == 400
    # Declared again, it is another: nobody is in it.
    client.request("PUT", "/boards/b", {"facets": ["clan", "country"]})
    assert entries(client, "b", "country:BR") == []
    assert client.submit("b", "bob", 9)["facets"] == {"clan": None, "country": None}
    assert client.submit("b", "ann", 1, facets={"country": "BR"})["facets"]["country"] == {"value": "BR", "rank": 1}
    # The worker purges what it was.
    old = stack.sql("select p.id from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
                    "where g.name = %s and p.facet <> '' and ladder.facet_key_id(p.facet) <> all (b.facet_ids)", client.game)
    assert len(old) == 1
    stack.sql("update ladder.facet_drop set dropped_at = now() - interval '2 minutes'")
    stack.cli("purge")
    assert stack.sql("select count(*) from ladder.period where id = %s", *old[0]) == [(0,)]
    assert stack.sql("select count(*) from ladder.entry where period_id = %s", *old[0]) == [(0,)]
    assert stack.sql("select count(*) from ladder.facet_drop") == [(0,)]
    assert entries(client, "b", "country:BR") == [(1, "ann", 3)]


def test_a_closed_period_keeps_its_facets(stack, client):
    client.put_board("b", facets=["country"], windows=["all", "daily"], operator="last")
    then = datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0) - datetime.timedelta(days=1)
    at = then.strftime("%Y-%m-%dT%H:%M:%SZ")
    client.submit("b", "ann", 1, at=at, facets={"country": "BR"})
    client.submit("b", "bob", 2, at=at)
    stack.sql("update ladder.period p set created_at = now() - interval '1 hour' from ladder.board b join ladder.game g on g.id = b.game_id "
              "where p.board_id = b.id and g.name = %s and p.ends_at < now()", client.game)
    stack.cli("roll")
    assert {s for s, in stack.sql("select p.state::text from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g "
                                  "on g.id = b.game_id where g.name = %s and p.ends_at < now()", client.game)} == {"closed"}
    client.submit("b", "ann", 5, facets={"country": "AR"})
    for period in ("previous", at):
        assert entries(client, "b", "country:BR", window="daily", period=period) == [(1, "ann", 1)]
        assert entries(client, "b", "country:AR", window="daily", period=period) == []
    assert entries(client, "b", "country:BR") == [] and entries(client, "b", "country:AR") == [(1, "ann", 5)]
    assert client.get("/boards/b/top", facet="country:BR", window="daily", period="2001-01-01T00:00:00Z").status_code == 404
    assert [p["id"] for p in client.read("/boards/b/periods", window="daily")["periods"]][1:] == [at]
    # The final ranks of a value are written down as those of the board are.
    ranks = lambda: stack.sql("select split_part(p.facet, ':', 2), p.final_count, f.player, f.rank from ladder.period p join ladder.board b "  # noqa: E731
                              "on b.id = p.board_id join ladder.game g on g.id = b.game_id left join ladder.final_rank f on f.period_id = p.id "
                              "where g.name = %s and p.state = 'closed' order by 1, 4", client.game)
    assert ranks() == [("", 2, "bob", 1), ("", 2, "ann", 2), ("BR", 1, "ann", 1)]
    assert client.read("/boards/b/periods", window="daily")["periods"][1]["entries"] == 2
    assert client.read("/boards/b/players/ann", facet="country:BR", window="daily", period=at)["rank"] == 1
    client.submit("b", "ann", 6, facets={"country": "BR"})  # what he is now is not what he was
    client.request("DELETE", "/players/ann")
    assert entries(client, "b", "country:BR", window="daily", period="previous") == []
    assert ranks() == [("", 2, "bob", 1), ("BR", 1, None, None)]
    assert client.read("/boards/b/periods", window="daily")["periods"][1]["entries"] == 1


def test_a_facet_in_numbers(stack, played):
    def numbers(facet=None):
        body = played.read("/boards/b/stats", **({"facet": facet} if facet else {}))
        assert body.get("facet") == facet
        return body["entries"], body["sum"], body["min"], body["max"], body["last"]["day"]

    def of(facet, *wanted):
        *found, day = numbers(facet)
        return tuple(found) == wanted and day["submissions"] == counted(facet)

    def counted(facet):
        name, value = facet.split(":")
        (count,), = stack.sql("select count(*) from ladder.score_event e join ladder.board b on b.id = e.board_id join ladder.game g on g.id = b.game_id "
                              "where g.name = %s and b.name = 'b' and e.kind = 'submit' and e.facets @> array[b.facet_ids[array_position(b.facets, %s)] || %s]",
                              played.game, name, ":" + value)
        return count
    wait_until(lambda: numbers()[4] is not None and numbers()[4]["submissions"] == 5, 20, "somebody counts")
    assert of("country:BR", 2, 110, 50, 60) and of("country:AR", 1, 70, 70, 70)
    played.submit("b", "cy", 5, facets={"country": "AR"})  # no better, but elsewhere
    assert of("country:BR", 1, 50, 50, 50) and of("country:AR", 2, 130, 60, 70)
    assert (numbers("country:AR")[4]["submissions"], numbers("country:AR")[4]["new_entries"]) == (counted("country:AR"), 2)
    played.request("DELETE", "/boards/b/players/bob")
    assert of("country:AR", 1, 60, 60, 60)
    *found, day = numbers()
    assert found == [4, 140, 10, 60] and day["submissions"] == 6, "each once, and not once a facet"
    assert sum(bucket["submissions"] for bucket in played.read("/boards/b/stats/history")["history"]) == 6


# Of each standing of a facet: what its statistics say was submitted in a day, and what the events say.
COUNTED = """
    select p.id, p.facet, p.window_kind, p.starts_at::text, (ladder.standing_activity(p.id)).submissions[3]::int,
           (select count(*)::int from ladder.score_event e
            where e.board_id = p.board_id and e.kind = 'submit' and p.facet = any (e.facets) and e.achieved_at >= p.starts_at and e.achieved_at < p.ends_at)
    from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id
    where g.name = %s and p.facet <> '' and p.facet not like '%%:'
    order by p.id"""


def test_submissions_of_each_value(stack, client, tmp_path):
    random.seed(16)
    client.put_board("b", facets=["country", "clan"], windows=["all", "daily"])
    have, values, wanted = {}, {"country": ["BR", "AR", "FR"], "clan": ["red", "blue", None]}, collections.Counter()

    def row():
        player = f"p{random.randint(1, 15)}"
        named = {name: random.choice(those) for name, those in values.items() if random.random() < 0.3}
        return {"board": "b", "player": player, "score": random.randint(0, 20), "facets": named,
                **({"at": f"2026-10-{random.randint(1, 3):02d}T12:00:00Z"} if random.random() < 0.4 else {})}

    def count(player, named):
        have.setdefault(player, {}).update(named)
        wanted.update(f"{name}:{value}" for name, value in have[player].items() if value)

    def check(what):
        rows = stack.sql(COUNTED, client.game)
        assert [r[4] for r in rows] == [r[5] for r in rows] and sum(r[4] for r in rows), what
        return rows
    for turn in range(6):
        for one in [row() for _ in range(25)]:  # one by one: what he has is what his submission counts under
            client.submit("b", one["player"], one["score"], **{k: v for k, v in one.items() if k in ("facets", "at")})
            count(one["player"], one["facets"])
        many = [{k: v for k, v in row().items() if k != "facets"} for _ in range(5)]
        assert all(r["status"] == 200 for r in client.submit_many(many))
        for one in many:
            count(one["player"], {})
        check("as it comes")
        if turn == 2:
            assert client.request("DELETE", "/boards/b/players/p1").status_code == 200
            have.pop("p1", None)
        if turn == 3:
            file = tmp_path / "scores.csv"
            file.write_text("who,points,land\n" + "".join(f"p{random.randint(1, 15)},{random.randint(0, 30)},{random.choice(['BR', 'AR', ''])}\n" for _ in range(60)))
            stack.cli("import", file, "--game", client.game, "--board", "b", "--player", "who", "--score", "points", "--facet", "country=land")
            check("imported")
        if turn == 1:
            names = {f"{i}:": name for (ids, all_names) in stack.sql("select b.facet_ids, b.facets from ladder.board b join ladder.game g on g.id = b.game_id where g.name = %s",
                                                                      client.game) for i, name in zip(ids, all_names)}
            of_all = {names[key.split(":")[0] + ":"] + ":" + key.split(":", 1)[1]: n for _, key, kind, _, n, _ in check("single") if kind == "all"}
            assert of_all == wanted
    wait_until(lambda: stack.sql("select not exists (select from ladder.standing_rest((select max(id) from ladder.period)))")[0][0], 20, "all of it is added up")
    added = check("added up")
    assert stack.sql("select sum(t.submissions)::int from ladder.tally_slot t where t.width_s = 60 and t.period_id = any (%s)", [r[0] for r in added])[0][0] == sum(r[4] for r in added)
    # From the start, as after a dump was restored.
    stack.sql("update ladder.tally_cursor set incarnation = 'another'")
    wait_until(lambda: stack.sql("select count(*) from ladder.tally_cursor where incarnation <> 'another'")[0][0] == 1, 20, "it was counted anew")
    assert check("counted anew") == added


def test_import_and_export(stack, client, tmp_path):
    client.put_board("b", facets=["country", "clan"], operator="sum")
    file = tmp_path / "scores.csv"
    file.write_text('who,points,land,team\nann,1,BR,"a,b"\nbob,2,AR,\nann,3,,\ncy,4,BR,\n' + "".join(f"q{i},{i},CL,\n" for i in range(100)))
    words = ("import", file, "--game", client.game, "--board", "b", "--player", "who", "--score", "points")
    assert "104 rows" in stack.cli(*words, "--facet", "country=land", "--facet", "clan=team")
    assert "nothing to do" in stack.cli(*words, "--facet", "country=land", "--facet", "clan=team")
    assert 'no facet "planet"' in stack.cli(*words, "--facet", "planet=land", status=1)
    assert "is not NAME=COLUMN" in stack.cli(*words, "--facet", "country", status=1)
    assert "no column" in stack.cli(*words, "--facet", "country=x", status=1)
    assert entries(client, "b", "country:BR") == [(1, "ann", 4), (2, "cy", 4)] and entries(client, "b", "clan:a,b") == [(1, "ann", 4)]
    assert len(entries(client, "b", "country:CL")) == 100

    def is_same():
        for path in ("country:BR", "country:AR", "country:CL", "clan:a,b"):
            entries(client, "b", path)
        client.read("/boards/b/top", limit=1)
        return compare.same(stack, client.game)
    wait_until(is_same, 20, "Redis equals PostgreSQL")
    lines = stack.cli("export", "--game", client.game, "--board", "b", "--facet", "country:BR").splitlines()
    assert [line.split(",")[:3] for line in lines[1:]] == [["1", "ann", "4"], ["2", "cy", "4"]]
    assert "no such window, period or facet" in stack.cli("export", "--game", client.game, "--board", "b", "--facet", "planet:x", status=1)


def test_an_answer_is_made_again(stack, ladder, client):
    """From what its transaction kept, when the server died before it was sent."""
    client.put_board("b", facets=["country"])
    client.submit("b", "bob", 9, facets={"country": "BR"})
    client.submit("b", "ann", 5, facets={"country": "BR"}, headers={"Idempotency-Key": "once"})
    stack.sql("update ladder.idempotency_key set status = null, body = null, headers = null, backend = 0 where game_id = "
              "(select id from ladder.game where name = %s)", client.game)
    answer = client.submit("b", "ann", 5, facets={"country": "BR"}, headers={"Idempotency-Key": "once"})
    assert answer["facets"]["country"] == {"value": "BR", "rank": 2} and answer["previous"] is None


def test_redis_comes_back_empty(stack, played):
    wait_until(lambda: compare.same(stack, played.game), 10, "Redis equals PostgreSQL")
    stack.redis.flushall()
    for _ in range(20):
        assert [e[1] for e in entries(played, "b", "country:BR")] == ["cy", "ann"]
    played.submit("b", "bob", 71, facets={"country": "BR"})
    assert [e[1] for e in entries(played, "b", "country:BR")] == ["bob", "cy", "ann"]

    def is_same():
        for facet in ("country:BR", "country:AR", "clan:red", "country:ÅX:1"):
            for window in ("all", "daily"):
                entries(played, "b", facet, window=window)
        played.read("/boards/b/top"), played.read("/boards/b/top", window="daily")
        return compare.same(stack, played.game)
    wait_until(is_same, 20, "Redis equals PostgreSQL")


def test_the_token_tells_that_redis_lacks_a_part(stack, client):
    """The ranks are Redis's, but the standing that the player left could not be told: who reads with the token does not get it."""
    client.put_board("b", facets=["clan"])
    for player, clan in (("ann", "x"), ("bob", "x"), ("cat", "y")):
        client.submit("b", player, 5, facets={"clan": clan})
    for facet in ({}, {"facet": "clan:x"}, {"facet": "clan:y"}):
        wait_until(lambda: client.get("/boards/b/top", **facet).headers["Server-Timing"].startswith(("redis", "memory")), 10, "Redis has it")
    assert checker.is_applied(client.submit("b", "bob", 6)["token"])
    period, = stack.sql("select p.id from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
                        "where g.name = %s and p.facet ~ ':x$'", client.game)[0]
    assert stack.redis.delete(f"ladder:{{{period % 256}}}:{period}:meta") == 1
    moved = client.request("POST", "/boards/b/scores", {"player": "ann", "score": 7, "facets": {"clan": "y"}})
    assert moved.headers["Server-Timing"].startswith("redis") and not checker.is_applied(moved.json()["token"])
    answer = client.get("/boards/b/top", facet="clan:x", headers={"Ladder-Token": moved.json()["token"]})
    assert not answer.headers["Server-Timing"].startswith(("redis", "memory")) and [e["player"] for e in answer.json()["entries"]] == ["bob"]
