"""A standing in numbers from Redis: the same, to the last digit, as from PostgreSQL and as an independent computation, whatever happens to Redis
and to who counts there."""
import random
import signal
import threading
import time

import pytest

from harness import Client, free_port, wait_until
from test_statistics import check, expected, read

KINDS = ((None, None), ("width", 7), ("count", 7), ("log", None), ("width", 200), ("count", 200))


def begin(stack, workers, **settings):
    """Another worker; the one before has ended."""
    workers.append(stack.worker(worker_tally_ms=50, **settings))
    wait_until(lambda: "event=working" in workers[-1].log(), 10, "it works")


@pytest.fixture(scope="module")
def workers(stack):
    """The last one works."""
    workers = []
    begin(stack, workers)
    yield workers
    assert workers[-1].stop() == 0
    for worker in workers:
        worker.check_clean()


@pytest.fixture(scope="module")
def ladder(stack, workers):
    server = stack.serve()
    stack.trusted(server)
    yield server
    assert server.stop() == 0, server.log()[-2000:]
    server.check_clean()


def remove(client, board, player):
    assert client.request("DELETE", f"/boards/{board}/players/{player}").status_code == 200


def from_redis(client, board="b", **parameters):
    """Once somebody counts what is submitted to it."""
    wait_until(lambda: read(client, board, source="true", **parameters)["source"] == "redis", 15, "Redis has its numbers")
    body = read(client, board, source="true", **parameters)
    assert body["source"] == "redis", body
    return body


def lately(body):
    return [(body["last"][x]["submissions"], body["last"][x]["new_entries"]) for x in ("hour", "day")]


def check_all(client, scores, board="b", descending=True, **parameters):
    for kind, bins in KINDS:
        wish = {key: value for key, value in (("histogram", kind), ("bins", bins)) if value}
        body = from_redis(client, board, p="0,33.3,50,90,99,100", **wish, **parameters)
        check(body, expected(scores, (0, 33.3, 50, 90, 99, 100), kind, bins or 20, descending))


def sums(stack, client, board="b"):
    """What the standing's meta data says, and what is in it: (entries, sum, sum of squares) over k1."""
    period, = stack.sql("select p.id from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
                        "where g.name = %s and b.name = %s and p.window_kind = 'all' and p.facet = ''", client.game, board)[0]
    meta = f"ladder:{{{period % 256}}}:{period}:meta"
    kept = stack.redis.hget(meta, "s")
    rows = stack.sql("select k1 from ladder.entry where period_id = %s and not removed", period)
    ours = (int.from_bytes(kept[8:24], "little", signed=True), int.from_bytes(kept[24:48], "little"))
    return ours, (sum(k for k, in rows), sum(k * k for k, in rows))


@pytest.mark.parametrize("order", ("desc", "asc"))
def test_every_number(stack, client, order):
    client.put_board("b", order=order, operator="last")
    dice = random.Random(order)
    scores = {}
    for spread in (0, 3, 1000, 2**26, 2**40, 2**53, 2**63 - 1):
        rows = [(f"p{dice.randint(0, 300)}", dice.randint(-spread, spread)) for _ in range(200)]
        rows += [(f"edge{n}", score) for n, score in enumerate((-2**63, 2**63 - 1, -2**63 + 1, 2**26, 2**26 - 1, -2**26, 2**32, 2**32 - 1, -2**32, -2**32 - 1,
                                                                2**48, -2**48, 255, 256, -256, -257, 65535, 65536, -65536, -65537, 0, -1))] if spread > 2**60 else []
        client.submit_many([{"board": "b", "player": p, "score": s} for p, s in rows])
        scores.update(rows)
        ours, true = sums(stack, client)
        assert ours == true
        check_all(client, list(scores.values()), descending=order == "desc")
    for player in sorted(scores)[::2]:
        remove(client, "b", player)
        del scores[player]
    check_all(client, list(scores.values()), descending=order == "desc")
    assert sums(stack, client)[0] == sums(stack, client)[1]


