"""A board whose rows raise an error is left out of the materialized views alone; its readers answer from what the views are made of."""
import contextlib

import pytest
import requests

from harness import free_port, wait_until
from test_alone import alerts, patiently, three_games
from test_game_statistics import activity, check_fame, counted, fame, known
from test_seasons import close


@pytest.fixture(scope="module")
def serving(stack):
    """A server without a worker: the jobs run when the test says so."""
    server = stack.serve(cache_board_ttl_ms=0, cache_statistics_ms=0)
    yield server
    assert server.stop() == 0
    server.check_clean()


@pytest.fixture
def games(stack, serving):
    return three_games(stack, serving, windows=["all", "daily"])


@contextlib.contextmanager
def unreadable(stack, table, condition):
    """A fault in the database: a job that reads rows that meet the condition gets an error. Servers read them."""
    stack.sql(f"create or replace function ladder.{table}_not_readable() returns boolean language plpgsql volatile cost 10000 as "
              "$$ begin raise exception 'row not readable'; end $$")
    patiently(stack, f"create policy broken_others on ladder.{table} to ladder_app using (true) with check (true); "
                     f"create policy broken on ladder.{table} to ladder_worker using (case when {condition} then ladder.{table}_not_readable() else true end) with check (true); "
                     f"alter table ladder.{table} enable row level security, force row level security")  # the worker owns some tables
    try:
        yield
    finally:
        patiently(stack, f"alter table ladder.{table} disable row level security, no force row level security; drop policy broken on ladder.{table}; "
                         f"drop policy broken_others on ladder.{table}; drop function ladder.{table}_not_readable()")


def aside(stack, view):
    return [board for board, in stack.sql("select board_id from ladder.refresh_aside where view = %s and not is_over", view)]


def failing(stack):
    return {board for board, in stack.sql("select item_id from ladder.job_item where job = 'refresh' and failures > 0")}


def again(stack):
    """The time that a board is left out for is over."""
    stack.sql("update ladder.job_item set due_at = now() where job = 'refresh'")


def refresh(stack, view, bad=None):
    stack.sql("update ladder.refresh_state set done_v = 0 where view = %s", view)
    text = stack.alone("refresh", view)
    assert (f"event=job-failed job=refresh board={bad} because=\"row not readable\"" in text) == (bad is not None), text
    assert stack.sql("select error from ladder.refresh_run where view = %s order by id desc limit 1", view) == [(None,)]


def shown(stack, view, boards, what="count(*)"):
    return [stack.sql(f"select {what} from ladder.{view} where board_id = %s", board)[0][0] for board in boards]


def test_activity(stack, games):
    clients, ids = games

    def submit(count):
        for client in clients:
            for n in range(count):
                client.submit("b", f"p{n}", n)

    def check():
        for client in clients:
            for bucket in ("day", "month"):
                assert known(activity(client, bucket=bucket)) == known(counted(stack, client, bucket))
    submit(2)
    refresh(stack, "daily_activity")
    with unreadable(stack, "tally_day", f"board_id = {ids[1]}"):
        refresh(stack, "daily_activity", ids[1])
        assert aside(stack, "daily_activity") == [ids[1]] and ids[1] in failing(stack)
        assert [count > 0 for count in shown(stack, "daily_activity", ids)] == [True, False, True]
        check()
    submit(4)
    # It is left out for a while; its readers do not depend on that.
    refresh(stack, "daily_activity")
    assert [count > 0 for count in shown(stack, "daily_activity", ids)] == [True, False, True]
    check()
    with unreadable(stack, "tally_day", f"board_id = {ids[1]}"):
        again(stack)
        refresh(stack, "daily_activity", ids[1])
        check()
    assert stack.sql("select failures from ladder.job_item where job = 'refresh' and item_id = %s", ids[1]) == [(2,)]
    again(stack)
    refresh(stack, "daily_activity")
    assert aside(stack, "daily_activity") == [] and not failing(stack)
    assert shown(stack, "daily_activity", ids, "sum(submissions) filter (where bucket = 'month')") == [6, 6, 6]
    check()


def test_winners(stack, games):
    clients, ids = games

    def submit(day):
        for client in clients:
            client.submit_many([{"board": "b", "player": f"p{n}", "score": n + day, "at": f"2026-03-{day:02d}T12:00:00Z"} for n in range(1, 12)])
            close(stack, client)

    def check():
        found = [check_winners(client) for client in clients]
        # The view was refreshed long after they closed.
        stack.sql("update ladder.period set closed_at = closed_at - interval '1 day' where board_id = any (%s) and state = 'closed'", ids)
        return found

    def check_winners(client):
        return len(check_fame(client, ["b"])) if fame(client, window="daily") else 0
    submit(1)
    assert check() == [10, 10, 10]
    refresh(stack, "hall_of_fame")
    standings = f"(select array_agg(p.id) from ladder.period p where p.board_id = {ids[1]})"
    bad = stack.sql(f"select {standings}")[0][0]
    with unreadable(stack, "entry", f"period_id = any ('{{{','.join(map(str, bad))}}}')"):
        refresh(stack, "hall_of_fame", ids[1])
    assert aside(stack, "hall_of_fame") == [ids[1]]
    assert shown(stack, "hall_of_fame", ids) == [10, 0, 10]
    assert check() == [10, 10, 10]
    assert clients[1].request("DELETE", "/players/p3").status_code < 300
    submit(2)
    refresh(stack, "hall_of_fame")
    assert shown(stack, "hall_of_fame", ids) == [20, 0, 20]
    assert check() == [20, 20, 20]
    again(stack)
    refresh(stack, "hall_of_fame")
    assert aside(stack, "hall_of_fame") == [] and shown(stack, "hall_of_fame", ids) == [20, 20, 20]
    assert check() == [20, 20, 20]


