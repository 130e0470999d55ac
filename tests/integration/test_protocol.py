"""PostgreSQL is the truth, Redis follows: lost and old Redis, racing writers, a promoted standby. (kill -9: tests/fault.)"""
import random
import shutil
import threading

import pytest
import requests

import compare
from harness import Client, wait_until


def model_apply(model, operator, order, player, score):
    """The sequential model: player -> score. Returns whether it changed."""
    old = model.get(player)
    if operator == "sum":
        new = (old or 0) + score
    elif operator == "last" or old is None:
        new = score
    else:
        new = max(old, score) if order == "desc" else min(old, score)
    model[player] = new
    return old != new


def heal(stack, game, timeout=30):
    """Where Redis lost everything, the standings of all tests before this one are loaded too."""
    try:
        wait_until(lambda: compare.same(stack, game), timeout, "Redis equals PostgreSQL")
    except AssertionError as error:
        raise AssertionError(f"{error}: {compare.differences(stack, game)}")


@pytest.fixture
def own(stack):
    """A server and a worker of the test's own, that it may kill."""
    started = []

    class Own:
        server = stack.serve(worker_tail_idle_ms=50)
        worker = stack.worker(worker_tail_idle_ms=50)

        def serve_again(self, **settings):
            self.server = stack.serve(worker_tail_idle_ms=50, **settings)
            started.append(self.server)

        def worker_again(self):
            self.worker = stack.worker(worker_tail_idle_ms=50)
            started.append(self.worker)
    own = Own()
    started += [own.server, own.worker]
    stack.trusted(own.server)
    yield own
    for process in started:
        if process.is_alive():
            process.stop()
        process.check_clean()