def test_many_of_the_same_score_and_of_the_same_double(client):
    client.put_board("b", operator="last")
    scores = [2**60 + n % 5 for n in range(300)] + [7] * 300 + [-2**60 - n % 5 for n in range(300)]
    client.submit_many([{"board": "b", "player": f"p{n}", "score": s} for n, s in enumerate(scores)])
    check_all(client, scores)


def test_facets_and_windows(client):
    client.put_board("b", windows=["all", "daily"], facets=["country"])
    client.submit_many([{"board": "b", "player": f"p{n}", "score": n, "facets": {"country": "BR" if n % 3 else "FR"}} for n in range(90)])
    client.submit_many([{"board": "b", "player": f"old{n}", "score": n, "at": "2020-01-01T12:00:00Z"} for n in range(5)])
    of_facet = [n for n in range(90) if n % 3]
    check_all(client, of_facet, facet="country:BR")
    check_all(client, list(range(90)), window="daily")
    wait_until(lambda: lately(from_redis(client, window="daily")) == [(90, 90)] * 2, 5, "all of today's are counted")
    wait_until(lambda: lately(from_redis(client)) == [(95, 95)] * 2, 5, "all are counted")
    wait_until(lambda: lately(from_redis(client, facet="country:BR")) == [(60, 60)] * 2, 5, "all of a value are counted")
    client.submit("b", "p1", 0)  # he improves nothing
    wait_until(lambda: lately(from_redis(client, facet="country:BR")) == [(61, 60)] * 2, 5, "it is counted all the same")
    client.submit("b", "p1", 1000, facets={"country": "FR"})  # he moves
    wait_until(lambda: lately(from_redis(client, facet="country:FR")) == [(31, 31)] * 2, 5, "where he is now")
    assert lately(from_redis(client, facet="country:BR")) == [(61, 60)] * 2
    check_all(client, [n for n in of_facet if n != 1], facet="country:BR")
    check_all(client, [n for n in range(90) if n % 3 == 0] + [1000], facet="country:FR")


def test_an_empty_one(client):
    client.put_board("b")
    client.submit("b", "ann", 5)
    remove(client, "b", "ann")
    body = from_redis(client, histogram="width")
    assert (body["entries"], body["sum"], body["mean"], body["stddev"], body["min"], body["percentiles"][0]["score"], body["histogram"]) == (0, 0, None, None, None, None, [])


def test_every_submission_counts_once(stack, client, workers):
    """Those that change nothing too; while it is loaded, and whatever happens to the tail and to Redis."""
    client.put_board("b")
    other = Client(client.server, client.game, client.key)
    sent, stop = [0], threading.Event()

    def write_some():
        sent[0] += 7
        other.submit_many([{"board": "b", "player": f"p{n}", "score": 100 - sent[0]} for n in range(7)])

    def write():
        while not stop.is_set():
            write_some()
    write_some()  # before that it has no standing

    def is_counted():
        body = read(client, source="true")
        assert body["source"] != "redis" or lately(body)[0][0] <= sent[0], (body, sent)
        return body["source"] == "redis" and lately(body) == [(sent[0], 7)] * 2

    def disturbed(what):
        stop.clear()
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(5):
                time.sleep(0.1)
                lately(read(client))
            what()
            for _ in range(5):
                time.sleep(0.1)
                lately(read(client))
        finally:
            stop.set()
            writer.join()
        wait_until(is_counted, 20, f"{sent[0]} are counted after {what}")

    def killed():
        workers[-1].kill()
        begin(stack, workers)

    def flushed():
        stack.redis.flushall()

    def lost():
        for key in stack.redis.keys("ladder:{*}:*:activity"):
            stack.redis.delete(key)

    def of_another_kind():
        for key in stack.redis.keys("ladder:{*}:*:activity"):
            stack.redis.set(key, "what")
        stack.redis.set("ladder:activity:wanted", "what")

    def rebuilt():
        period, = stack.sql("select max(id) from ladder.period")[0]
        stack.redis.zadd("ladder:wanted", {str(period): 1})

    def read_again():
        """Of another shard the cursor is lost: the tail reads all of them again and goes on from the oldest."""
        standing, = stack.sql("select max(id) from ladder.period")[0]
        stack.redis.delete(f"ladder:{{{(standing + 1) % 256}}}:cursor")

    def cut_off():
        """The tail loses its session, and goes on from the oldest cursor, that of a standing where nothing happens."""
        for _ in range(3):
            time.sleep(0.9)
            stack.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ladder work tail'")

    for what in (lambda: None, cut_off, read_again, killed, read_again, rebuilt, lost, of_another_kind, flushed):
        disturbed(what)
    assert sums(stack, client)[0] == sums(stack, client)[1]


