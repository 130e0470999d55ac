"""A game and a player in numbers: GET /stats, /hall-of-fame and /players/{player}/stats are exact at each moment, whatever the views have."""
import datetime
import random
import threading

import pytest

from checks import refused
from harness import Client, wait_until
from test_seasons import close

UTC = datetime.timezone.utc
OF_ROUTES = ["daily_activity", "hall_of_fame", "player_total"]
# What the events say of each board by bucket.
ACTIVITY = """
    select x.starts_on::text, x.board, sum(x.submissions), sum(x.improvements), count(*), count(*) filter (where x.is_first)
    from (select d.*, d.starts_on = min(d.starts_on) over (partition by d.board, d.player) as is_first
          from (select b.name as board, e.player, date_trunc(%s, e.achieved_at at time zone b.time_zone)::date as starts_on,
                       count(*) as submissions, count(e.period_ids) as improvements
                from ladder.score_event e
                join ladder.board b on b.id = e.board_id
                join ladder.game g on g.id = b.game_id
                where g.name = %s and e.kind = 'submit' and b.deleted_at is null
                group by 1, 2, 3) d) x
    group by 1, 2
    order by 1 desc, 2"""


@pytest.fixture(scope="module")
def serving(stack):
    server = stack.serve(cache_board_ttl_ms=0)
    worker = stack.worker(worker_tail_idle_ms=20)
    stack.trusted(server)
    yield server
    for process in (server, worker):
        assert process.stop() == 0
        process.check_clean()


@pytest.fixture
def client(stack, serving):
    game = stack.new_game()
    return Client(serving, game, stack.key(game))


@pytest.fixture
def unrefreshed(stack):
    """Nobody refreshes because it is time to."""
    usual = stack.sql("select view, interval_ms from ladder.refresh_state")
    stack.sql("update ladder.refresh_state set interval_ms = 86400000, rows = greatest(rows, 1)")
    yield
    for view, interval_ms in usual:
        stack.sql("update ladder.refresh_state set interval_ms = %s where view = %s", interval_ms, view)


def activity(client, **parameters):
    """As rows, page by page."""
    rows, more = [], {}
    while True:
        page = client.read("/stats", **parameters, **more)
        for bucket in page["activity"]:
            assert bucket["submissions"] == sum(b["submissions"] for b in bucket["boards"])
            assert bucket["improvements"] == sum(b["improvements"] for b in bucket["boards"])
            rows += [(bucket["from"], b["board"], b["submissions"], b["improvements"], b["players"], b["newcomers"]) for b in bucket["boards"]]
        if not page["next"]:
            return rows
        more = {"to": page["next"]}


def counted(stack, client, bucket):
    return [tuple(int(v) if n > 1 else v for n, v in enumerate(row)) for row in stack.sql(ACTIVITY, bucket, client.game)]


def known(rows):
    """Where submissions speak of the past, a newcomer is counted where his first came, wherever that is: once on each board."""
    newcomers = {}
    for row in rows:
        newcomers[row[1]] = newcomers.get(row[1], 0) + row[5]
    return [row[:5] for row in rows], newcomers


def random_rows(boards, count, days=()):
    for _ in range(count):
        row = {"board": random.choice(boards), "player": f"p{random.randint(1, 25)}", "score": random.randint(0, 30)}
        if days and random.random() < 0.5:
            row["at"] = f"{random.choice(days)}T{random.randint(0, 23):02d}:30:00Z"
        yield row


