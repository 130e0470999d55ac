"""The jobs: closing periods, partitions, purge; one runner each, from workers and from cron; the ledger. Keys and games."""
import contextlib
import datetime
import re
import subprocess
import threading
import time

import psycopg2
import pytest
import requests

import compare
from harness import BINARY, ROOT, Client, patience, wait_until

HOUR = datetime.timedelta(hours=1)


@pytest.fixture(scope="module")
def serving(stack):
    """A server without a worker: what the jobs do is only what the test had them do."""
    server = stack.serve(database_read_connections=1)
    yield server
    assert server.stop() == 0
    server.check_clean()


@pytest.fixture
def admin(stack, serving):
    game = stack.new_game()
    return Client(serving, game, stack.key(game))


def board_id(stack, client, name):
    return stack.sql("select b.id from ladder.board b join ladder.game g on g.id = b.game_id where g.name = %s and b.name = %s "
                     "order by b.id desc limit 1", client.game, name)[0][0]


def runs(stack, job):
    return stack.sql("select rows, error, ended_at >= started_at, runner from ladder.job_run where job = %s order by id", job)


def job(stack, name, **settings):
    return subprocess.Popen([BINARY, name], env=stack.environment("ladder_work", **settings), text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)


def waits(stack, application):
    """Does a session of that application wait for a lock?"""
    return stack.sql("select count(*) from pg_stat_activity where application_name = %s and wait_event_type = 'Lock'", application)[0][0]


def roll_all(stack):
    """What the tests before left to close too."""
    wait_until(lambda: stack.cli("roll") == "roll: 0 periods opened or closed\n", 10, "nothing is left to open or close")


# ---- roll ----

def test_at_the_boundary_nothing_is_lost_and_nothing_counts_twice(stack, admin):
    """Writers go on through the end of an hour, while `ladder roll` closes it as fast as it can."""
    now = datetime.datetime.now(datetime.timezone.utc)
    boundary = (now + datetime.timedelta(seconds=2)).replace(microsecond=0)
    ahead = HOUR - datetime.timedelta(minutes=boundary.minute, seconds=boundary.second)  # what makes the boundary a full hour
    board = admin.put_board("b", operator="sum", windows=["hourly"])
    # A zone as POSIX spells it: its sign is west of Greenwich. Boards were made with such ones before they were refused.
    stack.sql("update ladder.board set time_zone = %s where id = %s", f"<X>-{ahead}", board_id(stack, admin, "b"))
    assert board["windows"] == ["hourly"]
    acknowledged, refused = [], []
    stop = threading.Event()

    def write(number):
        client = Client(admin.server, admin.game, admin.key)
        while not stop.is_set():
            answer = client.request("POST", "/boards/b/scores", {"player": f"p{number}", "score": 1})
            (acknowledged if answer.status_code == 200 else refused).append(answer)
    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    [t.start() for t in writers]

    def closed():
        stack.cli("roll", worker_close_grace_ms=0)
        return stack.sql("select count(*) from ladder.period where board_id = %s and state = 'closed'", board_id(stack, admin, "b"))[0][0]
    wait_until(closed, 15, "the period is closed")
    time.sleep(0.2)
    stop.set()
    [t.join() for t in writers]
    # With no grace at all a submission at the last moment may be refused; it says so, and is in neither period.
    assert all(answer.json()["type"].endswith("period-closed") for answer in refused), refused[:2]
    periods = admin.read("/boards/b/periods", window="hourly")["periods"]
    assert [p["state"] for p in periods][-2:] == ["open", "closed"] and periods[-1]["ends_at"] == boundary.strftime("%Y-%m-%dT%H:%M:%SZ")
    sums = [sum(e["score"] for e in admin.pages("b", period=p["id"])) for p in periods[-2:]]
    assert sum(sums) == len(acknowledged) and all(sums), (sums, len(acknowledged), len(refused))
    events = stack.sql("select v.achieved_at < %s, array_agg(distinct v.period_ids), count(*) from ladder.score_event v where v.board_id = %s "
                       "group by 1 order by 1", boundary, board_id(stack, admin, "b"))
    assert [[count for _, _, count in events], [len(ids) for _, ids, _ in events]] == [sums, [1, 1]]


