"""A player over time, on every board, and movers; daily snapshots of the standings that never end."""
import csv
import datetime
import os
import pathlib
import sqlite3

import psycopg2
import pytest

from checks import refused
from harness import ROOT, Client, wait_until
from test_seasons import close

UTC = datetime.timezone.utc
DAY = datetime.timedelta(days=1)
DATA = pathlib.Path(os.environ.get("LADDER_TEST_DATA", ROOT.parent / "shared" / "data")) / "goalscorers.csv"


@pytest.fixture(scope="module")
def serving(stack):
    """A server, and a worker that takes no snapshot by itself in between: the test says when."""
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


def text(instant):
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def board_id(stack, client, name="b"):
    return stack.sql("select b.id from ladder.board b join ladder.game g on g.id = b.game_id where g.name = %s and b.name = %s", client.game, name)[0][0]


# ---- closed periods ----

def test_a_players_places_in_closed_periods(stack, client):
    client.put_board("b", windows=["daily", "all"])
    days = [datetime.datetime(2026, 1, d, 12, tzinfo=UTC) for d in range(1, 8)]
    for n, day in enumerate(days):
        client.submit_many([dict(board="b", player=f"p{i}", score=(i * 7 + n * 3) % 11, subscore=n, at=day.isoformat()) for i in range(10)
                            if not (i == 4 and n in (2, 3))])
    close(stack, client)
    history = client.read("/boards/b/players/p4/history", window="daily")
    assert (history["board"], history["window"], history["player"], history["next"]) == ("b", "daily", "p4", None)
    wanted = []
    for day in reversed(days):
        start = day.replace(hour=0)
        page = client.pages("b", window="daily", period=text(start))
        wanted += [{"at": text(start + DAY), "period": text(start), "rank": e["rank"], "score": e["score"], "subscore": e["subscore"], "entries": len(page)}
                   for e in page if e["player"] == "p4"]
    assert history["points"] == wanted and len(wanted) == 5
    seen, cursor = [], {}
    while True:
        page = client.read("/boards/b/players/p4/history", window="daily", limit=2, **cursor)
        seen += page["points"]
        if not page["next"]:
            break
        cursor = {"cursor": page["next"]}
    assert seen == wanted
    assert client.read("/boards/b/players/nobody/history", window="daily")["points"] == []
    client.request("DELETE", "/players/p4")
    assert client.read("/boards/b/players/p4/history", window="daily")["points"] == []
    refused(client.get("/boards/b/players/p4/history", window="weekly"), "invalid-parameter", "window")
    refused(client.get("/boards/b/players/p4/history", cursor="x"), "invalid-cursor", "cursor")


def test_many_periods_without_him(stack, client):
    """A page looks at a thousand periods at most, and says where it stopped."""
    client.put_board("b", windows=["hourly"])
    first = datetime.datetime(2025, 1, 1, tzinfo=UTC)
    hours = [first + datetime.timedelta(hours=n) for n in range(1500)]
    client.submit_many([dict(board="b", player="often", score=1, at=hour.isoformat()) for hour in hours])
    client.submit_many([dict(board="b", player="once", score=2, at=hour.isoformat()) for hour in (hours[3], hours[700])])
    close(stack, client)
    page = client.read("/boards/b/players/once/history")
    assert [p["period"] for p in page["points"]] == [text(hours[700])] and page["next"] == text(hours[500])
    rest = client.read("/boards/b/players/once/history", cursor=page["next"])
    assert [(p["period"], p["rank"], p["entries"]) for p in rest["points"]] == [(text(hours[3]), 1, 2)] and rest["next"] is None


# ---- daily snapshots ----

def snapshots(stack, client):
    return stack.sql("select s.at, s.player, s.rank, ~s.k1 from ladder.standing_snapshot s where s.board_id = %s order by s.at, s.rank", board_id(stack, client))


def another_day(stack, client):
    """The board is a day older, and so is what was noted of it."""
    board = board_id(stack, client)
    stack.sql("update ladder.board set created_at = created_at - interval '1 day' where id = %s", board)
    stack.sql("update ladder.snapshot_run set at = at - interval '1 day' where board_id = %s", board)
    stack.sql("update ladder.standing_snapshot set at = at - interval '1 day' where board_id = %s", board)


def take(stack, **settings):
    return stack.cli("snapshot", **settings)


