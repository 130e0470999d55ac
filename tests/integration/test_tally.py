"""The tally equals a count, whatever is written, erased, killed or fought over; and the views and their gate."""
import contextlib
import random
import subprocess
import threading

import psycopg2
import modelrun
import pytest

from harness import BINARY, Client, patience, wait_until

VIEWS = ["daily_activity", "hall_of_fame", "player_total"]


@pytest.fixture(scope="module", autouse=True)
def intervals(stack):
    """Nobody refreshes because it is time to: the tests say when. A view without a row does not wait for the time: each has one."""
    board = stack.sql("insert into ladder.board (game_id, name, windows) select id, 'b', '{daily}' from ladder.game where name = %s returning id", stack.new_game())[0][0]
    stack.sql("select count(*) from ladder.submit_history(%s, '{ann}', '{1}', '{0}', array[ladder.us_of(now() - interval '40 days')], false)", board)
    stack.sql("update ladder.period set state = 'closed', closed_at = now(), final_count = 1 where board_id = %s", board)
    usual = stack.sql("select view, interval_ms from ladder.refresh_state")
    stack.sql("update ladder.refresh_state set interval_ms = 86400000")
    yield
    for view, interval_ms in usual:
        stack.sql("update ladder.refresh_state set interval_ms = %s where view = %s", interval_ms, view)


def board_id(stack, client, name):
    return stack.sql("select b.id from ladder.board b join ladder.game g on g.id = b.game_id where g.name = %s and b.name = %s", client.game, name)[0][0]


@pytest.fixture
def board(client, stack):
    client.put_board("b", windows=["all", "daily"])
    return board_id(stack, client, "b")


@pytest.fixture
def other(client, stack):
    client.put_board("c", windows=["all", "daily"])
    return board_id(stack, client, "c")


def fold(stack):
    """Until the tally has everything that is committed now."""
    snapshot = stack.sql("select pg_current_snapshot()::text")[0][0]
    last = stack.sql("select coalesce(max(id), 0) from ladder.score_event")[0][0]
    wait_until(lambda: stack.sql("select coalesce(bool_and(pg_visible_in_snapshot(e.xid, c.snapshot)), true) and count(c.id) > 0 "
                                 "from ladder.tally_cursor c left join ladder.score_event e on e.id <= %s", last)[0][0], 20,
               f"everything of {snapshot} is in")
    wait_until(lambda: stack.sql("select count(*) from ladder.tally_recount")[0][0] == 0, 20, "nothing is to be counted again")


def check_standings(stack, board):
    """Against the entries themselves."""
    standings = stack.sql("""
        select p.id, count(e.player), coalesce(sum(~e.k1), 0), coalesce(sum((~e.k1)::numeric * ~e.k1), 0)
        from ladder.period p
        left join ladder.entry e on e.period_id = p.id and e.window_kind = p.window_kind and e.period_start = p.starts_at and not e.removed
        where p.board_id = %s group by p.id order by 1""", board)
    tallies = dict((row[0], row) for row in stack.sql(
        "select t.* from ladder.period p join ladder.tally t on t.period_id = p.id where p.board_id = %s", board))
    assert [tallies.get(row[0], (row[0], 0, 0, 0)) for row in standings] == standings


def check_tally(stack, board):
    """Every table, against the entries and events themselves."""
    check_standings(stack, board)
    days = "select d.player, date_trunc(%s, d.achieved_at at time zone b.time_zone)::date from ladder.score_event d join ladder.board b on b.id = d.board_id " \
        "where d.board_id = %s and d.kind = 'submit' group by 1, 2"
    for unit, column in (("day", "players"), ("week", "players_of_week"), ("month", "players_of_month")):
        # On which day of the week a player is counted depends on what came first; in the week he is counted once.
        assert stack.sql(f"select date_trunc(%s, t.day)::date, sum(t.{column}) from ladder.tally_day t where t.board_id = %s group by 1 order by 1",
                         unit, board) == stack.sql(f"select x.date_trunc, count(*) from ({days}) x group by 1 order by 1", unit, board)
    assert stack.sql("select sum(newcomers) from ladder.tally_day where board_id = %s", board) == \
        stack.sql("select count(*) from ladder.tally_player where board_id = %s", board)
    assert stack.sql("select t.day, t.submissions, t.changes, t.score_total, t.score_min, t.score_max from ladder.tally_day t "
                     "where t.board_id = %s order by 1", board) == \
        stack.sql("select (e.achieved_at at time zone b.time_zone)::date as day, count(*), count(e.period_ids), sum(e.score), min(e.score), max(e.score) "
                  "from ladder.score_event e join ladder.board b on b.id = e.board_id where e.board_id = %s and e.kind = 'submit' "
                  "group by 1 order by 1", board)
    assert stack.sql("select player, submissions, changes, first_at, last_at from ladder.tally_player where board_id = %s order by 1", board) == \
        stack.sql("select player, count(*), count(period_ids), min(achieved_at), max(achieved_at) from ladder.score_event "
                  "where board_id = %s and kind = 'submit' group by player order by 1", board)
    assert stack.sql("""
        select p.id, s.at, s.submissions, s.changes, s.arrivals, s.departures
        from ladder.period p join ladder.tally_slot s on s.period_id = p.id where p.board_id = %s and s.width_s = 60 order by 1, 2""", board) == \
        stack.sql("""
        select x.id, date_trunc('minute', x.submitted_at), sum(x.submissions), sum(x.changes), sum(x.arrivals), sum(x.departures)
        from (select p.id, e.submitted_at, (e.kind = 'submit' and (p.facet = '' or coalesce(p.facet = any (e.facets), false)) and p.facet not like '%%:'
                                          and e.achieved_at >= p.starts_at and e.achieved_at < p.ends_at)::int as submissions,
                     (e.kind = 'submit' and u.nth is not null)::int as changes,
                     (u.nth is not null and e.moves[u.nth][1] is null and e.moves[u.nth][4] is not null)::int as arrivals,
                     (u.nth is not null and e.moves[u.nth][1] is not null and e.moves[u.nth][4] is null)::int as departures
              from ladder.period p
              join ladder.score_event e on e.board_id = p.board_id
              left join lateral (select n.nth from unnest(e.period_ids) with ordinality as n (id, nth) where n.id = p.id) u on true
              where p.board_id = %s) x
        where x.submissions + x.changes + x.arrivals + x.departures > 0
        group by 1, 2 order by 1, 2""", board)