@pytest.fixture
def ended(stack, admin):
    """A board with an hour that has ended, and what is in it. Returns (board, period)."""
    admin.put_board("b", windows=["hourly"])
    then = datetime.datetime.now(datetime.timezone.utc) - 2 * HOUR
    for player, score in (("ann", 10), ("bob", 20)):
        admin.submit("b", player, score, at=then.isoformat())
    board = board_id(stack, admin, "b")
    # An import's periods get ten minutes; this one shall be as old as it says.
    stack.sql("update ladder.period set created_at = starts_at where board_id = %s", board)
    return board, stack.sql("select id from ladder.period where board_id = %s", board)[0][0], then


def state(stack, period):
    return stack.sql("select state::text from ladder.period where id = %s", period)[0][0]


def test_closed_is_final(stack, admin, ended):
    board, period, then = ended
    name = admin.read("/boards/b/periods", window="hourly")["periods"][-1]["id"]
    before = admin.pages("b", period=name)
    assert [e["player"] for e in before] == ["bob", "ann"]
    assert re.fullmatch(r"roll: [1-9]\d* periods opened or closed\n", stack.cli("roll"))
    assert stack.sql("select state::text, closed_at >= ends_at, settle_xid from ladder.period where id = %s", period) == [("closed", True, None)]
    late = admin.request("POST", "/boards/b/scores", {"player": "cy", "score": 30, "at": then.isoformat()})
    assert late.status_code == 409 and late.json()["type"].endswith("period-closed")
    admin.request("DELETE", "/boards/b/players/ann")
    assert stack.sql("select player, ~k1, removed from ladder.entry where period_id = %s order by k1", period) == [
        ("bob", 20, False), ("ann", 10, False)]
    assert admin.pages("b", period=name) == before


def test_an_imports_period_gets_ten_minutes(stack, admin):
    admin.put_board("b", windows=["hourly"])
    admin.submit("b", "ann", 1, at="2020-02-02T02:02:02Z")
    stack.cli("roll")
    assert stack.sql("select state::text from ladder.period where board_id = %s and ends_at < now()", board_id(stack, admin, "b")) == [("open",)]


SUBMIT = ("select * from ladder.submit(array[%(board)s::bigint], array['ann'], array[99::bigint], array[0::bigint], "
          "array[ladder.us_of(%(then)s)], array[null::text], array[0], array[0], '{}', '{}', '{}')")


@pytest.mark.parametrize("statement", [SUBMIT, "select * from ladder.player_remove(%(board)s, 'ann')"], ids=["submit", "remove"])
def test_closing_waits_for_whoever_saw_it_open(stack, ended, statement):
    """It has read the state, and waits for the entry's lock when the period begins to close: final is only what comes after it."""
    board, period, then = ended
    holder, writer = psycopg2.connect(stack.primary_url), psycopg2.connect(stack.primary_as("ladder_serve"), application_name="writer")
    with holder.cursor() as one, writer.cursor() as two:
        one.execute("select 1 from ladder.entry where period_id = %s and player = 'ann' for update", (period,))
        thread = threading.Thread(target=two.execute, args=(statement, dict(board=board, then=then)))
        thread.start()
        wait_until(lambda: waits(stack, "writer"), 10, "the writer waits")
        roller = job(stack, "roll")
        wait_until(lambda: state(stack, period) == "closing", 10, "closing")
        holder.rollback()
        thread.join()
        assert roller.communicate(timeout=30)[0].endswith("opened or closed\n") and roller.returncode == 0
        assert state(stack, period) == "closing", "the writer has not committed yet"
        writer.commit()
    holder.close()
    writer.close()
    stack.cli("roll")
    assert state(stack, period) == "closed"
    changed = stack.sql("select removed or ~k1 = 99 from ladder.entry where period_id = %s and player = 'ann'", period)
    assert changed == [(True,)]


def test_closing_waits_for_whoever_began_while_its_first_step_ended(stack, ended):
    """His transaction is newer than the step's, and than all that have ended when the mark is noted: a snapshot's xmax is not beyond him."""
    board, period, then = ended
    with contextlib.ExitStack() as sessions:
        def session(name):
            return sessions.enter_context(contextlib.closing(psycopg2.connect(stack.primary_url, application_name=name))).cursor()
        holder, writer = session("holder"), session("writer")
        holder.execute("select 1 from ladder.period where id = %(period)s for no key update; "
                       "select 1 from ladder.entry where period_id = %(period)s and player = 'ann' for update", dict(period=period))
        roller = job(stack, "roll")
        wait_until(lambda: stack.sql("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query ~ 'set state = .closing.'")
                   == [(1,)], 10, "the first step waits for the period's row")
        thread = threading.Thread(target=writer.execute, args=(SUBMIT, dict(board=board, then=then)))
        thread.start()
        wait_until(lambda: waits(stack, "writer"), 10, "the writer waits")
        holder.connection.rollback()
        thread.join()
        assert roller.wait(timeout=30) == 0
        assert state(stack, period) == "closing", "the writer has not committed yet"
        writer.connection.commit()
    stack.cli("roll")
    assert state(stack, period) == "closed"
    assert stack.sql("select ~k1 from ladder.entry where period_id = %s and player = 'ann'", period) == [(99,)]


