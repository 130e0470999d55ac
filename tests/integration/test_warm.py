"""`ladder warm`, and the gate that a load passes: what an apply put into the new generation meanwhile is not undone."""
import json
import subprocess
import threading
import time

import pytest

import compare
from harness import BINARY, Client, wait_until


@pytest.fixture
def call(stack, ladder):
    """Calls a function of the library in Redis, whose name has a hash of its text in it."""
    prefix = next(name for item in stack.redis.function_list() for name in [item[1].decode()] if name.startswith("ladder"))
    return lambda name, key, *arguments: stack.redis.fcall(f"{prefix}_{name}", 1, key, *arguments)


def coded(value):
    size = ((value if value >= 0 else ~value).bit_length() + 7) // 8
    return bytes([0x80 + size]) + value.to_bytes(size, "big") if value >= 0 else bytes([0x7F - size]) + (value + (1 << 8 * size)).to_bytes(size, "big")


def sort_key(score):
    key = coded(~score) + coded(-1) + coded(1000)
    assert compare.member(key + b"x") == (~score, -1, 1000, "x")
    return key


def sums_of(scores):
    """As board/sums.h has them, over k1."""
    scores = list(scores)
    return sum(~s for s in scores).to_bytes(16, "little", signed=True) + sum((~s)**2 for s in scores).to_bytes(24, "little")


def rows_of(rows):
    """rows: [(player, score or None: a tombstone, revision)] -> ladder_load's arguments"""
    values, places = [], []
    for player, score, revision in rows:
        value = revision.to_bytes(6, "big")
        if score is not None:
            value += bytes([len(sort_key(score))]) + sort_key(score) + b'{"of": "%d"}' % revision
            places += [str(~score), sort_key(score) + player.encode()]
        values += [player, value]
    return [sums_of(score for _, score, _ in rows if score is not None), len(rows), *values, *places]


@pytest.mark.parametrize("comes", ("before", "between", "never"))
def test_a_load_passes_the_gate(stack, call, comes):
    epoch, meta = "77", "ladder:{5}:256000005:meta"  # nobody's: a worker that has just begun loads those that are
    base = meta[:-4] + "gen"
    first = [("ann", 10, 5), ("bob", 9, 6), ("cy", 8, 7), ("dead", None, 8), ("eve", 7, 9)]
    second = [("fay", 3, 1), ("gus", 2, 2), ("hal", None, 3)]
    # While it is built: newer states of what the load brings, older ones, and somebody it does not know.
    applied = [("ann", 1, 50), ("bob", None, 51), ("cy", 99, 2), ("dead", 4, 52), ("fay", 5, 53), ("hal", 6, 54), ("new", 11, 55)]

    def apply():
        for player, score, revision in applied:
            call("apply", meta, epoch, "0", player, b"" if score is None else sort_key(score), str(~(score or 0)), revision.to_bytes(6, "big"),
                 b'{"of": "%d"}' % revision)
    try:
        assert call("build", meta, epoch, "gen", "1", "30") == b"OK"
        if comes == "before":
            apply()
        assert call("load", meta, epoch, "gen", "30", *rows_of(first)) == b"OK"
        if comes == "between":
            apply()
        assert call("load", meta, epoch, "other", "30", *rows_of(second)) == b"ABORTED"
        assert call("load", meta, "78", "gen", "30", *rows_of(second)) == b"ABORTED"
        assert call("load", meta, epoch, "gen", "30", *rows_of(second)) == b"OK"
        assert call("flip", meta, epoch, "gen") == b"OK"
        newest = {}
        for player, score, revision in first + second + (applied if comes != "never" else []):
            if revision > newest.get(player, (0, 0))[1]:
                newest[player] = (score, revision)
        live = {player: score for player, (score, _) in newest.items() if score is not None}
        members = stack.redis.zrange(base + ":order", 0, -1, withscores=True)
        assert [m[0] for m in members] == [sort_key(s) + p.encode() for p, s in sorted(live.items(), key=lambda x: -x[1])]
        assert [m[1] for m in members] == [~s for s in sorted(live.values(), reverse=True)]
        entries = stack.redis.hgetall(base + ":entry")
        assert {k.decode(): int.from_bytes(v[:6], "big") for k, v in entries.items()} == {p: r for p, (_, r) in newest.items()}
        for player, (score, revision) in newest.items():
            value = entries[player.encode()]
            assert value[6:] == (b"" if score is None else bytes([len(sort_key(score))]) + sort_key(score) + b'{"of": "%d"}' % revision)
        kept = stack.redis.hgetall(meta)
        assert int(kept[b"n"]) == len(live) and set(kept) == {b"epoch", b"gen", b"v", b"n", b"s"}, "nothing of the building stays"
        assert kept[b"s"] == int(kept[b"v"]).to_bytes(8, "little") + sums_of(live.values())
    finally:
        stack.redis.delete(meta, base + ":order", base + ":entry")