def taken(stack, client, **settings):
    """Takes it; again if the worker was at it, or if somebody's transaction did not end for long."""
    def is_noted():
        take(stack, **settings)
        return stack.sql("select count(*) from ladder.snapshot_run where board_id = %s and at > now() - interval '1 day'", board_id(stack, client))[0][0]
    wait_until(is_noted, 30, "the snapshot is taken")


def test_daily_snapshots(stack, client):
    client.put_board("b", time_zone="Asia/Kathmandu")
    client.submit_many([dict(board="b", player=f"p{i}", score=100 - i) for i in range(10)])
    take(stack, worker_snapshot_top=2)
    assert snapshots(stack, client) == [], "it has had no midnight yet"
    another_day(stack, client)
    taken(stack, client, worker_snapshot_top=2)
    midnight = snapshots(stack, client)[0][0].astimezone(UTC)
    assert (midnight.hour, midnight.minute) == (18, 15) and midnight <= datetime.datetime.now(UTC) < midnight + DAY
    assert [row[1:] for row in snapshots(stack, client)] == [(f"p{i}", i + 1, 100 - i) for i in range(10)], "the first has all"
    take(stack, worker_snapshot_top=2)
    assert len(snapshots(stack, client)) == 10, "once a day"
    client.submit("b", "p7", 99)
    client.submit("b", "p8", 1)
    another_day(stack, client)
    taken(stack, client, worker_snapshot_top=2)
    assert [row[1:] for row in snapshots(stack, client) if row[0] == midnight] == [("p0", 1, 100), ("p1", 2, 99), ("p7", 3, 99)], "the best, and who moved"
    points = client.read("/boards/b/players/p7/history", window="all")["points"]
    assert points == [{"at": text(midnight), "rank": 3, "score": 99, "subscore": 0}, {"at": text(midnight - DAY), "rank": 8, "score": 93, "subscore": 0}]
    page = client.read("/boards/b/players/p7/history", limit=1)
    assert page["points"] == points[:1] and client.read("/boards/b/players/p7/history", cursor=page["next"])["points"] == points[1:]
    # Movers since midnight.
    client.submit("b", "p7", 200)
    client.submit("b", "p9", 150)
    movers = client.read("/boards/b/compare", limit=4)
    assert movers["with"] == text(midnight) and movers["period"] == "all"
    assert [(e["rank"], e["player"], e["previous"] and e["previous"]["rank"], e["climbed"]) for e in movers["entries"]] == [
        (1, "p7", 3, 2), (2, "p9", None, None), (3, "p0", 1, -2), (4, "p1", 2, -2)]
    client.request("DELETE", "/players/p7")
    assert client.read("/boards/b/players/p7/history")["points"] == []


def test_a_change_that_commits_late_is_in_the_next(stack, client):
    """Its revision is older than others that the snapshot saw: it is waited for, or the snapshot waits."""
    client.put_board("b")
    client.submit("b", "ann", 1)
    another_day(stack, client)
    taken(stack, client, worker_snapshot_top=0)
    writer = psycopg2.connect(stack.primary_as("ladder_serve"))
    with writer.cursor() as cursor:
        cursor.execute("select * from ladder.submit(array[%s::bigint], array['late'], array[7::bigint], array[0::bigint], array[null::bigint], array[null::text], "
                       "array[0], array[0], '{}', '{}', '{}')", (board_id(stack, client),))
        client.submit("b", "bob", 2)
        another_day(stack, client)
        assert "snapshots-not-settled" in take(stack, worker_snapshot_top=0)
        assert len(snapshots(stack, client)) == 1
        writer.commit()
    writer.close()
    taken(stack, client, worker_snapshot_top=0)
    assert [row[1:] for row in snapshots(stack, client)][1:] == [("late", 1, 7), ("bob", 2, 2)]


