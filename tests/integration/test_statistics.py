"""A standing in numbers equals an independent computation to the last digit, at every moment and from every side."""
import csv
import fractions
import json
import math
import os
import pathlib
import random
import re
import sqlite3
import threading
import time

import pytest

from harness import ROOT, Client, wait_until

DATA = pathlib.Path(os.environ.get("LADDER_TEST_DATA", ROOT.parent / "shared" / "data")) / "goalscorers.csv"


def rounded(value):
    """To six digits, half away from zero."""
    whole = math.floor(abs(value) * 10**6 + fractions.Fraction(1, 2))
    return fractions.Fraction(whole if value >= 0 else -whole, 10**6)


def deviation(scores):
    n = len(scores)
    square = n * sum(s * s for s in scores) - sum(scores)**2
    return fractions.Fraction((math.isqrt(4 * 10**12 * square) + n) // (2 * n), 10**6)


def expected(scores, percentiles=(50, 90, 99), kind=None, bins=20, descending=True):
    """By the definitions of docs/api.md, over plain lists. Scores of a desc board: the higher the better."""
    order = sorted(scores, reverse=descending)
    n = len(order)
    out = {"entries": n, "sum": sum(order), "mean": rounded(fractions.Fraction(sum(order), n)), "stddev": deviation(order),
           "min": min(order), "max": max(order),
           "percentiles": [{"percentile": p, "score": order[max(0, n - math.ceil(p * (n - 1) / 100 - 1e-6) - 1)]} for p in percentiles]}
    low, high = min(order), max(order)
    if kind == "width":
        count = min(bins, high - low + 1)
        starts = [low + i * (high - low + 1) // count for i in range(count)] + [high + 1]
        out["histogram"] = [{"from": a, "to": b - 1, "entries": sum(a <= s < b for s in order)} for a, b in zip(starts, starts[1:])]
    elif kind == "log":
        edges = {0} | {2**k for k in range(63)} | {1 - 2**k for k in range(1, 64)}
        starts = [low] + sorted(e for e in edges if low < e <= high) + [high + 1]
        out["histogram"] = [{"from": a, "to": b - 1, "entries": sum(a <= s < b for s in order)} for a, b in zip(starts, starts[1:])]
    elif kind == "count":
        count, up = min(bins, n), sorted(scores)
        cuts = [i * n // count for i in range(count + 1)]
        out["histogram"] = [{"from": up[a], "to": up[b - 1], "entries": b - a} for a, b in zip(cuts, cuts[1:])]
    return out


def read(client, board="b", **parameters):
    answer = client.get(f"/boards/{board}/stats", **parameters)
    assert answer.status_code == 200, answer.text
    body = json.loads(answer.text, parse_float=lambda text: fractions.Fraction(text))
    for name in ("mean", "stddev"):
        body[name] = fractions.Fraction(body[name]) if body[name] is not None else None
    for item in body["percentiles"]:
        item["percentile"] = float(item["percentile"])
    return body


def check(body, wanted):
    assert {name: body[name] for name in wanted} == wanted


@pytest.mark.parametrize("order", ("desc", "asc"))
def test_every_number(client, order):
    client.put_board("b", order=order, operator="last")
    random.seed(order)
    scores = {}
    for spread in (3, 1000, 2**40, 2**63 - 1):
        rows = [(f"p{random.randint(0, 300)}", random.randint(-spread, spread)) for _ in range(200)]
        rows += [("low", -2**63), ("high", 2**63 - 1)] if spread > 2**60 else []
        client.submit_many([{"board": "b", "player": p, "score": s} for p, s in rows])
        scores.update(rows)
        values = list(scores.values())
        for kind, bins in ((None, 20), ("width", 20), ("width", 7), ("width", 200), ("count", 9), ("count", 200), ("log", 20)):
            more = {} if kind is None else {"histogram": kind} if kind == "log" else {"histogram": kind, "bins": bins}
            check(read(client, p="0,12.5,50,99.9,100", **more), expected(values, (0, 12.5, 50, 99.9, 100), kind, bins, order == "desc"))


def test_before_the_first_score_and_what_is_asked_wrongly(client):
    client.put_board("b")
    body = read(client)
    assert (body["entries"], body["sum"], body["mean"], body["min"]) == (0, 0, None, None)
    client.submit("b", "ann", 5)
    body = read(client, integers="string")
    assert (body["sum"], body["min"], body["percentiles"][0]) == ("5", "5", {"percentile": 50, "score": "5"})
    for wrong in ({"p": "101"}, {"p": ""}, {"p": "5,x"}, {"histogram": "pie"}, {"bins": "5"}, {"histogram": "log", "bins": 5}, {"histogram": "width", "bins": 0}):
        assert client.get("/boards/b/stats", **wrong).status_code == 400, wrong
    for wrong in ({"from": "2026-02-30"}, {"to": "soon"}, {"bucket": "year"}):
        assert client.get("/boards/b/stats/history", **wrong).status_code == 400, wrong


def test_what_happened_lately(client):
    client.put_board("b", windows=["all", "daily"])
    client.submit_many([{"board": "b", "player": f"p{n % 30}", "score": 100 - n} for n in range(60)])
    client.submit_many([{"board": "b", "player": f"old{n}", "score": n, "at": "2020-01-01T12:00:00Z"} for n in range(5)])
    for _ in range(3):  # from the events, then from the tally
        last = read(client)["last"]
        assert [(last[x]["submissions"], last[x]["new_entries"]) for x in ("hour", "day")] == [(65, 35)] * 2
        last = read(client, window="daily")["last"]
        assert [(last[x]["submissions"], last[x]["new_entries"]) for x in ("hour", "day")] == [(60, 30)] * 2
        time.sleep(0.4)


def test_at_every_moment(stack, client):
    """While it is written to, with ladder and without, what is read is what some prefix of the writes gives."""
    client.put_board("b", operator="sum")
    stop = threading.Event()
    other = Client(client.server, client.game, client.key)

    def write():
        while not stop.is_set():
            other.submit_many([{"board": "b", "player": f"p{n}", "score": 1} for n in range(40)])
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(60):
            body = read(client)
            # Each batch gives 40 players one more: in one snapshot all have the same or it is not one.
            assert body["entries"] in (0, 40) and (not body["entries"] or (body["sum"] == 40 * body["min"] and body["stddev"] == 0)), body
    finally:
        stop.set()
        writer.join()


# ---- the ladder ----

def grown(stack, client, count):
    client.put_board("big", operator="last")
    period = client.submit("big", "first", 0) and stack.sql(
        "select p.id from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id where g.name = %s", client.game)[0][0]
    stack.sql("insert into ladder.entry (period_id, player, window_kind, period_start, k1, k2, k3, revision) "
              "select %s, 'e' || n, 'all', '-infinity', ~(n %% 3000)::bigint, ~0::bigint, n, nextval('ladder.revision') from generate_series(1, %s) n", period, count)
    stack.sql("insert into ladder.tally_recount (period_id) values (%s)", period)
    wait_until(lambda: stack.sql("select count(*) from ladder.tally_rung where period_id = %s", period)[0][0] > 10, 20, "it has a ladder")
    return period


def check_ladder(stack, period, url=None):
    """Every function that goes by the ladder, against a count in the same snapshot."""
    # One statement is one snapshot.
    wrong = stack.sql("""
        with entry as materialized (
            select e.*, row_number() over (order by e.k1, e.k2, e.k3, e.player) - 1 as place, count(*) over () as total
            from ladder.entry e where e.period_id = %s and e.window_kind = 'all' and e.period_start = '-infinity' and not e.removed),
        sample as materialized (select * from entry order by random() limit 15)
        select s.player, s.place, n.before, s.total, n.total, x.player
        from sample s
        cross join lateral (select ladder.standing_before('all', '-infinity', %s, s.k1, s.k2, s.k3, s.player) as before,
                                   ladder.standing_total('all', '-infinity', %s) as total offset 0) n
        cross join lateral ladder.standing_seek(%s, s.place) k
        cross join lateral (select e.k1, e.player from ladder.entry e
                            where e.period_id = %s and e.window_kind = 'all' and e.period_start = '-infinity' and not e.removed
                              and (e.k1, e.k2, e.k3, e.player) >= (k.k1, k.k2, k.k3, k.player collate "C")
                            order by e.k1, e.k2, e.k3, e.player offset k.rest limit 1) x
        where s.place <> n.before or s.total <> n.total or x.player <> s.player""", *[period] * 5, url=url)
    assert wrong == []
    # Movers against the standing itself: nobody moved.
    values = ("'all'", "'-infinity'", str(period), "100", "'-infinity'", str(period))
    compared = re.sub(r"\$(\d)", lambda m: values[int(m[1]) - 1], re.sub("--.*", "", (ROOT / "sql/statements/compare_periods.sql").read_text()))
    assert stack.sql(f"select count(*), count(*) filter (where x.rank = x.was_rank) from ({compared}) x", url=url) == [(100, 100)]
    for kind, bins in (("", 0), ("width", 7), ("log", 0), ("count", 7)):
        shown, order = stack.sql("""
            select to_json(s)::text, (select array_agg(~e.k1 order by e.k1, e.k2, e.k3, e.player) from ladder.entry e
                                      where e.period_id = %s and e.window_kind = 'all' and e.period_start = '-infinity' and not e.removed)
            from ladder.standing_statistics('all', '-infinity', %s, '{0,33.3,50,90,99,100}', %s, %s) s""", period, period, kind, bins, url=url)[0]
        shown, count = json.loads(shown), expected(order, (0, 33.3, 50, 90, 99, 100), kind, bins)
        assert (shown["entries"], shown["total"], shown["squares"]) == (len(order), sum(order), sum(score * score for score in order))
        assert (shown["lowest"], shown["highest"], shown["percentiles"]) == (count["min"], count["max"], [one["score"] for one in count["percentiles"]])
        assert [dict(zip(("from", "to", "entries"), one)) for one in zip(shown["bin_from"], shown["bin_to"], shown["bin_entries"])] == count.get("histogram", [])


def test_ranks_by_the_ladder_are_exact_whatever_happens(stack, client):
    """While scores come, players go, workers die and the ladder is raised anew; on the primary and on the replica."""
    period = grown(stack, client, 12000)
    stop = threading.Event()
    other = Client(client.server, client.game, client.key)
    faults = []

    def write():
        try:
            random.seed(3)
            while not stop.is_set():
                other.submit_many([{"board": "big", "player": f"e{random.randint(1, 13000)}", "score": random.choice([random.randint(0, 3000), random.randint(0, 9)])}
                                   for _ in range(300)])
                other.request("DELETE", f"/boards/big/players/e{random.randint(1, 12000)}")
                other.request("DELETE", f"/players/e{random.randint(1, 12000)}")
        except Exception as fault:
            faults.append(fault)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for turn in range(5):
            check_ladder(stack, period)
            check_ladder(stack, period, stack.replica_url)
            if turn % 3 == 1:
                stack.sql("insert into ladder.tally_recount (period_id) values (%s)", period)
    finally:
        stop.set()
        writer.join()
    assert faults == []
    assert stack.sql("select count(*) from ladder.tally_rung where period_id = %s", period)[0][0] > 10
    stack.replica_caught_up()
    check_ladder(stack, period, stack.replica_url)


def test_without_redis_ranks_are_the_same(stack, client):
    period = grown(stack, client, 11000)
    client.submit("big", "me", 1500)
    wait_until(lambda: client.read("/boards/big/top", limit=1, source="true")["source"] == "redis", 20, "Redis has it")
    asked = (("players/me", {}), ("players/me/around", {}), ("players/me", {"ranking": "competition"}), ("top", {"offset": 7000, "limit": 5}),
             ("at", {"rank": 6000}), ("at", {"score": 700}), ("at", {"percentile": 33.3}), ("range", {"min": 100, "max": 101, "limit": 5}))

    def all_of():
        return [{k: v for k, v in client.read(f"/boards/big/{path}", **more).items() if k != "next"} for path, more in asked]
    # Of the rows put in behind its back, Redis knows since it was loaded again.
    stack.cli("warm", "--game", client.game, "--board", "big")
    before = all_of()
    stack.redis_process.kill()
    after = all_of()
    source = client.read("/boards/big/players/me", source="true")["source"]
    stack.redis_start()
    assert source != "redis" and after == before and period


# ---- real data ----

@pytest.mark.skipif(not DATA.exists(), reason=f"no {DATA}")
def test_the_goals(stack, ladder, tmp_path):
    """Statistics, histograms, history and hall of fame of 47,914 goals against sqlite3 and fractions."""
    game = stack.new_game()
    client = Client(ladder, game, stack.key(game))
    client.put_board("goals", operator="sum", windows=["all", "monthly"])
    with open(DATA, encoding="utf-8", newline="") as f:
        rows = [(row["scorer"], row["date"]) for row in csv.DictReader(f) if row["own_goal"] == "FALSE"]
    with open(tmp_path / "goals.csv", "w", encoding="utf-8", newline="") as f:
        csv.writer(f).writerows([("player", "score", "at"), *((player, 1, day) for player, day in rows)])
    print(stack.cli("import", tmp_path / "goals.csv", "--game", game, "--board", "goals", "--player", "player", "--score", "score", "--at", "at"))
    lite = sqlite3.connect(":memory:")
    lite.execute("create table goal (id integer primary key, player text, day text)")
    lite.executemany("insert into goal (player, day) values (?, ?)", rows)
    scores = [n for n, in lite.execute("select count(*) from goal group by player")]
    for kind in (None, "width", "count", "log"):
        check(read(client, "goals", p="1,50,90,99,99.9", **({"histogram": kind} if kind else {})), expected(scores, (1, 50, 90, 99, 99.9), kind))
    for bucket, start in (("day", "day"), ("month", "substr(day, 1, 7) || '-01'"), ("week", "date(day, '-6 days', 'weekday 1')")):
        wanted = [{"from": d, "submissions": n, "improvements": n, "players": p, "sum": n, "mean": 1, "min": 1, "max": 1} for d, n, p in
                  lite.execute(f"select {start} as bucket, count(*), count(distinct player) from goal group by 1 order by 1")]
        found, since = [], "1800-01-01"
        while since:
            page = client.read("/boards/goals/stats/history", bucket=bucket, **{"from": since})
            found += [{k: v for k, v in row.items() if k != "newcomers"} for row in page["history"]]
            since = page["next"]
        assert found == wanted, bucket
    page = client.read("/boards/goals/stats/history", bucket="month", **{"from": "1998-06-01", "to": "1998-07-31"})
    assert [row["from"] for row in page["history"]] == ["1998-06-01", "1998-07-01"]
    # The hall of fame: every month is over, and closed by the worker once the import's ten minutes have passed.
    stack.sql("update ladder.period p set created_at = p.created_at - interval '1 hour' from ladder.board b join ladder.game g on g.id = b.game_id "
              "where p.board_id = b.id and g.name = %s", game)
    months = lite.execute("select count(distinct substr(day, 1, 7)) from goal where day < strftime('%Y-%m-01', 'now')").fetchone()[0]
    wait_until(lambda: stack.sql("select count(*) from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
                                 "where g.name = %s and p.window_kind = 'monthly' and p.state = 'closed'", game)[0][0] >= months, 60, "the months are closed")
    wait_until(lambda: stack.refresh("hall_of_fame") and stack.sql(
        "select count(distinct period_id) from ladder.hall_of_fame where game = %s", game)[0][0] >= months, 60, "the hall of fame has them")
    fame = stack.sql("select to_char(starts_at at time zone 'UTC', 'YYYY-MM'), rank, player, score from ladder.hall_of_fame where game = %s order by 1, 2", game)
    wanted = lite.execute(
        "select month, place, player, n from (select month, player, n, row_number() over (partition by month order by n desc, last, player) as place "
        "from (select substr(day, 1, 7) as month, player, count(*) as n, max(day) as last from goal group by 1, 2)) where place <= 10 order by 1, 2").fetchall()
    assert fame == wanted
