"""A job that fails for one board goes on with the others; and it reads what is due, not what exists."""
import contextlib
import datetime

import psycopg2
import pytest

import plans
from harness import Client, wait_until
from test_alone import no_rule_stays, rule  # noqa: F401
from test_schedules import open_now

HOUR = datetime.timedelta(hours=1)


@pytest.fixture(scope="module")
def serving(stack):
    """A server without a worker: the jobs run when the test says so."""
    server = stack.serve(database_read_connections=1)
    yield server
    assert server.stop() == 0
    server.check_clean()


def game(stack, server):
    client = Client(server, stack.new_game())
    client.key = stack.key(client.game)
    return client


def board_id(stack, client, name="b"):
    return stack.sql("select b.id from ladder.board b join ladder.game g on g.id = b.game_id where g.name = %s and b.name = %s order by b.id desc limit 1",
                     client.game, name)[0][0]


@pytest.fixture
def boards(stack, serving):
    """Five boards of as many games; the third one is at fault. Returns clients, boards."""
    def make(**definition):
        clients = [game(stack, serving) for _ in range(5)]
        for client in clients:
            client.put_board("b", **definition)
        return clients, [board_id(stack, client) for client in clients]
    return make


def failing(stack):
    """What the ledger has, by job: boards."""
    return {(job, item) for job, item in stack.sql("select job, item_id from ladder.job_item where failures > 0")}


def again(stack, job):
    """The time that what fails is left out for is over."""
    stack.sql("update ladder.job_item set due_at = now(), failed_at = now() - interval '1 minute' where job = %s and failures > 0", job)


def run(stack, name, bad, part=None):
    """Runs a job that fails for a board: it says so, and succeeds."""
    text = stack.alone(name)
    assert f"event=job-failed job={part or name} board={bad} because=" in text, text
    assert (part or name, bad) in failing(stack)
    assert stack.sql("select error from ladder.job_run where job = %s order by id desc limit 1", name) == [(None,)]


def well(stack, name, part=None):
    """Runs it after the fault has gone."""
    again(stack, part or name)
    stack.alone(name)
    assert not [item for item in failing(stack) if item[0] == (part or name)]


def periods(stack, board, state):
    return stack.sql("select count(*) from ladder.period where board_id = %s and state::text = %s and window_kind = 'hourly'", board, state)[0][0]


# ---- each job ----

def test_periods_are_opened(stack, boards):
    _, ids = boards(windows=["hourly"])
    bad = ids[2]
    with rule(stack, "period", f"new.board_id = {bad}", "raise exception 'no period';"):
        stack.alone("roll")
        assert [periods(stack, board, "open") > 0 for board in ids] == [True, True, False, True, True]
        again(stack, "roll")
        run(stack, "roll", bad)
        before = stack.sql("select failures, due_at - failed_at from ladder.job_item where job = 'roll' and item_id = %s", bad)[0]
        stack.alone("roll")  # it is left out for a while
        assert stack.sql("select failures from ladder.job_item where job = 'roll' and item_id = %s", bad)[0][0] == before[0]
        again(stack, "roll")
        run(stack, "roll", bad)
        after = stack.sql("select failures, due_at - failed_at from ladder.job_item where job = 'roll' and item_id = %s", bad)[0]
        assert after[0] == before[0] + 1 and after[1] > before[1]
    well(stack, "roll")
    assert periods(stack, bad, "open") > 0


def test_periods_of_schedules_are_opened(stack, boards):
    """A pause that was made by the schedule as it was gives way to the period that is open; of one board it can't be deleted."""
    _, ids = boards(windows=[open_now(stack)])
    bad = ids[2]
    stack.sql("insert into ladder.period (board_id, window_kind, starts_at, ends_at, state) "
              "select b.id, b.windows[1], now() - interval '1 hour', now() + interval '1 hour', 'pause' from ladder.board b where b.id = any (%s)", ids)

    def states():
        return [stack.sql("select array_agg(p.state::text) from ladder.period p where p.board_id = %s and p.starts_at <= now() and p.ends_at > now()", board)[0][0]
                for board in ids]
    with rule(stack, "period", f"old.board_id = {bad}", "raise exception 'not deleted';", timing="before delete"):
        stack.alone("roll")
        again(stack, "roll")
        run(stack, "roll", bad)
        assert states() == [["open"], ["open"], ["pause"], ["open"], ["open"]]
    well(stack, "roll")
    assert states() == [["open"]] * 5