def test_it_adds_up(stack, client, board):
    random.seed(7)
    client.put_board("b", windows=["all", "daily"], facets=["country"])
    players = [f"p{n}" for n in range(60)]
    for _ in range(8):
        rows = [{"board": "b", "player": random.choice(players), "score": random.choice([-2**63, 2**63 - 1, random.randint(-1000, 1000)])} for _ in range(150)]
        rows += [{"board": "b", "player": random.choice(players), "score": random.randint(-9, 9),
                  "at": f"2026-{random.randint(1, 10):02d}-{random.randint(1, 28):02d}T{random.randint(0, 23):02d}:00:00Z"} for _ in range(50)]
        for row in random.sample(rows, 60):
            row["facets"] = {"country": random.choice(("BR", "AR", None))}
        assert all(r["status"] == 200 for r in client.submit_many(rows))
        client.request("DELETE", f"/boards/b/players/{random.choice(players)}")
        fold(stack)
        check_tally(stack, board)
    assert stack.sql("select count(*) > 1 from ladder.period p join ladder.tally t on t.period_id = p.id where p.board_id = %s and p.facet <> '' "
                     "and t.entries > 0", board) == [(True,)]


def test_an_erasure_takes_all(stack, client, board):
    """Also when the events are erased before they were added."""
    client.put_board("b", windows=["all", "daily"], facets=["country"])
    for turn in range(5):
        client.submit_many([{"board": "b", "player": f"q{n}", "score": n * turn} for n in range(50)])
        if turn % 2:
            fold(stack)
        client.submit("b", "q7", 1000 + turn, facets={"country": "BR"})
        client.submit("b", "q9", 1000 + turn, facets={"country": "BRA"[turn % 2:][:2]})
        assert client.request("DELETE", "/players/q7").status_code < 300
        client.submit("b", "q8", 1000 + turn)
        fold(stack)
        check_standings(stack, board)  # that a day had so many submissions says nothing of him, and stays
        assert stack.sql("select count(*) from ladder.tally_player where board_id = %s and player = 'q7'", board) == [(0,)]


def test_two_runners_and_one_that_dies(stack, client, board):
    """Workers that fight over the lock, and are killed at any moment, add each event once."""
    workers = [stack.worker(worker_tally_ms=10) for _ in range(2)]
    for turn in range(6):
        client.submit_many([{"board": "b", "player": f"r{n}", "score": n * turn % 37} for n in range(200)])
        workers[turn % 2].kill()
        workers[turn % 2] = stack.worker(worker_tally_ms=10)
    fold(stack)
    check_tally(stack, board)
    for worker in workers:
        assert worker.stop() == 0


def test_what_was_restored_is_counted_again(stack, client, board):
    client.submit_many([{"board": "b", "player": f"s{n}", "score": n} for n in range(50)])
    fold(stack)
    # Transaction ids of another cluster mean nothing here.
    stack.sql("update ladder.tally set entries = entries + 1; update ladder.tally_cursor set incarnation = 'another', snapshot = '9999999:9999999:'")
    wait_until(lambda: stack.sql("select incarnation from ladder.tally_cursor")[0][0] != "another", 20, "it is counted again")
    fold(stack)
    check_tally(stack, board)


# ---- ladders ----

def period_id(stack, board, kind):
    return stack.sql("select id from ladder.period where board_id = %s and window_kind = %s and facet = ''", board, kind)[0][0]


def rungs(stack, period):
    """(key, score, entries)"""
    return stack.sql("select (r.k1, r.k2, r.k3, r.player)::text, ~r.k1, r.entries from ladder.tally_rung r where r.period_id = %s "
                     "order by r.k1, r.k2, r.k3, r.player", period)


