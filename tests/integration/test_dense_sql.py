"""Dense ranks by PostgreSQL: a ladder of pairs where somebody asks, exact at every moment, and dropped when nobody does."""
import contextlib
import random
import threading

import pytest

import compare
from harness import Client, wait_until

ENTRIES = 12000


class Board:
    def __init__(self, stack, client, spread, window="all", name="b"):
        self.stack, self.client, self.spread, self.window, self.name = stack, client, spread, window, name
        client.put_board(name, windows=[window], operator="last")
        client.submit(name, "first", 1)
        self.period, = stack.sql("select p.id from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
                                 "where g.name = %s and b.name = %s", client.game, name)[0]
        self.start = stack.sql("select starts_at::text from ladder.period where id = %s", self.period)[0][0]
        self.fill(ENTRIES)

    def fill(self, entries):
        self.stack.sql("insert into ladder.entry (period_id, player, window_kind, period_start, k1, k2, k3, revision) "
                       "select %s, 'p' || n, %s::ladder.window_kind, %s, ~(n * 7919 %% %s)::bigint, ~0::bigint, n, nextval('ladder.revision') from generate_series(2, %s) n "
                       "on conflict do nothing", self.period, self.window, self.start, self.spread, entries)
        self.stack.sql("insert into ladder.tally_recount (period_id) values (%s)", self.period)
        wait_until(lambda: not self.stack.sql("select count(*) from ladder.tally_recount")[0][0], 60, "all is counted")

    def rungs(self):
        return self.stack.sql("select count(*), coalesce(sum(pairs), 0), coalesce(max(pairs), 0) from ladder.tally_pair where period_id = %s", self.period)[0]

    def wrong(self, url=None, one_in=211):
        """In one snapshot: pairs whose dense rank is another one than dense_rank() has, and the same of pairs that nobody has."""
        return self.stack.sql(
            "with rank as (select k1, k2, dense_rank() over (order by k1, k2) as rank, row_number() over (order by k1, k2, k3, player) as nth from ladder.entry e "
            "where e.window_kind = %s and e.period_start = %s and e.period_id = %s and not e.removed) "
            "select k1, k2, rank, d.before from rank cross join lateral (values (k1, k2, rank - 1), (k1, k2 + 1, rank)) x (a, b, right_) "
            "cross join lateral ladder.standing_dense(%s, %s, %s, a, b) d (before) where nth %% %s = 0 and d.before <> right_",
            self.window, self.start, self.period, self.window, self.start, self.period, one_in, url=url or self.stack.primary_url)

    def made(self):
        wait_until(lambda: self.rungs()[0] > 0, 30, "the ladder is made")

    def change(self, dice, count):
        players = [f"p{dice.randrange(ENTRIES + 500)}" for _ in range(count)]
        self.client.submit_many([{"board": self.name, "player": p, "score": dice.choice((dice.randrange(self.spread), dice.randrange(3))), "subscore": dice.randrange(2)}
                                 for p in players])
        for _ in range(3):
            self.client.request("DELETE", f"/boards/{self.name}/players/p{dice.randrange(ENTRIES)}")


@pytest.fixture
def alone(stack, client):
    """A server that has no Redis."""
    server = stack.serve(redis_url="redis://127.0.0.1:1/0")
    yield Client(server, client.game, client.key)
    assert server.stop() == 0


@contextlib.contextmanager
def worker_stopped(stack):
    worker = next(c for c in stack.children if c.command[1] == "work" and c.is_alive())
    assert worker.stop() == 0
    try:
        yield
    finally:
        worker = stack.worker()
        wait_until(worker.log, 30, "the worker has begun")


