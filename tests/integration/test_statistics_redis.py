"""A standing in numbers from Redis: the same, to the last digit, as from PostgreSQL and as an independent computation, whatever happens to Redis
and to who counts there."""
import random
import signal
import threading
import time

import pytest

from harness import Client, wait_until
from test_statistics import check, expected, read

KINDS = ((None, None), ("width", 7), ("count", 7), ("log", None), ("width", 200), ("count", 200))


@pytest.fixture(scope="module")
def workers(stack):
    """The last one works."""
    workers = [stack.worker(worker_tally_ms=50)]
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


def sums(stack, client, board="b", facet=None):
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
    assert lately(from_redis(client, facet="country:BR")) == [(None, 60)] * 2
    client.submit("b", "p1", 1000, facets={"country": "FR"})  # he moves
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

    def write():
        while not stop.is_set():
            sent[0] += 7
            other.submit_many([{"board": "b", "player": f"p{n}", "score": 100 - sent[0]} for n in range(7)])

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
        workers.append(stack.worker(worker_tally_ms=50))

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

    for what in (lambda: None, killed, rebuilt, lost, of_another_kind, flushed):
        disturbed(what)
    assert sums(stack, client)[0] == sums(stack, client)[1]


def test_at_every_moment(client):
    """What is read while it is written to is what some prefix of the writes gives."""
    client.put_board("b", operator="sum")
    stop = threading.Event()
    other = Client(client.server, client.game, client.key)
    client.submit_many([{"board": "b", "player": f"p{n}", "score": 1} for n in range(40)])
    from_redis(client)

    def write():
        while not stop.is_set():
            other.submit_many([{"board": "b", "player": f"p{n}", "score": 1} for n in range(40)])
    writer = threading.Thread(target=write)
    writer.start()
    sources = []
    try:
        for kind, bins in KINDS * 25:
            wish = {key: value for key, value in (("histogram", kind), ("bins", bins)) if value}
            body = read(client, source="true", **wish)
            sources.append(body["source"])
            assert body["entries"] == 40 and body["sum"] == 40 * body["min"] and body["stddev"] == 0, body
            assert sum(one["entries"] for one in body.get("histogram", [])) in (0, 40), body
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
    for broken in (lambda: stack.redis.hincrby(meta, "v", 1), lambda: stack.redis.hdel(meta, "s")):
        broken()
        assert read(client, source="true")["source"] != "redis"
        check(from_redis(client), expected([1]))
    client.submit("b", "bob", 4)
    check(from_redis(client), expected([1, 4]))