@pytest.fixture(scope="module")
def tall(stack, ladder):
    """A board of 20,000, straight into the tables, as submissions would have left it. Returns (client, board)."""
    game = stack.new_game()
    client = Client(ladder, game, stack.key(game))
    client.put_board("tall", windows=["all", "daily"])
    client.submit("tall", "first", 1)
    board = board_id(stack, client, "tall")
    stack.sql("insert into ladder.entry (period_id, player, window_kind, period_start, k1, k2, k3, revision) "
              "select p.id, 'p' || n, p.window_kind, p.starts_at, ~n::bigint, ~0::bigint, n, nextval('ladder.revision') "
              "from ladder.period p cross join generate_series(2, 20000) n where p.board_id = %s", board)
    stack.sql("insert into ladder.tally_recount (period_id) select p.id from ladder.period p where p.board_id = %s", board)
    fold(stack)
    return client, board


@pytest.mark.parametrize("kind", ["all", "daily"])
@pytest.mark.parametrize("is_analyzed", [False, True], ids=["as filled", "analyzed"])  # both kinds as they were filled, then both analyzed
def test_raising_a_stretch_reads_that_stretch(stack, tall, kind, is_analyzed):
    """And not the standing: all of it for each of two thousand stretches would keep a core busy for minutes."""
    _, board = tall
    period = period_id(stack, board, kind)
    assert len(rungs(stack, period)) == 40
    if is_analyzed:
        stack.sql("analyze ladder.entry")
    read = "select sum(pg_stat_get_xact_tuples_returned(c.oid))::int from pg_class c where c.relname ~ '^entry_'"
    with contextlib.closing(psycopg2.connect(stack.primary_url)) as session, session.cursor() as cursor:
        for nth in (39, 20, 0):  # to the end, in between, from the lowest key on
            cursor.execute(read)
            (before,), = cursor.fetchall()
            cursor.execute("select ladder.tally_raise(p, 100, x.rung, x.next) from ladder.period p, "
                           "(select r as rung, lead(r) over (order by r.k1, r.k2, r.k3, r.player) as next from ladder.tally_rung r where r.period_id = %s "
                           "order by r.k1, r.k2, r.k3, r.player offset %s limit 1) x where p.id = %s", (period, nth, period))
            cursor.execute(read)
            (after,), = cursor.fetchall()
            assert 500 <= after - before <= 1500, nth
        cursor.execute("select count(*), sum(r.entries)::int, count(*) filter (where r.entries = 100) from ladder.tally_rung r where r.period_id = %s", (period,))
        assert cursor.fetchall() == [(40 + 3 * 4, 20000, 3 * 5)]
        session.rollback()


def test_of_stretches_that_grew_at_once_some_wait(stack, tall):
    """So that a call of the tally never takes long; who waits is raised when it has grown on."""
    client, board = tall
    period = period_id(stack, board, "all")
    chosen = rungs(stack, period)[10:40:10]
    stack.sql("update ladder.tally_rung r set entries = 60000 where r.period_id = %s and (r.k1, r.k2, r.k3, r.player)::text = any (%s)", period,
              [key for key, _, _ in chosen])

    def grow(turn):
        client.submit_many([dict(board="tall", player=f"new{score}-{turn}", score=score - 1) for _, score, _ in chosen])
        fold(stack)
        return [entries for _, _, entries in rungs(stack, period) if entries > 2000]
    assert grow(0) == [60001], "two were raised"
    assert grow(1) == []
    assert {entries for _, _, entries in rungs(stack, period)} <= {500, 501, 502, 2, 1}


# ---- the views ----

def refreshes(stack, view):
    return stack.sql("select count(*) from ladder.refresh_run where view = %s and error is null and ended_at is not null", view)[0][0]


def test_each_is_filled_and_shows_the_board(stack, client, board):
    client.submit_many([{"board": "b", "player": f"v{n}", "score": n} for n in range(2000)])
    fold(stack)
    text = stack.refresh("--all")
    assert text.startswith("refresh: ") and text.count("\n") == 1, text
    assert stack.sql("select c.relname::text from pg_class c where c.relnamespace = 'ladder'::regnamespace and c.relkind = 'm' and c.relispopulated "
                     "order by 1") == [(view,) for view in VIEWS]
    assert stack.sql("select bucket, submissions, players, improvements from ladder.daily_activity where game = %s order by 1", client.game) == [
        (bucket, 2000, 2000, 2000) for bucket in ("day", "month", "week")]
    assert stack.sql("select boards, submissions, best_rank from ladder.player_total where game = %s and player = 'v1999'", client.game) == [(1, 1, 1)]