def test_the_game_by_day_week_and_month(stack, client, unrefreshed):
    random.seed(5)
    client.put_board("a", windows=["all", "daily"], time_zone="Pacific/Auckland")
    client.put_board("b", windows=["all"])
    client.put_board("gone", windows=["all"])
    days = [f"2026-{month:02d}-{day:02d}" for month in range(6, 10) for day in (1, 7, 8, 15, 30)]
    for turn in range(6):
        assert all(r["status"] in (200, 409) for r in client.submit_many(list(random_rows(["a", "b", "gone"][:3 if turn < 3 else 2], 80, days))))
        if turn == 2:
            assert client.request("DELETE", "/boards/gone").status_code < 300
        if turn in (1, 4):
            stack.alone("refresh", "daily_activity")
        for bucket in ("day", "week", "month"):
            wanted = counted(stack, client, bucket)
            assert known(activity(client, bucket=bucket)) == known(wanted), (turn, bucket)
            assert known(activity(client, bucket=bucket, limit=3)) == known(wanted), (turn, bucket)
            assert known(activity(client, bucket=bucket, board="b")) == known([row for row in wanted if row[1] == "b"])
    some = activity(client, bucket="day", **{"from": "2026-07-01", "to": "2026-08-01"})
    assert some == [row for row in activity(client) if "2026-07-01" <= row[0] <= "2026-08-01"] and some
    assert client.read("/stats", board="none")["activity"] == []
    for name, value in (("bucket", "year"), ("from", "yesterday"), ("to", "2026-02-30"), ("limit", "401"), ("board", "a/b")):
        refused(client.get("/stats", **{name: value}), "invalid-parameter", name)


def fame(client, **parameters):
    rows, more = [], {}
    while True:
        page = client.read("/hall-of-fame", **parameters, **more)
        rows += [(p["board"], p["window"], p["period"], w["rank"], w["player"], w["score"]) for p in page["periods"] for w in p["winners"]]
        if not page["next"]:
            return rows
        more = {"cursor": page["next"]}


def winners(client, boards, top):
    """From the pages of the closed periods."""
    rows = []
    for board in boards:
        for window in client.read(f"/boards/{board}")["windows"]:
            for period in client.read(f"/boards/{board}/periods", window=window, limit=1000)["periods"]:
                if period["state"] == "closed":
                    page = client.read(f"/boards/{board}/top", window=window, period=period["id"], limit=top)
                    rows += [(board, window, period["id"], e["rank"], e["player"], e["score"]) for e in page["entries"]]
    return rows


def written(client):
    """What others have written in PostgreSQL may be missing from memory for a moment, but not once its server has written to the game."""
    client.put_board("written")


def medals(rows, player):
    mine = [row for row in rows if row[4] == player]
    return {"gold": sum(r[3] == 1 for r in mine), "silver": sum(r[3] == 2 for r in mine), "bronze": sum(r[3] == 3 for r in mine)}


def check_fame(client, boards):
    wanted = winners(client, boards, 10)
    assert sorted(fame(client, top=10, limit=100)) == sorted(wanted)
    assert sorted(fame(client, top=10, limit=2)) == sorted(wanted)
    assert sorted(fame(client)) == sorted(row for row in wanted if row[3] <= 3)
    assert sorted(fame(client, board=boards[0], window="daily")) == sorted(r for r in wanted if r[:2] == (boards[0], "daily") and r[3] <= 3)
    for player in ("p1", "p2", "p3"):
        assert sorted(fame(client, player=player, top=10)) == sorted(row for row in wanted if row[4] == player)
        numbers = client.read(f"/players/{player}/stats")
        assert numbers["medals"] == medals(wanted, player)
        by_window = {w["window"]: w for w in numbers["windows"]}
        assert set(by_window) == {row[1] for row in wanted if row[4] == player}
        for window, one in by_window.items():
            mine = [row for row in wanted if row[1] == window and row[4] == player]
            assert (one["best_rank"], one["top_ten"], one["medals"]) == (min(r[3] for r in mine), len(mine), medals(mine, player))
    return wanted


