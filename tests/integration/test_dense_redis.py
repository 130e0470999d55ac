"""Dense ranks by Redis: exactly the pairs of the order, however they come and go, while they are being made and afterwards."""
import bisect
import concurrent.futures
import random
import threading

import pytest

import compare
from harness import Client, wait_until
from test_warm import coded

EPOCH = "77"
META = "ladder:{5}:256000261:meta"  # nobody's


class Board:
    """A standing that scripts alone know, and what it must be. rows: player -> (k1, k2, k3)."""

    def __init__(self, stack, generation="gen"):
        self.stack, self.redis, self.rows, self.revision = stack, stack.redis, {}, 100
        self.load(generation)

    def call(self, name, *arguments):
        return self.redis.fcall(self.stack.redis_function(name), 1, META, *arguments)

    def read(self, name, *arguments):
        return self.redis.fcall_ro(self.stack.redis_function(name), 1, META, EPOCH, *arguments)

    def key(self, name):
        return META[:-4] + self.redis.hget(META, "gen").decode() + name

    def load(self, generation):
        assert self.call("build", EPOCH, generation, "1", "30") == b"OK"
        for player, row in list(self.rows.items()):
            self.put(player, row)
        assert self.call("flip", EPOCH, generation) == b"OK"

    def put(self, player, row):
        self.apply([(player, row)])

    def apply(self, changes):
        arguments = []
        for player, row in changes:
            self.revision += 1
            arguments += [player, b"".join(map(coded, row)) if row else b"", repr(float(row[0])) if row else "0", self.revision.to_bytes(6, "big"), b""]
        answer = self.call("apply", EPOCH, "0", *arguments)
        for player, row in changes:
            if row:
                self.rows[player] = row
            else:
                self.rows.pop(player, None)
        return answer

    def piece(self, members, who="a"):
        return self.call("dense", EPOCH, who, members)

    def made(self):
        while self.piece(500) == b"MORE":
            pass

    def pairs(self):
        return sorted({row[:2] for row in self.rows.values()})

    def order(self):
        return sorted(row + (player.encode(),) for player, row in self.rows.items())

    def check(self):
        """What there is has exactly the pairs of the order up to the one that it came to."""
        m = self.redis.hgetall(META)
        members = self.redis.zrange(self.key(":dense"), 0, -1, withscores=True)
        text = m.get(b"d", b"")
        if not text or int.from_bytes(text[:8], "big") != int(m[b"v"]):
            return None
        assert int.from_bytes(text[8:12], "big") == len(members)
        pairs, last = self.pairs(), None
        if text[12:]:
            last = text[13 + text[12]:]
            pairs = [p for p in pairs if coded(p[0]) + coded(p[1]) <= last]
        assert [m for m, _ in members] == [coded(a) + coded(b) for a, b in pairs]
        assert [s for _, s in members] == [float(a) for a, _ in pairs]
        assert not members or 0 < self.redis.ttl(self.key(":dense")) <= 86400
        return last is None

    def check_reads(self, dice):
        order, pairs = self.order(), self.pairs()
        rank = {pair: n for n, pair in enumerate(pairs)}
        for start in range(len(order)):
            page = self.read("page", start, 3, "2", "0")
            assert page[0] == b"OK" and page[5] == rank[order[start][:2]], (start, page)
        players = dice.sample(sorted(self.rows), min(5, len(self.rows))) + ["nobody"]
        answer = self.read("players", "2", *players)
        assert answer[5::3] == [rank[self.rows[p][:2]] if p in self.rows else -1 for p in players]
        for _ in range(5):
            pair = dice.choice(pairs) if dice.random() < 0.5 and pairs else (dice.choice(K1), dice.choice(K2))
            key = coded(pair[0]) + coded(pair[1]) + coded(-2**63)
            answer = self.read("seek", repr(float(pair[0])), key, "2")
            assert answer[0] == b"OK" and answer[5] == bisect.bisect_left(pairs, pair)
            assert answer[4] == bisect.bisect_left([row[:2] for row in order], pair)

    def drop(self):
        self.call("drop")


