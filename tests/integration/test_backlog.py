"""A backlog of events that are not added up: it is added in pieces, each exact; an import does not let it grow; reads do not read it
without need; and what takes long because of itself is not the server's fault."""
import contextlib
import re
import threading
import time

import psycopg2
import pytest
import requests

from harness import ROOT, Client, Stack, wait_until

LOWEST = -2**63
ROWS = 60000


@pytest.fixture(scope="module")
def quiet():
    """Servers of their own, without a worker: nobody adds up."""
    stack = Stack()
    yield stack
    stack.close()


@pytest.fixture
def server(quiet):
    server = quiet.serve()
    yield server
    server.stop()


def fold(cursor, *limit):
    cursor.execute("begin isolation level repeatable read")
    cursor.execute(f"select * from ladder.tally_fold('400 days'{''.join(f', {n}' for n in limit)})")
    result = cursor.fetchone()
    cursor.execute("commit")
    return result


def check_ranks(stack, period):
    """Of one snapshot: what the functions say, and what the entries are. Places are spread over the standing."""
    with contextlib.closing(psycopg2.connect(stack.replica_url)) as connection, connection.cursor() as cursor:
        cursor.execute("begin isolation level repeatable read")
        cursor.execute("select k1, k2, k3, player from ladder.entry_all where period_id = %s and not removed order by k1, k2, k3, player", (period,))
        keys = cursor.fetchall()
        cursor.execute("select ladder.standing_total('all', '-infinity', %s)", (period,))
        assert cursor.fetchone()[0] == len(keys)
        for place in sorted({*range(0, len(keys), max(1, len(keys) // 40)), *range(min(len(keys), 3)), len(keys) - 1}):
            k1, k2, k3, player = keys[place]
            cursor.execute("select ladder.standing_before('all', '-infinity', %s, %s, %s, %s, %s), s.* from ladder.standing_seek(%s, %s) s",
                           (period, k1, k2, k3, player, period, place))
            assert cursor.fetchone() == (place, k1, k2, k3, player, 0)
            cursor.execute("select ladder.standing_group('all', '-infinity', %s, %s, %s, %s, %s, %s)", (period, k1, k2, k3, player, place))
            assert cursor.fetchone()[0] == sum(key[:2] < (k1, k2) for key in keys[:place])
        return len(keys)


def write_csv(path, rows, score):
    path.write_text("player,score\n" + "".join(f"p{n},{score(n)}\n" for n in range(rows)))
    path.chmod(0o644)
    return path


def run_import(stack, game, board, path, **settings):
    return stack.cli("import", path, "--game", game, "--board", board, "--player", "player", "--score", "score", **settings)


def behind(stack):
    return stack.sql("select count(*) from ladder.score_event e, ladder.tally_cursor c where e.xid >= pg_snapshot_xmax(c.snapshot)")[0][0]


@pytest.fixture
def board(quiet, server, request):
    """(client, period) of a new board; and everything so far is added up."""
    game = quiet.new_game()
    client = Client(server, game, quiet.key(game))
    client.put_board("b", windows=["all"])
    client.submit("b", "first", 1)
    with contextlib.closing(psycopg2.connect(quiet.primary_url)) as connection, connection.cursor() as cursor:
        while fold(cursor)[2:] == (True,):
            pass
    return client, quiet.sql("select p.id from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
                             "where g.name = %s", game)[0][0]


def submit_sql(cursor, period, first, count, spread):
    """As ladder.submit would have been called, with many players."""
    cursor.execute("select * from (select board_id from ladder.period where id = %s) p cross join lateral ladder.submit_history("
                   "p.board_id, (select array_agg('q' || n order by n) from generate_series(%s, %s) n), "
                   "(select array_agg(n::bigint * 7919 %% %s order by n) from generate_series(%s, %s) n), array_fill(0::bigint, array[%s]), "
                   "array_fill(null::bigint, array[%s]), false)", (period, first, first + count - 1, spread, first, first + count - 1, count, count))


def test_each_piece_is_exact(quiet, board):
    """While an old transaction is still open, others move and remove entries, and more come in between."""
    client, period = board
    with contextlib.ExitStack() as stack:
        late, work = (stack.enter_context(contextlib.closing(psycopg2.connect(quiet.primary_url))) for _ in range(2))
        with late.cursor() as slow, work.cursor() as cursor:
            submit_sql(slow, period, 900000, 500, 1000)  # the oldest of all, committed in the middle
            for turn in range(12):
                with contextlib.closing(psycopg2.connect(quiet.primary_url)) as other, other.cursor() as writer:
                    submit_sql(writer, period, turn * 700, 1500, 2500 if turn % 2 else 10**9)
                    other.commit()
            client.request("DELETE", "/boards/b/players/q300")
            quiet.replica_caught_up()
            pieces = 0
            while True:
                events, _, has_more = fold(cursor, 2000)
                pieces += 1
                if pieces == 3:
                    late.commit()
                if pieces == 5:
                    submit_sql(cursor, period, 500000, 1500, 2500)
                    work.commit()
                quiet.replica_caught_up()
                check_ranks(quiet, period)
                assert events <= 2 * 2000 + 1500
                if not has_more:
                    break
            assert pieces >= 6
            assert quiet.sql("select count(*) from ladder.tally_due") == [(0,)]
            assert quiet.sql("select t.entries, sum(r.entries)::int from ladder.tally t join ladder.tally_rung r on r.period_id = t.period_id "
                             "where t.period_id = %s group by 1", period) == quiet.sql(
                                 "select count(*), count(*)::int from ladder.entry_all where period_id = %s and not removed", period)
            assert behind(quiet) == 0


def test_a_runner_that_dies_between_pieces_leaves_what_is_right(quiet, board):
    _, period = board
    with contextlib.closing(psycopg2.connect(quiet.primary_url)) as connection, connection.cursor() as cursor:
        for turn in range(8):
            submit_sql(cursor, period, turn * 1000, 1500, 3000)
            connection.commit()
    for turn in range(20):
        with contextlib.closing(psycopg2.connect(quiet.primary_url)) as connection, connection.cursor() as cursor:
            fold(cursor, 1000)
            cursor.execute("begin isolation level repeatable read")
            cursor.execute("select * from ladder.tally_fold('400 days', 1000)")
            has_more = cursor.fetchone()[2]
            quiet.sql("select pg_terminate_backend(%s)", connection.get_backend_pid())
        quiet.replica_caught_up()
        check_ranks(quiet, period)
        if not has_more:
            break
    assert 2 <= turn < 19


def test_an_import_does_not_outrun_the_tally(quiet, board):
    """Nobody else adds up: it does so itself."""
    client, period = board
    path = write_csv(quiet.directory / "rows.csv", ROWS, lambda n: n * 7919 % 1000003)
    run_import(quiet, client.game, "b", path)
    assert behind(quiet) <= 10000 + 4 * 5000  # tally_pace, and a batch in each lane
    quiet.replica_caught_up()
    assert check_ranks(quiet, period) == ROWS + 1


def test_an_import_waits_for_who_adds_up(quiet, board):
    client, period = board
    path = write_csv(quiet.directory / "more.csv", ROWS, lambda n: n * 7919 % 1000003)
    with contextlib.closing(psycopg2.connect(quiet.primary_url)) as session, session.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(hashtext('ladder.job'), hashtext('tally'))")
        thread = threading.Thread(target=run_import, args=(quiet, client.game, "b", path))
        thread.start()
        wait_until(lambda: behind(quiet) > 10000, 60, "it has begun")
        time.sleep(2)
        assert 10000 < behind(quiet) <= 10000 + 4 * 5000 and thread.is_alive()
    thread.join(120)
    assert not thread.is_alive()
    quiet.replica_caught_up()
    assert check_ranks(quiet, period) == ROWS + 1


def statement_reads(stack, name, *values):
    """What a statement returns, and how many rows of entries and events PostgreSQL read for it."""
    count = "select coalesce(sum(pg_stat_get_xact_tuples_returned(c.oid) + pg_stat_get_xact_tuples_fetched(c.oid)), 0)::bigint from pg_class c where c.relkind = 'r' and c.relname ~ '^(entry_all|score_event)_'"
    text = (ROOT / "sql" / "statements" / f"{name}.sql").read_text()
    wanted = max(int(x) for x in re.findall(r"\$(\d+)", text))
    with contextlib.closing(psycopg2.connect(stack.primary_url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"set plan_cache_mode = force_custom_plan; prepare x as {text}")
        cursor.execute(count)
        before = cursor.fetchone()[0]
        cursor.execute(f"execute x ({', '.join(['%s'] * wanted)})", values)
        rows = cursor.fetchall()
        cursor.execute(count)
        return rows, cursor.fetchone()[0] - before


def test_reads_read_no_more_than_they_must(quiet, board):
    """Of a standing that was filled a moment ago, of which PostgreSQL knows nothing yet, with a backlog behind the tally."""
    client, period = board
    path = write_csv(quiet.directory / "fill.csv", ROWS, lambda n: n * 7919 % 1000003)
    run_import(quiet, client.game, "b", path)
    with contextlib.closing(psycopg2.connect(quiet.primary_url)) as connection, connection.cursor() as cursor:
        while fold(cursor)[2]:
            pass
        submit_sql(cursor, period, 0, 20000, 10**6)
        connection.commit()
    where = ("all", "-infinity", period)
    rows, read = statement_reads(quiet, "standing_page", *where, 0, 11, 1, False)
    assert len(rows) == 11 and read <= 100, "a page at the top needs neither rungs nor events"
    rows, read = statement_reads(quiet, "standing_page", *where, 500, 11, 1, False)
    assert len(rows) == 11 and read <= 1000
    for name, more in (("standing_page", (40000, 11, 1, True)), ("standing_players", (["p17"], 1, True)), ("standing_around", ("p17", 5, 5, 1, 0)),
                       ("standing_seek", (-500000, 0, 0, "", 0))):
        rows, read = statement_reads(quiet, name, *where, *more)
        assert rows and read <= 5 * 20000 + 20000, (name, read)


@pytest.mark.parametrize("is_alone", [True, False], ids=["one replica", "reads beside it"])
def test_a_statement_that_takes_long_is_not_its_servers_fault(quiet, is_alone):
    """Statistics sleep; whatever else is asked is answered. The replica stays in rotation."""
    server = quiet.serve(database_stall_ms=1000, database_statement_timeout_ms=3000, database_health_interval_ms=30000, server_loops=1)
    game = quiet.new_game()
    client = Client(server, game, quiet.key(game))
    client.put_board("b", windows=["all"])
    client.submit("b", "first", 1)
    definition = quiet.sql("select pg_get_functiondef('ladder.standing_activity'::regproc)")[0][0]
    quiet.sql("create or replace function ladder.standing_activity(p_period bigint, out since timestamptz[], out submissions bigint[], out arrivals bigint[]) "
              "language plpgsql stable as $$ begin perform pg_sleep(60); end $$")
    quiet.replica_caught_up()
    try:
        url = f"{client.base}/boards/b"
        headers = {"Authorization": f"Bearer {client.key}"}
        statuses = []

        def slow():
            statuses.append(requests.get(f"{url}/stats", headers=headers, timeout=30).status_code)
        for turn in range(3):
            thread = threading.Thread(target=slow)
            thread.start()
            while thread.is_alive():
                if not is_alone:
                    assert requests.get(f"{url}/players/first?source={str(bool(turn % 2)).lower()}", headers=headers, timeout=30).status_code == 200
                thread.join(0.05)
        assert statuses == [503] * 3
        assert "event=server-left-alone" not in server.log()
    finally:
        quiet.sql(definition)
        server.stop()