def test_warm_under_writes(stack, ladder, client, game):
    """Loaded again and again while scores come in and players are removed, with metadata and without: Redis is PostgreSQL in the end."""
    client.put_board("b", operator="last", windows=["all", "daily"])
    stop, failures = threading.Event(), []

    def write():
        own = Client(ladder, game, client.key)
        try:
            number = 0
            while not stop.is_set():
                number += 1
                rows = [{"board": "b", "player": f"p{(number * 37 + i * 11) % 3000}", "score": number * 7919 % 10007,
                         **({"metadata": {"n": number}} if i % 3 else {})} for i in range(100)]
                answer = own.request("POST", "/scores", json.dumps({"scores": rows}).encode())
                assert answer.status_code in (200, 503), answer.text  # 503: a busy machine; what counts is that the two agree
                own.request("DELETE", f"/boards/b/players/p{number * 53 % 3000}")
        except Exception as error:  # noqa: BLE001: told to the test
            failures.append(error)
    client.submit_many([{"board": "b", "player": f"p{i}", "score": i} for i in range(3000)])
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(8):
            out = stack.cli("warm", "b", "--game", game)
            assert "warm: 2 standings" in out, out
    finally:
        stop.set()
        writer.join()
    assert not failures, failures
    wait_until(lambda: compare.same(stack, game), 20, "Redis equals PostgreSQL")


def test_an_entry_that_no_api_let_in_fails_its_standing_only(stack, ladder, client):
    client.put_board("bad")
    client.put_board("good")
    client.submit_many([{"board": board, "player": "ann", "score": 1} for board in ("bad", "good")])
    stack.sql("update ladder.entry e set player = repeat('x', 65) from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g "
              "on g.id = b.game_id where p.id = e.period_id and g.name = %s and b.name = 'bad'", client.game)
    worker = next(c for c in stack.children if c.command[1] == "work" and c.is_alive())
    done = subprocess.run([BINARY, "warm", "bad", "--game", client.game], env=stack.environment(), capture_output=True, text=True, timeout=60)
    # Whoever of the two came first.
    wait_until(lambda: "is too long for Redis" in done.stderr + worker.log(), 20, "it is said")
    assert worker.is_alive()
    assert "1 entries" in stack.cli("warm", "good", "--game", client.game)
    stack.sql("delete from ladder.entry where octet_length(player) > 64")


@pytest.mark.parametrize("kind", ("set", "string", "list", "junk"))
def test_a_strange_list_of_what_is_wanted_does_not_stay(stack, ladder, client, kind):
    """Whoever put it there: readers add to the list and the worker takes from it again, soon."""
    client.put_board("b")
    client.submit("b", "ann", 1)
    period, = stack.sql("select p.id from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id where g.name = %s", client.game)[0]
    client.submit("b", "bob", 2)
    wait_until(lambda: client.read("/boards/b/top", source="true")["source"] == "redis", what="Redis has the standing")
    redis = stack.redis
    redis.delete("ladder:wanted")
    {"set": lambda: redis.sadd("ladder:wanted", period), "string": lambda: redis.set("ladder:wanted", "x"), "list": lambda: redis.lpush("ladder:wanted", period),
     "junk": lambda: redis.zadd("ladder:wanted", {f"x{i}": 1000 for i in range(50)} | {"": 2000})}[kind]()
    redis.delete(f"ladder:{{{period % 256}}}:{period}:meta")
    wait_until(lambda: client.read("/boards/b/top", source="true")["source"] == "redis", what="the standing is loaded again")
    assert [e["player"] for e in client.read("/boards/b/top")["entries"]] == ["bob", "ann"]
    wait_until(lambda: not redis.exists("ladder:wanted"), what="the list is empty")