K1 = [0, -1, 1, 5, 255, 256, -256, -257, 2**53, 2**53 + 1, 2**53 + 2, -2**53 - 1, 2**63 - 1, 2**63 - 2, -2**63]  # some share a double
K2 = [-1, 0, 7, -2**63, 2**63 - 1]


@pytest.fixture
def board(stack):
    board = Board(stack)
    yield board
    board.drop()
    assert not list(stack.redis.scan_iter(META[:-4] + "*")), "nothing stays behind"


def row_draw(dice):
    return dice.choice(K1), dice.choice(K2), dice.randrange(3)


@pytest.mark.parametrize("seed", range(6))
def test_the_pairs_of_the_order_and_no_others(ladder, board, seed):
    """At every step: while pieces are made, between changes of every kind; after keys were lost; beside a server that does not know of it."""
    dice = random.Random(seed)
    names = [f"p{i}" for i in range(dice.choice((3, 12, 60)))]
    was_whole = 0
    for step in range(250):
        kind = dice.randrange(20)
        if kind < 12:
            board.apply([(dice.choice(names), row_draw(dice) if dice.random() < 0.75 else None) for _ in range(dice.choice((1, 1, 2, 9)))])
        elif kind < 18:
            board.piece(dice.choice((1, 1, 2, 5, 500)))
        elif kind == 18 and dice.random() < 0.3:
            dice.choice((lambda: board.redis.delete(board.key(":dense")), lambda: board.redis.zpopmin(board.key(":dense")),
                         lambda: board.redis.hset(META, "v", int(board.redis.hget(META, "v")) + 1)))()  # the last: who does not know of `dense`
        if kind >= 18:
            continue  # what was lost is seen by the next change or piece
        is_whole = board.check()
        if is_whole and step % 5 == 0:
            was_whole += 1
            board.check_reads(dice)
    assert was_whole > 3
    board.made()
    assert board.check()
    board.check_reads(dice)


def test_an_old_change_and_one_that_comes_twice_change_nothing(ladder, board):
    board.apply([("a", (1, 0, 0)), ("b", (2, 0, 0))])
    board.made()
    arguments = ["a", coded(9) + coded(0) + coded(0), "9", (50).to_bytes(6, "big"), b""]
    board.call("apply", EPOCH, "0", *arguments)  # older than what is there
    assert board.check() is True
    board.apply([("a", (1, 0, 5)), ("a", (1, 0, 6)), ("a", (1, 0, 6))])  # the same pair
    assert board.check() is True


def test_a_pair_of_many_is_passed_in_one_piece(ladder, board):
    board.apply([(f"p{i}", (7, 0, i)) for i in range(300)])
    board.apply([(f"q{i}", (8 + i, 0, 0)) for i in range(3)])
    answers = []
    while not answers or answers[-1] == b"MORE":
        answers.append(board.piece(2))
    assert len(answers) <= 4 and board.check() is True


def test_one_makes_it_and_another_takes_over(ladder, board):
    board.apply([(f"p{i}", (i, 0, 0)) for i in range(9)])
    assert board.piece(2, "a") == b"MORE"
    assert board.piece(2, "b") == b"BUSY"
    by, at = board.redis.hget(META, "db").split()
    board.redis.hset(META, "db", b"%s %d" % (by, int(at) - 1_000_001))  # "a" was last heard of more than a second ago
    assert board.piece(2, "b") == b"MORE"
    assert board.piece(2, "a") == b"BUSY"
    while board.piece(2, "b") == b"MORE":
        pass
    assert board.check() is True and not board.redis.hexists(META, "db")
    assert board.piece(2, "a") == b"OK"


def test_reads_say_what_they_lack(ladder, board):
    board.apply([(f"p{i}", (i, 0, 0)) for i in range(9)])
    key = coded(3) + coded(0) + coded(0)
    for turn in range(2):  # not begun; not done
        assert board.read("page", 1, 3, "2", "0")[0] == b"UNDENSE"
        assert board.read("players", "2", "p3")[0] == b"UNDENSE"
        assert board.read("seek", "3", key, "2")[0] == b"UNDENSE"
        assert board.read("around", "p3", 1, 1, "2", "0", "")[0] == b"UNDENSE"
        assert board.read("page", 0, 3, "2", "0")[0] == b"OK"  # from the top on they are counted along the page
        assert board.read("players", "2", "nobody")[0] == b"OK"
        assert board.piece(2) == b"MORE"
    board.made()
    assert board.read("players", "2", "p3")[5] == 3