def test_players_of_several_boards_and_games(stack, client, board):
    """player_total, against sums and ranks that are made the long way: each player of each board by itself."""
    random.seed(11)
    names = ["b", "pinball", "gone"]
    other = Client(client.server, stack.new_game())
    other.key = stack.key(other.game)
    client.put_board("pinball", windows=["all"], order="asc", facets=["country"])
    client.put_board("gone", windows=["all"])
    other.put_board("b", windows=["daily"])  # no standing of all time: no rank
    for game, boards in ((client, names), (other, ["b"])):
        rows = [{"board": random.choice(boards), "player": f"t{random.randint(1, 40)}", "score": random.randint(0, 30)} for _ in range(400)]
        for row in rows:
            if row["board"] == "pinball" and random.random() < 0.5:
                row["facets"] = {"country": random.choice(("BR", "AR"))}
        assert all(r["status"] == 200 for r in game.submit_many(rows))
    client.request("DELETE", "/players/t1")
    client.request("DELETE", "/boards/b/players/t2")
    assert client.request("DELETE", "/boards/gone").status_code < 300
    fold(stack)
    stack.sql("update ladder.refresh_state set done_v = 0 where view = 'player_total'")
    assert "1 refreshed" in stack.refresh("player_total")
    for game, boards in ((client, ["b", "pinball"]), (other, ["b"])):
        shown = stack.sql("select player, boards, submissions, improvements, first_at, last_at, best_rank from ladder.player_total where game = %s order by 1", game.game)
        counted = {}
        for board_id, name, order in stack.sql("select b.id, b.name, b.ordering::text from ladder.board b join ladder.game g on g.id = b.game_id "
                                               "where g.name = %s and b.name = any (%s) and b.deleted_at is null", game.game, boards):
            place = {}
            if game is client:
                place = {entry["player"]: n + 1 for n, entry in enumerate(game.pages(name))}
            for player, submissions, changes, first, last in stack.sql(
                    "select player, count(*), count(period_ids), min(achieved_at), max(achieved_at) from ladder.score_event "
                    "where board_id = %s and kind = 'submit' group by 1", board_id):
                one = counted.setdefault(player, [0, 0, 0, first, last, None])
                ranks = [rank for rank in (one[5], place.get(player)) if rank]
                counted[player] = [one[0] + 1, one[1] + submissions, one[2] + changes, min(one[3], first), max(one[4], last), min(ranks, default=None)]
        assert shown == [(player, *counted[player]) for player in sorted(counted)]
        assert len(shown) > 30


def test_players_are_gathered_in_pieces(stack, client, board):
    """2,000 rows of each of fifty boards are a piece, and not all is one transaction. Players who go are gone from the rollup, too."""
    for n in range(49):
        client.put_board(f"small{n}", windows=["all"])
    client.submit_many([{"board": "b", "player": f"p{n:05}", "score": n} for n in range(4500)])
    client.submit_many([{"board": f"small{n % 49}", "player": f"p{n:05}", "score": n} for n in range(0, 4500, 3)])
    fold(stack)

    def shown():
        return stack.sql("select player, boards, submissions, best_rank from ladder.player_total where game = %s order by 1", client.game)

    game, = stack.sql("select id from ladder.game where name = %s", client.game)[0]
    stack.refresh("player_total")
    assert [row[:3] for row in shown()] == [(f"p{n:05}", 2 if n % 3 == 0 else 1, 2 if n % 3 == 0 else 1) for n in range(4500)]
    places = {}
    for name in ["b", *(f"small{n}" for n in range(49))]:
        for place, entry in enumerate(client.pages(name), 1):
            places[entry["player"]] = min(place, places.get(entry["player"], place))
    assert {row[0]: row[3] for row in shown()} == places

    for player in ("p00000", "p02500", "p04499"):
        client.request("DELETE", f"/players/{player}")
    fold(stack)
    holder = psycopg2.connect(stack.primary_url)
    with holder.cursor() as cursor:
        cursor.execute("delete from ladder.player_rollup where game_id = %s and player = 'p02500'", (game,))
        one = subprocess.Popen([BINARY, "refresh", "player_total"], env=stack.environment("ladder_work", worker_refresh_percent=25), stdout=subprocess.PIPE, text=True)
        wait_until(lambda: stack.sql("select xact_start > query_start + interval '0.1 s' from pg_stat_activity where application_name = 'ladder refresh' and wait_event_type = 'Lock'") == [(True,)],
                   60, "it waits in the middle, in a transaction that began well after the first")
        holder.commit()
    holder.close()
    assert "1 refreshed" in one.communicate(timeout=60)[0]
    assert len(shown()) == 4497 and stack.sql("select count(*) from ladder.player_rollup where game_id = %s", game) == [(4497,)]


def closings(stack):
    """Somewhere in the world an hour ends each quarter of one: another file's board, in its zone, may close meanwhile."""
    return stack.sql("select count(*), max(closed_at) from ladder.period where closed_at is not null")


def test_nothing_new_refreshes_nothing(stack, client, board):
    client.submit("b", "ann", 1)
    for _ in range(3):
        before = closings(stack)
        fold(stack)
        stack.refresh("--all")
        said = stack.refresh("--all")
        if closings(stack) == before:
            break
    assert said == "refresh: 0 refreshed, 3 unchanged, 0 recent, 0 being refreshed by another runner\n"
    client.submit("b", "ann", 2)
    assert "0 refreshed, 0 unchanged, 1 recent" in stack.cli("refresh", "daily_activity", "--if-older-than", "1h")
    assert "1 refreshed (daily_activity " in stack.refresh("daily_activity")
    assert "there is no view nothing" in stack.cli("refresh", "nothing", status=2)
    assert "usage" in stack.cli("refresh", "--all", "--if-older-than", "soon", status=2)


# ---- the marks ----

