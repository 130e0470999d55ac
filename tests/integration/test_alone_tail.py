"""Changes of a board that the worker can't read: those of the others go to Redis, and PostgreSQL answers for that board."""
import contextlib

import psycopg2
import pytest

from harness import Client, wait_until
from test_alone import alerts, cursors, game, source, standing_of
from test_alone_jobs import stated
from test_alone_views import unreadable
from test_schedules import open_now

AWAY = "redis://127.0.0.1:1/0"


@pytest.fixture(scope="module")
def servers(stack):
    """One with Redis and one without: what is submitted to the second comes to Redis by the tail alone."""
    server, blind = stack.serve(), stack.serve(redis_url=AWAY)
    worker = stack.worker(worker_tail_idle_ms=20)
    stack.trusted(server)
    yield server, blind, worker
    for process in (server, blind, worker):
        assert process.stop() == 0
        process.check_clean()


def noted(stack, board):
    return stack.sql("select failures from ladder.job_item where job = 'tail' and item_id = %s and failures > 0", board)


@pytest.mark.parametrize("table", ["entry", "period"])
def test_changes_that_cannot_be_read_are_left_out_alone(stack, servers, table):
    server, blind, worker = servers
    clients = [game(stack, server) for _ in range(3)]
    bad = clients[1]
    for client in clients:
        client.submit("b", "ann", 1)
    standing, board = standing_of(stack, bad)
    wait_until(lambda: all(source(client) == "redis" for client in clients), 20, "all are in Redis")

    def submit(player, score):
        for client in clients:
            Client(blind, client.game, client.key).submit("b", player, score)

    def players(client):
        return [entry["player"] for entry in client.pages("b")]
    with unreadable(stack, table, {"entry": f"period_id = {standing}", "period": f"board_id = {board}"}[table]):
        submit("bob", 2)
        for client in (clients[0], clients[2]):
            wait_until(lambda: players(client) == ["bob", "ann"] and source(client) == "redis", 20, "the tail brought the others' changes")
        wait_until(lambda: players(bad) == ["bob", "ann"], 20, "it has its own change")
        assert source(bad) != "redis"
        before = cursors(stack)
        wait_until(lambda: min(cursors(stack)) > max(before), 20, "the tail goes on, in every shard")
        assert noted(stack, board)
        assert f"event=job-failed job=tail board={board} because=\"row not readable" in worker.log()
        # Boards of other tests may be in it, too.
        wait_until(lambda: "tail: " in alerts(server).get("board-job-failed", ""), 30, "the alert")
        bad.submit("b", "cid", 3)
        submit("dan", 4)
        wait_until(lambda: players(bad) == ["dan", "cid", "bob", "ann"], 20, "it is answered for")
        wait_until(lambda: players(clients[0]) == ["dan", "bob", "ann"] and source(clients[0]) == "redis", 20, "the tail goes on")
    submit("eve", 5)
    wait_until(lambda: players(bad) == ["eve", "dan", "cid", "bob", "ann"] and source(bad) == "redis", 90, "it is in Redis again")
    submit("flo", 6)
    wait_until(lambda: players(bad)[0] == "flo" and source(bad) == "redis", 20, "the tail brings its changes")
    stack.sql("update ladder.job_item set failed_at = now() - interval '20 minutes', due_at = now() where job in ('tail', 'rebuild')")
    wait_until(lambda: not noted(stack, board) and "tail: " not in alerts(server).get("board-job-failed", ""), 30, "the alert is over")


def test_the_tail_begins_anew_with_a_period_that_cannot_be_read(stack, servers):
    """Redis lost a cursor: what should be in Redis is looked up from the start, and every change of one shard."""
    server, blind, worker = servers
    good, bad = game(stack, server), game(stack, server)
    for client in (good, bad):
        client.submit("b", "ann", 1)
    board = standing_of(stack, bad)[1]
    wait_until(lambda: source(good) == source(bad) == "redis", 20, "both are in Redis")
    with unreadable(stack, "period", f"board_id = {board}"):
        before = cursors(stack)
        stack.redis.delete(f"ladder:{{{standing_of(stack, good)[0] % 256}}}:cursor")
        wait_until(lambda: stack.redis.exists(*[f"ladder:{{{shard}}}:cursor" for shard in range(256)]) == 256 and min(cursors(stack)) > max(before),
                   30, "the tail goes on, in every shard")
        assert "event=job-failed job=tail board=0 because=\"row not readable" in worker.log()
        for player, score in (("bob", 2), ("cid", 3)):
            for client in (good, bad):
                Client(blind, client.game, client.key).submit("b", player, score)
            for client in (good, bad):
                wait_until(lambda: client.pages("b")[0]["player"] == player, 20, "its change is seen")
        wait_until(lambda: source(good) == "redis", 20, "it is loaded when it is read")
    wait_until(lambda: source(bad) == "redis", 90, "it is in Redis again")
    assert [entry["player"] for entry in bad.pages("b")] == ["cid", "bob", "ann"]


@pytest.mark.parametrize("reads", ["period_ids", ""], ids=["what the events changed", "the events"])
def test_neither_the_periods_nor_the_events_of_a_board_can_be_read(stack, servers, reads):
    """Its standings are those that Redis has and that PostgreSQL does not name another board for."""
    server, blind, _ = servers
    good, bad = game(stack, server), game(stack, server)
    for client in (good, bad):
        client.put_board("other")
        for board in ("b", "other"):
            client.submit(board, "ann", 1)
    board = standing_of(stack, bad)[1]
    wait_until(lambda: source(good) == source(bad) == "redis", 20, "both are in Redis")
    wait_until(lambda: bad.read("/boards/other/top", source="true")["source"] == "redis", 20, "the other board is in Redis")
    with unreadable(stack, "period", f"board_id = {board}"), \
            unreadable(stack, "score_event", f"board_id = {board} and current_query() like '%{reads}%'"):
        for client in (good, bad):
            Client(blind, client.game, client.key).submit("b", "bob", 2)
        wait_until(lambda: good.pages("b")[0]["player"] == "bob" and source(good) == "redis", 20, "the tail brought the other's change")
        wait_until(lambda: bad.pages("b")[0]["player"] == "bob", 20, "it has its own change")
        assert source(bad) != "redis" and noted(stack, board)
        before = cursors(stack)
        wait_until(lambda: min(cursors(stack)) > max(before), 20, "the tail goes on, in every shard")
        assert bad.read("/boards/other/top", source="true")["source"] == "redis", "the game's other board stays"
    for client in (good, bad):
        Client(blind, client.game, client.key).submit("b", "cid", 3)
    wait_until(lambda: bad.pages("b")[0]["player"] == "cid" and source(bad) == "redis", 90, "it is in Redis again")


def test_periods_that_begin_are_told_without_one_that_cannot_be_read(stack, servers):
    """Edges are told of the periods of all boards by one statement."""
    clients = [game(stack, servers[0], windows=["all", open_now(stack)], public=True, edge_max_age_s=60) for _ in range(2)]
    for client in clients:
        client.submit("b", "ann", 1)
    bad = standing_of(stack, clients[1])[1]

    def told():
        with contextlib.closing(psycopg2.connect(stack.primary_url.replace("//ladder@", "//ladder_work@"))) as session, session.cursor() as cursor:
            found = stated(cursor, "edge_periods", 0, 2**52)
        return [[row for row in found if row[0] == client.game] for client in clients]
    before = told()
    assert [len(rows) for rows in before] == [2, 2]
    with unreadable(stack, "period", f"board_id = {bad}"):
        assert told() == before
