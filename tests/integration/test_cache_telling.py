"""What the service says of its caches: on each answer (Ladder-Cache, Cache-Status, Server-Timing), and in /metrics by layer and route."""
import concurrent.futures
import datetime
import re
import time

import pytest
import requests

from harness import Client, wait_until

# RFC 9211: a list of caches, here one; its parameters, of which `hit` and `fwd` never stand together.
NAMES = {"ladder; hit": "hit", "ladder; hit; ttl=-1": "stale", "ladder; hit; detail=l2": "hit", "ladder; fwd=miss": "miss", "ladder; fwd=miss; stored": "miss",
         "ladder; fwd=miss; collapsed": "miss", "ladder; fwd=stale; detail=interval": "miss", "ladder; fwd=stale; stored; detail=interval": "miss",
         "ladder; fwd=bypass": "bypass", "ladder; fwd=method": "bypass"}
# Server-Timing: metrics with parameters (https://www.w3.org/TR/server-timing/).
TIMING = re.compile(r'(((memory|redis|replica(;desc="behind")?|primary|l2), )?total;dur=\d+\.\d\d|memory)(, made;desc="[0-9T:.-]+Z")?')


# RFC 8941: a list of items, here tokens, with parameters; RFC 9211 names those of Cache-Status and their types.
TOKEN = r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*"
PARAMETER = re.compile(r"; *([a-z*][a-z0-9_.*-]*)(?:=(?:(%s)|(-?\d{1,15})))?" % TOKEN)
TYPES = {"hit": bool, "fwd": str, "fwd-status": int, "ttl": int, "stored": bool, "collapsed": bool, "key": str, "detail": str}


def structured_list(field):
    """[(item, {name: value})]; fails where the field is not of that syntax, or has parameters that Cache-Status does not know."""
    members = []
    for member in re.split(r"[ \t]*,[ \t]*", field):
        item = re.match(TOKEN, member)
        assert item, field
        rest, parameters = member[item.end():], {}
        while rest:
            found = PARAMETER.match(rest)
            assert found and found[1] not in parameters, field
            parameters[found[1]] = found[2] if found[2] is not None else int(found[3]) if found[3] is not None else True
            assert isinstance(parameters[found[1]], TYPES[found[1]]), field
            rest = rest[found.end():]
        members.append((item.group(), parameters))
    return members


def told(answer):
    """How the answer came about, once what it says of that was checked."""
    status, timing = answer.headers["Cache-Status"], answer.headers["Server-Timing"]
    (cache, parameters), = structured_list(status)
    assert cache == "ladder" and ("hit" in parameters) != ("fwd" in parameters), status
    assert NAMES[status] == answer.headers["Ladder-Cache"], status
    is_read = answer.request.method in ("GET", "HEAD")
    assert is_read or parameters["fwd"] == "method", (answer.request.method, status)
    assert not is_read or parameters.get("fwd") != "method", status
    assert TIMING.fullmatch(timing), timing
    assert ("made;" in timing) == ("hit" in status), (status, timing)
    return status


def metrics(server):
    text = requests.get(f"http://127.0.0.1:{server.port}/metrics", timeout=50).text
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#")}


def gained(server, before, name):
    return metrics(server).get(name, 0) - before.get(name, 0)


@pytest.fixture
def one(stack, ladder, request):
    """A server with one loop, so that one memory answers; and an admin of a game of its own. Its parameter: more settings."""
    stack.redis.delete("ladder:popular:pages")  # others' pages are not to be warmed
    server = stack.serve(server_loops=1, cache_l1_bytes=200000, **getattr(request, "param", {}))
    stack.trusted(server)
    game = stack.new_game()
    yield Client(server, game, stack.key(game))
    assert server.stop() == 0
    server.check_clean()


TOP = "/v1/games/{game}/boards/{board}/top"