def dirty(stack):
    """The views that are. What workers of before there were marks go by says the same."""
    by_mark, by_source = stack.sql("select array_agg(r.view order by r.view) filter (where r.done_v = 0 or exists (select from ladder.refresh_changed(r.view, r.done_v))), "
                                   "array_agg(r.view order by r.view) filter (where s.source_v <> r.done_v) "
                                   "from ladder.refresh_state r join ladder.refresh_source s on s.view = r.view")[0]
    assert by_mark == by_source
    return set(by_mark or ())


def changed(stack, view):
    """The boards that it shows otherwise than they are."""
    return {row[0] for row in stack.sql("select c from ladder.refresh_state r cross join lateral ladder.refresh_changed(r.view, r.done_v) c where r.view = %s", view)}


def marks(stack, board):
    return dict(stack.sql("select input, changed_v from ladder.refresh_mark where board_id = %s", board))


def boards_of_last(stack, view):
    return stack.sql("select boards from ladder.refresh_run where view = %s order by id desc limit 1", view)[0][0]


def show_all(stack):
    fold(stack)
    stack.refresh("--all")


def test_a_change_marks_its_board(stack, client, board, other):
    for name in "bc":
        client.submit(name, "ann", 1)
    show_all(stack)
    assert not {board, other} & set.union(*(changed(stack, view) for view in VIEWS))
    before, before_other = marks(stack, board), marks(stack, other)
    assert set(before) == set(before_other) == {"standings", "days"}
    client.submit("b", "ann", 2)
    fold(stack)
    after = marks(stack, board)
    assert after["standings"] == after["days"] > max(before.values()) and set(after) == set(before)
    assert marks(stack, other) == before_other
    for view in VIEWS:
        assert changed(stack, view) & {board, other} == ({board} if view != "hall_of_fame" else set()), view
    assert " for 1 board)" in stack.refresh("daily_activity") and boards_of_last(stack, "daily_activity") == 1
    assert changed(stack, "daily_activity") == set() and "daily_activity" not in dirty(stack)
    assert changed(stack, "player_total") == {board}, "another's refresh is none of its own"
    # What changes no entry is a submission all the same, and no more.
    client.submit("b", "ann", 1)
    fold(stack)
    assert marks(stack, board) == {"standings": after["standings"], "days": marks(stack, board)["days"]} and marks(stack, board)["days"] > after["days"]
    # Removals are no submissions.
    client.submit("c", "bob", 3)
    fold(stack)
    before = marks(stack, other)
    client.request("DELETE", "/boards/c/players/bob")
    fold(stack)
    assert marks(stack, other)["days"] == before["days"] and marks(stack, other)["standings"] > before["standings"]
    assert " for 2 boards)" in stack.refresh("player_total") and boards_of_last(stack, "player_total") == 2
    assert marks(stack, board)["standings"] == after["standings"], "a refresh changes no mark"


def test_a_closing_marks_its_board(stack, client, board, other):
    for name in "bc":
        client.submit_many([{"board": name, "player": player, "score": 1} for player in ("ann", "bob")])
    fold(stack)
    stack.sql("update ladder.period set state = 'closed', closed_at = now(), final_count = 2 where board_id = %s and window_kind = 'daily'", board)
    wait_until(lambda: "closed" in marks(stack, board), 20, "the fold has seen it")
    assert "closed" not in marks(stack, other) and changed(stack, "hall_of_fame") >= {board} and other not in changed(stack, "hall_of_fame")
    stack.refresh("hall_of_fame")
    assert board not in changed(stack, "hall_of_fame")
    assert stack.sql("select player from ladder.hall_of_fame where game = %s order by rank", client.game) == [("ann",), ("bob",)]
    # Who is erased leaves closed periods, too.
    before = marks(stack, board)
    assert client.request("DELETE", "/players/ann").status_code < 300
    fold(stack)
    assert marks(stack, board)["closed"] > before["closed"] and "closed" not in marks(stack, other)
    stack.refresh("hall_of_fame")
    assert stack.sql("select player from ladder.hall_of_fame where game = %s order by rank", client.game) == [("bob",)]


def test_a_deleted_board_is_marked(stack, client, board, other):
    """Until every view has done without it, though its row is long gone."""
    for name in "bc":
        client.submit(name, "ann", 1)
    show_all(stack)
    assert client.request("DELETE", "/boards/b").status_code < 300
    wait_until(lambda: marks(stack, board).get("deleted"), 20, "the fold has seen it")
    assert all(changed(stack, view) & {board, other} == {board} for view in VIEWS) and dirty(stack) >= set(VIEWS)
    stack.sql("update ladder.board set deleted_at = now() - interval '1 hour' where id = %s", board)
    stack.refresh(*VIEWS[1:])

    def is_purged():
        stack.cli("purge")
        return stack.sql("select count(*) from ladder.board where id = %s", board) == [(0,)]
    wait_until(is_purged, 30, "its row is gone")
    stack.cli("purge")
    assert marks(stack, board).get("deleted") and changed(stack, VIEWS[0]) & {board, other} == {board}, "one view still shows it"
    stack.refresh(VIEWS[0])
    assert not {board, other} & set.union(*(changed(stack, view) for view in VIEWS))
    assert stack.sql("select distinct board from ladder.daily_activity where game = %s", client.game) == [("c",)]
    assert stack.sql("select player, boards from ladder.player_total where game = %s", client.game) == [("ann", 1)]

    def is_forgotten():
        stack.cli("purge")
        return marks(stack, board) == {}
    wait_until(is_forgotten, 30, "its marks are gone")
    assert set(marks(stack, other)) == {"standings", "days"}, "another's are kept, though every view has seen them"


