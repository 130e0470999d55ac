"""What is made ready before anybody asks for it."""
import signal
import time

import psycopg2
import pytest

import compare
from harness import Client, wait_until


@pytest.fixture
def busy(stack):
    """A server that has been asked for two pages, one often, and has told so. What others were asked for before is forgotten."""
    stack.redis.delete("ladder:popular:pages", "ladder:popular:standings")
    server, worker = stack.serve(server_loops=1), stack.worker(worker_tail_idle_ms=20)
    stack.trusted(server)
    game = stack.new_game()
    client = Client(server, game, stack.key(game))
    client.put_board("open", public=True)
    client.put_board("closed")
    client.submit_many([dict(board=board, player=f"p{i}", score=i) for board in ("open", "closed") for i in range(20)])
    anonymous = Client(server, game)
    pages = f"+/v1/games/{game}/boards/open/top?limit=5", f"-/v1/games/{game}/boards/closed/players/p3"

    def are_told():
        for _ in range(5):
            assert anonymous.get("/boards/open/top?limit=5").status_code == 200
            assert client.get("/boards/closed/players/p3").status_code == 200
        return all((stack.redis.zscore("ladder:popular:pages", page) or 0) >= 5 for page in pages)
    wait_until(are_told, 15, "the server tells what it served")
    yield stack, server, worker, game, client
    for process in (server, worker):
        if process.is_alive():
            assert process.stop() == 0
        process.check_clean()


def test_a_new_server_has_the_popular_pages_ready(busy):
    stack, _, _, game, client = busy
    stack.redis.zadd("ladder:popular:pages", {"": 1000, "+": 1000, "+nothing": 1000, "-/v1/games/none/boards/b/top": 1000})  # nobody's pages
    second = stack.serve(server_loops=1)
    stack.trusted(second)
    wait_until(lambda: "event=pages-warmed" in second.log(), 10, "it has asked itself")
    assert Client(second, game).get("/boards/open/top?limit=5").headers["Ladder-Cache"] == "hit"
    assert Client(second, game, client.key).get("/boards/closed/players/p3").headers["Ladder-Cache"] == "hit"
    # Nobody gets more by it than before.
    assert Client(second, game).get("/boards/closed/players/p3").status_code == 401
    assert second.stop() == 0
    second.check_clean()


def test_a_server_that_had_to_forget_makes_its_pages_ready_again(busy):
    stack, server, _, game, client = busy
    stack.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    wait_until(lambda: "event=pages-warmed" in server.log().partition("event=changes-lost")[2], 10, "it has asked itself again")
    assert client.get("/boards/closed/players/p3").headers["Ladder-Cache"] == "hit"


def test_what_is_read_most_is_loaded_first(busy):
    stack, server, worker, game, client = busy
    rare = {f"b{i}" for i in range(40)}
    for name in rare:
        client.put_board(name)
        client.submit_many([dict(board=name, player=f"p{i}", score=i) for i in range(50)])
    standing = dict(stack.sql("select b.name, p.id from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
                              "where g.name = %s", game))
    hot = min(rare, key=lambda name: str(standing[name]))  # which is the last, among equals
    rare.remove(hot)

    def is_told():  # more than is forgotten each minute
        for _ in range(10):
            client.get(f"/boards/{hot}/top")
        return (stack.redis.zscore("ladder:popular:standings", standing[hot]) or 0) >= 50
    wait_until(is_told, 60, "it is told")
    # As the job does each minute: noted in PostgreSQL, so that it outlives Redis.
    worker.stop()
    stack.sql("delete from ladder.job_run where job = 'popular'")
    noted = stack.worker(worker_tail_idle_ms=20)
    wait_until(lambda: stack.sql("select weight from ladder.popularity where period_id = %s", standing[hot]), 60, "it is noted")
    noted.stop()
    stack.redis.flushall()
    after = stack.worker(worker_tail_idle_ms=20)
    stack.trusted(server)
    wait_until(lambda: all(f"standing={standing[board]} " in after.log() for board in standing), 60, "all are loaded again")
    order = [int(line.split("standing=")[1].split()[0]) for line in after.log().splitlines() if "event=rebuilt" in line]
    # Several are loaded at a time, so not just before the next.
    assert sum(order.index(standing[hot]) < order.index(standing[name]) for name in rare) > 20
    assert after.stop() == 0