def test_a_load_whose_hash_went_becomes_no_standing(stack, call):
    """The next change would come to stand beside what it replaces, and the count would be right."""
    epoch, meta = "77", "ladder:{5}:256000005:meta"  # nobody's: a worker that has just begun loads those that are
    base = meta[:-4] + "gen"
    try:
        assert call("build", meta, epoch, "gen", "1", "30") == b"OK"
        assert call("load", meta, epoch, "gen", "30", *rows_of([("ann", 10, 5), ("bob", 9, 6)])) == b"OK"
        stack.redis.delete(base + ":entry")
        call("apply", meta, epoch, "0", "ann", sort_key(11), str(~11), (7).to_bytes(6, "big"), b"")
        assert stack.redis.zcard(base + ":order") == int(stack.redis.hget(meta, "bn")) == 3
        assert call("flip", meta, epoch, "gen") == b"ABORTED"
    finally:
        stack.redis.delete(meta, base + ":order", base + ":entry")


def test_what_a_dead_loader_left_half_done_is_begun_anew_at_once(stack, ladder, client, call):
    """Whoever loads a standing has its lock in PostgreSQL. While he lives he is not disturbed; his end frees what he was at."""
    client.put_board("b")
    client.submit("b", "ann", 1)
    wait_until(lambda: client.read("/boards/b/top", source="true")["source"] == "redis", what="Redis has the standing")
    period, = compare.periods(stack, client.game)
    meta = f"ladder:{{{period % 256}}}:{period}:meta"
    epoch = stack.sql("select max(epoch) from ladder.epoch")[0][0]
    with stack.loading(period):
        assert call("build", meta, epoch, "gen", "1", "600") == b"OK"
        # Its other generation goes, as when somebody removed a key: it is cold, and being loaded for ten minutes yet.
        generation = stack.redis.hget(meta, "gen").decode()
        stack.redis.delete(f"{meta[:-4]}{generation}:order", f"{meta[:-4]}{generation}:entry")
        until = time.monotonic() + 1
        while time.monotonic() < until:
            page = client.read("/boards/b/top", source="true")
            assert [e["player"] for e in page["entries"]] == ["ann"]
            assert stack.redis.hget(meta, "bld") == b"gen"
    wait_until(lambda: stack.redis.hget(meta, "bld") is None and client.read("/boards/b/top", source="true")["source"] == "redis", 5, "it is loaded")


@pytest.mark.parametrize("name", ("meta", "order", "entry", "cursor"))
@pytest.mark.parametrize("write", (True, False), ids=("written", "read"))
def test_a_strange_value_under_its_names_costs_a_load(stack, ladder, client, name, write):
    """Whoever put it there: no answer is wrong, other standings go on, and it is mended by the next write, or read."""
    for board in "b", "other":
        client.put_board(board)
        client.submit(board, "ann", 1)
        wait_until(lambda: client.read(f"/boards/{board}/top", source="true")["source"] == "redis", what="Redis has the standing")
    redis = stack.redis
    period, = stack.sql("select p.id from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
                        "where g.name = %s and b.name = 'b'", client.game)[0]
    meta = f"ladder:{{{period % 256}}}:{period}:meta"
    key = {"meta": meta, "cursor": f"ladder:{{{period % 256}}}:cursor"}.get(name) or f"{meta[:-4]}{redis.hget(meta, 'gen').decode()}:{name}"
    assert redis.exists(key)
    redis.delete(key)
    redis.sadd(key, "strange")
    score = 1
    if write:
        score = client.submit("b", "ann", 5)["entry"]["score"]

    def is_mended():
        for path in "/boards/b/top", "/boards/b/players/ann/around":
            answer = client.read(path, source="true")
            assert [e["score"] for e in answer["entries"]] == [score]
            if answer["source"] != "redis":
                return False
        return client.submit("other", "ann", 1)["entry"]["rank"] == 1 and client.read("/boards/other/top", source="true")["source"] == "redis"
    wait_until(is_mended, 20, "Redis has the standing again")
    wait_until(lambda: redis.type(key) in (b"none", {"meta": b"hash", "order": b"zset", "entry": b"hash", "cursor": b"string"}[name]), 5, "the strange value is gone")
    client.submit("b", "bob", 9)
    wait_until(lambda: compare.same(stack, client.game, "all"), 20, "Redis equals PostgreSQL")
