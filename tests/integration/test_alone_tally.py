"""A board whose events can't be added up is set aside alone: the others are added up, and what is read of it is exact meanwhile."""
import contextlib

import psycopg2
import pytest

from test_alone import no_rule_stays, rule, three_games  # noqa: F401
from test_alone_views import unreadable
from test_game_statistics import activity, counted, known


@pytest.fixture(scope="module")
def serving(stack):
    """A server without a worker: events are added up when the test says so."""
    server = stack.serve(cache_board_ttl_ms=0, redis_url="redis://127.0.0.1:1/0")
    yield server
    assert server.stop() == 0
    server.check_clean()


@pytest.fixture
def games(stack, serving):
    return three_games(stack, serving, windows=["all", "daily"], operator="last")


def submit(clients, rows):
    for client in clients:
        client.submit_many([{"board": "b", "player": player, "score": score} for player, score in rows])


def aside(stack):
    return [board for board, in stack.sql("select board_id from ladder.tally_aside order by 1")]


def failures(stack, board):
    return [n for n, in stack.sql("select failures from ladder.job_item where job = 'tally' and item_id = %s", board)]


def again(stack):
    """The time that a board is left out for is over."""
    stack.sql("update ladder.job_item set due_at = now() where job = 'tally'")


def fold(stack, bad=None, because="not added"):
    text = stack.alone("refresh", "hall_of_fame")
    assert (f"event=job-failed job=tally board={bad} because=\"{because}\"" in text) == (bad is not None), text


def is_whole(stack, clients, ids):
    """No board is set aside, and the second one has the same sums as the others."""
    assert aside(stack) == [] and failures(stack, ids[1]) == []
    assert sums(stack, ids[0]) == sums(stack, ids[2]) == sums(stack, ids[1])
    check(stack, clients)


def sums(stack, board):
    """What the tally has of a board, without what says when."""
    standings = "(select p.id from ladder.period p where p.board_id = %s)"
    return [stack.sql(query, board) for query in (
        f"select p.window_kind::text, t.entries, t.total, t.squares from ladder.tally t join ladder.period p on p.id = t.period_id where p.id in {standings} order by 1",
        "select day, submissions, changes, players, players_of_week, players_of_month, newcomers, score_total, score_min, score_max "
        "from ladder.tally_day where board_id = %s order by 1",
        "select player, submissions, changes from ladder.tally_player where board_id = %s order by 1",
        f"select t.width_s, p.window_kind::text, sum(t.submissions), sum(t.changes), sum(t.arrivals), sum(t.departures) from ladder.tally_slot t "
        f"join ladder.period p on p.id = t.period_id where t.width_s > 1 and p.id in {standings} group by 1, 2 order by 1, 2",
        f"select count(*), sum(r.entries) from ladder.tally_rung r where r.period_id in {standings}")]


def seen(client):
    """What the routes say of a board."""
    statistics = client.read("/boards/b/stats", histogram="count", bins=4)
    day = statistics.pop("last")["day"]
    statistics["day"] = (day["submissions"], day["new_entries"])
    return (statistics, [(e["player"], e["score"], e["rank"]) for e in client.pages("b")], client.read("/boards/b/players/p3")["rank"],
            {name: value for name, value in client.read("/players/p1/stats").items() if name in ("boards", "submissions", "improvements")},
            [row[2:] for row in activity(client, bucket="month")])


def check(stack, clients, is_erased=False):
    """All say the same; and what the events say, of which those of an erased player are gone."""
    for client in clients if not is_erased else ():
        for bucket in ("day", "month"):
            assert known(activity(client, bucket=bucket)) == known(counted(stack, client, bucket))
    first, second, third = (seen(client) for client in clients)
    assert second == first == third


@contextlib.contextmanager
def repeatable(stack):
    """A session in which a piece is added as the worker does."""
    connection = psycopg2.connect(stack.primary_url)
    try:
        connection.set_session(isolation_level="REPEATABLE READ")
        with connection.cursor() as cursor:
            yield cursor
        connection.commit()
    finally:
        connection.close()


FAULTS = {
    "tally": "new.period_id in (select p.id from ladder.period p where p.board_id = {})",
    "tally_slot": "new.period_id in (select p.id from ladder.period p where p.board_id = {})",
    "tally_day": "new.board_id = {}",
    "tally_player": "new.board_id = {}",
}