@pytest.mark.parametrize("login, statement", [
    ("serve", "select * from ladder.submit(array[%(board)s::bigint], array['x'], array[0::bigint], array[0::bigint], array[null::bigint], array[null::text], "
              "array[0], array[0], '{}', '{}', '{}')"),
    ("serve", "select * from ladder.player_remove(%(board)s, 'nobody')"),
    ("serve", "select * from ladder.player_erase(0, 'nobody')"),
    ("work", "select * from ladder.submit_history(%(board)s, '{}', '{}', '{}', '{}', false)"),
    ("work", "select ladder.combine(%(board)s)"),
], ids=["submit", "remove", "erase", "history", "combine"])
def test_who_writes_entries_is_known(stack, ended, login, statement):
    """From the beginning, whether or not he comes to write any."""
    board, _, _ = ended
    with contextlib.closing(psycopg2.connect(stack.primary_as(f"ladder_{login}"))) as writer, writer.cursor() as cursor:
        cursor.execute(statement, dict(board=board))
        cursor.execute("select pg_current_xact_id()::text")
        (xid,), = cursor.fetchall()
        stack.sql("select pg_current_xact_id()")  # a later one ends: up to there a snapshot knows who is at work
        assert stack.sql("select ladder.writers_xmin()::text") == [(xid,)]
    assert stack.sql("select ladder.writers_xmin() > %s::xid8", xid) == [(True,)]


def test_a_snapshots_mark_is_beyond_whoever_is_at_work(stack, ended):
    """However new he is: no later transaction has ended."""
    board, _, _ = ended
    settling, is_settled = (re.sub("--.*", "", (ROOT / f"sql/statements/{name}.sql").read_text()) for name in ("snapshot_settling", "snapshot_is_settled"))
    with contextlib.closing(psycopg2.connect(stack.primary_url)) as writer, writer.cursor() as cursor:
        cursor.execute(SUBMIT, dict(board=board, then=datetime.datetime.now(datetime.timezone.utc)))
        (mark,), = stack.sql(settling)
        assert stack.sql(is_settled.replace("$1", "%s"), mark) == [(False,)]
    assert stack.sql(is_settled.replace("$1", "%s"), mark) == [(True,)]


def test_long_transactions_one_after_the_other_do_not_put_it_off_for_good(stack, ended):
    board, period, _ = ended
    first, second = psycopg2.connect(stack.primary_as("ladder_serve")), psycopg2.connect(stack.primary_as("ladder_serve"))
    statement = "select * from ladder.player_remove(%(board)s, 'nobody')"
    with first.cursor() as cursor:
        cursor.execute(statement, dict(board=board))
    assert "periods-not-settled" in stack.cli("roll") and state(stack, period) == "closing"
    assert stack.sql("select pid from pg_stat_activity where backend_xid = ladder.writers_xmin()::xid") == [(first.info.backend_pid,)]
    with second.cursor() as cursor:
        cursor.execute(statement, dict(board=board))
    first.close()
    stack.cli("roll")
    assert state(stack, period) == "closed"
    second.close()


def test_whoever_writes_no_entries_puts_nothing_off(stack, ended):
    """A refresh runs for minutes; somebody's load of another table for hours."""
    _, period, _ = ended
    with contextlib.closing(psycopg2.connect(stack.primary_url)) as other, other.cursor() as cursor:
        cursor.execute("create temporary table x as select count(*) from ladder.entry; select ladder.refresh_view('daily_activity')")
        stack.cli("roll")
        assert state(stack, period) == "closed"


def test_a_mark_from_another_history_is_not_waited_for(stack, ended):
    """After a dump was restored, transaction ids begin anew."""
    _, period, _ = ended
    stack.sql("update ladder.period set state = 'closing', settle_xid = '999999999999' where id = %s", period)
    stack.cli("roll")
    assert state(stack, period) == "closed"