STEPS = {
    "closing": "new.state = 'closing' and old.state = 'open'",
    "settling": "new.settle_xid is not null",
    "closed": "new.state = 'closed'",
}


@pytest.mark.parametrize("step", STEPS)
def test_periods_are_closed(stack, boards, step):
    clients, ids = boards(windows=["hourly"])
    then = datetime.datetime.now(datetime.timezone.utc) - 2 * HOUR
    for client in clients:
        client.submit("b", "ann", 1, at=then.isoformat())
    stack.sql("update ladder.period set created_at = starts_at where board_id = any (%s)", ids)
    with rule(stack, "period", f"tg_op = 'UPDATE' and new.board_id = {ids[2]} and {STEPS[step]}", "raise exception 'not closed';",
              names_old=True):
        run(stack, "roll", ids[2], "close")
        assert [periods(stack, board, "closed") for board in ids] == [1, 1, 0, 1, 1]
    well(stack, "roll", "close")
    assert [periods(stack, board, "closed") for board in ids] == [1] * 5


def test_snapshots_are_taken(stack, boards):
    clients, ids = boards()
    for client in clients:
        client.submit("b", "ann", 1)
    stack.sql("update ladder.board set created_at = now() - interval '3 days' where id = any (%s)", ids)

    def taken():
        return [n for _, n in stack.sql("select b.id, (select count(*) from ladder.snapshot_run r where r.board_id = b.id) from ladder.board b "
                                        "where b.id = any (%s) order by b.id", ids)]
    with rule(stack, "standing_snapshot", f"new.board_id = {ids[2]}", "raise exception 'no snapshot';"):
        run(stack, "snapshot", ids[2])
        assert taken() == [1, 1, 0, 1, 1]
    well(stack, "snapshot")
    assert taken() == [1] * 5


def test_deleted_boards_are_purged(stack, boards):
    clients, ids = boards()
    for client in clients:
        client.submit("b", "ann", 1)
        assert client.request("DELETE", "/boards/b").status_code == 204
    standings = dict(stack.sql("select board_id, id from ladder.period where board_id = any (%s)", ids))
    stack.sql("update ladder.board set deleted_at = now() - interval '2 minutes' where id = any (%s)", ids)

    def left():
        return [board in {b for b, in stack.sql("select id from ladder.board where id = any (%s)", ids)} for board in ids]
    with rule(stack, "entry", f"old.period_id = {standings[ids[2]]}", "raise exception 'it stays';", timing="before delete"):
        run(stack, "purge", ids[2])
        assert left() == [False, False, True, False, False]
    well(stack, "purge")
    assert left() == [False] * 5


def test_deleted_games_are_purged(stack, serving):
    games = [game(stack, serving) for _ in range(3)]
    ids = [stack.sql("select id from ladder.game where name = %s", client.game)[0][0] for client in games]
    stack.sql("update ladder.game set deleted_at = now() - interval '2 minutes', name = '~' || id where id = any (%s)", ids)
    with rule(stack, "game", f"old.id = {ids[1]}", "raise exception 'it stays';", timing="before delete"):
        run(stack, "purge", ids[1], "purge-game")
        assert stack.sql("select id from ladder.game where id = any (%s)", ids) == [(ids[1],)]
    well(stack, "purge", "purge-game")
    assert stack.sql("select id from ladder.game where id = any (%s)", ids) == []