def test_what_is_counted_again_is_marked(stack, client, board, other):
    for name in "bc":
        client.submit(name, "ann", 1)
    show_all(stack)
    before, before_other = marks(stack, board), marks(stack, other)
    stack.sql("insert into ladder.tally_recount (period_id) select id from ladder.period where board_id = %s and window_kind = 'all'", board)
    wait_until(lambda: marks(stack, board) != before, 20, "the fold has counted")
    assert marks(stack, board)["standings"] > before["standings"] and marks(stack, board)["days"] == before["days"]
    assert marks(stack, other) == before_other
    stack.refresh("--all")
    stack.sql("update ladder.tally_cursor set incarnation = 'another'")
    wait_until(lambda: stack.sql("select incarnation from ladder.tally_cursor")[0][0] != "another", 20, "all is counted again")
    for one in (board, other):
        assert set(marks(stack, one)) == {"standings", "days", "closed"} and min(marks(stack, one).values()) > before["standings"]
    assert dirty(stack) >= set(VIEWS)


@contextlib.contextmanager
def view_to_hold(stack):
    """A view of ours, made of everything, whose refresh stops in the middle of its statement while we hold a lock."""
    stack.sql("create function ladder.hold() returns boolean language plpgsql as $$ begin perform pg_advisory_xact_lock(2, 3); return true; end $$; "
              "grant execute on function ladder.hold() to ladder_worker; "
              "create materialized view ladder.held as with h as materialized (select ladder.hold() as is_held) "
              "select t.board_id, sum(t.submissions) as n from h join ladder.tally_day t on h.is_held group by 1 with no data; "
              "create unique index on ladder.held (board_id); select ladder.refresh_register('held', 86400000); "
              "update ladder.refresh_state set refreshed_at = now(), rows = 1 where view = 'held'")  # the worker leaves it to us
    yield "held"
    stack.sql("drop materialized view ladder.held; drop function ladder.hold; delete from ladder.refresh_state where view = 'held'; "
              "delete from ladder.refresh_source where view = 'held'; delete from ladder.refresh_run where view = 'held'")


def refresh_meanwhile(stack, view, hold, act):
    """A refresh that waits for the lock of this statement while something else is done."""
    holder = psycopg2.connect(stack.primary_url)
    with holder.cursor() as cursor:
        cursor.execute(hold)
        one = subprocess.Popen([BINARY, "refresh", view], env=stack.environment("ladder_work", worker_refresh_percent=100), stdout=subprocess.PIPE, text=True)
        wait_until(lambda: stack.sql("select count(*) from pg_stat_activity where application_name = 'ladder refresh' and wait_event_type = 'Lock'") == [(1,)],
                   30, "it waits in the middle")
        act()
        holder.rollback()
    holder.close()
    return one.communicate(timeout=60)[0]


@pytest.fixture
def held(stack, client, board, other):
    for name in "bc":
        client.submit(name, "ann", 1)
    show_all(stack)
    with view_to_hold(stack) as view:
        yield view


def test_what_changes_during_a_refresh_stays_marked(stack, client, board, other, held):
    def ours():
        """Other files' boards may close a period meanwhile, and it is made of that too."""
        return changed(stack, held) & {board, other}
    assert ours() == {board, other} and held in dirty(stack) and "1 refreshed (held " in stack.refresh(held)
    assert ours() == set(), "a new view, refreshed when nothing changes any more, shows all"
    client.submit("b", "ann", 2)
    fold(stack)
    assert ours() == {board}

    def another():
        client.submit("c", "ann", 2)
        fold(stack)
        assert ours() == {board, other}
    said = refresh_meanwhile(stack, held, "select pg_advisory_xact_lock(2, 3)", another)
    assert "1 refreshed (held " in said, said
    assert dict(stack.sql("select board_id, n from ladder.held where board_id in (%s, %s)", board, other)) == {board: 2, other: 1}, "it had read the others before"
    assert ours() == {other} and held in dirty(stack)
    assert "1 refreshed (held " in stack.refresh(held)
    assert dict(stack.sql("select board_id, n from ladder.held where board_id in (%s, %s)", board, other)) == {board: 2, other: 2}
    assert ours() == set()
    # Made anew, it is dirty though nothing has changed.
    stack.sql("select ladder.refresh_register('held', 86400000); update ladder.refresh_state set refreshed_at = now(), rows = 1 where view = 'held'")
    assert ours() == {board, other} and held in dirty(stack) and "1 refreshed (held " in stack.refresh(held) and ours() == set()