def test_winners_and_medals(stack, client, unrefreshed):
    random.seed(6)
    for board, order in (("a", "desc"), ("b", "asc")):
        client.put_board(board, windows=["daily", "weekly", "all"], order=order, tie="last" if board == "b" else "first")
    days = [f"2026-03-{day:02d}" for day in range(1, 12)]
    rows = [{"board": board, "player": f"p{n}", "score": random.randint(0, 20), "at": f"{day}T12:00:00Z"}
            for board in "ab" for day in days for n in random.sample(range(1, 25), 13)]
    client.submit_many(rows)
    assert fame(client) == []
    close(stack, client)
    written(client)
    first = check_fame(client, ["a", "b"])
    assert len({row[2] for row in first}) > 10
    ordered = [(p["ends_at"]) for p in client.read("/hall-of-fame", limit=100)["periods"]]
    assert ordered == sorted(ordered, reverse=True)
    # They closed long before the refresh: only an erasure can make the view untrue.
    stack.sql("update ladder.period p set closed_at = p.closed_at - interval '1 day' from ladder.board b join ladder.game g on g.id = b.game_id "
              "where b.id = p.board_id and g.name = %s and p.state = 'closed'", client.game)
    stack.sql("update ladder.refresh_state set done_v = 0 where view = 'hall_of_fame'")
    stack.alone("refresh", "hall_of_fame")
    assert check_fame(client, ["a", "b"]) == first
    # Who is erased leaves at once, and whoever was behind him moves up; and if he was the only one, the period goes.
    client.submit_many([{"board": "a", "player": "p2", "score": 5, "at": "2026-02-01T12:00:00Z"}])
    close(stack, client)
    written(client)
    check_fame(client, ["a", "b"])
    assert client.request("DELETE", "/players/p2").status_code < 300
    second = check_fame(client, ["a", "b"])
    assert "p2" not in {row[4] for row in second} and second != first
    assert not [row for row in second if row[2] == "2026-02-01T00:00:00Z"]
    stack.alone("refresh", "hall_of_fame")
    assert check_fame(client, ["a", "b"]) == second
    # A period that is opened again is no closed one; closed again, it has the new winner.
    stack.cli("period", "reopen", "--game", client.game, "--board", "a", "--window", "daily", "--period", "2026-03-05T00:00:00Z", "--reason", "a test")
    written(client)
    assert not [row for row in fame(client, top=10) if row[:3] == ("a", "daily", "2026-03-05T00:00:00Z")]
    refused(client.get("/hall-of-fame", window="all"), "invalid-parameter", "window")
    refused(client.get("/hall-of-fame", top="11"), "invalid-parameter", "top")
    for cursor in ("x", "1", "1.", ".1", "-1.1", "1.0", "1.1.1"):
        refused(client.get("/hall-of-fame", cursor=cursor), "invalid-cursor", "cursor")


TOTALS = """
    select count(distinct e.board_id), count(*), count(e.period_ids), min(e.achieved_at), max(e.achieved_at)
    from ladder.score_event e join ladder.board b on b.id = e.board_id join ladder.game g on g.id = b.game_id
    where g.name = %s and e.player = %s and e.kind = 'submit' and b.deleted_at is null"""


def totals(client, player):
    numbers = client.read(f"/players/{player}/stats")

    def instant(text):
        return text and datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return numbers["boards"], numbers["submissions"], numbers["improvements"], instant(numbers["first_seen"]), instant(numbers["last_seen"])


def test_a_player_in_numbers(stack, client, unrefreshed):
    random.seed(8)
    for board in ("a", "b", "gone"):
        client.put_board(board, windows=["all", "daily"])
    for turn in range(4):
        client.submit_many(list(random_rows(["a", "b", "gone"][:3 if turn < 2 else 2], 60, ["2026-05-01", "2026-06-01"])))
        if turn == 1:
            assert client.request("DELETE", "/boards/gone").status_code < 300
        if turn == 2:
            stack.alone("refresh", "player_total")
        for player in ("p1", "p7"):
            assert totals(client, player) == stack.sql(TOTALS, client.game, player)[0], (turn, player)
    best = {p: min(client.read(f"/boards/{b}/players/{p}")["rank"] for b in "ab") for p in ("p1", "p7")}
    wait_until(lambda: stack.alone("refresh", "player_total") and all(
        client.read(f"/players/{p}/stats")["all_time"]["best_rank"] == rank for p, rank in best.items()), 30, "the view has his best place")
    # Whoever was erased has nothing left, and nothing of before when the id comes back.
    assert client.request("DELETE", "/players/p1").status_code < 300
    nobody = client.read("/players/p1/stats")
    assert (nobody["submissions"], nobody["first_seen"], nobody["all_time"]["best_rank"]) == (0, None, None)
    client.submit("a", "p1", 0)
    again = client.read("/players/p1/stats")
    assert (again["submissions"], again["all_time"]["best_rank"]) == (1, None)


ROUTES = ("/stats", "/hall-of-fame", "/players/ann/stats")


def outcome(answer):
    assert answer.status_code in (200, 304), answer.text
    return answer.headers["Cache-Status"]


