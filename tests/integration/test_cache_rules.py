"""
One scenario for each rule of the caches that random clients seldom come to need: right as it is, wrong with the rule broken.
"""
import concurrent.futures
import contextlib
import json
import os
import signal
import time

import compare
import modelrun
import pytest
import requests
from harness import Client, ROOT, wait_until


@pytest.fixture(scope="module", autouse=True)
def worker(stack):
    """Tests here end it and start another."""
    stack.worker()
    yield
    for child in modelrun.workers(stack):
        child.stop()


def in_thread(function):
    """Starts it; what is returned waits for its result."""
    return concurrent.futures.ThreadPoolExecutor(1).submit(function).result


def past_ring(setting):
    """More moves below than a thread remembers one by one, after one at the top."""
    here, there = setting.here, setting.there
    here.put_board("b", operator="last")
    here.submit_many([dict(board="b", player=f"p{i}", score=1000 - i) for i in range(20)])
    assert setting.remembered("/boards/b/top", limit=3)["entries"][0]["player"] == "p0"
    here.submit("b", "new", 2000)
    for n in range(3):
        token = here.request("POST", "/scores", {"scores": [dict(board="b", player=f"p{15 + i % 2}", score=i + n) for i in range(60)]})
    time.sleep(0.3)  # the messages are there
    answer = there.request("GET", "/boards/b/top", limit=3, headers={"Ladder-Token": token.headers["Ladder-Token"]}).json()
    return answer["entries"][0]["player"] == "new"


def around_end(setting):
    """One more behind the last: the page that was filled up from above begins one lower."""
    here = setting.here
    here.put_board("b")
    here.submit_many([dict(board="b", player=f"p{i}", score=100 - i) for i in range(5)])
    before = setting.remembered("/boards/b/players/p4/around", above=1, below=1)
    here.submit("b", "last", 1)
    time.sleep(0.3)  # its message is there
    after = here.read("/boards/b/players/p4/around", above=1, below=1)
    return [[e["player"] for e in page["entries"]] for page in (before, after)] == [["p2", "p3", "p4"], ["p3", "p4", "last"]]


def gap(setting):
    """A change whose message never came; the next one tells that there was one."""
    stack, here, there = setting.stack, setting.here, setting.there
    here.put_board("b")
    here.submit_many([dict(board="b", player=f"p{i}", score=100 - i) for i in range(9)])
    setting.remembered("/boards/b/top", limit=3)
    text = (ROOT / "src/kv/ladder.lua").read_text().replace("LADDER_LIBRARY", "whisper").replace("'ladder:moves'", "'ladder:nowhere'")
    stack.redis.function_load(text, replace=True)
    period, = compare.periods(stack, setting.game)
    revision = compare.in_redis(stack, period)[0][5]
    epoch = stack.sql("select max(epoch) from ladder.epoch")[0][0]
    done = stack.redis.fcall("whisper_apply", 1, f"ladder:{{{period % 256}}}:{period}:meta", epoch, 0, "p0", "", "0",
                             (revision + 1).to_bytes(6, "big"), "")
    assert done[0] == b"OK", done
    token = here.submit("b", "p8", 93)["token"]
    time.sleep(0.3)  # its message is there
    answer = there.request("GET", "/boards/b/top", limit=3, headers={"Ladder-Token": token}).json()
    return answer["entries"][0]["player"] != "p0"


def unsure(setting):
    """An apply that Redis did not take in time: from the commit until every loop has heard what the worker's tail brought."""
    stack, here = setting.stack, setting.here
    here.put_board("b")
    here.submit("b", "p0", 1)
    here.submit("b", "p1", 2)
    for n in range(3):
        setting.remembered("/boards/b/top")
        stack.redis.execute_command("CLIENT", "PAUSE", 400, "WRITE")
        score = 100 + n
        here.submit("b", "p0", score)
        until = time.monotonic() + 1.2
        while time.monotonic() < until:
            if here.read("/boards/b/top")["entries"][0]["score"] != score:
                return False
    return True