def test_the_coming_period_is_made_ahead(stack, admin):
    admin.put_board("b", windows=["daily", "all"])
    stack.cli("roll")
    made = stack.sql("select window_kind::text, starts_at <= now() and ends_at > now() from ladder.period where board_id = %s order by 1",
                     board_id(stack, admin, "b"))
    assert ("daily", True) in made and ("all", True) in made
    roll_all(stack)


# ---- partitions ----

def days(database):
    return [name for name, in database.sql("select c.relname::text from pg_class c where c.relname ~ '^score_event_[0-9]{8}$' and relkind = 'r' order by 1")]


@pytest.fixture
def old(database):
    """A database whose events go back five days. The worker keeps one."""
    own = database()
    own.migrate("up")
    own.sql("alter table ladder.score_event detach partition ladder.score_event_past; drop table ladder.score_event_past")
    own.sql("set timezone = 'UTC'; set role ladder_migrate; select ladder.partition_add('score_event', 'score_event_' || to_char(d, 'YYYYMMDD'), 'submitted_at', d, d + interval '1 day') "
            "from generate_series(date_trunc('day', now()) - interval '5 days', date_trunc('day', now()) - interval '1 day', interval '1 day') d")
    own.sql("insert into ladder.score_event (board_id, player, submitted_at) select 1, 'ann', d from generate_series(now() - interval '5 days', now(), interval '1 day') d")
    return own


def partitions(database, status=0, **settings):
    settings = {"worker_event_retention_days": 1, "database_url": database.url("ladder_work"), **settings}
    return database.stack.cli("partitions", status=status, **settings)


def test_partitions_are_made_ahead_and_dropped_behind(old):
    before = days(old)
    assert len(before) == 5 + 1 + 7
    text = partitions(old, worker_partitions_ahead=30)
    # 23 days and 3 that are gone; where a month, quarter or year begins, its entries' too.
    assert 26 <= int(re.fullmatch(r"partitions: (\d+) partitions made or dropped\n", text).group(1)) <= 30
    # Kept: today, yesterday, and the day before, of which a part is younger than a day.
    assert days(old)[0] == before[3] and len(days(old)) == 3 + 30
    assert old.sql("select count(*) from ladder.score_event") == [(3,)]
    assert partitions(old, worker_partitions_ahead=30) == "partitions: 0 partitions made or dropped\n"
    assert old.sql("select count(*) from pg_class where relkind in ('r', 'p') and pg_get_expr(relpartbound, oid) = 'DEFAULT'") == [(0,)]
    owners = old.sql("select distinct tableowner::text from pg_tables where schemaname = 'ladder' and tablename ~ '^(score_event|entry)_'")
    assert owners == [("ladder_migrate",)], "the worker makes them and does not own them"


def test_partitions_that_nobody_made_in_time_are_made_up(old):
    """The worker was away for a quarter; an import brings what was played then."""
    old.sql("drop table ladder.entry_daily_past")
    old.sql("do $$ declare t text; begin for t in select relname from pg_class where relname ~ '^entry_daily_[0-9]' and relkind = 'r' loop "
            "execute 'drop table ladder.' || t; end loop; end $$")
    old.sql("set timezone = 'UTC'; select ladder.partition_add('entry_daily', 'entry_daily_past', 'period_start', '-infinity', "
            "date_trunc('quarter', now()) - interval '9 months')")
    partitions(old)
    assert old.sql("set timezone = 'UTC'; select count(*) from pg_class where relname ~ '^entry_daily_[0-9]{4}q[1-4]$' and relkind = 'r'")[0][0] >= 4
    old.sql("insert into ladder.entry (period_id, player, window_kind, period_start, k1, k2, k3, revision) "
            "values (1, 'ann', 'daily', now() - interval '4 months', 0, 0, 0, 1)")


def test_an_open_writer_and_the_making_of_partitions_pass_each_other(old):
    insert = "insert into ladder.score_event (board_id, player) values (1, 'bob')"
    with psycopg2.connect(old.url("ladder_serve")) as writer, writer.cursor() as cursor:
        cursor.execute(insert)  # not committed: it holds its locks on the parent
        assert partitions(old, worker_partitions_ahead=9, worker_event_retention_days=400) >= "partitions: 2 "
    with psycopg2.connect(old.url("ladder_work")) as maker, maker.cursor() as cursor:
        cursor.execute("select ladder.partition_ensure(12)")  # not committed: attached, for it
        assert cursor.fetchone()[0] >= 3
        old.sql("set statement_timeout = '2s'; " + insert, login="ladder_serve")
        assert old.sql("set statement_timeout = '2s'; select count(*) from ladder.score_event", login="ladder_serve")[0][0] >= 7