def test_racing_writers_equal_a_sequential_model(stack, ladder):
    """8 writers on the same 100 players, all operators: the entries equal the sum (or best) of what was acknowledged."""
    game = stack.new_game()
    admin = Client(ladder, game, stack.key(game))
    boards = {"best-desc": ("best", "desc"), "best-asc": ("best", "asc"), "sum": ("sum", "desc"), "last": ("last", "desc")}
    for name, (operator, order) in boards.items():
        admin.put_board(name, operator=operator, order=order, windows=["all", "daily"])
    total, writers, chunk = 60_000, 8, 500
    sent = [[] for _ in range(writers)]
    failures = []

    def write(number):
        dice = random.Random(number)
        client = Client(ladder, game, admin.key)
        for _ in range(total // writers // chunk):
            rows = [dict(board=dice.choice(list(boards)), player=f"p{dice.randrange(100)}", score=dice.randrange(-10**6, 10**6))
                    for _ in range(chunk)]
            # On the board whose last submission counts each writer has players of its own: there the order matters.
            for row in rows:
                if row["board"] == "last":
                    row["player"] = f"w{number}-{row['player']}"
            results = client.submit_many(rows)
            failures.extend(r for r in results if r["status"] != 200)
            sent[number] += rows
    threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not failures, failures[:2]
    assert sum(map(len, sent)) == total
    for name, (operator, order) in boards.items():
        model = {}
        for rows in sent:
            for row in rows:
                if row["board"] == name:
                    model_apply(model, operator, order, row["player"], row["score"])
        for window in ("all", "daily"):
            entries = admin.pages(name, window=window)
            assert {e["player"]: e["score"] for e in entries} == model, (name, window)
            assert [e["score"] for e in entries] == sorted(model.values(), reverse=order == "desc")
    heal(stack, game)


def test_flushall_under_load_gives_no_wrong_answer(stack, own):
    game = stack.new_game()
    client = Client(own.server, game, stack.key(game))
    client.put_board("b", facets=["country"])
    client.submit_many([dict(board="b", player=f"p{i}", score=i, facets={"country": f"c{i % 2}"}) for i in range(500)])
    heal(stack, game)
    for i in range(200):
        if i % 20 == 0:
            stack.redis.flushall()
        mine = client.submit("b", f"p{i}", 10_000 + i)
        assert mine["entry"]["rank"] == 1 and mine["previous"]["score"] == i
        page = client.read("/boards/b/top", limit=3)
        assert [e["score"] for e in page["entries"]][0] == 10_000 + i
        assert client.read(f"/boards/b/players/p{i}")["total"] == 500
        assert mine["facets"]["country"] == {"value": f"c{i % 2}", "rank": 1}
        assert client.read("/boards/b/top", limit=1, facet=f"country:c{i % 2}")["entries"][0]["player"] == f"p{i}"
        assert client.read(f"/boards/b/players/p{i}", facet=f"country:c{i % 2}")["total"] == 250
    heal(stack, game, 30)
    stack.trusted(own.server)


def test_redis_restarted_from_an_old_file(stack, own, tmp_path):
    game = stack.new_game()
    client = Client(own.server, game, stack.key(game))
    client.put_board("b")
    client.submit_many([dict(board="b", player=f"p{i}", score=i) for i in range(1000)])
    heal(stack, game)
    stack.redis.save()
    old = tmp_path / "old.rdb"
    shutil.copy(stack.directory / "dump.rdb", old)
    client.submit_many([dict(board="b", player=f"p{i}", score=5000 + i) for i in range(1000)])
    client.request("DELETE", "/boards/b/players/p999")
    stack.redis_restart(old)
    # From the first answer on, never the old state.
    for _ in range(50):
        page = client.read("/boards/b/top", limit=2)
        assert [e["score"] for e in page["entries"]] == [5998, 5997], page
        assert client.get("/boards/b/players/p999").status_code == 404
    heal(stack, game)
    stack.trusted(own.server)
    assert client.read("/boards/b/top", limit=1, source="true")["source"] == "redis"


def test_redis_down_is_only_slower(stack, own):
    game = stack.new_game()
    client = Client(own.server, game, stack.key(game))
    client.put_board("b")
    client.submit_many([dict(board="b", player=f"p{i}", score=i) for i in range(100)])
    stack.redis_process.kill()
    written = client.submit("b", "p5", 500)
    assert written["entry"]["rank"] == 1 and written["previous"] == {"score": 5, "subscore": 0, "rank": 95}
    assert [e["score"] for e in client.read("/boards/b/top", limit=2)["entries"]] == [500, 99]
    assert [e["player"] for e in client.read("/boards/b/players/p5/around", above=1, below=1)["entries"]] == ["p5", "p99", "p98"]
    assert client.read("/boards/b/at", score=500)["rank"] == 2
    assert client.read("/boards/b/players", ids="p1,p5")["entries"][0]["player"] == "p5"
    assert requests.get(f"http://127.0.0.1:{own.server.port}/readyz").json()["status"] == "degraded"
    stack.redis_start()
    stack.trusted(own.server)
    heal(stack, game)


@pytest.fixture
def damaged(stack, own):
    """A client of a board of fifty, and ways to remove something of its standing behind everybody's back."""
    game = stack.new_game()
    client = Client(own.server, game, stack.key(game))
    client.put_board("b")
    client.submit_many([dict(board="b", player=f"p{i}", score=i) for i in range(50)])
    heal(stack, game)
    period = compare.periods(stack, game)[0]
    base = f"ladder:{{{period % 256}}}:{period}:"

    def of(name):
        return base + stack.redis.hget(base + "meta", "gen").decode() + name

    def damages():
        for damage in (lambda: stack.redis.delete(of(":order")), lambda: stack.redis.zpopmax(of(":order")), lambda: stack.redis.delete(of(":entry")),
                       lambda: stack.redis.delete(base + "meta")):
            for limit in range(1, 4):
                wait_until(lambda: client.read("/boards/b/top", limit=limit, source="true")["source"] == "redis", 5, "Redis answers")
            damage()
            yield
            heal(stack, game)
    return client, damages


def test_damage_is_noticed(damaged):
    """One key deleted, one member removed behind our back: the answer is PostgreSQL's, and Redis is rebuilt."""
    client, damages = damaged
    for turn, _ in enumerate(damages(), 1):  # pages that are not in memory, where no damage shows
        assert [e["score"] for e in client.read("/boards/b/top", limit=10 + turn)["entries"]] == list(range(49, 39 - turn, -1))
        assert client.read("/boards/b/players/p7/around", above=turn, below=1)["entries"][turn]["score"] == 7


def test_damage_and_then_a_write(damaged):
    """What was removed is missed by the next change too: it must not stand beside what it replaced."""
    client, damages = damaged
    best = {f"p{i}": i for i in range(50)}
    for turn, _ in enumerate(damages()):
        for player in "p20", "p21":
            best[player] = 100 + 10 * turn + int(player[1:])
            assert client.submit("b", player, best[player])["improved"]
        for limit in range(100, 110):
            shown = [(e["player"], e["score"]) for e in client.read("/boards/b/top", limit=limit)["entries"]]
            assert shown == sorted(best.items(), key=lambda one: -one[1]), (turn, shown[:5])


def test_the_tail_is_not_held_up_by_a_long_transaction(stack, own):
    import psycopg2
    game = stack.new_game()
    client = Client(own.server, game, stack.key(game))
    client.put_board("b")
    client.submit("b", "a", 1)
    heal(stack, game)
    with psycopg2.connect(stack.primary_url) as connection, connection.cursor() as cursor:
        cursor.execute("select pg_current_xact_id()")  # holds back every xid horizon
        # Behind the servers' backs, so that only the tail can bring it.
        board = stack.sql("select b.id from ladder.board b join ladder.game g on g.id = b.game_id where g.name = %s", game)[0][0]
        stack.sql("select * from ladder.submit(array[%s::bigint], array['z'], array[7::bigint], array[0::bigint], "
                  "array[ladder.us_of(now())], array[null::text], array[0], array[0], '{}', '{}', '{}')", board)
        heal(stack, game, 3)
        connection.rollback()


def test_random_protocol(stack, own):
    """Lost, doubled and reordered applies, deletes, rebuilds in the middle, dead workers: equal in the end."""
    dice = random.Random(7)
    game = stack.new_game()
    client = Client(own.server, game, stack.key(game))
    client.put_board("b", operator="last", windows=["all", "daily"], facets=["country"])
    board = stack.sql("select b.id from ladder.board b join ladder.game g on g.id = b.game_id where g.name = %s", game)[0][0]
    model = {}
    for step in range(400):
        player, score = f"p{dice.randrange(30)}", dice.randrange(-2**63, 2**63)
        action = dice.random()
        if action < 0.5:
            client.submit("b", player, score, **({"facets": {"country": dice.choice(("BR", "AR", None))}} if dice.random() < 0.5 else {}))
            model[player] = score
        elif action < 0.7:  # an apply that is lost: nobody but the tail knows
            stack.sql("select * from ladder.submit(array[%s::bigint], array[%s], array[%s::bigint], array[0::bigint], "
                      "array[ladder.us_of(now())], array[null::text], array[0], array[0], '{}', '{}', '{}', array[%s])", board, player, score,
                      dice.choice((None, '{"country": "BR"}', '{"country": "AR"}')))
            model[player] = score
        elif action < 0.85:
            client.request("DELETE", f"/boards/b/players/{player}")
            model.pop(player, None)
        elif action < 0.9:  # an old apply that comes late, or again
            for period in compare.periods(stack, game):
                rows = compare.in_postgres(stack, period)
                if rows:
                    row = dice.choice(rows)
                    stack.redis.execute_command("FCALL", stack.redis_function("apply"), 1, f"ladder:{{{period % 256}}}:{period}:meta",
                                                stack.sql("select max(epoch) from ladder.epoch")[0][0], "0", row[3],
                                                b"\x80\x80\x80", "0", max(1, row[5] - dice.randrange(1, 5)).to_bytes(6, "big"), "")
        elif action < 0.95:
            stack.redis.zadd("ladder:wanted", {period: 1 for period in compare.periods(stack, game)} or {1: 1})  # a rebuild in the middle
        elif action < 0.97:
            own.worker.kill()
            own.worker_again()
        elif action < 0.98:
            stack.redis.flushall()
    heal(stack, game, 15)
    assert compare.mirrored(stack, game) > 0
    assert {e["player"]: e["score"] for e in client.pages("b")} == model
    assert {e["player"]: e["score"] for e in client.pages("b", window="daily")} == model


def test_a_promoted_standby_is_a_new_epoch(stack):
    """Last in this file's order by its cost: the replica is promoted and takes the primary's place."""
    server, worker = stack.serve(worker_tail_idle_ms=50), stack.worker(worker_tail_idle_ms=50)
    game = stack.new_game()
    client = Client(server, game, stack.key(game))
    client.put_board("b")
    client.submit_many([dict(board="b", player=f"p{i}", score=i) for i in range(200)])
    stack.replica_caught_up()
    stack.replica_sql("select pg_wal_replay_pause()")
    client.submit("b", "ghost", 10**6)  # acknowledged by the old primary only: asynchronous replication loses it
    stack.primary.kill()
    assert client.request("POST", "/boards/b/scores", {"player": "x", "score": 1}).status_code == 503
    stack.replica_sql("select pg_promote(false)")
    stack.replica_sql("select pg_wal_replay_resume()")
    wait_until(lambda: stack.replica_sql("select not pg_is_in_recovery()")[0][0], 20, "promoted")
    server.stop()
    worker.stop()
    stack.replica_took_over()
    server, worker = stack.serve(database_replicas="", worker_tail_idle_ms=50), stack.worker(worker_tail_idle_ms=50)
    client = Client(server, game, client.key)
    stack.trusted(server, 20)
    assert stack.sql("select count(*) from ladder.epoch")[0][0] >= 2
    top = client.read("/boards/b/top", limit=1)["entries"][0]
    assert top["player"] in ("p199", "ghost")
    assert top["player"] == stack.sql("select player from ladder.entry e join ladder.period p on p.id = e.period_id join ladder.board b "
                                      "on b.id = p.board_id join ladder.game g on g.id = b.game_id where g.name = %s and not e.removed "
                                      "order by k1 limit 1", game)[0][0]
    heal(stack, game)
    server.stop()
    worker.stop()