def test_tombstones_are_purged(stack, boards):
    clients, ids = boards()
    for client in clients:
        client.submit("b", "ann", 1)
        assert client.request("DELETE", "/boards/b/players/ann").status_code == 200
    stack.sql("update ladder.score_event set submitted_at = submitted_at - interval '25 hours' where board_id = any (%s) and kind = 'remove'", ids)
    standings = dict(stack.sql("select board_id, id from ladder.period where board_id = any (%s)", ids))

    def left():
        return [stack.sql("select count(*) from ladder.entry where period_id = %s", standings[board])[0][0] for board in ids]
    with rule(stack, "entry", f"old.period_id = {standings[ids[2]]}", "raise exception 'it stays';", timing="before delete"):
        run(stack, "purge", ids[2])
        assert left() == [0, 0, 1, 0, 0]
    well(stack, "purge")
    assert left() == [0] * 5


def test_dropped_facets_are_purged(stack, boards):
    clients, ids = boards(facets=["country"])
    for client in clients:
        client.submit("b", "ann", 1, facets={"country": "BR"})
        client.request("PATCH", "/boards/b?drop=true", {"facets": []})
    standings = dict(stack.sql("select board_id, id from ladder.period where board_id = any (%s) and facet <> ''", ids))
    if not stack.sql("select count(*) from ladder.facet_drop where board_id = any (%s)", ids)[0][0]:
        stack.sql("insert into ladder.facet_drop (facet_id, board_id, dropped_at) select unnest(b.facet_ids), b.id, now() from ladder.board b "
                  "where b.id = any (%s)", ids)
    stack.sql("update ladder.facet_drop set dropped_at = now() - interval '2 minutes' where board_id = any (%s)", ids)
    with rule(stack, "entry", f"old.period_id = {standings[ids[2]]}", "raise exception 'it stays';", timing="before delete"):
        run(stack, "purge", ids[2])
        assert stack.sql("select board_id from ladder.facet_drop where board_id = any (%s)", ids) == [(ids[2],)]
    well(stack, "purge")
    assert stack.sql("select board_id from ladder.facet_drop where board_id = any (%s)", ids) == []


def test_what_speaks_of_the_server_fails_the_run(stack, boards):
    _, ids = boards(windows=["hourly"])
    before = failing(stack)  # what other tests left
    with rule(stack, "period", f"new.board_id = {ids[2]}", "raise exception 'no disk' using errcode = '53100';"):
        assert "no disk" in stack.cli("roll", status=1)
        assert failing(stack) == before
    stack.alone("roll")
    assert all(periods(stack, board, "open") for board in ids)


# ---- what is due ----

@pytest.fixture
def own(stack, database):
    """A database in which there is nobody but the jobs."""
    own = database()
    own.migrate("up")
    own.run = lambda name: stack.cli(name, database_url=own.url("ladder_work"), database_replicas="", redis_url=f"redis://127.0.0.1:{stack.redis_port}/1")
    return own


def counted(own, run):
    """Runs it; returns how many rows of each table it read. Exact: what a session has read is counted before the session is gone, and those
    of others are gone before it begins."""
    def others():
        return own.sql("select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")[0][0]

    def rows():
        wait_until(lambda: others() == 0, 60, "nobody else is in the database")
        return dict(own.sql("select relname::text, seq_tup_read + coalesce(idx_tup_fetch, 0) from pg_stat_user_tables where schemaname = 'ladder'"))
    before = rows()
    run()
    return {table: count - before.get(table, 0) for table, count in rows().items()}


def test_a_job_reads_what_is_due(own):
    """5,000 boards of which three are due cost a job what three boards cost."""
    # In a zone where it is noon: no day begins meanwhile.
    zone = f"Etc/GMT{datetime.datetime.now(datetime.timezone.utc).hour - 12:+d}"
    game_id = own.sql("insert into ladder.game (name) values ('many') returning id")[0][0]
    own.sql("insert into ladder.board (game_id, name, windows, time_zone, created_at) select %s, 'many' || i, '{all,weekly,daily}', %s, now() - interval '3 days' "
            "from generate_series(1, 5000) i", game_id, zone)
    own.sql("insert into ladder.period (board_id, window_kind, starts_at, ends_at) select b.id, 'all', '-infinity', 'infinity' from ladder.board b")
    for name in ("roll", "snapshot", "purge"):
        own.run(name)  # all of them, once
    assert own.sql("select count(*) from ladder.period where state = 'open' and window_kind <> 'all'") == [(10000,)]
    own.sql("vacuum analyze ladder.board, ladder.period, ladder.job_item, ladder.snapshot_run")
    due_boards = [board for board, in own.sql("select id from ladder.board order by id limit 3")]
    for due in (0, 3):
        for name in ("roll", "snapshot", "purge"):
            own.sql("update ladder.job_item set due_at = now() - interval '1 second' where job = %s and item_id = any (%s)", name, due_boards[:due])
            reads = counted(own, lambda: own.run(name))
            assert all(count < 100 + 50 * due for count in reads.values()), (name, due, reads)