@pytest.mark.parametrize("spread, window", [(100000, "all"), (3000, "daily"), (7, "all")])
def test_exact_after_every_change(stack, ladder, client, alone, spread, window):
    dice = random.Random(spread)
    board = Board(stack, client, spread, window)
    assert board.rungs()[0] == 0 and board.wrong() == []
    alone.read("/boards/b/top", ranking="dense", offset=5000, limit=1)
    board.made()
    for _ in range(5):
        board.change(dice, 300)
        assert board.wrong() == []
    stack.replica_caught_up()
    assert board.wrong(stack.replica_url) == []
    pairs = stack.sql("select count(distinct (k1, k2)) from ladder.entry where period_id = %s and not removed", board.period)[0][0]
    wait_until(lambda: board.rungs()[1] == pairs, 30, "the worker has added all")
    assert board.wrong() == []


def test_the_api_shows_it(stack, ladder, client, alone):
    board = Board(stack, client, 5000)
    alone.read("/boards/b/players/p7", ranking="dense")
    board.made()
    board.change(random.Random(3), 200)
    stack.replica_caught_up()
    right = stack.sql("select e.player, dense_rank() over (order by e.k1, e.k2) from ladder.entry_all e where e.period_id = %s and not e.removed "
                      "order by e.k1, e.k2, e.k3, e.player", board.period)
    ranks = dict(right)
    for offset in (1, 77, 6000, len(right) - 5):
        page = alone.read("/boards/b/top", ranking="dense", offset=offset, limit=5)["entries"]
        assert [(e["player"], e["rank"]) for e in page] == right[offset:offset + 5]
    ids = [right[i][0] for i in (0, 50, 5000, 11000)]
    assert {e["player"]: e["rank"] for e in alone.read("/boards/b/players", ranking="dense", ids=",".join(ids))["entries"]} == {p: ranks[p] for p in ids}
    around = alone.read(f"/boards/b/players/{ids[2]}/around", ranking="dense")["entries"]
    assert all(e["rank"] == ranks[e["player"]] for e in around)
    scores = stack.sql("select distinct ~k1, ~k2 from ladder.entry_all where period_id = %s and not removed", board.period)
    for score in (-1, 0, 2500, 4999, 10**9):
        assert alone.read("/boards/b/at", ranking="dense", score=score)["rank"] == 1 + sum(pair > (score, 0) for pair in scores)


def test_a_backlog_is_added_in_pieces(stack, ladder, client, alone):
    """More events behind the cursor than one piece has: the ladder is made anew behind the last one, and no answer is wrong meanwhile."""
    dice = random.Random(9)
    board = Board(stack, client, 5000)
    alone.read("/boards/b/players/p7", ranking="dense")
    board.made()
    with worker_stopped(stack):
        for _ in range(24):  # as the import submits, without a rank for each: those of a backlog take long
            stack.sql("select * from (select board_id from ladder.period where id = %s) p cross join lateral ladder.submit_history(p.board_id, %s, %s::bigint[], "
                      "array_fill(0::bigint, array[1000]), array_fill(null::bigint, array[1000]), false)", board.period,
                      [f"p{dice.randrange(ENTRIES)}" for _ in range(1000)], [dice.randrange(5000) for _ in range(1000)])
        assert stack.sql("select ladder.tally_is_behind(20000)") == [(True,)]
        assert board.wrong(one_in=4999) == []
    wait_until(lambda: not stack.sql("select ladder.tally_is_behind(1000)")[0][0], 60, "the backlog is added up")
    board.made()
    pairs = stack.sql("select count(distinct (k1, k2)) from ladder.entry where period_id = %s and not removed", board.period)[0][0]
    wait_until(lambda: board.rungs()[1] == pairs, 30, "all is added")
    assert board.wrong() == []


def test_long_stretches_are_divided(stack, ladder, client, alone):
    board = Board(stack, client, 2000)
    alone.read("/boards/b/players/p7", ranking="dense")
    board.made()
    # 3,000 new pairs, all between two rungs: one score, many subscores.
    for first in range(0, 3000, 1000):
        client.submit_many([{"board": "b", "player": f"q{i}", "score": 1000, "subscore": i} for i in range(first, first + 1000)])
    pairs = stack.sql("select count(distinct (k1, k2)) from ladder.entry where period_id = %s and not removed", board.period)[0][0]
    wait_until(lambda: board.rungs()[1] == pairs and board.rungs()[2] <= 800, 30, "no rung has more than four times its step")
    assert board.wrong() == []