def unsure_order(setting):
    """The same with a server of two loops: one learns that Redis has the change while the other one decides about a hit."""
    stack, here = setting.stack, setting.here
    here.put_board("b")
    here.submit("b", "p0", 1)
    here.submit("b", "p1", 2)
    readers = [Client(here.server, here.game, here.key) for _ in range(6)]

    def reads(client, score):
        until = time.monotonic() + 1.2
        return all(client.read("/boards/b/top")["entries"][0]["score"] == score for _ in iter(lambda: time.monotonic() < until, False))
    for n in range(3):
        for client in readers:  # of both loops
            wait_until(lambda: client.get("/boards/b/top").headers["Ladder-Cache"] == "hit", 10, "it is remembered")
        stack.redis.execute_command("CLIENT", "PAUSE", 400, "WRITE")
        here.submit("b", "p0", 100 + n)
        if not all([found() for found in [in_thread(lambda client=client: reads(client, 100 + n)) for client in readers]]):
            return False
    return True


def epoch(setting):
    """The database went back to a state without a change that was served from memory; nobody has touched Redis yet."""
    stack, here = setting.stack, setting.here
    here.put_board("b")
    here.submit("b", "p0", 1)
    setting.remembered("/boards/b/top")
    worker = modelrun.workers(stack)[0]
    worker.kill()
    try:
        period, = compare.periods(stack, setting.game)
        stack.sql("update ladder.entry set k1 = ~(5::bigint) where period_id = %s", period)
        epoch = stack.sql("select ladder.epoch_renew()")[0][0]
        stack.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'ladder_serve'")
        stack.replica_caught_up()
        run_id = stack.redis.info("server")["run_id"]
        stack.redis.set("ladder:ready", f"{epoch} {run_id}")
        wait_until(lambda: f"trusted=yes epoch={epoch}" in setting.servers[0].log(), 10, "the new epoch is known")
        until = time.monotonic() + 1
        while time.monotonic() < until:
            if here.read("/boards/b/top")["entries"][0]["score"] != 5:
                return False
        return True
    finally:
        stack.worker()


def token(setting):
    """A change of another server, acknowledged before its message is here."""
    here, there = setting.here, setting.there
    here.put_board("b")
    here.submit("b", "p0", 1)
    setting.remembered("/boards/b/top")
    token = here.submit("b", "p0", 2)["token"]
    return there.request("GET", "/boards/b/top", headers={"Ladder-Token": token}).json()["entries"][0]["score"] == 2


def shown(setting):
    """A change of another server, seen in one answer before its message is here: no answer of before it after that."""
    here, there = setting.here, setting.there
    here.put_board("b")
    here.submit("b", "p0", 1)
    setting.remembered("/boards/b/top")
    here.submit("b", "p0", 2)
    assert there.read("/boards/b/top", limit=4)["entries"][0]["score"] == 2
    return there.read("/boards/b/top")["entries"][0]["score"] == 2


def numbers(setting):
    """A player's numbers have what their server acknowledged to anybody, without a token."""
    here = setting.here
    here.put_board("b")
    here.submit("b", "p0", 1)
    assert here.read("/players/p0/stats")["submissions"] == 1 and here.get("/players/p0/stats").headers["Ladder-Cache"] == "hit"
    here.submit("b", "p0", 0)
    return here.read("/players/p0/stats")["submissions"] == 2


def numbers_elsewhere(setting):
    """They have what another server has acknowledged and a token speaks of."""
    here, there = setting.here, setting.there
    here.put_board("b")
    here.submit("b", "p0", 1)
    assert there.read("/stats")["activity"][0]["submissions"] == 1 and there.get("/stats").headers["Ladder-Cache"] == "hit"
    token = here.request("POST", "/boards/b/scores", {"player": "p0", "score": 0}).headers["Ladder-Token"]
    return there.request("GET", "/stats", headers={"Ladder-Token": token}).json()["activity"][0]["submissions"] == 2