def test_a_purge_reads_the_keys_that_are_due(own):
    """15,000 idempotency keys are there, 5,000 of them in the space of purged ones; three are older than a day."""
    def keys(count, ages):
        own.sql("insert into ladder.idempotency_key (game_id, key, request_hash, created_at) "
                "select 1, decode(md5(random()::text || i), 'hex'), '\\x00', now() - (%s::int[])[1 + i %% 2] * interval '1 hour' "
                "from generate_series(1, %s) i", ages, count)

    def purge():
        own.run("purge")
    keys(20000, [25, 1])
    purge()
    assert own.sql("select count(*) from ladder.idempotency_key") == [(10000,)]
    own.sql("vacuum ladder.idempotency_key")
    keys(5000, [1, 1])
    own.sql("vacuum analyze ladder.idempotency_key")
    for due in (0, 3):
        own.sql("update ladder.idempotency_key set created_at = now() - interval '25 hours' where (game_id, key) in "
                "(select game_id, key from ladder.idempotency_key limit %s)", due)
        many = {table: count for table, count in counted(own, purge).items() if count >= 100 + 50 * due}
        assert not many, due
    assert own.sql("select count(*) from ladder.idempotency_key") == [(14997,)]


@contextlib.contextmanager
def worker_session(own):
    connection = psycopg2.connect(own.url("ladder_work"))
    connection.autocommit = True
    try:
        yield connection.cursor()
    finally:
        connection.close()


def stated(cursor, name, *parameters):
    """Runs a statement of sql/statements."""
    text = (plans.ROOT / "sql" / "statements" / f"{name}.sql").read_text()
    cursor.execute(f"prepare statement as {text}")
    cursor.execute("execute statement" + (f" ({', '.join(['%s'] * len(parameters))})" if parameters else ""), parameters or None)
    rows = cursor.fetchall() if cursor.description else []
    cursor.execute("deallocate statement")
    return rows


def boards_made(own, count):
    game_id = own.sql("insert into ladder.game (name) values ('many') returning id")[0][0]
    own.sql("select * from ladder.epoch_current()")
    return game_id, [board for board, in own.sql("insert into ladder.board (game_id, name, windows) select %s, 'many' || i, '{all}' from generate_series(1, %s) i "
                                                 "returning id", game_id, count)]


def submitted(own, boards):
    with worker_session(own) as cursor:
        for board in boards:
            cursor.execute("select * from ladder.submit(array[%s::bigint], array['ann'], array[7::bigint], array[0::bigint], array[ladder.us_of(now())], "
                           "array[null], array[0], array[0], '{}', '{}', '{}', array[null])", (board,))


def check_due(own, job, run, due):
    many = {table: count for table, count in counted(own, lambda: run(due)).items() if count >= 100 + 50 * due}
    assert not many, (job, due)