def test_racing_writers(stack, ladder, client, alone):
    board = Board(stack, client, 50)
    alone.read("/boards/b/players/p7", ranking="dense")
    board.made()
    stop, failures = threading.Event(), []

    def write(seed):
        try:
            own, dice = Client(ladder, client.game, client.key), random.Random(seed)
            while not stop.is_set():
                own.submit_many([{"board": "b", "player": f"p{dice.randrange(ENTRIES)}", "score": dice.randrange(50), "subscore": dice.randrange(30)} for _ in range(30)])
                own.request("DELETE", f"/boards/b/players/p{dice.randrange(ENTRIES)}")
        except Exception as error:  # noqa: BLE001: told to the test
            failures.append(error)
    threads = [threading.Thread(target=write, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(12):
            assert board.wrong(one_in=503, url=stack.replica_url if turn % 2 else None) == []
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, failures
    assert board.wrong() == []


def test_it_goes_when_nobody_asks(stack, ladder, client, alone):
    board = Board(stack, client, 5000)
    stack.replica_caught_up()
    alone.read("/boards/b/players/p7", ranking="dense")
    board.made()
    stack.sql("update ladder.tally_pair_want set at = now() - interval '25 hours' where period_id = %s", board.period)
    wait_until(lambda: board.rungs()[0] == 0, 30, "it is dropped")
    assert not stack.sql("select from ladder.tally_pair_want where period_id = %s", board.period)
    assert board.wrong(one_in=997) == []


def test_a_small_standing_needs_none(stack, ladder, client, alone):
    client.put_board("b", windows=["all"])
    client.submit_many([{"board": "b", "player": f"p{i}", "score": i // 3} for i in range(100)])
    stack.replica_caught_up()
    assert alone.read("/boards/b/players/p50", ranking="dense")["rank"] == 18
    wait_until(lambda: not stack.sql("select from ladder.tally_pair_want where period_id = %s", compare.periods(stack, client.game)[0]), 30)


def test_a_deep_rank_of_a_large_standing_is_refused_until_it_is_ready(stack, ladder, client, alone):
    """What would read every better entry says that it has to be tried again, and reads no more than a part."""
    board = Board(stack, client, 10**6)
    board.fill(110000)
    deep = dict(ranking="dense", offset=105000, limit=2)
    paths = (("top", deep), ("players/first", dict(ranking="dense")), ("players", dict(ranking="dense", ids="first,p7")), ("at", dict(ranking="dense", score=0)),
             ("players/first/around", dict(ranking="dense")))
    with worker_stopped(stack):
        for path, asked in paths:
            answer = alone.get(f"/boards/b/{path}", **asked)
            assert answer.status_code == 503 and answer.headers["Retry-After"] and "being prepared" in answer.json()["detail"], answer.text
        best = alone.read("/boards/b/top", ranking="dense", offset=5000, limit=1)["entries"][0]
        assert best["rank"] == 5001
    wait_until(lambda: alone.get("/boards/b/top", **deep).status_code == 200, 60, "it is ready")
    assert [e["rank"] for e in alone.read("/boards/b/top", **deep)["entries"]] == [105001, 105002]
    for path, asked in paths:
        assert alone.read(f"/boards/b/{path}", **asked)
    assert board.wrong(one_in=29989) == []


def test_few_pairs_are_counted_however_many_entries_have_them(stack, ladder, client, alone):
    """Without a ladder: each pair is looked for, and the entries behind its first are not read."""
    board = Board(stack, client, 7)
    board.fill(110000)
    with worker_stopped(stack):
        assert alone.read("/boards/b/players/first", ranking="dense")["rank"] == 6  # of the scores 0 to 6
        assert alone.read("/boards/b/at", ranking="dense", score=-5)["rank"] == 8