FROM_POSTGRES = ("ladder; fwd=miss", "ladder; fwd=miss; stored")
FROM_A_CACHE = ("ladder; hit", "ladder; hit; detail=l2")


@pytest.fixture
def servers(stack, serving):
    """Two, of one loop each, which keep these answers for as long as a test may take; and who kept nothing yet."""
    both = [stack.serve(server_loops=1, cache_statistics_ms=60000, cache_board_ttl_ms=60000) for _ in range(2)]
    for server in both:
        stack.trusted(server)
    yield both
    for server in both:
        assert server.stop() == 0
        server.check_clean()


def test_answers_are_kept_until_a_write_touches_them(stack, servers):
    game = stack.new_game()
    here, there = (Client(server, game, stack.key(game)) for server in servers)
    here.put_board("a", windows=["all", "daily"])
    here.submit("a", "ann", 1)
    for path in ROUTES:
        first = here.get(path)
        assert outcome(first) in FROM_POSTGRES
        second = here.get(path)
        assert (outcome(second), second.headers["Ladder-Cache"], second.content) == ("ladder; hit", "hit", first.content), path
        assert second.headers["Server-Timing"].startswith("memory")
        assert second.headers["Cache-Control"] == "private, no-store"
        unchanged = here.request("GET", path, headers={"If-None-Match": second.headers["ETag"]})
        assert (unchanged.status_code, unchanged.content, outcome(unchanged)) == (304, b"", "ladder; hit")
        assert here.request("HEAD", path).headers["ETag"] == second.headers["ETag"]
        folded = here.get(path, pretty="true")
        assert outcome(folded) in FROM_POSTGRES and dict(folded.json(), as_of="") == dict(second.json(), as_of="")
    # The other parameters are another question; a question in other words is the same.
    assert outcome(here.get("/stats", bucket="month")) in FROM_POSTGRES and outcome(here.get("/stats", bucket="month", limit="30")) == "ladder; hit"
    # Another player's submission changes the game, and not the player; and no submission changes who has won.
    here.submit("a", "bob", 2)
    kept = {path: here.get(path) for path in ROUTES}
    assert outcome(kept["/stats"]) in FROM_POSTGRES and kept["/stats"].json()["activity"][0]["submissions"] == 2
    assert [outcome(kept[path]) for path in ROUTES[1:]] == ["ladder; hit"] * 2
    # One that improves nothing is counted, too.
    here.submit("a", "ann", 0)
    numbers = here.get("/players/ann/stats")
    assert outcome(numbers) in FROM_POSTGRES and (numbers.json()["submissions"], numbers.json()["improvements"]) == (2, 1)
    # Whatever becomes of the game's boards, and who is erased, is everybody's matter.
    for change in (lambda: here.put_board("b"), lambda: here.request("DELETE", "/boards/b"), lambda: here.request("DELETE", "/players/bob")):
        for path in ROUTES:
            here.get(path)
            assert outcome(here.get(path)) in FROM_A_CACHE
        answer = change()
        assert isinstance(answer, dict) or answer.status_code < 300
        assert all(outcome(here.get(path)) in FROM_POSTGRES for path in ROUTES)


def test_another_server_lacks_no_write_that_its_reader_has_a_token_of(stack, servers):
    game = stack.new_game()
    here, there = (Client(server, game, stack.key(game)) for server in servers)
    here.put_board("a", windows=["all", "daily"])
    here.submit("a", "ann", 1)
    for path in ROUTES:
        there.get(path)

    def submitted():
        answer = here.request("POST", "/boards/a/scores", {"player": "ann", "score": 0})
        assert answer.status_code == 200
        return {"Ladder-Token": answer.headers["Ladder-Token"]}

    for n in range(2, 6):
        token = submitted()
        assert there.request("GET", "/players/ann/stats", headers=token).json()["submissions"] == n
        assert there.request("GET", "/stats", headers=token).json()["activity"][0]["submissions"] == n
        again = there.request("GET", "/stats", headers=token)
        assert outcome(again) == "ladder; hit" and again.json()["activity"][0]["submissions"] == n
    # Without one it may lack it, and says as of when it was so.
    before = there.read("/stats")
    submitted()
    after = there.read("/stats")
    assert after == before or after["as_of"] > before["as_of"] and after["activity"][0]["submissions"] == 6
    # An erasure is a write like any other.
    answer = here.request("DELETE", "/players/ann")
    token = {"Ladder-Token": answer.headers["Ladder-Token"]}
    assert there.request("GET", "/players/ann/stats", headers=token).json()["submissions"] == 0