def test_two_snapshots_at_once_are_one(stack, client):
    client.put_board("b")
    client.submit_many([dict(board="b", player=f"p{i}", score=i) for i in range(100)])
    another_day(stack, client)
    board = board_id(stack, client)
    midnight = stack.sql("select date_trunc('day', now(), 'UTC')")[0][0]
    one, two = psycopg2.connect(stack.primary_as("ladder_work")), psycopg2.connect(stack.primary_as("ladder_work"))
    two.autocommit = True
    with one.cursor() as a, two.cursor() as b:
        a.execute("select ladder.snapshot_take(%s, %s, 0, 10)", (board, midnight))
        assert a.fetchone() == (100,)
        b.execute("set lock_timeout = '200ms'")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            b.execute("select ladder.snapshot_take(%s, %s, 0, 10)", (board, midnight))
        one.rollback()  # killed in the middle
        b.execute("select ladder.snapshot_take(%s, %s, 0, 10), ladder.snapshot_take(%s, %s, 0, 10)", (board, midnight) * 2)
        assert b.fetchone() == (100, None)
    one.close()
    two.close()


def test_old_months_are_dropped(database):
    own = database()
    own.migrate("up")
    own.sql("set timezone = 'UTC'; set role ladder_migrate; select ladder.partition_add('standing_snapshot', 'standing_snapshot_' || to_char(m, 'YYYYMM'), 'at', m, m + interval '1 month') "
            "from (select date_trunc('month', now()) + n * interval '1 month' as m from generate_series(2, 3) n) x")
    before = own.sql("select relname from pg_class where relname ~ '^standing_snapshot_[0-9]{6}$' and relkind = 'r' order by 1")
    # As if the clock were months on.
    assert own.sql("select ladder.snapshot_expire(-70)", login="ladder_work")[0][0] >= 1
    left = own.sql("select relname from pg_class where relname ~ '^standing_snapshot_[0-9]{6}$' and relkind = 'r' order by 1")
    assert left and set(left) < set(before)


# ---- movers ----

def test_movers_between_periods(stack, client):
    client.put_board("b", windows=["daily"])
    today = datetime.datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    yesterday = text(today - DAY)
    client.submit_many([dict(board="b", player=f"p{i}", score=10 - i, at=yesterday) for i in range(5)])
    client.submit_many([dict(board="b", player=f"p{i}", score=10 + i) for i in range(3, 6)])

    def movers(**parameters):
        page = client.read("/boards/b/compare", **parameters)
        assert (page["period"], page["with"], page["window"]) == (text(today), yesterday, "daily")
        return [(e["rank"], e["player"], e["score"], e["previous"] and (e["previous"]["rank"], e["previous"]["score"]), e["climbed"]) for e in page["entries"]]
    wanted = [(1, "p5", 15, None, None), (2, "p4", 14, (5, 6), 3), (3, "p3", 13, (4, 7), 1)]
    assert movers(**{"with": "previous"}) == wanted, "before it is closed"
    close(stack, client)
    assert movers() == wanted and movers(**{"with": yesterday}) == wanted and movers(limit=1) == wanted[:1]
    refused(client.get("/boards/b/compare", **{"with": "2020-01-01T00:00:00Z"}), "period-not-found", "with")
    refused(client.get("/boards/b/compare", **{"with": "banana"}), "invalid-parameter", "with")
    client.put_board("all")
    assert client.read("/boards/all/compare") == {"board": "all", "window": "all", "period": "all", "with": None, "entries": []}
    refused(client.get("/boards/all/compare", **{"with": yesterday}), "invalid-parameter", "with")


# ---- a player everywhere ----

def test_a_player_everywhere(stack, client):
    for n in range(25):
        client.put_board(f"b{n:02}", windows=["all", "daily"] if n % 2 else ["daily"], order="asc" if n == 3 else "desc")
        client.submit_many([dict(board=f"b{n:02}", player=p, score=s) for p, s in (("ann", n), ("bob", 10), ("cy", 20)) if (p, n) != ("ann", 5)])
    client.submit("b07", "ann", 3, at="2026-01-01T00:00:00Z")
    page = client.read("/players/ann/boards")
    assert len(page["boards"]) == 20 and page["next"] == page["boards"][-1]["board"] == "b20"
    boards = page["boards"] + client.read("/players/ann/boards", cursor=page["next"])["boards"]
    assert [b["board"] for b in boards] == [f"b{n:02}" for n in range(25) if n != 5]
    for place in boards:
        one = client.read(f"/boards/{place['board']}/players/ann")
        assert place == {k: one[k] for k in ("board", "window", "period", "rank", "score", "subscore", "achieved_at", "total")}
    daily = client.read("/players/ann/boards", window="daily", limit=100)
    assert len(daily["boards"]) == 24 and {b["window"] for b in daily["boards"]} == {"daily"} and daily["next"] is None
    assert len(client.read("/players/ann/boards", window="all", limit=100)["boards"]) == 11
    assert client.read("/players/nobody/boards") == {"player": "nobody", "boards": [], "next": None}
    client.request("DELETE", "/boards/b00")
    client.request("DELETE", "/boards/b01/players/ann")
    assert [b["board"] for b in client.read("/players/ann/boards", limit=2)["boards"]] == ["b02", "b03"]
    refused(client.get("/players/ann/boards", window="Yearly"), "invalid-parameter", "window")
    assert client.read("/players/ann/boards", window="yearly")["boards"] == []  # a schedule could be called so
    refused(client.get("/players/ann/boards", cursor="/"), "invalid-cursor", "cursor")
    everyone = Client(client.server, client.game)
    refused(everyone.get("/players/ann/boards"), "unauthorized")