def test_detaching_blocks_nobody_and_goes_on_where_it_was_cut(old):
    expired = days(old)[0]
    with psycopg2.connect(old.url()) as reader, reader.cursor() as cursor:
        cursor.execute("select count(*) from ladder.score_event")
        runner = job(old.stack, "partitions", database_url=old.url("ladder_work"), worker_event_retention_days=1)
        wait_until(lambda: old.sql("select count(*) from pg_inherits where inhdetachpending")[0][0], 10, "it is being detached")
        # Meanwhile everybody else goes on; what is going is not seen any more.
        old.sql("set statement_timeout = '500ms'; insert into ladder.score_event (board_id, player) values (1, 'bob')", login="ladder_serve")
        assert old.sql("set statement_timeout = '500ms'; select count(*) from ladder.score_event", login="ladder_serve") == [(6,)]
        out = runner.communicate(timeout=30)[0]
        assert runner.returncode == 1 and "ladder partitions: canceling statement due to lock timeout" in out, out
        assert expired in days(old)
        reader.rollback()
    second = days(old)[1]
    old.sql(f"alter table ladder.score_event detach partition ladder.{second}")  # cut between detaching and dropping
    assert partitions(old) == "partitions: 3 partitions made or dropped\n"
    assert expired not in days(old) and second not in days(old)
    assert old.sql("select error from ladder.job_run where job = 'partitions' order by id") == [
        ("canceling statement due to lock timeout (SQLSTATE 55P03)",), (None,)]


# ---- purge ----

def test_idempotency_keys_live_for_a_day(stack, admin):
    admin.put_board("b", operator="sum")
    body = {"player": "ann", "score": 1}
    for key in ("old", "new"):
        admin.request("POST", "/boards/b/scores", body, headers={"Idempotency-Key": key})
    game = stack.sql("select id from ladder.game where name = %s", admin.game)[0][0]
    assert stack.sql("select count(*) from ladder.idempotency_key where game_id = %s", game) == [(2,)]
    stack.sql("update ladder.idempotency_key set created_at = now() - interval '24 hours 1 second' where game_id = %s and created_at = "
              "(select min(created_at) from ladder.idempotency_key where game_id = %s)", game, game)
    assert re.fullmatch(r"purge: [1-9]\d* rows deleted\n", stack.cli("purge"))
    assert stack.sql("select count(*) from ladder.idempotency_key where game_id = %s", game) == [(1,)]
    answers = {key: admin.request("POST", "/boards/b/scores", body, headers={"Idempotency-Key": key}).json()["entry"]["score"] for key in ("new", "old")}
    assert answers == {"new": 2, "old": 3}, "the one that was kept is answered again, the other counts again"


def test_tombstones_go_from_both_stores(stack, admin):
    worker = stack.worker(worker_tail_idle_ms=20)
    stack.trusted(admin.server)
    admin.put_board("b")
    for player in ("gone", "fresh", "back"):
        admin.submit("b", player, 1)
        admin.request("DELETE", f"/boards/b/players/{player}")
    wait_until(lambda: compare.same(stack, admin.game), 10, "Redis equals PostgreSQL")
    worker.stop()
    admin.submit("b", "back", 2)
    board = board_id(stack, admin, "b")
    stack.sql("update ladder.score_event set submitted_at = submitted_at - interval '25 hours' where board_id = %s and kind = 'remove' and player <> 'fresh'", board)
    period = stack.sql("select id from ladder.period where board_id = %s", board)[0][0]
    base = f"ladder:{{{period % 256}}}:{period}:"
    entries = base + stack.redis.hget(base + "meta", "gen").decode() + ":entry"
    assert set(stack.redis.hkeys(entries)) == {b"gone", b"fresh", b"back"}
    assert stack.cli("purge").startswith("purge: ")
    assert stack.sql("select player, removed from ladder.entry where period_id = %s order by 1", period) == [("back", False), ("fresh", True)]
    assert set(stack.redis.hkeys(entries)) == {b"fresh", b"back"}
    assert stack.sql("select player from ladder.score_event where board_id = %s and kind = 'remove'", board) == [("fresh",)]


