"""The second at which a period ends: who is in which, under load, and when the servers' clocks are wrong."""
import datetime
import shutil
import subprocess
import threading
import time

import pytest

from harness import BINARY, Client, wait_until

UTC = datetime.timezone.utc
HOUR = datetime.timedelta(hours=1)
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(id, now);
    if (id == CLOCK_REALTIME)
        now->tv_sec += atoi(getenv("SKEW_S"));
    return status;
}
"""


@pytest.fixture(scope="module")
def skewed(stack, tmp_path_factory):
    """Makes a server whose clock is wrong by so many seconds."""
    if not shutil.which("cc") or b"libasan" in subprocess.run(["ldd", BINARY], capture_output=True).stdout:
        pytest.skip("the clock can't be bent here")
    place = tmp_path_factory.mktemp("skew")
    source, library = place / "skew.c", place / "skew.so"
    source.write_text(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    made = []

    def make(seconds, **settings):
        original = stack.environment

        def environment(login="ladder", **more):
            return original(login, **more) | {"LD_PRELOAD": str(library), "SKEW_S": str(seconds)}
        stack.environment = environment
        try:
            server = stack.serve(**settings)
        finally:
            stack.environment = original
        stack.trusted(server)
        made.append(server)
        return server
    yield make
    for server in made:
        assert server.stop() == 0
        server.check_clean()


def hour_that_ends(boundary):
    """A zone, as POSIX spells it, in which a full hour begins at that instant. Its sign is west of Greenwich."""
    ahead = HOUR - datetime.timedelta(minutes=boundary.minute, seconds=boundary.second)
    return f"<X>-{ahead}"


def put_hourly(stack, client, board, boundary, **definition):
    """An hourly board of such a zone, as boards were made before these were refused."""
    client.put_board(board, windows=["hourly"], **definition)
    stack.sql("update ladder.board b set time_zone = %s from ladder.game g where g.id = b.game_id and g.name = %s and b.name = %s",
              hour_that_ends(boundary), client.game, board)


def soon(seconds):
    return (datetime.datetime.now(UTC) + datetime.timedelta(seconds=seconds)).replace(microsecond=0)


def text(instant):
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_databases_clock_decides(stack, client, skewed):
    """Servers that are an hour and a half ahead and behind write and read in the period that the database is in."""
    client.put_board("b", windows=["hourly"])
    period = client.submit("b", "true", 1)["windows"]["hourly"]["period"]
    for player, seconds in (("ahead", 5400), ("behind", -5400)):
        own = Client(skewed(seconds), client.game, client.key)
        # Read before this server ever wrote: it has asked the database for the time.
        assert [e["player"] for e in own.read("/boards/b/top")["entries"]][:1] == ["true"]
        answer = own.submit("b", player, 1)
        at = datetime.datetime.fromisoformat(answer["entry"]["achieved_at"].replace("Z", "+00:00"))
        assert abs(at - datetime.datetime.now(UTC)) < datetime.timedelta(minutes=5)
        assert answer["windows"]["hourly"]["period"] >= period
        assert own.read(f"/boards/b/players/{player}")["period"] == answer["windows"]["hourly"]["period"]
    assert stack.sql("select count(*) from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
                     "where g.name = %s and p.starts_at > now() + interval '61 minutes'", client.game) == [(0,)]


def test_arrival_order_is_kept_within_a_batch(client):
    """Of equal scores that one request brings, the first is the first."""
    client.put_board("b")
    client.request("POST", "/scores", {"scores": [{"board": "b", "player": f"p{n:02}", "score": 5} for n in reversed(range(50))]})
    entries = client.read("/boards/b/top")["entries"]
    assert [e["player"] for e in entries] == [f"p{n:02}" for n in reversed(range(50))]
    assert len({e["achieved_at"] for e in entries}) == 50


def test_a_reader_turns_the_page_with_the_database(stack, client, skewed):
    """Whoever sees his write in the new period finds it in the current one, at once, whatever the server's clock shows."""
    own = Client(skewed(-300), client.game, client.key)
    boundary = soon(3)
    put_hourly(stack, own, "b", boundary)
    own.submit("b", "early", 1)
    assert [e["player"] for e in own.read("/boards/b/top")["entries"]] == ["early"]
    seen, n = [], 1
    while not seen or datetime.datetime.now(UTC) < boundary + datetime.timedelta(seconds=0.5):
        n += 1
        period = own.submit("b", f"p{n}", n)["windows"]["hourly"]["period"]
        page = own.read("/boards/b/top", limit=1)
        # The boundary may pass between the two, so the reader may be ahead; behind it never is.
        assert page["period"] >= period, (page, period)
        if page["period"] == period:
            assert page["entries"][0]["player"] == f"p{n}"
        seen.append(period)
    assert text(boundary) in seen and len(set(seen)) == 2 and seen == sorted(seen)