def numbers_in_redis(setting):
    """What the second cache has of them counts for nobody who must see more."""
    here, there = setting.here, setting.there
    here.put_board("b")
    here.submit("b", "p0", 1)
    wait_until(lambda: here.put_board("c") and here.get("/players/p0/stats").headers["Cache-Status"] == "ladder; fwd=miss; stored" and
               there.get("/players/p0/stats").headers["Cache-Status"] == "ladder; hit; detail=l2", 20, "the second cache has it")
    there.submit("b", "p0", 0)
    return there.read("/players/p0/stats")["submissions"] == 2


def long_stream(setting):
    """The token of a long stream covers its first line too, though its last changed nothing."""
    here, there = setting.here, setting.there
    for board in "a", "b":
        here.put_board(board)
        here.submit(board, "p0", 1)
    for board in "a", "b":
        setting.remembered(f"/boards/{board}/top")
    rows = [dict(board="a", player="p0", score=2)] + [dict(board="b", player="p0", score=0)] * 520
    body = "".join(json.dumps(row) + "\n" for row in rows).encode()
    token = here.request("POST", "/scores", body, headers={"Content-Type": "application/x-ndjson"}).json()["token"]
    answer = there.request("GET", "/boards/a/top", headers={"Ladder-Token": token}).json()
    return answer["entries"][0]["score"] == 2


def join(setting):
    """A fetch is under way, its answer late; a change of another server is acknowledged; a reader who shows its token."""
    here, there = setting.here, setting.there
    here.put_board("b")
    here.submit("b", "p0", 1)
    setting.remembered("/boards/b/top")
    first = in_thread(lambda: Client(there.server, there.game, there.key).read("/boards/b/top", limit=4))
    time.sleep(0.1)
    token = here.submit("b", "p0", 2)["token"]
    answer = there.request("GET", "/boards/b/top", limit=4, headers={"Ladder-Token": token}).json()
    return answer["entries"][0]["score"] == 2 if first()["entries"][0]["score"] == 1 else None


def join_database(setting):
    """The same without Redis: the fetch hangs in a replica, and the change is this server's own."""
    stack, here = setting.stack, setting.here

    def again():
        return Client(here.server, here.game, here.key).get("/boards/b/top")
    here.put_board("b")
    here.submit("b", "p0", 2)
    here.submit("b", "p1", 1)
    wait_until(lambda: again().headers["Server-Timing"].startswith("replica"), 10, "the replica is asked")
    stack.replica_sql("select pg_wal_replay_pause()")
    backends = [pid for pid, in stack.replica_sql("select pid from pg_stat_activity where usename = 'ladder_serve'")]
    try:
        for pid in backends:
            os.kill(pid, signal.SIGSTOP)
        first = in_thread(again)
        time.sleep(0.1)
        assert here.request("DELETE", "/boards/b/players/p0").json()["removed"]
        second = in_thread(again)
        time.sleep(0.1)
    finally:
        for pid in backends:
            os.kill(pid, signal.SIGCONT)
    try:
        return second().json()["entries"][0]["player"] == "p1" if first().json()["entries"][0]["player"] == "p0" else None
    finally:
        stack.replica_sql("select pg_wal_replay_resume()")


@contextlib.contextmanager
def chilled(setting):
    """The board's standing leaves Redis, and nobody loads it again."""
    stack = setting.stack
    worker = modelrun.workers(stack)[0]
    period, = compare.periods(stack, setting.game)
    worker.send(signal.SIGSTOP)
    try:
        stack.redis.fcall(stack.redis_function("drop"), 1, f"ladder:{{{period % 256}}}:{period}:meta")
        yield
    finally:
        worker.send(signal.SIGCONT)


def is_kept(client, path, **parameters):
    wait_until(lambda: "detail=l2" in client.get(path, **parameters).headers["Cache-Status"], 10, f"{path} is kept in the second cache")