def test_a_flush_while_the_worker_begins_is_noticed(stack):
    """Between its look at an empty Redis and the first cursors that it writes. Nobody asks for these standings, and they are loaded."""
    server, worker = stack.serve(server_loops=1), stack.worker()
    stack.trusted(server)
    game = stack.new_game()
    client = Client(server, game, stack.key(game))
    for board in range(12):
        client.put_board(f"b{board}", windows=["all"])
    client.submit_many([dict(board=f"b{board}", player="ann", score=10) for board in range(12)])
    worker.stop()
    stack.redis.flushall()
    worker = stack.worker(faults="stop-synced")
    wait_until(worker.is_stopped, 20, "the worker has looked")
    stack.redis.flushall()
    worker.send(signal.SIGCONT)
    wait_until(lambda: compare.same(stack, game), 20, "Redis equals PostgreSQL")
    for process in (server, worker):
        assert process.stop() == 0
        process.check_clean()


def test_a_standing_that_takes_long_keeps_no_other_waiting(stack):
    """Its rows are locked away; the others that Redis lacks are loaded meanwhile."""
    server, worker = stack.serve(server_loops=1), stack.worker(worker_tail_idle_ms=20, worker_answer_timeout_ms=60000)
    stack.trusted(server)
    game = stack.new_game()
    client = Client(server, game, stack.key(game))
    client.put_board("long", windows=["hourly"])
    client.put_board("short")
    client.submit_many([dict(board=board, player=f"p{i}", score=i) for board in ("long", "short") for i in range(20)])
    wait_until(lambda: compare.same(stack, game), 10, "Redis equals PostgreSQL")
    (long,), (short,) = (compare.periods(stack, game, window) for window in ("hourly", "all"))
    partition = stack.sql("select tableoid::regclass from ladder.entry where period_id = %s limit 1", long)[0][0]
    entries = compare.in_postgres(stack, short)
    with psycopg2.connect(stack.primary_url) as blocker:
        blocker.cursor().execute(f"lock table {partition} in access exclusive mode")
        stack.redis.delete(*(f"ladder:{{{standing % 256}}}:{standing}:meta" for standing in (long, short)))
        stack.redis.zadd("ladder:wanted", {str(long): 2, str(short): 1})
        wait_until(lambda: compare.in_redis(stack, short) == entries, 10, "the other one is loaded")
        assert compare.in_redis(stack, long) is None
        blocker.rollback()
    wait_until(lambda: compare.same(stack, game), 10, "Redis equals PostgreSQL")
    for process in (server, worker):
        assert process.stop() == 0
        process.check_clean()


def test_a_coming_period_is_ready_when_it_opens(stack):
    """An hour that begins in a few seconds, by a time zone made for it: the first read of it, and the first score, are Redis's."""
    servers, worker = [stack.serve(server_loops=1) for _ in range(2)], stack.worker(worker_tail_idle_ms=20)
    for server in servers:
        stack.trusted(server)
    game = stack.new_game()
    here, there = (Client(server, game, stack.key(game)) for server in servers)
    boards = "used", "unused"
    for board in boards:
        here.put_board(board, windows=["hourly"])
    begins = int(time.time()) + 8
    left = 3600 - begins % 3600
    zone = f"<X>-{left // 3600:02}:{left // 60 % 60:02}:{left % 60:02}"  # ahead by what is left of the hour then
    stack.sql("update ladder.board b set time_zone = %s from ladder.game g where g.id = b.game_id and g.name = %s", zone, game)
    time.sleep(1.1)  # cache.board_ttl_ms
    here.submit("used", "ann", 5)
    stack.roll()
    coming = stack.sql("select p.id from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
                       "where g.name = %s and p.starts_at = ladder.time_of(%s)", game, begins * 1000000)
    assert len(coming) == 2
    wait_until(lambda: all(f"standing={standing} " in worker.log() for standing, in coming), 5, "the coming periods are loaded")
    assert time.time() < begins, "the machine is too slow for this"
    wait_until(lambda: time.time() > begins + 0.01, 10, "they have begun")
    for board in boards:
        pages = [client.get(f"/boards/{board}/top", fields="total") for client in (here, there)]
        absent = there.get(f"/boards/{board}/players/ann")
        score = here.request("POST", f"/boards/{board}/scores", {"player": "bob", "score": 7})
        for answer in pages:
            assert answer.json()["entries"] == [] and answer.json()["total"] == 0, answer.text
            assert answer.json()["period"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begins))
        assert absent.status_code == 404 and score.json()["entry"]["rank"] == 1
        for answer in pages + [absent, score]:
            assert answer.headers["Server-Timing"].startswith("redis, "), answer.headers["Server-Timing"]
        seen = there.request("GET", f"/boards/{board}/top", headers={"Ladder-Token": score.headers["Ladder-Token"]}).json()
        assert [e["player"] for e in seen["entries"]] == ["bob"]
    for process in (*servers, worker):
        assert process.stop() == 0
        process.check_clean()