def test_deleted_boards_leave_nothing(stack, admin):
    worker = stack.worker(worker_tail_idle_ms=20)
    stack.trusted(admin.server)
    for name, count in (("b", 1200), ("kept", 10)):
        admin.put_board(name, windows=["all", "daily"])
        admin.submit_many([dict(board=name, player=f"p{i}", score=i) for i in range(count)])
    wait_until(lambda: compare.same(stack, admin.game), 10, "Redis equals PostgreSQL")
    board, kept = board_id(stack, admin, "b"), board_id(stack, admin, "kept")
    stack.sql("insert into ladder.import_run (board_id, source_hash) values (%s, 'x')", board)
    periods = [period for period, in stack.sql("select id from ladder.period where board_id = %s", board)]
    assert admin.request("DELETE", "/boards/b").status_code == 204
    worker.stop()
    stack.cli("purge")
    assert stack.sql("select count(*) from ladder.board where id = %s", board) == [(1,)], "for a minute, submissions may be on their way"
    stack.sql("update ladder.board set deleted_at = deleted_at - interval '2 minutes' where id = %s", board)
    text = stack.cli("purge")
    assert int(re.fullmatch(r"purge: (\d+) rows deleted\n", text).group(1)) >= 3600, text

    def left(board, periods):
        return [stack.sql(f"select count(*) from ladder.{table} where {column} = any (%s)", ids)[0][0] for table, column, ids in (
            ("board", "id", [board]), ("period", "board_id", [board]), ("entry", "period_id", periods), ("score_event", "board_id", [board]),
            ("import_run", "board_id", [board]))]
    assert left(board, periods) == [0, 0, 0, 0, 0]
    assert [key for period in periods for key in stack.redis.scan_iter(f"ladder:{{*}}:{period}:*", count=1000)] == []
    kept_periods = [period for period, in stack.sql("select id from ladder.period where board_id = %s", kept)]
    assert left(kept, kept_periods) == [1, 2, 20, 10, 0]


def test_the_ledger_does_not_grow_for_ever(stack):
    stack.sql("insert into ladder.job_run (job, started_at, ended_at, rows) values ('roll', now() - interval '31 days', now(), 5), "
              "('roll', now() - interval '29 days', now(), 5)")
    stack.cli("purge")
    assert stack.sql("select count(*) from ladder.job_run where rows = 5 and started_at < now() - interval '20 days'") == [(1,)]
    stack.sql("delete from ladder.job_run where rows = 5")


# ---- one runner, the ledger ----

def test_the_ledger_has_every_run_that_did_something_and_the_last_that_did_not(stack, admin, database):
    admin.put_board("b", windows=["hourly"])
    stack.cli("roll")
    assert runs(stack, "roll")[-1][0] >= 1 and runs(stack, "roll")[-1][1:3] == (None, True)
    assert re.fullmatch(r".+/\d+", runs(stack, "roll")[-1][3])
    roll_all(stack)
    busy = len(runs(stack, "roll"))
    for _ in range(3):
        assert stack.cli("roll") == "roll: 0 periods opened or closed\n"
    assert [row[0] for row in runs(stack, "roll")[-2:]] in ([runs(stack, "roll")[-2][0], 0],) and len(runs(stack, "roll")) <= busy + 1
    own = database()
    own.migrate("up")
    own.sql("alter table ladder.idempotency_key rename to elsewhere")
    text = stack.cli("purge", status=1, database_url=own.url("ladder_work"))
    assert text.count("\n") == 1 and "ladder purge: relation \"ladder.idempotency_key\" does not exist (SQLSTATE 42P01)" in text
    assert own.sql("select job, rows, error, ended_at >= started_at from ladder.job_run") == [
        ("purge", 0, "relation \"ladder.idempotency_key\" does not exist (SQLSTATE 42P01)", True)]


@pytest.mark.parametrize("name, outcome", [("roll", r"roll: \d+ periods opened or closed\n"), ("purge", r"purge: \d+ rows deleted\n"),
                                           ("partitions", r"partitions: \d+ partitions made or dropped\n")])
def test_from_cron(stack, name, outcome):
    """One line of outcome, exit 0; also when another is at it. A dead database is exit 1, and one line."""
    assert re.fullmatch(outcome, stack.cli(name))
    with contextlib.closing(psycopg2.connect(stack.primary_as("ladder_work"))) as other, other.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(hashtext('ladder.job'), hashtext(%s))", (name,))
        assert stack.cli(name) == f"{name}: another runner is at it, nothing to do here\n"
    text = stack.cli(name, status=1, database_url="postgresql://127.0.0.1:1/ladder")
    assert text.startswith(f"ladder {name}: cannot connect to the database: ") and text.count("\n") == 1, text