def test_it_leaves_room_for_the_standings(ladder, board):
    board.apply([(f"p{i}", (i, 0, 0)) for i in range(9)])
    board.piece(2)
    used = board.redis.info("memory")["used_memory"]
    try:
        board.redis.config_set("maxmemory", int(used * 1.1))
        assert board.piece(2) == b"FULL"
        assert board.check() is None and not board.redis.exists(board.key(":dense"))
    finally:
        board.redis.config_set("maxmemory", 0)


def test_a_value_of_another_kind_goes(ladder, board):
    board.apply([(f"p{i}", (i, 0, 0)) for i in range(9)])
    for kind in (lambda: board.redis.set(board.key(":dense"), "x"), lambda: board.redis.sadd(board.key(":dense"), "x")):
        board.made()
        board.redis.delete(board.key(":dense"))
        kind()
        assert board.read("page", 1, 3, "2", "0")[0] == b"UNDENSE"
        board.apply([("p1", (100, 0, 0))])
        assert board.check() is None and not board.redis.exists(board.key(":dense"))


def test_a_new_generation_begins_without_it(ladder, board):
    board.apply([(f"p{i}", (i, 0, 0)) for i in range(9)])
    board.made()
    old = board.key(":dense")
    board.load("other")
    assert not board.redis.exists(old) and not board.redis.hexists(META, "d")
    board.made()
    assert board.check() is True


# ---- through the API ----

def period_of(stack, client):
    return compare.periods(stack, client.game)[0]


def right_of(stack, client):
    """[(player, dense rank)] in the order, by SQL."""
    return stack.sql("select e.player, dense_rank() over (order by e.k1, e.k2) from ladder.entry_all e where e.period_id = %s and not e.removed "
                     "order by e.k1, e.k2, e.k3, e.player", period_of(stack, client))


def by_redis(client, path="/boards/b/top", **parameters):
    """The answer once Redis gives it."""
    parameters = dict({"offset": 1} if path.endswith("/top") and "cursor" not in parameters else {}, ranking="dense", source="true", **parameters)
    wait_until(lambda: client.read(path, **parameters)["source"] == "redis", 30, "Redis answers with dense ranks")
    return client.read(path, **parameters)