def test_cursors_that_have_to_wait_count_nothing_twice(stack, client, workers):
    """A second cache's Redis that hangs while somebody is erased keeps the cursors where they are; changes are applied meanwhile."""
    port = free_port()
    second = stack.spawn(["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""], f"second-{port}")
    assert workers[-1].stop() == 0
    begin(stack, workers, cache_l2_url=f"redis://127.0.0.1:{port}/0", redis_command_timeout_ms=100)
    try:
        client.put_board("b", windows=["all", "daily"])
        client.submit("b", "old", 5, at="2020-01-01T12:00:00Z")
        stack.sql("update ladder.period p set state = 'closed', closed_at = now() from ladder.board b, ladder.game g where b.id = p.board_id and g.id = b.game_id and g.name = %s "
                  "and p.ends_at < now()", client.game)
        client.submit("b", "ann", 1)
        wait_until(lambda: lately(from_redis(client)) == [(2, 2)] * 2, 10, "it is counted")
        time.sleep(2.5)  # what was asked for twice has been loaded twice: it will not be once more
        assert stack.redis.scard("ladder:activity:wanted") == 0
        second.send(signal.SIGSTOP)
        before = workers[-1].log().count("second-cache-not-purged")
        assert client.request("DELETE", "/players/old").status_code == 200
        wait_until(lambda: workers[-1].log().count("second-cache-not-purged") > before, 10, "the worker cannot purge")
        for n in range(30):
            client.submit("b", "ann", -n)
            time.sleep(0.05)
        second.send(signal.SIGCONT)
        wait_until(lambda: read(client, source="true")["source"] == "redis" and lately(read(client)) == [(32, 2)] * 2, 20, "each is counted once")
    finally:
        second.kill()
        workers[-1].stop()
        begin(stack, workers)


def test_at_every_moment(client):
    """What is read while it is written to is what some prefix of the writes gives."""
    client.put_board("b", operator="sum")
    stop = threading.Event()
    other = Client(client.server, client.game, client.key)
    client.submit_many([{"board": "b", "player": f"p{n}", "score": n} for n in range(40)])
    from_redis(client)

    def write():
        while not stop.is_set():
            other.submit_many([{"board": "b", "player": f"p{n}", "score": 1} for n in range(40)])
    writer = threading.Thread(target=write)
    writer.start()
    sources = []
    try:
        for kind in ("width", "count") * 75:
            body = read(client, source="true", histogram=kind, bins=40)
            sources.append(body["source"])
            low = body["min"]
            assert body["histogram"] == [{"from": low + n, "to": low + n, "entries": 1} for n in range(40)], body
            assert (body["entries"], body["sum"], body["max"]) == (40, 40 * low + 780, low + 39), body
    finally:
        stop.set()
        writer.join()
    assert sources.count("redis") > len(sources) / 2, sources


def test_who_shows_a_token_is_counted(client):
    client.put_board("b")
    client.submit("b", "ann", 0)
    from_redis(client)
    for n in range(20):
        token = client.submit("b", "ann", -n)["token"]
        body = client.read("/boards/b/stats", headers={"Ladder-Token": token}, source="true")
        assert lately(body)[0][0] == n + 2, body


def test_a_tail_that_stands_still_is_not_believed(stack, client, workers):
    client.put_board("b")
    client.submit("b", "ann", 1)
    from_redis(client)
    workers[-1].send(signal.SIGSTOP)
    try:
        wait_until(lambda: read(client, source="true")["source"] != "redis", 12, "PostgreSQL is asked")
        client.submit("b", "bob", 2)
        assert lately(read(client))[0] == (2, 2)
    finally:
        workers[-1].send(signal.SIGCONT)
    wait_until(lambda: lately(from_redis(client))[0] == (2, 2), 20, "Redis counts again")


def test_sums_of_another_version_are_not_believed(stack, client):
    """A server of an older version changes a standing without its sums: then it is loaded again."""
    client.put_board("b")
    client.submit("b", "ann", 1)
    from_redis(client)
    period, = stack.sql("select max(id) from ladder.period")[0]
    meta = f"ladder:{{{period % 256}}}:{period}:meta"
    for broken in (lambda: stack.redis.hincrby(meta, "v", 1), lambda: stack.redis.hdel(meta, "s"), lambda: stack.redis.hset(meta, "s", "what"),
                   lambda: stack.redis.hset(meta, mapping={"v": int(stack.redis.hget(meta, "v")) + 1, "s": stack.redis.hget(meta, "s")[:8] + bytes(40)})):
        check(from_redis(client), expected([1]))
        broken()
        version = stack.redis.hget(meta, "v")
        client.submit("b", "bob", 4)  # by a server of this version
        assert stack.redis.hget(meta, "v") != version
        assert read(client, source="true")["source"] != "redis"
        check(from_redis(client), expected([1, 4]))
        remove(client, "b", "bob")


def test_counts_are_of_the_version_asked_for(stack, client):
    """ladder.lua's counts, called by hand: what begins where the bins of another version did is no histogram."""
    client.put_board("b", order="asc")
    client.submit_many([{"board": "b", "player": f"p{n}", "score": n} for n in range(5)])
    from_redis(client)
    prefix = next(name for item in stack.redis.function_list() for name in [item[1].decode()] if name.startswith("ladder"))
    period, = stack.sql("select max(id) from ladder.period")[0]
    meta = f"ladder:{{{period % 256}}}:{period}:meta"
    epoch, version = stack.redis.hmget(meta, "epoch", "v")

    def counts():
        return stack.redis.fcall(f"{prefix}_counts", 1, meta, epoch, version, "3", b"\x81\x03", "0", b"\x80")
    assert counts()[4:] == [3, 0]
    client.submit("b", "new", 7)
    assert counts() == [b"CHANGED"]


def test_a_cursor_counts_what_is_its_own(stack, ladder):
    """ladder.lua's cursor, called by hand."""
    prefix = next(name for item in stack.redis.function_list() for name in [item[1].decode()] if name.startswith("ladder"))
    cursor, key = "ladder:{256}:cursor", "ladder:{256}:256000000:activity"  # nobody's

    def move(expected, new, tail, *rows):
        return stack.redis.fcall(f"{prefix}_cursor", 1, cursor, expected, new, tail, *[cell for row in rows for cell in (256000000, *row)])

    def slots():
        return {name: (int.from_bytes(v[:8], "little"), int.from_bytes(v[8:12], "little"), int.from_bytes(v[12:], "little"))
                for name, v in stack.redis.hgetall(key).items() if name != b"by"}
    try:
        assert move("", "one", "me", ("add", 1, 1000, 5, 1)) == 1 and not stack.redis.exists(key), "it was not loaded"
        assert move("", "two", "me", ("load", 1, 1000, 5, 1)) == 0 and not stack.redis.exists(key), "it is not where the writer thinks"
        assert move("one", "two", "me", ("load", 1, 1000, 5, 1), ("load", 1, 1001, 7, 0), ("load", 3, 0, 12, 1)) == 1
        assert slots() == {b"s40": (1000, 5, 1), b"s41": (1001, 7, 0), b"h0": (0, 12, 1)} and 0 < stack.redis.ttl(key) <= 3600
        assert move("two", "three", "other", ("add", 1, 1000, 5, 1)) == 1 and slots()[b"s40"] == (1000, 5, 1), "of another tail"
        assert move("three", "four", "me", ("add", 1, 1000, 3, 1), ("add", 1, 880, 9, 9), ("add", 1, 1121, 2, 2)) == 1
        assert slots() == {b"s40": (1000, 8, 2), b"s41": (1121, 2, 2), b"h0": (0, 12, 1)}, "the newest has the place"
        assert move("four", "five", "me", ("load", "", "", "", "")) == 1 and slots() == {}, "loaded again: nothing was submitted"
    finally:
        stack.redis.delete(cursor, key)