def test_two_at_the_same_time(stack):
    """Real ones: while the first is held up, the second says so and is done."""
    with psycopg2.connect(stack.primary_url) as holder, holder.cursor() as cursor:
        cursor.execute("lock table ladder.idempotency_key")
        first = job(stack, "purge")
        wait_until(lambda: waits(stack, "ladder cron"), 10, "the first waits")
        assert stack.cli("purge") == "purge: another runner is at it, nothing to do here\n"
    assert re.fullmatch(r"purge: \d+ rows deleted\n", first.communicate(timeout=30)[0]) and first.returncode == 0


def test_a_runner_that_dies_is_replaced(stack):
    with psycopg2.connect(stack.primary_url) as holder, holder.cursor() as cursor:
        cursor.execute("lock table ladder.idempotency_key")
        first = job(stack, "purge")
        wait_until(lambda: waits(stack, "ladder cron"), 10, "it is in the middle")
        first.kill()
        first.communicate()
        # Its session is in the middle of a statement, and yet the database notices.
        wait_until(lambda: not waits(stack, "ladder cron"), 5, "its session ends")
    assert re.fullmatch(r"purge: \d+ rows deleted\n", stack.cli("purge"))
    assert [(error, ended) for _, error, ended, runner in runs(stack, "purge") if runner.endswith(f"/{first.pid}")] == [("the runner died", True)]


def test_of_two_workers_one_leads_and_the_other_takes_over(stack, admin):
    def tails():
        return stack.sql("select a.pid from pg_locks l join pg_stat_activity a on a.pid = l.pid where l.locktype = 'advisory' and l.granted "
                         "and l.objid = (hashtext('tail')::bigint & 4294967295) and a.application_name = 'ladder work tail'")

    def number():
        return stack.sql("select last_value from ladder.job_run_id_seq")[0][0]
    stack.sql("delete from ladder.job_run")
    jobs = {"combine", "partitions", "popular", "purge", "roll", "snapshot"}
    begun, start = number(), time.monotonic()
    one = stack.worker(worker_tail_idle_ms=20)
    wait_until(lambda: {name for name, in stack.sql("select job from ladder.job_run where ended_at is not null")} == jobs, 30, "each job ran once")
    two = stack.worker(worker_tail_idle_ms=20)
    stack.trusted(admin.server)
    wait_until(lambda: stack.sql("select count(*) from pg_stat_activity where application_name = 'ladder work jobs'") == [(2,)], 10, "both look")
    time.sleep(1)
    # Each job ran once, though two workers wanted to; on a slow day the roll is due again.
    assert number() - begun <= len(jobs) + int((time.monotonic() - start) / 4.5)
    assert len(tails()) == 1
    assert {row[3].split("/")[1] for name in ("roll", "partitions", "purge") for row in runs(stack, name)} == {str(one.pid)}
    assert "event=leading job=tail" in one.log() and "event=leading" not in two.log()
    leader = tails()
    one.kill()
    wait_until(lambda: tails() and tails() != leader, 5, "the other tails")
    admin.put_board("b")
    admin.submit_many([dict(board="b", player=f"p{i}", score=i) for i in range(100)])
    wait_until(lambda: compare.same(stack, admin.game), 10, "the other applies")
    wait_until(lambda: any(row[3].endswith(f"/{two.pid}") for row in runs(stack, "roll")), 10, "the other rolls")
    assert two.stop() == 0


def test_a_worker_stops_while_all_its_statements_wait(stack, admin):
    """Each of its connections waits for a lock of another session, which is not released."""
    worker = stack.worker(worker_answer_timeout_ms=600000)
    stack.trusted(admin.server)
    admin.put_board("b")
    names = {"ladder work tail", "ladder work rebuild", "ladder work jobs", "ladder work webhook", "ladder work tally", "ladder work refresh"}
    waiting = "select distinct application_name from pg_stat_activity where application_name like 'ladder work %%' and wait_event_type = 'Lock'"
    lock = psycopg2.connect(stack.primary_url)
    try:
        with lock.cursor() as cursor:
            cursor.execute("set deadlock_timeout = '1h'")  # the worker's statement is the one that is cancelled then, and comes again
            cursor.execute("select string_agg(format('ladder.%I', relname), ', ') from pg_class where relnamespace = 'ladder'::regnamespace "
                           "and relkind in ('r', 'p') and not relispartition and relname not in ('job_run', 'refresh_run')")
            cursor.execute(f"lock table {cursor.fetchone()[0]} in access exclusive mode")
        stack.redis.zadd("ladder:wanted", {str(10**12 + i): 1 for i in range(10)})  # the tail waits; so the loaders are told of some here
        wait_until(lambda: {name for name, in stack.sql(waiting)} == names, 30, "each of them waits")
        assert worker.stop(timeout=60) == 0
    finally:
        lock.close()