def test_a_thousand_submissions_a_second_across_the_boundary(stack, client, ladder, skewed):
    """Three servers, two with a wrong clock. Each submission is acknowledged, is in one period alone, and that is the one in
    which the database took it."""
    servers = [ladder, skewed(90), skewed(-90)]
    boundary = soon(0)
    while soon(2) > boundary:  # on a slow machine the boundary may come before all is ready for it
        boundary = soon(4)
        for board, operator in (("best", "best"), ("sum", "sum")):
            put_hourly(stack, client, board, boundary, operator=operator)
    acknowledged, faults = [], []
    threads_count, some, pace = 8, 10, 0.08
    until = boundary.timestamp() + 2.5

    def write(number):
        own = Client(servers[number % 3], client.game, client.key)
        n, due = 0, time.monotonic()
        while time.time() < until:
            items = [{"board": "best", "player": f"p{number}-{n + i}", "score": n + i} for i in range(some // 2)]
            items += [{"board": "sum", "player": f"s{number}", "score": 1} for _ in range(some // 2)]
            answer = own.request("POST", "/scores", {"scores": items})
            n += some // 2
            for item, result in zip(items, answer.json().get("results", [{}] * some)):
                if result.get("status") == 200:
                    acknowledged.append((item["board"], item["player"], result["windows"]["hourly"]["period"]))
                else:
                    faults.append((item, result or answer.text))
            due += pace
            time.sleep(max(0, due - time.monotonic()))
    threads = [threading.Thread(target=write, args=(n,)) for n in range(threads_count)]
    started = time.monotonic()
    [t.start() for t in threads]
    [t.join() for t in threads]
    took = time.monotonic() - started
    print(f"{len(acknowledged)} submissions in {took:.1f} s: {len(acknowledged) / took:.0f}/s")
    assert not faults, faults[:3]

    def closed():
        return stack.sql("select count(*) from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
                         "where g.name = %s and p.ends_at = %s and p.state = 'closed'", client.game, boundary)[0][0] == 2
    wait_until(closed, 30, "the worker has closed both")
    events = stack.sql("select b.name, v.player, v.submitted_at, v.achieved_at, v.period_ids, p.starts_at, p.ends_at from ladder.score_event v "
                       "join ladder.board b on b.id = v.board_id join ladder.game g on g.id = b.game_id "
                       "left join ladder.period p on p.id = any (v.period_ids) where g.name = %s", client.game)
    assert len(events) == len(acknowledged)
    for _, _, submitted, achieved, ids, start, end in events:
        assert len(ids) == 1 and start <= achieved < end
        # The transaction's start, by the database's clock; a batch is numbered back from the moment it was looked at.
        assert submitted - datetime.timedelta(milliseconds=2) <= achieved < submitted + datetime.timedelta(seconds=60)
    assert sorted((b, p, text(s)) for b, p, _, _, _, s, _ in events) == sorted(acknowledged)
    first, second = text(boundary - HOUR), text(boundary)
    assert {p for _, _, p in acknowledged} == {first, second}
    members = [{e["player"]: e["score"] for e in client.pages("best", period=p)} for p in (first, second)]
    assert not members[0].keys() & members[1].keys()
    assert [set(m) for m in members] == [{p for b, p, at in acknowledged if b == "best" and at == period} for period in (first, second)]
    sums = [sum(e["score"] for e in client.pages("sum", period=p)) for p in (first, second)]
    assert sums == [sum(b == "sum" and at == period for b, _, at in acknowledged) for period in (first, second)] and all(sums)