def test_what_changes_while_players_are_gathered_stays_marked(stack, client, board, other):
    for name in "bc":
        client.submit_many([{"board": name, "player": player, "score": 1} for player in ("ann", "bob")])
    show_all(stack)
    client.request("DELETE", "/boards/b/players/ann")
    client.submit("b", "bob", 2)
    fold(stack)
    assert changed(stack, "player_total") == {board}

    def another():
        client.submit("c", "bob", 3)
        fold(stack)
    said = refresh_meanwhile(stack, "player_total", "update ladder.player_rollup q set boards = q.boards from ladder.game g where g.id = q.game_id "
                             f"and g.name = '{client.game}' and q.player = 'bob'", another)
    assert "1 refreshed (player_total " in said and " for 1 board)" in said, said
    assert stack.sql("select best_rank from ladder.player_total where game = %s and player = 'bob'", client.game) == [(1,)]
    assert changed(stack, "player_total") == {other} and "player_total" in dirty(stack)
    assert " for 1 board)" in stack.refresh("player_total") and changed(stack, "player_total") == set()


def looks(stack):
    """When the worker last looked what there is to refresh."""
    return stack.sql("select max(query_start) from pg_stat_activity where application_name = 'ladder work refresh'")[0][0]


def test_an_idle_worker_refreshes_nothing(stack, client, board):
    """Whatever the intervals; and what changes refreshes the views that show it, not the others."""
    intervals = stack.sql("select view, interval_ms from ladder.refresh_state")
    stack.sql("update ladder.refresh_state set interval_ms = 0, took_ms = 0, not_before = '-infinity'")
    try:
        client.submit("b", "ann", 1)
        fold(stack)

        def is_done():
            stack.sql("update ladder.refresh_state set took_ms = 0")  # a busy machine's refresh is a dear one
            return not dirty(stack)

        def state():
            """But for the one that a closing refreshes, if there was one."""
            return {view: refreshes(stack, view) for view in VIEWS if view != "hall_of_fame" or closings(stack) == closed}
        closed = closings(stack)
        fold(stack)
        wait_until(is_done, 60, "everything is shown")
        before = state()
        for _ in range(3):
            last = looks(stack)
            wait_until(lambda: looks(stack) != last, 20, "the worker has looked again")
        assert state().items() <= before.items() and (is_done() or closings(stack) != closed)
        client.submit("b", "ann", 2)
        fold(stack)
        wait_until(is_done, 60, "everything is shown again")
        after = state()
        assert {view for view, count in after.items() if count > before[view]} == set(after) - {"hall_of_fame"}
    finally:
        for view, interval in intervals:
            stack.sql("update ladder.refresh_state set interval_ms = %s where view = %s", interval, view)


