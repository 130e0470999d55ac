"""ladder game delete: what it says, that it asks, that the name is free at once, and that the purge job leaves nothing."""
import contextlib
import os
import pty
import subprocess
import threading

import psycopg2
import pytest

from harness import BINARY, Client, wait_until

TABLES = ("board", "api_key", "webhook", "webhook_delivery", "idempotency_key", "player_rollup")


def rows_of(stack, game_id, boards):
    """What is left of a game, by table."""
    left = {table: stack.sql(f"select count(*) from ladder.{table} where game_id = %s", game_id)[0][0] for table in TABLES}
    for table in ("period", "score_event", "tally_player", "tally_day", "player_facet", "facet_value", "import_run", "snapshot_run"):
        left[table] = stack.sql(f"select count(*) from ladder.{table} where board_id = any (%s)", boards)[0][0]
    left["game"] = stack.sql("select count(*) from ladder.game where id = %s", game_id)[0][0]
    return {table: count for table, count in left.items() if count}


def filled(stack, ladder):
    game = stack.new_game()
    client = Client(ladder, game, stack.key(game))
    for name in ("one", "two", "three"):
        client.put_board(name, windows=["all", "daily"], facets=["country"])
        for i in range(5):
            client.submit(name, f"p{i}", i, facets={"country": "BR"}, headers={"Idempotency-Key": f"{name}{i}"})
    client.put_board("empty")
    game_id = stack.sql("select id from ladder.game where name = %s", game)[0][0]
    boards = [b for b, in stack.sql("select id from ladder.board where game_id = %s", game_id)]
    return client, game, game_id, boards


def later(stack, game_id):
    """As if the minute had passed for which the purge waits."""
    stack.sql("update ladder.board set deleted_at = now() - interval '2 minutes' where game_id = %s and deleted_at is not null", game_id)
    stack.sql("update ladder.game set deleted_at = now() - interval '2 minutes' where id = %s", game_id)


def test_a_game_is_deleted_and_nothing_is_left(stack, ladder):
    other, *_ = filled(stack, ladder)
    client, game, game_id, boards = filled(stack, ladder)
    entries = stack.sql("select count(*) from ladder.entry e join ladder.period p on p.id = e.period_id where p.board_id = any (%s)", boards)[0][0]
    assert entries == 60, "30 of the whole boards, as many by country"
    said = stack.cli("game", "delete", game, status=1)
    assert f"{game}: 4 boards with 30 entries, 1 live keys, 0 webhooks" in said and "nothing was deleted: say --yes" in said
    assert client.get("/boards/one/top").status_code == 200
    said = stack.cli("game", "delete", game, "--yes")
    assert f"deleted {game} with 4 boards" in said
    assert game not in stack.cli("game", "list").split()
    wait_until(lambda: client.get("/boards/one/top").status_code in (401, 404), 30, "the key is dead everywhere")
    # Twice is as good as once, and the name can be had again, with nothing of the old one.
    assert f"there is no game {game}: nothing to delete" in stack.cli("game", "delete", game, "--yes")
    stack.cli("game", "create", game)
    again = Client(ladder, game, stack.key(game))
    wait_until(lambda: again.get("/boards").status_code == 200, 30, "the new game is known")
    assert again.read("/boards")["boards"] == []
    again.put_board("one")
    assert again.read("/boards/one/top")["entries"] == []
    later(stack, game_id)
    assert rows_of(stack, game_id, boards)["board"] == 4
    stack.cli("purge")
    assert rows_of(stack, game_id, boards) == {}
    assert stack.sql("select count(*) from ladder.entry e where not exists (select from ladder.period p where p.id = e.period_id)") == [(0,)]
    # Others are as they were.
    assert [e["player"] for e in other.read("/boards/two/top")["entries"]] == ["p4", "p3", "p2", "p1", "p0"]
    assert again.get("/boards/one/top").status_code == 200