def test_the_second_cache_keeps_them_for_other_servers(stack, servers, serving):
    game = stack.new_game()
    here, there = (Client(server, game, stack.key(game)) for server in servers)
    here.put_board("a", windows=["all", "daily"])
    here.submit("a", "ann", 1)
    for path in ROUTES:
        # Until the worker has passed what was submitted, Redis is not asked.
        wait_until(lambda path=path: here.put_board("b") and outcome(here.get(path)) == "ladder; fwd=miss; stored" and
                   outcome(there.get(path)) == "ladder; hit; detail=l2", 30, "the other server has it from Redis")
        assert there.get(path).content == here.get(path).content
        assert outcome(there.get(path)) == "ladder; hit"
    # What the other server has submitted itself, it does not take from there.
    there.submit("a", "ann", 2)
    for path, known in (("/stats", lambda body: body["activity"][0]["submissions"]), ("/players/ann/stats", lambda body: body["submissions"])):
        here.get(path)
        assert known(there.read(path)) == 2, path


def test_they_end_by_their_age(stack, serving):
    server = stack.serve(server_loops=1, cache_statistics_ms=300)
    game = stack.new_game()
    client, other = (Client(s, game, stack.key(game)) for s in (server, serving))
    other.put_board("a")
    other.submit("a", "ann", 1)
    assert client.read("/players/ann/stats")["submissions"] == 1
    other.submit("a", "ann", 2)
    wait_until(lambda: client.read("/players/ann/stats")["submissions"] == 2, 10, "the answer is no longer kept")
    none = stack.serve(server_loops=1, cache_statistics_ms=0)
    client = Client(none, game, client.key)
    assert [outcome(client.get(path)) for path in ("/stats", "/stats", "/players/ann/stats")] == ["ladder; fwd=bypass"] * 3
    for one in (server, none):
        assert one.stop() == 0
        one.check_clean()


def test_a_key_of_the_game_is_needed(stack, client):
    other = stack.key(stack.new_game())
    for path in ("/stats", "/hall-of-fame", "/players/ann/stats"):
        for key, status in ((None, 401), (other, 403)):
            assert Client(client.server, client.game, key).get(path).status_code == status
        assert Client(client.server, client.game, stack.key(client.game, "read")).get(path).status_code == 200


def test_twenty_refreshes_under_submissions(stack, client, unrefreshed):
    """Whatever is refreshed when, an answer has all that was acknowledged before it was asked for, and nothing that was sent after it came."""
    client.put_board("a", windows=["all", "daily"])
    sent, acknowledged, is_over = [0], [0], threading.Event()

    def submit():
        while not is_over.is_set():
            rows = [{"board": "a", "player": f"p{random.randint(1, 40)}", "score": random.randint(0, 9)} for _ in range(50)]
            sent[0] += len(rows)
            assert all(r["status"] == 200 for r in writer.submit_many(rows))
            acknowledged[0] += len(rows)
    writer = Client(client.server, client.game, client.key)
    thread = threading.Thread(target=submit)
    thread.start()
    try:
        for _ in range(20):
            refresher = threading.Thread(target=stack.alone, args=("refresh", *OF_ROUTES))
            refresher.start()
            asked = 0
            while refresher.is_alive() or asked < 3:
                least = acknowledged[0]
                shown = sum(b["submissions"] for b in client.read("/stats", bucket="month")["activity"])
                assert least <= shown <= sent[0]
                least = acknowledged[0]
                players = [client.read(f"/players/p{n}/stats")["submissions"] for n in range(1, 41, 13)]
                assert 0 <= sum(players) <= sent[0]
                asked += 1
            refresher.join()
    finally:
        is_over.set()
        thread.join()
    assert acknowledged[0] == sent[0] > 0
    assert activity(client) == counted(stack, client, "day")
    for n in range(1, 41):
        assert totals(client, f"p{n}") == stack.sql(TOTALS, client.game, f"p{n}")[0]