def test_two_crons_at_once_do_the_work_once(stack, client, board):
    client.submit("b", "ann", 1)
    fold(stack)
    before = refreshes(stack, "player_total")
    environment = stack.environment("ladder_work")
    # The first to come waits for us in the middle of its refresh, so the others come while it is at it.
    holder = psycopg2.connect(stack.primary_url)
    with holder.cursor() as cursor:
        cursor.execute("select * from ladder.refresh_state where view = 'player_total' for update")
        many = [subprocess.Popen([BINARY, "refresh", "player_total"], env=environment, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        wait_until(lambda: sum(one.poll() is not None for one in many) == 3, 20, "three find another at work")
        holder.rollback()
    holder.close()
    texts = [one.communicate(timeout=60)[0] for one in many]
    assert all(one.returncode == 0 for one in many)
    assert sum("1 refreshed" in text for text in texts) == 1 and sum("1 being refreshed" in text for text in texts) == 3, texts
    assert refreshes(stack, "player_total") == before + 1


def test_a_refresher_that_dies_is_followed_by_the_next(stack, client, board):
    client.submit("b", "ann", 3)
    fold(stack)
    holder = psycopg2.connect(stack.primary_url)
    with holder.cursor() as cursor:
        cursor.execute("select * from ladder.refresh_state where view = 'player_total' for update")
        first = subprocess.Popen([BINARY, "refresh", "player_total"], env=stack.environment("ladder_work"))
        wait_until(lambda: stack.sql("select count(*) from ladder.refresh_run where view = 'player_total' and ended_at is null")[0][0], 20, "it is at it")
        first.kill()
        first.wait()
        holder.rollback()
    holder.close()
    wait_until(lambda: "1 refreshed" in stack.cli("refresh", "player_total"), 20, "the next refreshes")
    assert stack.sql("select error from ladder.refresh_run where view = 'player_total' and error is not null order by id desc limit 1") == [("the runner died",)]
    assert stack.sql("select count(*) from ladder.refresh_run where view = 'player_total' and ended_at is null") == [(0,)]


@pytest.mark.parametrize("percent, least_s", [("25", 0.3), ("50", 0.1), ("100", 0), ("", 0)])
def test_a_refresh_sleeps_for_its_share(stack, percent, least_s):
    """After a tenth of a second of work, so long that this was so many percent of both."""
    took, = stack.sql("select set_config('ladder.refresh_percent', %s, false), "
                      "set_config('ladder.refresh_since', (clock_timestamp() - interval '0.1 s')::text, false); "
                      "with a as materialized (select clock_timestamp() as at), b as materialized (select ladder.refresh_pause() as is_done, at from a) "
                      "select extract(epoch from clock_timestamp() - at)::float from b where is_done", percent)[0]
    assert took >= least_s and (least_s or took < 0.25 * patience()), took


def test_a_refresh_does_not_sleep_before_it_has_worked(stack):
    took, since = stack.sql("begin; select set_config('ladder.refresh_percent', '25', true); "
                            "with a as materialized (select clock_timestamp() as at), b as materialized (select ladder.refresh_pause() as is_done, at from a) "
                            "select extract(epoch from clock_timestamp() - at)::float, current_setting('ladder.refresh_since') from b where is_done")[0]
    assert took < 1 * patience() and since


def test_a_refresh_does_not_sleep_for_long(stack):
    """Its snapshot is kept meanwhile: ten seconds in all are the most."""
    took, slept = stack.sql("select set_config('ladder.refresh_percent', '1', false), set_config('ladder.refresh_slept', '9.8', false), "
                            "set_config('ladder.refresh_since', (clock_timestamp() - interval '5 s')::text, false); begin; "
                            "with a as materialized (select clock_timestamp() as at), b as materialized (select ladder.refresh_pause() as is_done, at from a) "
                            "select extract(epoch from clock_timestamp() - at)::float, current_setting('ladder.refresh_slept')::float from b where is_done")[0]
    assert took >= 0.2 and slept == 10


def test_the_share_is_the_settings(stack, client, board):
    """What the worker and the command are told reaches the statement that refreshes."""
    stack.sql("create function ladder.told() returns text language sql as $$ select current_setting('ladder.refresh_percent', true) $$; "
              "create materialized view ladder.told_percent as select 1 as n, ladder.told() as percent with no data; "
              "create unique index on ladder.told_percent (n); grant execute on function ladder.told() to ladder_worker; "
              "select ladder.refresh_register('told_percent', 86400000); "
              "update ladder.refresh_state set refreshed_at = now(), rows = 1 where view = 'told_percent'")  # the worker leaves it to us
    try:
        stack.cli("refresh", "told_percent", worker_refresh_percent=37)
        assert stack.sql("select percent from ladder.told_percent") == [("37",)]
    finally:
        stack.sql("drop materialized view ladder.told_percent; drop function ladder.told; delete from ladder.refresh_state where view = 'told_percent'; "
                  "delete from ladder.refresh_source where view = 'told_percent'; delete from ladder.refresh_run where view = 'told_percent'")


def test_a_refresh_does_not_hold_up_a_stop(stack, client, board):
    """What runs for long is cancelled and undone; the ledger says so, and the next worker does it again."""
    stack.refresh("--all")
    client.submit("b", "late", 1)
    fold(stack)
    for other in modelrun.workers(stack):
        other.stop()
    usual, = stack.sql("select interval_ms from ladder.refresh_state where view = 'player_total'")[0]
    stack.sql("update ladder.refresh_state set interval_ms = 0 where view = 'player_total'")
    blocker = psycopg2.connect(stack.primary_url)
    worker = None
    try:
        with blocker.cursor() as cursor:
            cursor.execute("refresh materialized view ladder.player_total")
        worker = stack.worker(worker_refresh_timeout_ms=3600000)
        waiting = "select count(*) from pg_stat_activity where application_name = 'ladder work refresh' and wait_event_type = 'Lock'"
        wait_until(lambda: stack.sql(waiting)[0][0], 30, "a refresh waits")
        assert worker.stop(timeout=10) == 0
        error, fails = stack.sql("select r.error, s.fails from ladder.refresh_run r join ladder.refresh_state s on s.view = r.view order by r.id desc limit 1")[0]
        assert "57014" in error and fails == 0, "that counts as no failure: nobody waits longer for the next"
        log = worker.log()
        assert "event=job-stopped job=player_total" in log and "level=warn" not in log, log
    finally:
        blocker.close()
        if worker and worker.is_alive():
            worker.kill()
        stack.sql("update ladder.refresh_state set interval_ms = %s where view = 'player_total'", usual)
        stack.worker()
    stack.refresh("--all")
    assert stack.sql("select error from ladder.refresh_run order by id desc limit 1") == [(None,)]


def test_readers_do_not_wait_on_the_replica_either(stack, client, board):
    client.submit("b", "ann", 4)
    stack.refresh("player_total")
    stack.replica_caught_up()
    replica = psycopg2.connect(stack.replica_url)
    replica.set_session(isolation_level="REPEATABLE READ", readonly=True)
    with replica.cursor() as cursor:
        cursor.execute("select count(*) from ladder.player_total")
        count = cursor.fetchone()
        client.submit("b", "bob", 4)
        assert "1 refreshed" in stack.refresh("player_total"), "what was there before it is added up first"
        stack.replica_caught_up()
        assert stack.replica_sql("set statement_timeout = '5s'; select count(*) from ladder.player_total") == [(count[0] + 1,)]
        cursor.execute("select count(*) from ladder.player_total")
        assert cursor.fetchone() == count, "the long reader was not disturbed"
    replica.close()


def test_from_sql(stack, client, board):
    client.submit("b", "ann", 5)
    fold(stack)
    stack.sql("update ladder.refresh_state set refreshed_at = '-infinity'")

    def all_shown():
        stack.sql("call ladder.refresh_due()", url=stack.primary_as("ladder_work"))  # what the worker is at, it leaves to him
        return not dirty(stack)
    wait_until(all_shown, 30, "every view shows everything")