def test_many_boards_go_in_one_run(stack, ladder):
    game = stack.new_game()
    client = Client(ladder, game, stack.key(game))
    for i in range(25):
        client.put_board(f"b{i}")
    game_id = stack.sql("select id from ladder.game where name = %s", game)[0][0]
    assert "with 25 boards" in stack.cli("game", "delete", game, "--yes")
    later(stack, game_id)
    stack.cli("purge")
    assert rows_of(stack, game_id, []) == {}


def test_it_is_cut_and_goes_on(stack, ladder):
    """Keys revoked and some boards deleted: as a run leaves it that ended in between. And a board that is made too late goes with the game."""
    client, game, game_id, boards = filled(stack, ladder)
    stack.sql("update ladder.api_key set revoked_at = now() where game_id = %s", game_id)
    stack.sql("update ladder.board set deleted_at = now() where id = any (%s)", boards[:2])
    assert f"deleted {game} with 2 boards" in stack.cli("game", "delete", game, "--yes")
    stack.sql("insert into ladder.board (game_id, name) values (%s, 'late')", game_id)
    later(stack, game_id)
    stack.cli("purge")
    assert rows_of(stack, game_id, boards) == {}


def test_a_fold_of_the_tally_is_under_way(stack, ladder):
    """The fold has read the boards before they are purged, and adds to the tally what nobody would purge again."""
    client, game, game_id, boards = filled(stack, ladder)
    with contextlib.closing(psycopg2.connect(stack.primary_url)) as session, session.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(hashtext('ladder.job'), hashtext('tally'))")
        session.commit()
        client.submit("one", "late", 1, facets={"country": "BR"})
        session.set_session(isolation_level="REPEATABLE READ")
        cursor.execute("select events from ladder.tally_fold('400 days')")
        assert cursor.fetchone()[0] > 0
        assert "with 4 boards" in stack.cli("game", "delete", game, "--yes")
        later(stack, game_id)
        purge = threading.Thread(target=lambda: stack.cli("purge"))
        purge.start()
        wait_until(lambda: not purge.is_alive() or stack.sql("select from pg_locks where locktype = 'advisory' and not granted"), 30, "the purge waits")
        session.commit()
        cursor.execute("select pg_advisory_unlock(hashtext('ladder.job'), hashtext('tally'))")
        session.commit()
        purge.join()
    assert rows_of(stack, game_id, boards) == {}


@pytest.mark.parametrize("typed, status", (("", 1), ("yes", 1), (None, 0)))
def test_a_terminal_is_asked(stack, ladder, typed, status):
    game = stack.new_game()
    ours, theirs = pty.openpty()
    child = subprocess.Popen([BINARY, "game", "delete", game], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             env=stack.environment("ladder_owner"))
    os.write(ours, (game if typed is None else typed).encode() + b"\n")
    out, _ = child.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert child.returncode == status, out
    assert "Type the name of the game to delete it: " in out
    assert (game in stack.cli("game", "list").split()) == bool(status)


def test_it_is_safe_while_serve_takes_scores(stack, ladder):
    """Each submission is answered 200, or refused because key, game or board are gone; never 5xx. None comes back."""
    client, game, game_id, boards = filled(stack, ladder)
    seen, stop = set(), threading.Event()

    def submit():
        own = Client(ladder, game, client.key)
        while not stop.is_set():
            seen.add(own.request("POST", "/boards/one/scores", {"player": "x", "score": 1}).status_code)
            seen.add(own.request("PUT", "/boards/fresh", {}).status_code)
    thread = threading.Thread(target=submit)
    thread.start()
    try:
        wait_until(lambda: 200 in seen, 30, "it submits")
        stack.cli("game", "delete", game, "--yes")
        wait_until(lambda: 401 in seen or 404 in seen, 30, "it is refused")
    finally:
        stop.set()
        thread.join()
    assert seen <= {200, 201, 401, 403, 404, 409}, seen
    later(stack, game_id)
    boards = [b for b, in stack.sql("select id from ladder.board where game_id = %s", game_id)]
    stack.cli("purge")
    assert rows_of(stack, game_id, boards) == {}