def test_every_answer_says_what_the_caches_did(client, ladder):
    client.put_board("b", public=True)
    base = f"http://127.0.0.1:{ladder.port}"
    answers = [client.request(*what) for what in (
        ("PUT", "/boards/b", {"public": True}), ("PATCH", "/boards/b", {"public": True}), ("GET", "/boards/b"), ("GET", "/boards"),
        ("POST", "/boards/b/scores", {"player": "ann", "score": 1}), ("POST", "/scores", {"scores": []}), ("POST", "/query", {"queries": []}),
        ("POST", "/scores", b"", {"Content-Type": "application/x-ndjson"}), ("POST", "/scores", b"{", {"Content-Type": "application/x-ndjson"}),
        ("GET", "/boards/b/top"), ("GET", "/boards/b/top"), ("HEAD", "/boards/b/top"), ("OPTIONS", "/boards/b/top"), ("GET", "/boards/b/periods"),
        ("GET", "/boards/b/players/nobody"), ("GET", "/boards/b/players/nobody"), ("GET", "/boards/b/top?limit=x"), ("GET", "/boards/none/top"),
        ("GET", "/nothing"), ("DELETE", "/boards/b/top"), ("POST", "/boards/b/scores", {"player": 5}), ("POST", "/boards/b/scores", b"{"),
        ("DELETE", "/boards/b/players/ann"), ("DELETE", "/cache"), ("DELETE", "/boards/b"))]
    answers += [requests.get(base + path, timeout=50) for path in ("/healthz", "/readyz", "/metrics", "/version", "/", "/v1/games/x/boards",
                                                                  "/openapi.json", "/openapi.json", "/docs", "/docs")]
    answers += [requests.head(base + "/docs", timeout=50), requests.get(base + "/docs", headers={"If-None-Match": answers[-1].headers["ETag"]}, timeout=5)]
    for answer in answers:
        told(answer)
    assert {answer.status_code for answer in answers} >= {200, 204, 400, 401, 404, 405}


def test_stored_is_said_of_what_was_stored_and_of_nothing_else(stack, ladder):
    """By servers that remember all, little and nothing, and by one without Redis: the second answer is a hit exactly where the first was stored."""
    stack.redis.delete("ladder:popular:pages")
    game = stack.new_game()
    key, paths = stack.key(game), ["/boards/b/top", "/boards/b/top?limit=1000", "/boards/b/top?offset=50", "/boards/b/players/nobody", "/boards/b/at?score=5",
                                   "/boards/b/players?ids=" + ",".join(f"p{i}" for i in range(500)), "/boards/b/stats", "/boards/b/top?source=true",
                                   "/boards", "/boards/b", "/boards/b/periods", "/boards/b/top?window=daily&period=previous", "/boards/none/top"]
    seen = set()
    for settings in ({}, {"cache_l1_bytes": 100000}, {"cache_l1_bytes": 0}, {"redis_url": "redis://127.0.0.1:1/0"}):
        server = stack.serve(server_loops=1, **settings)
        one = Client(server, game, key)
        if not settings:
            one.put_board("b", windows=["all", "daily"])
            one.submit_many([dict(board="b", player=f"p{i}", score=i) for i in range(1000)])
        if "redis_url" not in settings:
            stack.trusted(server)
            wait_until(lambda: one.read("/boards/b/top", limit=2, source="true")["source"] == "redis", 10, "Redis has it")
        if settings in ({}, {"cache_l1_bytes": 100000}):
            wait_until(lambda: one.get("/boards/b/top", limit=3).headers["Ladder-Cache"] == "hit", 10, "its memory is trusted")
        for path in paths:
            first, second = told(one.get(path)), told(one.get(path))
            assert ("stored" in first) == ("; hit" in second) or "; hit" in first, (settings, path, first, second)
            seen.add((str(settings), first.partition("; ")[2], second.partition("; ")[2]))
        assert server.stop() == 0
    assert {first for settings, first, _ in seen if settings == "{}"} >= {"fwd=miss; stored", "fwd=bypass"}
    assert any(first == "fwd=miss" for settings, first, _ in seen if settings == "{'cache_l1_bytes': 0}"), seen


def test_documents_are_made_once_and_told_so(stack):
    server = stack.serve(server_loops=1)
    for path in ("/openapi.json", "/docs"):
        for coding in ("identity", "gzip", "br"):
            answers = [requests.get(f"http://127.0.0.1:{server.port}{path}", headers={"Accept-Encoding": coding}, timeout=10) for _ in range(3)]
            assert [told(answer) for answer in answers] == ["ladder; fwd=miss; stored", "ladder; hit", "ladder; hit"]
            assert len({answer.headers["ETag"] for answer in answers}) == 1
    assert server.stop() == 0


def test_a_request_that_is_no_http_is_told_so_too(client):
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: nonsense\r\nConnection: close\r\n\r\n",
                 b"GET /%zz?%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
        answer = client.raw(data)
        assert b"\r\nLadder-Cache: bypass\r\n" in answer and b"\r\nCache-Status: ladder; fwd=bypass\r\n" in answer, answer