# ---- a hundred years of goals ----

@pytest.mark.skipif(not DATA.exists(), reason=f"no {DATA}: set LADDER_TEST_DATA to a folder with goalscorers.csv of github.com/martj42/international_results")
def test_a_hundred_years_by_month(stack, client):
    """Every place of every month, and every month of a player, equal what SQLite computes from the file."""
    client.put_board("goals", operator="sum", windows=["monthly", "all"])
    stack.cli("import", DATA, "--game", client.game, "--board", "goals", "--player", "scorer", "--score", "1", "--at", "date", "--where", "own_goal=FALSE")
    close(stack, client)
    book = sqlite3.connect(":memory:")
    book.execute("create table goal (player text, date text)")
    with open(DATA, encoding="utf-8", newline="") as file:
        book.executemany("insert into goal values (?, ?)", ((row["scorer"], row["date"]) for row in csv.DictReader(file) if row["own_goal"] == "FALSE"))
    book.execute("""create table place as
        select month, player, goals, row_number() over (partition by month order by goals desc, last, cast(player as blob)) as rank, count(*) over (partition by month) as players
        from (select substr(date, 1, 7) as month, player, count(*) as goals, max(date) as last from goal group by 1, 2)""")
    this_month = text(datetime.datetime.now(UTC))[:7]
    wanted = book.execute("select month, rank, player, goals from place where month < ? order by month, rank", (this_month,)).fetchall()
    got = stack.sql("select to_char(p.starts_at at time zone 'UTC', 'YYYY-MM'), f.rank, f.player, ~e.k1 from ladder.period p join ladder.final_rank f on f.period_id = p.id "
                    "join ladder.entry e on e.period_id = p.id and e.window_kind = 'monthly' and e.period_start = p.starts_at and e.player = f.player "
                    "where p.board_id = %s and p.window_kind = 'monthly' and p.state = 'closed' order by 1, 2", board_id(stack, client, "goals"))
    assert got == wanted and len({month for month, *_ in wanted}) > 700
    listed, cursor = [], {}
    while True:
        page = client.read("/boards/goals/periods", window="monthly", limit=500, **cursor)
        listed += page["periods"]
        if not page["next"]:
            break
        cursor = {"cursor": page["next"]}
    assert [(p["id"][:7], p["entries"]) for p in reversed(listed) if p["state"] == "closed" and p["entries"]] == book.execute(
        "select month, max(players) from place where month < ? group by 1 order by 1", (this_month,)).fetchall()
    # Hall of fame: who was first, month by month, as the pages of the closed periods say.
    for month, player, goals in book.execute("select month, player, goals from place where rank = 1 and month < ? order by month", (this_month,)).fetchall()[::40]:
        page = client.read("/boards/goals/top", window="monthly", period=f"{month}-01T00:00:00Z", limit=1)
        assert (page["entries"][0]["player"], page["entries"][0]["score"]) == (player, goals)
    for player in ("Cristiano Ronaldo", "Lionel Messi", "Pelé", "Ferenc Puskás"):
        points, cursor = [], {}
        while True:
            page = client.read(f"/boards/goals/players/{player}/history", window="monthly", limit=30, **cursor)
            points += page["points"]
            if not page["next"]:
                break
            cursor = {"cursor": page["next"]}
        assert [(p["period"][:7], p["rank"], p["score"], p["entries"]) for p in points] == book.execute(
            "select month, rank, goals, players from place where player = ? and month < ? order by month desc", (player, this_month)).fetchall() and points