def cold(setting):
    """What PostgreSQL said of an open standing is kept for all servers while Redis lacks it, until the next change: of whatever kind."""
    here, there = setting.here, setting.there
    here.put_board("b", operator="last")
    here.submit_many([dict(board="b", player=f"p{i}", score=10 + i) for i in range(5)])
    for client in here, there:
        client.get("/boards/b/top")  # the period is known
    questions = [("/boards/b/top", dict(limit=3)), ("/boards/b/players/p4", {}), ("/boards/b/players/new", {}), ("/boards/b/at", dict(score=12))]

    def now():
        return [there.get(path, **parameters).json() for path, parameters in questions]
    with chilled(setting):
        for change in range(3):
            for path, parameters in questions:
                is_kept(there, path, **parameters)
            top, best, new, at = now()
            if change == 0:
                here.submit("b", "p4", 1)
                right = now()[0]["entries"][0]["player"] == "p3" and now()[1]["rank"] == 5 and now()[3]["rank"] == 3
            elif change == 1:
                here.request("DELETE", "/boards/b/players/p3")
                right = now()[0]["entries"][0]["player"] == "p2" and now()[1]["rank"] == 4
            else:
                here.submit("b", "new", 100)
                right = now()[0]["entries"][0]["player"] == "new" and now()[2].get("rank") == 1
            if not right:
                return False
    return True


def cold_position(setting):
    """Nor is kept what a replica says that has not heard of the last change before."""
    stack, here, there = setting.stack, setting.here, setting.there
    here.put_board("b")
    here.submit("b", "p0", 1)
    there.get("/boards/b/top")
    with chilled(setting):
        is_kept(there, "/boards/b/top")
        stack.replica_caught_up()
        stack.replica_sql("select pg_wal_replay_pause()")
        try:
            here.submit("b", "p0", 2)
            return [there.read("/boards/b/top", limit=n)["entries"][0]["score"] for n in (1, 2, 3)] == [2, 2, 2]
        finally:
            stack.replica_sql("select pg_wal_replay_resume()")


def forgotten(setting):
    """Redis was emptied, and is believed again before the standing is loaded: what changed meanwhile came by no message."""
    stack, here, there = setting.stack, setting.here, setting.there
    here.put_board("b", operator="last")
    here.submit("b", "p0", 0)
    period, = compare.periods(stack, setting.game)
    epoch = stack.sql("select max(epoch) from ladder.epoch")[0][0]
    meta = f"ladder:{{{period % 256}}}:{period}:meta"
    lease = [stack.redis_function("build"), 1, meta, epoch, "0" * 16, "0", 60]
    with stack.loading(period):
        for score in range(1, 30):
            setting.remembered("/boards/b/top")
            modelrun.workers(stack)[0].kill()
            stack.redis.flushall()
            wait_until(lambda: here.get("/boards/b/top").headers["Ladder-Cache"] == "miss", 10, "Redis is not believed")
            there.submit("b", "p0", score)
            # Others, which are no more, come first.
            stack.redis.zadd("ladder:wanted", {str(10**12 + i): 10**6 for i in range(1000)})
            worker = stack.worker()
            until = time.monotonic() + 60
            while not stack.redis.exists("ladder:ready"):
                assert time.monotonic() < until, "Redis is ready"
            worker.send(signal.SIGSTOP)
            # As a loader does, which is then at it; if the worker has not been quicker.
            is_ours = not stack.redis.exists(meta) and stack.redis.fcall(*lease) == b"OK"
            worker.send(signal.SIGCONT)
            if not is_ours:
                continue
            believed_at, began = None, time.monotonic()
            # What it remembers is asked for again and again, for a while after Redis is believed.
            while not believed_at or time.monotonic() < believed_at + 0.5:
                if here.read("/boards/b/top")["entries"][0]["score"] != score:
                    return False
                if requests.get(f"http://127.0.0.1:{here.server.port}/readyz", timeout=50).json()["status"] == "ok":
                    believed_at = believed_at or time.monotonic()
                assert time.monotonic() < began + 60, "Redis is believed"
            return True
    raise AssertionError("the worker was always quicker")