def check_all(stack, client, dice):
    """All ways to ask for dense ranks, of Redis."""
    right = right_of(stack, client)
    ranks, total = dict(right), len(right)
    by_redis(client)
    for offset in {1, 2, total // 2, total - 3, *(dice.randrange(total) for _ in range(5))}:
        page = by_redis(client, offset=offset, limit=5)
        assert [(e["player"], e["rank"]) for e in page["entries"]] == right[offset:offset + 5]
    for player in dice.sample(sorted(ranks), 3):
        assert by_redis(client, f"/boards/b/players/{player}")["rank"] == ranks[player]
        around = by_redis(client, f"/boards/b/players/{player}/around", above=2, below=3)
        assert len(around["entries"]) == 6 and all(ranks[e["player"]] == e["rank"] for e in around["entries"])
    ids = dice.sample(sorted(ranks), 8)
    found = by_redis(client, "/boards/b/players", ids=",".join(ids + ["nobody"]))["entries"]
    assert {e["player"]: e["rank"] for e in found} == {p: ranks[p] for p in ids}
    place = dice.randrange(1, total) + 1
    entry = by_redis(client, "/boards/b/at", rank=place)["entry"]
    assert (entry["player"], entry["rank"]) == right[place - 1]
    entry = by_redis(client, "/boards/b/at", percentile=50)["entry"]
    assert entry["rank"] == ranks[entry["player"]]
    scores = stack.sql("select distinct ~e.k1, ~e.k2 from ladder.entry_all e where e.period_id = %s and not e.removed", period_of(stack, client))
    for score in (-1, 0, 3, 30, 59, 1000):
        for subscore in (0, 1):
            assert by_redis(client, "/boards/b/at", score=score, subscore=subscore)["rank"] == 1 + sum(pair > (score, subscore) for pair in scores)
    page = by_redis(client, "/boards/b/range", min=10, max=40, limit=7)
    assert page["entries"] and all(ranks[e["player"]] == e["rank"] for e in page["entries"])
    following = by_redis(client, cursor=page["next"])["entries"]
    assert following and all(ranks[e["player"]] == e["rank"] for e in following)


def change(client, dice, count=200, players=300):
    client.submit_many([{"board": "b", "player": f"p{dice.randrange(players)}", "score": dice.randrange(60), "subscore": dice.randrange(2)} for _ in range(count)])
    for _ in range(4):
        client.request("DELETE", f"/boards/b/players/p{dice.randrange(players)}")


def test_equal_dense_rank_by_every_way_to_ask(stack, client):
    dice = random.Random(1)
    client.put_board("b", windows=["all"], operator="last")
    for _ in range(4):
        change(client, dice)
        check_all(stack, client, dice)
    assert stack.redis.exists(*stack.redis.scan_iter(f"*:{period_of(stack, client)}:*:dense")) == 1


def test_only_where_dense_ranks_are_read(stack, client):
    client.put_board("b", windows=["all"])
    client.submit_many([{"board": "b", "player": f"p{i}", "score": i // 2} for i in range(20)])
    wait_until(lambda: client.read("/boards/b/top", limit=3, ranking="competition", offset=3, source="true")["source"] == "redis")
    client.read("/boards/b/top", ranking="dense", limit=5)  # from the top
    period = period_of(stack, client)
    assert not stack.redis.hexists(f"ladder:{{{period % 256}}}:{period}:meta", "d")
    by_redis(client)
    assert stack.redis.hexists(f"ladder:{{{period % 256}}}:{period}:meta", "d")


def test_writers_race_the_making(stack, ladder, client):
    """It is made again and again, from nothing, while scores come in and players are removed."""
    dice = random.Random(2)
    client.put_board("b", windows=["all"], operator="last")
    change(client, dice, 3000, 3000)
    period = period_of(stack, client)
    meta = f"ladder:{{{period % 256}}}:{period}:meta"
    stop = threading.Event()

    def write(seed):
        own, dice = Client(ladder, client.game, client.key), random.Random(seed)
        while not stop.is_set():
            change(own, dice, 50, 3000)

    def read(seed):
        """Along a page, a rank is that before it, or one more."""
        own, dice = Client(ladder, client.game, client.key), random.Random(seed)
        while not stop.is_set():
            page = own.read("/boards/b/top", ranking="dense", offset=dice.randrange(1, 2000), limit=30)["entries"]
            for a, b in zip(page, page[1:]):
                assert b["rank"] - a["rank"] == ((a["score"], a["subscore"]) != (b["score"], b["subscore"]))
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        running = [pool.submit(write, 3), pool.submit(write, 4), pool.submit(read, 5)]
        try:
            for _ in range(10):
                by_redis(client)
                stack.redis.delete(f"{meta[:-4]}{stack.redis.hget(meta, 'gen').decode()}:dense")
        finally:
            stop.set()
        for each in running:
            each.result()
    check_all(stack, client, dice)


def test_after_redis_lost_everything(stack, client):
    dice = random.Random(6)
    client.put_board("b", windows=["all"], operator="last")
    change(client, dice)
    check_all(stack, client, dice)
    stack.redis.flushall()
    change(client, dice)
    check_all(stack, client, dice)


def cache_of(client, path, **parameters):
    answer = client.get(path, ranking="dense", **parameters)
    assert answer.status_code == 200
    return answer.headers["Ladder-Cache"], answer.json()


def test_it_is_remembered_until_a_pair_above_may_have_changed(stack, client):
    """A change above that leaves the places below where they were changes their dense ranks; one below a page does not."""
    client.put_board("b", windows=["all"], operator="last")
    client.submit_many([{"board": "b", "player": f"p{i:02}", "score": 100 - i} for i in range(40)])
    by_redis(client)
    asked = [("/boards/b/top", dict(offset=20, limit=5)), ("/boards/b/players/p20", {}), ("/boards/b/players/p20/around", {}), ("/boards/b/players", dict(ids="p20,p21")),
             ("/boards/b/at", dict(rank=20)), ("/boards/b/at", dict(score=80))]
    def are_hits():
        return all([cache_of(client, path, **parameters)[0] == "hit" for path, parameters in asked])
    # A server that stands still for half a second trusts its memory again only after the next message: so once more.
    for score in range(50, 45, -1):
        wait_until(are_hits, 10, "all are remembered")
        client.submit("b", "p39", score)  # at the end
        if are_hits():
            break
    else:
        pytest.fail("a change below takes them out of memory")
    for player, score, ranks in (("p05", 96, 20), ("p05", 95, 21), ("p03", 1000, 21)):  # joins the pair of p04; has its own again; is the first
        client.submit("b", player, score)
        for path, parameters in asked:
            answer = cache_of(client, path, **parameters)[1]
            right = dict(right_of(stack, client))
            entries = answer.get("entries") or [answer.get("entry") or answer]
            if "score" in parameters:
                assert answer["rank"] == right["p20"]
            else:
                assert all(e["rank"] == right[e["player"]] for e in entries), (path, answer)
        assert right["p20"] == ranks


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_at_a_score_that_nobody_has_where_many_are_equal(stack, client, order):
    """The place in the order and the number of pairs differ; a change between the two is one."""
    client.put_board("b", windows=["all"], order=order, operator="last")
    sign = 1 if order == "desc" else -1
    client.submit_many([{"board": "b", "player": f"p{i}", "score": sign * (10 - i // 20)} for i in range(100)])  # five pairs of twenty
    asked = dict(score=sign * 7, ranking="dense")
    wait_until(lambda: client.read("/boards/b/at", source="true", **asked)["source"] == "redis", 30)
    assert client.read("/boards/b/at", **asked)["rank"] == 4
    client.submit("b", "p50", sign * 9 - sign * 1)  # no change
    client.submit("b", "p30", sign * 1000)  # a pair of its own, at the top
    assert client.read("/boards/b/at", **asked)["rank"] == 5
    for _ in range(2):
        assert client.read("/boards/b/at", **asked)["rank"] == 5
    client.submit_many([{"board": "b", "player": f"p{i}", "score": sign * 9} for i in range(40, 60)])  # the pair of places 41 to 60 goes
    assert client.read("/boards/b/at", **asked)["rank"] == 4


def test_a_reader_waits_while_it_is_made(stack, client):
    """The first answer is Redis's: PostgreSQL is not asked. So it is when it was lost, and of those who ask while another makes it."""
    client.put_board("b", windows=["all"], operator="last")
    client.submit_many([{"board": "b", "player": f"p{i}", "score": i // 2} for i in range(2000)])
    wait_until(lambda: client.read("/boards/b/top", limit=3, source="true")["source"] == "redis", 30)
    answer = client.read("/boards/b/top", ranking="dense", offset=500, limit=2, source="true")
    assert (answer["source"], answer["entries"][0]["rank"]) == ("redis", 251)
    period = period_of(stack, client)
    meta = f"ladder:{{{period % 256}}}:{period}:meta"
    generation = stack.redis.hget(meta, "gen").decode()

    def lose():
        stack.redis.hdel(meta, "d")
        stack.redis.delete(f"{meta[:-4]}{generation}:dense")
    lose()
    epoch = stack.sql("select max(epoch) from ladder.epoch")[0][0]
    make = lambda members: stack.redis.fcall(stack.redis_function("dense"), 1, meta, epoch, "other", members)  # noqa: E731
    assert make(1) == b"MORE"
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        reads = [pool.submit(lambda i=i: client.get("/boards/b/top", ranking="dense", offset=600 + i, limit=2, source="true")) for i in range(4)]
        while make(500) == b"MORE":
            pass
        for i, read in enumerate(reads):
            assert read.result().json()["entries"][0]["rank"] == (600 + i) // 2 + 1