# ---- keys, games ----

def test_a_keys_life(stack, admin):
    admin.put_board("b")
    key = stack.cli("key", "create", "--game", admin.game, "--scope", "read", "--name", "web site").strip()
    name = re.fullmatch(r"lk_([0-9A-Za-z]{31})_[0-9A-Za-z]{43}", key).group(1)
    stored = stack.sql("select k::text, octet_length(hash), scope::text, name from ladder.api_key k where id = %s", name)
    assert stored[0][1:] == (32, "read", "web site") and key.split("_")[2] not in stored[0][0] and key.encode().hex() not in stored[0][0]
    listed = [line.split("\t") for line in stack.cli("key", "list", "--game", admin.game).splitlines()]
    assert [(row[0], row[1], row[2], row[4]) for row in listed if row[0] == name] == [(name, "read", "web site", "live")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row[3]) for row in listed)
    # On every loop it is known, and a second after it was revoked on none.
    readers = [Client(admin.server, admin.game, key) for _ in range(16)]
    assert [reader.get("/boards/b/top").status_code for reader in readers] == [200] * 16
    assert stack.cli("key", "revoke", name) == f"revoked {name}\n"
    revoked = time.monotonic()
    wait_until(lambda: all(reader.get("/boards/b/top").status_code == 401 for reader in readers), 3, "it is refused everywhere")
    assert time.monotonic() - revoked < 1.2 * patience()
    died = stack.sql("select revoked_at from ladder.api_key where id = %s", name)
    assert stack.cli("key", "revoke", name) == f"revoked {name}\n" and stack.sql("select revoked_at from ladder.api_key where id = %s", name) == died
    line = next(line for line in stack.cli("key", "list", "--game", admin.game).splitlines() if line.startswith(name))
    assert re.search(r"\trevoked \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", line)


@pytest.mark.parametrize("words, status, message", [
    (("key", "create", "--game", "{game}", "--scope", "root"), 1, "--scope must be admin, write or read"),
    (("key", "create", "--game", "no-such-game", "--scope", "read"), 1, "there is no game \"no-such-game\" (ladder game create)"),
    (("key", "create", "--scope", "read"), 2, "usage: "),
    (("key", "create", "--game", "{game}", "--scope"), 2, "--scope needs a value"),
    (("key", "create", "--game", "{game}", "--scope", "read", "--for", "me"), 2, "there is no option --for"),
    (("key", "create", "--game", "{game}", "--scope", "read", "--name", "a\tb"), 1, "--name"),
    (("key", "list"), 2, "usage: "),
    (("key", "revoke", "nobody"), 1, "there is no key nobody"),
    (("key", "revoke"), 2, "usage: "),
    (("game", "create", "a b"), 1, "a game's name is a letter or digit"),
    (("game", "create"), 2, "usage: "),
    (("game", "rename", "a", "b"), 2, "usage: "),
])
def test_what_keys_and_games_refuse(stack, game, words, status, message):
    text = stack.cli(*(word.format(game=game) for word in words), status=status)
    assert message in text and text.count("\n") == 1, text


def test_games(stack):
    name = "a.Game-1_x"
    assert stack.cli("game", "create", name) == f"created {name}\n"
    assert stack.cli("game", "create", name) == f"{name} exists\n"
    lines = [line.split("\t") for line in stack.cli("game", "list").splitlines()]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", dict(lines)[name]) and [line[0] for line in lines] == sorted(line[0] for line in lines)


def test_help_names_every_command(stack):
    text = stack.cli("help")
    for command in ("config", "export", "game", "import", "key", "migrate", "partitions", "purge", "roll", "serve", "warm", "work"):
        assert re.search(rf"^  {command} +\S", text, re.M) and stack.cli(command, "--help").startswith("usage: ladder " + command)