def late_date(setting):
    """A change in the very second of the one before, which another server hears of only in the next: its page has no date of then."""
    here, there = setting.here, setting.there
    here.put_board("b", operator="last")
    here.submit("b", "p0", 1)
    there.get("/boards/b/top")  # whatever has to be known first
    for score in range(10, 400, 10):
        time.sleep(1.5)  # so that there knows the last
        wait_until(lambda: time.time() % 1 < 0.1, 5, "a second begins")
        second = int(time.time())
        token = here.submit("b", "p0", score)["token"]
        there.request("GET", "/boards/b/top", headers={"Ladder-Token": token})
        wait_until(lambda: time.time() > second + 0.7, 5, "it is nearly over")
        here.submit("b", "p0", score + 1)
        if time.time() > second + 0.98:
            continue  # the machine was too slow
        wait_until(lambda: time.time() > second + 1.02, 5, "it is over")
        old = there.get("/boards/b/top")
        if old.headers["Ladder-Cache"] != "hit" or old.json()["entries"][0]["score"] != score:
            continue
        wait_until(lambda: there.read("/boards/b/top")["entries"][0]["score"] == score + 1, 10, "the last change is heard of")
        return there.request("GET", "/boards/b/top", headers={"If-Modified-Since": old.headers["Last-Modified"]}).status_code == 200
    raise AssertionError("the machine was always too slow")


LATE = {"delays": ((600, 600), (0, 0)), "cache_heartbeat_ms": 1000, "loops": 1}
LATE_THERE = {"delays_there": ((1000, 1000), (0, 0)), "cache_heartbeat_ms": 1000, "loops": 1}
ONE = {"loops": 1}
KEPT = {"loops": 1, "cache_statistics_ms": 60000}
DIRECTED = {
    "past-ring": (past_ring, ONE),
    "around-end": (around_end, ONE),
    "gap": (gap, ONE),
    "base": (gap, ONE),
    "unsure": (unsure, LATE),
    "sure-again": (unsure, LATE),
    "unsure-order": (unsure_order, LATE | {"loops": 2}),
    "epoch": (epoch, ONE),
    "token": (token, LATE_THERE),
    "shown": (shown, LATE_THERE),
    "join": (join, {"delays_there": ((0, 0), (400, 400)), "redis_command_timeout_ms": 2000, "loops": 1}),
    "late-date": (late_date, LATE_THERE),
    "still": (cold, ONE),
    "forgotten": (forgotten, ONE),
    "still-position": (cold_position, ONE),
    "last-write": (numbers, KEPT),
    "brief-token": (numbers_elsewhere, KEPT),
    "l2-covers": (numbers_in_redis, KEPT),
    "join-database": (join_database, {"redis_url": "redis://127.0.0.1:1/0", "loops": 1}),
}


def tries(setting, scenario):
    """A machine that is slow at the wrong moment hides what is looked for, or spoils the setting (None): with another game, again."""
    for _ in range(5):
        try:
            yield scenario(setting)
        except AssertionError as error:  # what a scenario needs did not come about; a wrong answer is False
            print(error)
            yield None
        setting.game_anew()


RIGHT = dict(DIRECTED.values()) | {long_stream: LATE_THERE}


@pytest.mark.parametrize("scenario, settings", RIGHT.items(), ids=[scenario.__name__ for scenario in RIGHT])
def test_a_scenario_goes_right(stack, scenario, settings):
    with modelrun.Setting(stack, **settings) as setting:
        found = next((found for found in tries(setting, scenario) if found is not None), None)
        assert found


@pytest.mark.parametrize("fault", DIRECTED)
def test_a_scenario_finds_its_broken_rule(stack, fault):
    scenario, settings = DIRECTED[fault]
    with modelrun.Setting(stack, fault, **settings) as setting:
        assert any(found is False for found in tries(setting, scenario))