def test_each_outcome_is_counted_by_route(one):
    server = one.server
    one.put_board("b", operator="last")
    one.submit_many([dict(board="b", player=f"p{i}", score=100 - i) for i in range(30)])
    # The second is fetched when the standing is known, as all that follow: so what it must have heard of was heard of.
    for limit in (3, 5):
        wait_until(lambda: one.get("/boards/b/top", limit=limit).headers["Ladder-Cache"] == "hit", 10, "a hit")
    before = metrics(server)
    count = lambda outcome: gained(server, before, f'ladder_cache_answers_total{{layer="l1",route="{TOP}",outcome="{outcome}"}}')  # noqa: E731
    assert told(one.get("/boards/b/top", limit=4)) == "ladder; fwd=miss; stored"
    assert told(one.get("/boards/b/top", limit=4)) == "ladder; hit"
    assert told(one.get("/boards/b/top", limit=4, source="true")) == "ladder; fwd=bypass"
    one.submit("b", "p20", 50)  # below
    assert told(one.get("/boards/b/top", limit=4)) == "ladder; hit"
    one.submit("b", "p20", 1000)
    assert told(one.get("/boards/b/top", limit=4)) == "ladder; fwd=stale; stored; detail=interval"
    assert told(one.get("/boards/b/top", limit=4)) == "ladder; hit"
    assert [count(outcome) for outcome in ("hit", "miss", "invalidated", "bypass", "coalesced", "stale")] == [3, 1, 1, 1, 0, 0]
    assert gained(server, before, f'ladder_cache_invalidated_total{{layer="l1",route="{TOP}"}}') == 1
    assert gained(server, before, f'ladder_cache_age_seconds_count{{layer="l1",route="{TOP}"}}') == 3


def test_bytes_and_evictions_are_counted_by_route(one):
    server, player = one.server, "/v1/games/{game}/boards/{board}/players/{player}"
    one.put_board("b")
    one.submit_many([dict(board="b", player=f"p{i}", score=i) for i in range(300)])
    wait_until(lambda: one.get("/boards/b/top").headers["Ladder-Cache"] == "hit", 10, "a hit")
    held = metrics(server)
    assert held[f'ladder_cache_bytes{{layer="l1",route="{TOP}"}}'] > 9000 and held[f'ladder_cache_entries{{layer="l1",route="{TOP}"}}'] == 1
    for i in range(300):
        one.read(f"/boards/b/players/p{i}")
    after = metrics(server)
    by_route = {name: value for name, value in after.items() if name.startswith("ladder_cache_bytes{")}
    assert sum(by_route.values()) <= 200000 and after[f'ladder_cache_bytes{{layer="l1",route="{player}"}}'] > 50000
    evicted, entries = (after[f'ladder_cache_{what}{{layer="l1",route="{player}"}}'] for what in ("evicted_total", "entries"))
    assert evicted > 50 and evicted + entries >= 300


def test_a_hit_says_since_when(one):
    one.put_board("b")
    one.submit("b", "ann", 1)
    wait_until(lambda: one.get("/boards/b/top").headers["Ladder-Cache"] == "hit", 10, "a hit")
    made = set()
    for _ in range(3):
        answer = one.get("/boards/b/top")
        made.add(re.search('made;desc="([^"]+)"', answer.headers["Server-Timing"]).group(1))
        time.sleep(0.05)
    text, = made
    age = time.time() - datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    assert 0.1 < age < 15


@pytest.mark.parametrize("one", [dict(cache_heartbeat_ms=5000, redis_command_timeout_ms=20000)], indirect=True, ids=["patient"])
def test_a_shared_fetch_and_a_stale_answer_are_told(stack, one):
    """While Redis hangs: one asks it, the others wait for that; where the board allows, what was there before is given out. The server trusts Redis
    and its memory for longer than that, also on a slow machine."""
    server = one.server
    one.put_board("b", max_staleness_ms=60000)
    one.submit("b", "ann", 1)
    wait_until(lambda: one.get("/boards/b/top").headers["Ladder-Cache"] == "hit", 10, "a hit")
    before = metrics(server)

    def ask(path):
        return told(Client(server, one.game, one.key).get(path))
    one.submit("b", "bob", 2)
    wait_until(lambda: one.get("/boards/b/at?score=0").json()["rank"] == 3, 10, "the change is known")
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        stack.redis.execute_command("CLIENT", "PAUSE", 2000, "ALL")
        first = pool.submit(ask, "/boards/b/top")
        time.sleep(0.5)
        stale = [pool.submit(ask, "/boards/b/top") for _ in range(2)]
        joined = [pool.submit(ask, "/boards/b/top?limit=7") for _ in range(3)]
        # Whether it is stored depends on the stream's beat, which Redis keeps back as well.
        assert first.result().replace(" stored;", "") == "ladder; fwd=stale; detail=interval"
        assert [s.result() for s in stale] == ["ladder; hit; ttl=-1"] * 2
        assert sorted(j.result().replace("; stored", "") for j in joined) == ["ladder; fwd=miss"] + ["ladder; fwd=miss; collapsed"] * 2
    for outcome, count in (("stale", 2), ("coalesced", 2), ("miss", 1), ("invalidated", 1)):
        assert gained(server, before, f'ladder_cache_answers_total{{layer="l1",route="{TOP}",outcome="{outcome}"}}') == count, outcome