def test_a_run_of_combine_reads_what_changed(own):
    """1,000 boards are made of others; the sources of three have changed."""
    _, boards = boards_made(own, 2000)
    sources, made = boards[:1000], boards[1000:]
    own.sql("insert into ladder.combination (board_id, rule, snapshot, caught_up_at, epoch) select unnest(%s::bigint[]), 'sum', pg_current_snapshot(), now(), max(epoch) from ladder.epoch", made)
    own.sql("insert into ladder.combination_source (board_id, source_id) select * from unnest(%s::bigint[], %s::bigint[])", made, sources)

    def run(due=None):
        with worker_session(own) as cursor:
            found = [board for board, in stated(cursor, "combine_due", 10000)]
            assert due is None or found == made[:due]
            for board in found:
                stated(cursor, "combine", board)
    run()  # all of them, once
    own.sql("vacuum analyze ladder.board, ladder.combination, ladder.combination_source, ladder.job_item")
    check_due(own, "combine", run, 0)
    submitted(own, sources[:3])
    check_due(own, "combine", run, 3)
    assert own.sql("select count(*) from ladder.entry e join ladder.period p on p.id = e.period_id where p.board_id = any (%s)", made) == [(3,)]
    run()  # what it wrote itself
    check_due(own, "combine", run, 0)


def test_a_run_of_tally_and_a_look_for_views_read_what_changed(own):
    """5,000 boards have entries, numbers of each hour and marks; three have new events. The views are up to date but for those."""
    _, boards = boards_made(own, 5000)
    own.sql("insert into ladder.period (board_id, window_kind, starts_at, ends_at) select unnest(%s::bigint[]), 'all', '-infinity', 'infinity'", boards)

    def fold(due=None):
        with worker_session(own) as cursor:
            cursor.execute("begin isolation level repeatable read")
            (events, _, has_more), = stated(cursor, "tally_fold", 400)
            assert not has_more and due in (None, events)
            cursor.execute("commit")

    def look(due):
        with worker_session(own) as cursor:
            dirty = sorted(view for view, is_due in stated(cursor, "refresh_list") if is_due)
            assert dirty == (["daily_activity", "player_total"] if due else [])

    def refresh():
        own.run("refresh")
        own.sql("update ladder.refresh_state set refreshed_at = '-infinity'")
    fold()  # all of them, once
    own.sql("insert into ladder.tally_slot (period_id, width_s, at, submissions, changes, arrivals, departures) "
            "select p.id, 3600, date_trunc('hour', now()), 1, 1, 1, 0 from ladder.period p")
    refresh()
    own.sql("vacuum analyze")
    fold()
    refresh()
    check_due(own, "tally", fold, 0)
    check_due(own, "refresh", look, 0)
    submitted(own, boards[:3])
    check_due(own, "tally", fold, 3)
    check_due(own, "refresh", look, 3)


def test_a_look_for_messages_reads_those_that_are_due(own):
    """10,000 messages to webhooks were delivered or wait for another attempt, 5,000 of them of one game; three are due, and three are to be deleted."""
    games = [game for game, in own.sql("insert into ladder.game (name) select 'many' || i from generate_series(1, 5000) i returning id")]
    one = games[0]
    for game_ids in games, [one] * 5000:
        own.sql("insert into ladder.webhook_delivery (message_id, game_id, next_at, delivered_at) "
                "select 'm' || g || i, g, case when i %% 2 = 0 then now() + interval '1 hour' end, case when i %% 2 = 1 then now() end "
                "from unnest(%s::bigint[]) with ordinality as x (g, i)", game_ids)
    own.sql("vacuum analyze ladder.game, ladder.webhook_delivery")

    def claim(due):
        with worker_session(own) as cursor:
            assert len(stated(cursor, "webhook_claim", 60000, 8)) == min(due, 1)  # one a game at a time

    def purge(due):
        with worker_session(own) as cursor:
            stated(cursor, "webhook_purge", 1000)
            assert cursor.rowcount in (-1, due)
    check_due(own, "webhook", claim, 0)
    check_due(own, "webhook purge", purge, 0)
    own.sql("update ladder.webhook_delivery set next_at = now() - interval '1 minute' where id in (select id from ladder.webhook_delivery where game_id = %s and "
            "next_at is not null order by id limit 3)", one)
    own.sql("update ladder.webhook_delivery set created_at = now() - interval '31 days' where id in (select id from ladder.webhook_delivery where game_id = %s and "
            "next_at is null order by id limit 3)", one)
    check_due(own, "webhook", claim, 3)
    check_due(own, "webhook purge", purge, 3)
    assert own.sql("select count(*) from ladder.webhook_delivery") == [(9997,)]