@pytest.mark.parametrize("table", ["entry_all", "tally_player"])
def test_best_places(stack, games, table):
    """A game with a board that raises keeps what was gathered before, with the time of that."""
    clients, ids = games

    def submit(player):
        for client in clients:
            client.submit("b", player, 10 + len(player))

    def best():
        stack.replica_caught_up()  # what another process refreshed, a server may read from a replica that lags
        found = [client.read("/players/p/stats")["all_time"] for client in clients]
        return [f["best_rank"] for f in found], [f["as_of"] for f in found]
    submit("p")
    standing = stack.sql("select id from ladder.period where board_id = %s and window_kind = 'all'", ids[1])[0][0]
    condition = f"period_id = {standing}" if table == "entry_all" else f"board_id = {ids[1]}"
    refresh(stack, "player_total")
    ranks, before = best()
    assert ranks == [1, 1, 1]
    for times in (1, 2):
        submit("p" * (times + 1))
        stack.alone("refresh", "hall_of_fame")  # adds up what is new
        with unreadable(stack, table, condition):
            again(stack)
            refresh(stack, "player_total", ids[1])
            ranks, after = best()
            assert ranks == [times + 1, 1, times + 1]
            assert after[0] > before[0] and after[1] == before[1]
    refresh(stack, "player_total")  # not read yet
    assert best()[1][1] == before[1] and aside(stack, "player_total") == [ids[1]]
    again(stack)
    refresh(stack, "player_total")
    ranks, after = best()
    assert ranks == [3, 3, 3] and after[1] == after[0] > before[0]
    assert not stack.sql("select from ladder.refresh_aside where view = 'player_total'") and not failing(stack)


def test_an_error_of_the_server_fails_the_refresh(stack, games):
    """Nobody is at fault, and no board is read by itself."""
    clients, ids = games
    clients[0].submit("b", "ann", 1)
    with unreadable(stack, "tally_day", "true"):
        stack.sql("create or replace function ladder.tally_day_not_readable() returns boolean language plpgsql volatile cost 10000 as "
                  "$$ begin raise exception 'no disk' using errcode = '53100'; end $$")
        stack.sql("update ladder.refresh_state set done_v = 0 where view = 'daily_activity'")
        assert "no disk" in stack.cli("refresh", "daily_activity", status=1)
        assert aside(stack, "daily_activity") == [] and not failing(stack)
    refresh(stack, "daily_activity")


def test_a_worker_leaves_it_out_and_takes_it_in_again(stack, serving, games):
    """Logged, counted, alerted; and over by itself."""
    clients, ids = games
    for client in clients:
        client.submit("b", "ann", 1)
    stack.alone("refresh", "hall_of_fame")  # adds up what is new
    port = free_port()
    usual = stack.sql("select interval_ms from ladder.refresh_state where view = 'daily_activity'")[0][0]
    stack.sql("update ladder.refresh_state set interval_ms = 1000, not_before = '-infinity' where view = 'daily_activity'")
    worker = stack.worker(worker_port=port)
    try:
        with unreadable(stack, "tally_day", f"board_id = {ids[1]}"):
            stack.sql("update ladder.refresh_state set done_v = 0 where view = 'daily_activity'")
            wait_until(lambda: aside(stack, "daily_activity") == [ids[1]], 60, "it is left out")
            wait_until(lambda: shown(stack, "daily_activity", ids) == [3, 0, 3], 60, "the others are shown")
            wait_until(lambda: f"event=job-failed job=refresh board={ids[1]} " in worker.log(), 20, "it is logged")
            metrics = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
            assert 'ladder_job_board_failures_total{job="refresh"}' in metrics
            # Other jobs may have boards of earlier tests.
            wait_until(lambda: "refresh: 1" in alerts(serving).get("board-job-failed", ""), 30, "the alert")
        wait_until(lambda: shown(stack, "daily_activity", ids) == [3, 3, 3], 120, "it is shown again")
        wait_until(lambda: not failing(stack) and "refresh: " not in alerts(serving).get("board-job-failed", ""), 30, "the alert is over")
    finally:
        stack.sql("update ladder.refresh_state set interval_ms = %s where view = 'daily_activity'", usual)
        assert worker.stop() == 0