@pytest.mark.parametrize("table", FAULTS)
def test_a_board_that_cannot_be_added_up_is_set_aside(stack, games, table):
    clients, ids = games
    submit(clients, [(f"p{n}", n) for n in range(10)])
    fold(stack)
    check(stack, clients)
    with rule(stack, table, FAULTS[table].format(ids[1]), "raise exception 'not added';"):
        submit(clients, [("p3", 30), ("new", 5), ("p1", 4)])
        check(stack, clients)
        fold(stack, ids[1])
        assert aside(stack) == [ids[1]] and failures(stack, ids[1]) == [1]
        assert sums(stack, ids[0]) == sums(stack, ids[2]) != sums(stack, ids[1])
        check(stack, clients)
        # It is left out for a while; the others are not.
        submit(clients, [("p3", 1), ("p2", 50), ("newer", 6)])
        fold(stack)
        assert sums(stack, ids[0]) == sums(stack, ids[2]) != sums(stack, ids[1])
        check(stack, clients)
        # Who is removed or erased meanwhile.
        for client in clients:
            assert client.request("DELETE", "/boards/b/players/p5").status_code == 200
            assert client.request("DELETE", "/players/p6").status_code < 300
        check(stack, clients, is_erased=True)
        again(stack)
        submit(clients, [("p7", 3)])
        fold(stack, ids[1])
        assert aside(stack) == [ids[1]] and failures(stack, ids[1]) == [2]
        check(stack, clients, is_erased=True)
        stack.alone("refresh", "daily_activity")
        check(stack, clients, is_erased=True)
    again(stack)
    submit(clients, [("p8", 2)])
    fold(stack)
    assert aside(stack) == [] and failures(stack, ids[1]) == []
    assert sums(stack, ids[0]) == sums(stack, ids[2]) == sums(stack, ids[1])
    check(stack, clients, is_erased=True)
    submit(clients, [("p8", 3)])
    fold(stack)
    assert sums(stack, ids[0]) == sums(stack, ids[1])
    check(stack, clients, is_erased=True)


def test_a_backlog_with_two_boards_at_fault(stack, games):
    """Pieces of a backlog: each is added without them."""
    clients, ids = games
    submit(clients, [("p1", 1), ("p3", 1)])
    fold(stack)
    faults = " or ".join(FAULTS["tally"].format(board) for board in ids[:2])
    with rule(stack, "tally", faults, "raise exception 'not added';"):
        for turn in range(6):
            submit(clients, [(f"p{n}", n + turn) for n in range(20)])
        for turn in range(100):
            with repeatable(stack) as cursor:
                cursor.execute("select * from ladder.tally_fold('400 days', 60)")
                has_more = cursor.fetchone()[2]
            check(stack, clients)
            if not has_more:
                break
        assert 1 <= turn < 99
        assert aside(stack) == sorted(ids[:2])
    again(stack)
    fold(stack)
    is_whole(stack, clients, ids)


def test_the_cursor_moves_past_events_of_a_board_that_was_set_aside(stack, games):
    """Writers of many rows wait for who adds up, and not for that board."""
    clients, ids = games
    submit(clients, [("p1", 1), ("p3", 1)])
    fold(stack)
    with rule(stack, "tally", FAULTS["tally"].format(ids[1]), "raise exception 'not added';"):
        submit(clients[1:2], [("p2", 2)])
        fold(stack, ids[1])
        submit(clients[1:2], [("p2", 3)])
        fold(stack)
        assert stack.sql("select ladder.tally_is_behind(0)") == [(False,)]
        check(stack, [clients[1]] * 3)
    again(stack)
    fold(stack)
    assert aside(stack) == []
    check(stack, [clients[1]] * 3)


@pytest.mark.parametrize("limit", [30, 1])
def test_the_backlog_of_a_board_that_was_set_aside_is_added_in_pieces(stack, games, limit):
    """30: of its own events; 1: so few that those of the others end a piece."""
    clients, ids = games
    submit(clients, [("p1", 1), ("p3", 1)])
    fold(stack)
    with rule(stack, "tally", FAULTS["tally"].format(ids[1]), "raise exception 'not added';"):
        submit(clients, [("p2", 2)])
        fold(stack, ids[1])
        for turn in range(6):
            submit(clients, [(f"p{n}", n + turn) for n in range(20)])
        fold(stack)
    again(stack)
    cursors, has_more = [], True
    while has_more and len(cursors) < 200:
        with repeatable(stack) as cursor:
            cursor.execute("select * from ladder.tally_fold('400 days', %s)", (limit,))
            has_more = cursor.fetchone()[2]
        assert aside(stack) == ([ids[1]] if has_more else [])
        cursors.append(stack.sql("select last_event from ladder.tally_aside"))
        check(stack, clients)
    assert 3 <= len(cursors) < 200 and cursors == sorted(cursors[:-1]) + [[]], cursors
    is_whole(stack, clients, ids)
    submit(clients, [("p8", 3)])
    fold(stack)
    assert sums(stack, ids[0]) == sums(stack, ids[1])
    check(stack, clients)


@pytest.mark.parametrize("table", FAULTS)
def test_the_first_count_goes_on_past_a_board(stack, games, table):
    """No cursor: everything is counted from entries and events, except the board at fault."""
    clients, ids = games
    submit(clients, [(f"p{n}", n) for n in range(10)])
    fold(stack)
    with rule(stack, table, FAULTS[table].format(ids[1]), "raise exception 'not added';"):
        submit(clients, [("p3", 30), ("new", 5), ("p1", 4)])
        stack.sql("delete from ladder.tally_cursor")
        fold(stack, ids[1])
        assert aside(stack) == [ids[1]] and failures(stack, ids[1]) == [1]
        assert sums(stack, ids[0]) == sums(stack, ids[2]) != sums(stack, ids[1])
        check(stack, clients)
        submit(clients, [("p2", 50), ("newer", 6)])
        fold(stack)
        assert sums(stack, ids[0]) == sums(stack, ids[2]) != sums(stack, ids[1])
        check(stack, clients)
        again(stack)
        fold(stack, ids[1])
        assert aside(stack) == [ids[1]] and failures(stack, ids[1]) == [2]
        stack.alone("refresh", "daily_activity")
        check(stack, clients)
    again(stack)
    submit(clients, [("p8", 2)])
    fold(stack)
    is_whole(stack, clients, ids)
    submit(clients, [("p8", 3)])
    fold(stack)
    assert sums(stack, ids[0]) == sums(stack, ids[1])
    check(stack, clients)


@pytest.mark.parametrize("is_first", [False, True], ids=["fold", "first"])
def test_a_board_whose_periods_cannot_be_read(stack, games, is_first):
    """Its changes are not added, or it is not counted; its standings that are due to be counted stay due."""
    clients, ids = games
    submit(clients, [(f"p{n}", n) for n in range(10)])
    fold(stack)
    due = "select count(*) from ladder.tally_recount r join ladder.period p on p.id = r.period_id where p.board_id = %s"
    with unreadable(stack, "period", f"board_id = {ids[1]}"):
        submit(clients, [("p3", 30), ("new", 5), ("p1", 4)])
        if is_first:
            stack.sql("delete from ladder.tally_cursor")
        else:
            stack.sql("insert into ladder.tally_recount (period_id) select p.id from ladder.period p where p.board_id = any (%s)", ids)
        fold(stack, ids[1], "row not readable")
        assert (aside(stack), failures(stack, ids[1])) == ([ids[1]], [1])
        assert [stack.sql(due, board)[0][0] for board in ids] == [0, 0 if is_first else 2, 0]
        assert sums(stack, ids[0]) == sums(stack, ids[2]) != sums(stack, ids[1])
        check(stack, clients)
        submit(clients, [("p2", 50), ("newer", 6)])
        fold(stack)
        assert sums(stack, ids[0]) == sums(stack, ids[2]) != sums(stack, ids[1])
        again(stack)
        fold(stack, ids[1], "row not readable")
        check(stack, clients)
    again(stack)
    submit(clients, [("p8", 2)])
    fold(stack)
    is_whole(stack, clients, ids)


def test_a_standing_that_cannot_be_counted(stack, games):
    """What is due to be counted from entries raises: of that board nothing is lost, and the others are counted."""
    clients, ids = games
    submit(clients, [("p1", 1), ("p3", 1)])
    fold(stack)
    stack.sql("insert into ladder.tally_recount (period_id) select p.id from ladder.period p where p.board_id = any (%s)", ids)
    due = "select count(*) from ladder.tally_recount r join ladder.period p on p.id = r.period_id where p.board_id = %s"
    with rule(stack, "tally", FAULTS["tally"].format(ids[1]), "raise exception 'not added';"):
        fold(stack, ids[1])
        assert [stack.sql(due, board)[0][0] for board in ids] == [0, 2, 0]
        submit(clients, [("p1", 3), ("p4", 1)])
        check(stack, clients)
    again(stack)
    fold(stack)
    assert [stack.sql(due, board)[0][0] for board in ids] == [0, 0, 0] and aside(stack) == []
    assert sums(stack, ids[0]) == sums(stack, ids[1]) == sums(stack, ids[2])
    check(stack, clients)


def test_an_error_of_the_server_fails_the_fold(stack, games):
    """Nobody is at fault, and nobody is set aside."""
    clients, ids = games
    submit(clients, [("p1", 1), ("p3", 1)])
    with rule(stack, "tally", FAULTS["tally"].format(ids[1]), "raise exception 'no disk' using errcode = '53100';"):
        assert "no disk" in stack.cli("refresh", "hall_of_fame", status=1)
        assert aside(stack) == [] and failures(stack, ids[1]) == []
        check(stack, clients)
    fold(stack)
    check(stack, clients)
