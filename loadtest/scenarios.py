"""The scenarios of loadtest/run: each a function that gets the run's options, prepares a Lab, and returns what was measured.

Every result has `title`, `about`, and any of `capacity` (closed loop, wrk), `latency` (open loop, at half of that), `steps`, `checks`
(a promise, whether it held, what was seen), `series`.
"""
import json
import os
import random
import re
import subprocess
import threading
import time

import lab as lab_module
from lab import Database, Lab, Watch, paced, requests_write, wrk
from fault.proxy import Proxy
from turns import interval

CALM_RATE = 4000       # requests/s of paced.mjs beside which two cores have time left
GENERATOR_MOST = 7000  # requests/s that it sends on time
SCENARIOS = {}


def scenario(name):
    def keep(function):
        SCENARIOS[name] = function
        return function
    return keep


def check(promise, held, seen):
    return {"promise": promise, "held": bool(held), "seen": str(seen)}


# ---- who asks for what ----

class Zipf:
    """Numbers from 0, the n-th as often as 1/n."""

    def __init__(self, dice, count, skew=1.0):
        self.dice, self.range = dice, range(count)
        total, self.sums = 0.0, []
        for i in range(count):
            total += 1 / (i + 1) ** skew
            self.sums.append(total)

    def __call__(self):
        return self.dice.choices(self.range, cum_weights=self.sums)[0]


def boards_fill(lab, boards, players, **definition):
    """Boards b0, b1, … with the same players p0, p1, …; all in Redis afterwards, and analyzed, as autovacuum does within a minute: without,
    PostgreSQL takes a table that has just been filled for an empty one, and reads it from end to end."""
    dice = random.Random(1)
    for b in range(boards):
        lab.client.put_board(f"b{b}", **{"operator": "best", **definition})
        for first in range(0, players, 1000):
            lab.client.submit_many([dict(board=f"b{b}", player=f"p{p}", score=dice.randrange(10**6)) for p in range(first, min(players, first + 1000))])
    lab.sql("analyze")


def read_one(lab, dice, boards, pages, players):
    board = f"{lab.path}/boards/b{boards()}"
    kind = dice.random()
    if kind < 0.6:
        return "GET", f"{board}/top?limit=50&offset={pages() * 50}", ""
    if kind < 0.8:
        return "GET", f"{board}/players/p{players()}", ""
    return "GET", f"{board}/players/p{players()}/around", ""


def submit_one(lab, dice, board, players):
    return "POST", f"{lab.path}/boards/{board}/scores", json.dumps({"player": f"p{dice.randrange(players)}", "score": dice.randrange(10**6)})


def mix(lab, count, boards, players, writes, seed=1):
    """Reads by Zipf's law over boards, pages and players, with this share of writes."""
    dice = random.Random(seed)
    board, page, player = Zipf(dice, boards), Zipf(dice, 20), Zipf(dice, players)
    for _ in range(count):
        if dice.random() < writes:
            yield submit_one(lab, dice, f"b{board()}", players)
        else:
            yield read_one(lab, dice, board, page, player)


def measure(lab, file, options, connections=32, share=0.5):
    """Capacity by a closed loop, then latency by an open one at a share of it."""
    wrk(lab, file, max(1, options.seconds // 5), connections)
    with Watch(lab) as watch:
        full = wrk(lab, file, options.seconds, connections)
    full.update(watch.sum)
    rate = min(CALM_RATE, round(full["rate"] * share / 10) * 10 or 10)
    with Watch(lab) as watch:
        latency = paced(lab, file, rate, options.seconds)
    latency.update(watch.sum)
    return {"capacity": full, "latency": latency, "series": watch.lines(),
            "checks": [check("no request fails", full["failed"] == 0 and latency["failed"] == 0, f"{full['failed']} and {latency['failed']} failed")]}


def standard(options, title, about, lines, boards=20, players=2000, settings=None, definition=None, **more):
    lab = Lab()
    try:
        lab.open(**(settings or {}))
        boards_fill(lab, boards, players, **(definition or {}))
        file = requests_write(lab.directory / "requests", lines(lab, boards, players))
        return {"title": title, "about": about, **measure(lab, file, options, **more)}
    finally:
        lab.close()


# ---- the scenarios ----

@scenario("browse")
def browse(options):
    return standard(options, "Browsing", "Reads by Zipf's law over 20 boards of 2,000 players: pages of 50 (60 %), players, neighbours.",
                    lambda lab, boards, players: mix(lab, 50000, boards, players, 0.0))


@scenario("mixed")
def mixed(options):
    return standard(options, "Reads with 5 % writes", "As browsing, with one submission among 20 requests; each changes a sum.",
                    lambda lab, boards, players: mix(lab, 50000, boards, players, 0.05), definition={"operator": "sum"})


@scenario("uncached")
def uncached(options):
    return standard(options, "No memory", "As browsing, with the memory of answers switched off: every answer is made from Redis.",
                    lambda lab, boards, players: mix(lab, 50000, boards, players, 0.0), settings={"cache_l1_bytes": 0})


UPSERT = r"""\set player random(1, 1000000)
\set score random(1, 1000000)
with e as (insert into ladder.score_event (board_id, kind, player, score, subscore, achieved_at, period_ids)
           values (:board, 'submit', 'p' || :player, :score, 0, now(), array[:period]::bigint[]))
insert into ladder.entry as e (period_id, player, window_kind, period_start, k1, k2, k3, revision, removed)
values (:period, 'p' || :player, 'all', '-infinity', ~:score::bigint, ~0::bigint, 0, nextval('ladder.revision'), false)
on conflict (period_id, player, window_kind, period_start) do update
    set k1 = excluded.k1, k2 = excluded.k2, k3 = excluded.k3, revision = nextval('ladder.revision'), removed = false
    where excluded.k1 < e.k1;
"""


# As many rows in one statement as a batch of ours has, and nothing but the rows: no answer, no previous state, no tally, no ranks.
UPSERT_MANY = r"""\set start random(1, 1000000)
with i as (select 'p' || (:start + n * 31357) % 1000000 as player, (random() * 1000000)::bigint as score from generate_series(1, 32) n),
e as (insert into ladder.score_event (board_id, kind, player, score, subscore, achieved_at, period_ids)
      select :board, 'submit', player, score, 0, now(), array[:period]::bigint[] from i)
insert into ladder.entry as e (period_id, player, window_kind, period_start, k1, k2, k3, revision, removed)
select :period, player, 'all', '-infinity', ~score, ~0::bigint, 0, nextval('ladder.revision'), false from i order by player
on conflict (period_id, player, window_kind, period_start) do update
    set k1 = excluded.k1, k2 = excluded.k2, k3 = excluded.k3, revision = nextval('ladder.revision'), removed = false
    where excluded.k1 < e.k1;
"""


def pgbench(lab, text, clients, seconds, board, period, database="ladder"):
    """Transactions a second of a script; 0 if it failed."""
    script = lab.directory / "script.sql"
    script.write_text(text)
    out = subprocess.run([lab_module.PG + "pgbench", "-h", "127.0.0.1", "-p", str(lab.primary_port), "-U", "ladder", "-n", "-M", "prepared",
                          "-c", str(clients), "-j", "1", "-T", str(seconds), "-D", f"board={board}", "-D", f"period={period}", "-f", str(script), database],
                         capture_output=True, text=True)
    return float(re.search(r"tps = ([\d.]+)", out.stdout)[1]) if out.returncode == 0 else 0.0


def tables_beside(lab, name):
    """The same tables in another database of the same PostgreSQL, without a worker, and a board with a period there: (board, period)."""
    folder = lab.directory / name
    folder.mkdir()
    database = Database(lab, name, folder)
    database.migrate("up")
    board, = database.sql("with g as (insert into ladder.game (name) values ('peer') returning id) "
                          "insert into ladder.board (game_id, name, windows) select g.id, 'peer', '{all}' from g returning id")[0]
    period, = database.sql("select * from ladder.period_ensure(array[%s::bigint], array[now()])", board)[0]
    return board, period


@scenario("submit")
def submit(options):
    """Beside pgbench: one-row transactions into the same tables, by as many clients, in turn; and the rows that the database alone takes.
    Those tables are in a database of their own: what rows that were not submitted mean for the worker is not theirs to pay, nor ours."""
    lab, clients, players = Lab(replica=False), 64, 1000000
    try:
        lab.open()
        lab.client.put_board("b0", operator="best")
        board, period = tables_beside(lab, "peer")
        dice = random.Random(1)

        def fresh():
            """Never the same again: what was submitted before changes nothing."""
            return requests_write(lab.directory / "requests", (submit_one(lab, dice, "b0", players) for _ in range(20000 * options.seconds)))

        def settle():
            """What one side left for autovacuum to do is not done while the other is measured."""
            for url in (lab.primary_url, lab.primary_url.rpartition("/")[0] + "/peer"):
                lab.sql("vacuum analyze", url=url)
            lab.sql("checkpoint")
        ours, theirs, rows, costs = [], [], [], []
        wrk(lab, fresh(), 2, clients)
        for _ in range(options.rounds):
            file = fresh()
            settle()
            with Watch(lab) as watch:
                done = wrk(lab, file, options.seconds, clients)
            ours.append(done)
            costs.append(watch.sum)
            settle()
            theirs.append(pgbench(lab, UPSERT, clients, options.seconds, board, period, "peer"))
            rows.append(32 * pgbench(lab, UPSERT_MANY, 2, options.seconds, board, period, "peer"))
        ratios = sorted(a["rate"] / b for a, b in zip(ours, theirs) if b)
        middle = sorted(range(len(ours)), key=lambda i: ours[i]["rate"])[len(ours) // 2]
        ratio = ratios[len(ratios) // 2] if ratios else 0.0
        rate = min(GENERATOR_MOST, round(ours[middle]["rate"] * 0.7 / 10) * 10)
        file = fresh()
        settle()
        with Watch(lab) as watch:
            latency = paced(lab, file, rate, options.seconds)
        latency.update(watch.sum)
        failed = sum(x["failed"] for x in ours) + latency["failed"]
        return {"title": "Submitting", "about": f"One durable submission a request, {clients} connections, a million players on one board; beside pgbench's "
                "one-row upsert transactions into the same tables with as many clients, in turn; and its rows, 32 in a statement, which is what the "
                "database alone could take.",
                "capacity": {**ours[middle], **costs[middle]}, "latency": latency, "series": watch.lines(),
                "peer": {"name": "pgbench, one-row transactions", "rate": sorted(theirs)[len(theirs) // 2], "ratio": round(ratio, 2),
                         "ratios": [round(x, 2) for x in ratios], "rows": sorted(rows)[len(rows) // 2]},
                "checks": [check("at least 5 times pgbench's one-row transactions", ratio >= 5, f"{ratio:.2f} times; {round(ours[middle]['rate']):,} beside "
                                 f"{round(sorted(theirs)[len(theirs) // 2]):,}, and {round(sorted(rows)[len(rows) // 2]):,} rows/s of the database alone in batches of 32"),
                           check("no request fails", failed == 0, f"{failed} failed")]}
    finally:
        lab.close()


@scenario("stampede")
def stampede(options):
    """Thousands of connections on one page that changes ten times a second: how many of their requests reach Redis."""
    lab, connections, rate, ramp_s = Lab(replica=False), options.connections, 10000, 2
    try:
        loops = 2
        client = lab.open(loops=loops, server_connections_max=connections + 100)
        boards_fill(lab, 1, 1000, public=True, operator="last")
        page = f"{lab.url}{lab.path}/boards/b0/top?limit=100"
        changes, refused, is_over = [0], [], threading.Event()

        def change():
            while not is_over.wait(0.1):
                try:
                    client.submit("b0", "p0", 10**7 + changes[0])
                except AssertionError as refusal:  # it may have happened all the same
                    refused.append(str(refusal))
                changes[0] += 1
        log = lab.directory / "h2load.log"
        writer = threading.Thread(target=change, daemon=True)
        writer.start()
        time.sleep(0.5)
        with Watch(lab) as watch:
            before, metrics = changes[0], lab_module.answers(lab.metrics())
            # Each connection asks at its own moment of the second, by when it was made; h2load with --duration would let all ask at once.
            done = subprocess.run(["h2load", "--h1", "-t", "1", "-c", str(connections), f"--rate={max(1, connections // 100)}", "--rate-period=10ms",
                                   f"--rps={rate / connections}", f"--requests={rate * (options.seconds + ramp_s)}", f"--log-file={log}", page],
                                  capture_output=True, text=True)
            counts = lab_module.answers(lab.metrics())
            made = changes[0] - before
        is_over.set()
        writer.join()
        rows = [tuple(map(int, line.split())) for line in log.read_text().splitlines()] if log.exists() else []
        if not rows:
            raise RuntimeError(done.stdout + done.stderr)
        start = min(row[0] for row in rows) + ramp_s * 1000000
        latency = lab_module.latencies([(row[0] - start, row[2], row[1]) for row in rows if row[0] >= start], rate, options.seconds)
        latency.update(watch.sum)
        fetches = lab_module.fetches(counts) - lab_module.fetches(metrics)
        return {"title": "Stampede", "about": f"{connections:,} connections ask for one first page {rate:,} times a second in all, evenly spread, while its first "
                "place changes ten times a second.", "latency": latency, "series": watch.lines(), "fetches": fetches, "changes": made,
                "checks": [check("at most one fetch a loop for each change", fetches <= loops * (made + 1), f"{fetches} fetches for {made} changes, {loops} loops"),
                           check("p99 under 100 ms", latency["ms"]["99"] < 100, f"{latency['ms']['99']} ms"),
                           check("no request fails", latency["failed"] == 0 and not refused, f"{latency['failed']} failed, {len(refused)} changes refused")]}
    finally:
        lab.close()


class FakedLab(Lab):
    """PostgreSQL and ladder live in a time that is ahead of ours, so that the hour ends when it suits."""

    def __init__(self, ahead):
        self.ahead = ahead
        super().__init__(replica=False)

    def spawn(self, command, name, environment=None, **options):
        if command[0] == "redis-server":  # keeps no dates, and does not start under it
            return super().spawn(command, name, environment, **options)
        # By env, so that it is the server alone, under its own user, that is told so.
        faked = ["env", "LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", f"FAKETIME=+{self.ahead}", "DONT_FAKE_MONOTONIC=1"]
        process = super().spawn([*faked, *command], name, environment, **options)
        process.command = command
        return process


@scenario("season-end")
def season_end(options):
    """Ten times the load when the hour ends, half of it submissions; each must count in one hour."""
    before_s, prepare_s, rate = 5, 20, 100
    lab = FakedLab(round(3600 - time.time() % 3600 - prepare_s - before_s))
    boundary = time.monotonic() + prepare_s + before_s + 1
    try:
        lab.open()
        boards_fill(lab, 1, 1000, operator="sum", windows=["hourly", "all"])
        dice, player = random.Random(1), Zipf(random.Random(2), 1000)
        lines = [("POST", f"{lab.path}/boards/b0/scores", json.dumps({"player": f"p{dice.randrange(1000)}", "score": 1})) if i % 2 else
                 ("GET", f"{lab.path}/boards/b0/top?limit=50" if i % 4 else f"{lab.path}/boards/b0/players/p{player()}/around?absent=top", "") for i in range(20000)]
        file = requests_write(lab.directory / "requests", lines)
        at_first = lab.sql("select count(*) from ladder.score_event")[0][0]
        time.sleep(max(0, boundary - 2 - before_s - 2 * lab_module.WARM_S - time.monotonic()))  # two generators get warm before
        calm = paced(lab, file, rate, before_s)
        with Watch(lab) as watch:
            spike = paced(lab, file, rate * 10, options.seconds)
        spike.update(watch.sum)
        events = lab.sql("select count(*) from ladder.score_event")[0][0] - at_first
        # What was filled in is one event a player and window; a sum of ones is a count.
        counted = lab.sql("select coalesce(sum(~k1), 0), count(distinct period_id) from ladder.entry where window_kind = 'hourly' and not removed")[0]
        filled = lab.sql("select coalesce(sum(score), 0) from (select score from ladder.score_event order by id limit %s) x", at_first)[0][0]
        failed = calm["failed"] + spike["failed"]
        return {"title": "The end of a season", "about": f"An hourly board: {rate} requests a second, ten times that from just before the hour ends, half of them submissions.",
                "latency": spike, "series": watch.lines(),
                "checks": [check("every submission counts in one hour", counted[0] - filled == events and counted[1] == 2,
                                 f"{events} submissions, {counted[0] - filled} counted, {counted[1]} hours"),
                           check("p99 under 250 ms", spike["ms"]["99"] < 250, f"{spike['ms']['99']} ms"),
                           check("no request fails", failed == 0, f"{failed} failed")]}
    finally:
        lab.close()


@scenario("stress")
def stress(options):
    """The rate is raised until the promise breaks: the last one before that is the knee. Who used the machine's processors stands beside each
    rate: the generator and other work have their share of them."""
    lab, steps, limit_ms = Lab(), [], 50
    try:
        lab.open()
        boards_fill(lab, 20, 2000)
        file = requests_write(lab.directory / "requests", mix(lab, 50000, 20, 2000, 0.05))
        wrk(lab, file, 2)
        rate, knee = 500, None
        while rate <= 16000:
            with lab_module.Cores(lab) as cores:
                done = paced(lab, file, rate, max(3, options.seconds // 2))
            held = done["failed"] == 0 and done["ms"]["99"] <= limit_ms and done["rate"] >= rate * 0.95
            steps.append({"rate": rate, "served": done["rate"], "p50": done["ms"]["50"], "p99": done["ms"]["99"], "held": held, "cores": cores.used})
            if not held:
                break
            knee, rate = rate, round(rate * 1.5)
        rows = [("asked a second", "answered", "p50 ms", "p99 ms", *(f"{name}, cores" for name in steps[0]["cores"])), ["---"] * (4 + len(steps[0]["cores"])),
                *((f"{x['rate']:,}", f"{x['served']:,.0f}", f"{x['p50']:.2f}", f"{x['p99']:.2f}", *(f"{used:.2f}" for used in x["cores"].values())) for x in steps)]
        return {"title": "Stress", "about": f"Reads with 5 % writes, the rate raised by half each time until p99 passes {limit_ms} ms (generator and servers share the machine).",
                "steps": steps, "text": "stress:\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows),
                "checks": [check("a knee was found", knee, f"{knee:,} requests/s held" if knee else "not even the first rate held")]}
    finally:
        lab.close()


def slope(points):
    """Of a line through (x, y) by least squares."""
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / (sum((x - mean_x) ** 2 for x, _ in points) or 1)


@scenario("soak")
def soak(options):
    """Many requests at full speed: memory must stay flat. Not among those that run when none is named."""
    lab = Lab()
    try:
        lab.open()
        boards_fill(lab, 20, 2000, operator="sum")
        file = requests_write(lab.directory / "requests", mix(lab, 100000, 20, 2000, 0.05))
        wrk(lab, file, 20, 32)
        points, sent, failed = [], 0, 0
        while sent < options.requests:
            done = wrk(lab, file, 10, 32)
            sent, failed = sent + done["requests"], failed + done["failed"]
            points.append((sent / 1e6, lab_module.memory_kb(lab.server.pid)))
        kb = slope(points[len(points) // 5:]) if len(points) > 9 else slope(points)
        return {"title": "Soak", "about": f"{sent:,} requests at full speed, 5 % of them writes.", "memory": points,
                "checks": [check("memory stays flat: under 64 KiB more a million requests", kb < 64, f"{kb:.1f} KiB a million requests, {points[0][1]} KiB first, {points[-1][1]} KiB last"),
                           check("no request fails", failed == 0, f"{failed} failed")]}
    finally:
        lab.close()


# A page as a service that makes SQL of requests asks for it (PostgREST's form): rows in order, made JSON by PostgreSQL.
PAGE = r"""with source as (select e.player, ~e.k1 as score, ~e.k2 as subscore, e.metadata from ladder.entry e
    where e.window_kind = 'all' and e.period_start = '-infinity' and e.period_id = :period and not e.removed
    order by e.k1, e.k2, e.k3, e.player limit 100)
select null as total, count(*), coalesce(json_agg(source), '[]')::text as body from source;
"""


def beside_sql(options, clients=32):
    """A page of 100, remembered and from Redis, beside the same page by SQL: [(name, requests/s, µs of processor)], medians of turns."""
    lab, found = Lab(replica=False), {}
    try:
        lab.open()
        boards_fill(lab, 1, 2000)
        period, = lab.sql("select p.id from ladder.period p join ladder.board b on b.id = p.board_id where b.name = 'b0'")[0]
        file = requests_write(lab.directory / "requests", [("GET", f"{lab.path}/boards/b0/top?limit=100", "")])
        remembering, forgetful = lab.server, lab.serve(server_loops=1, cache_l1_bytes=0)

        for _ in range(options.rounds):
            for name, server in (("remembered", remembering), ("from Redis", forgetful)):
                lab.server = server
                lab.trusted(server)
                wrk(lab, file, 1, clients)
                with Watch(lab) as watch:
                    rate = wrk(lab, file, max(1, options.seconds // 4), clients)["rate"]
                found.setdefault(name, []).append((rate, sum(watch.sum["cpu_us"].values())))
            before, seconds = lab.cpu()["postgres"], max(1, options.seconds // 4)
            rate = pgbench(lab, PAGE, clients, seconds, 0, period)
            found.setdefault("by SQL", []).append((rate, 1e6 * (lab.cpu()["postgres"] - before) / max(1, rate * seconds)))
        return {name: tuple(sorted(column)[len(column) // 2] for column in zip(*turns)) for name, turns in found.items()}
    finally:
        lab.close()


@scenario("peers")
def peers(options):
    """Beside nginx, webdis and no caches at all: what loadtest/caches measures, by the same command; and beside SQL."""
    done = subprocess.run([str(lab_module.HERE / "caches")], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout[-3000:] + done.stderr[-3000:])
    text = done.stdout[done.stdout.index("Made by"):]
    of_nginx = float(re.search(r"^\| ratio \| ([\d.]+) \(", text, re.M)[1])
    of_webdis = float(re.search(r"^\| against webdis, `top\?limit=100`.*? \| \| ([\d.]+) \(", text, re.M)[1])
    hits = [float(x) for x in re.findall(r"^\| [\d,]+ \| [\d,]+ \| ([\d.]+) \|", text, re.M)]
    slower, fewer = [float(x) for x in re.search(r"^\| less by \| \| (-?[\d.]+) % \| (-?[\d.]+) %", text, re.M).groups()]
    sql = beside_sql(options)
    table = "\n".join(["| a page of 100, 32 connections | requests/s | CPU a request |", "|---|---|---|",
                       *(f"| {name} | {rate:,.0f} | {us:,.0f} µs |" for name, (rate, us) in sql.items())])
    return {"title": "Peers", "about": "Each beside something known, in the same run.", "text": f"{text}\n{table}", "docs": table,
            "checks": [check("a page at least 5 times as often as by SQL", sql["remembered"][0] >= 5 * sql["by SQL"][0],
                             f"{sql['remembered'][0] / sql['by SQL'][0]:.1f} times remembered, {sql['from Redis'][0] / sql['by SQL'][0]:.1f} times from Redis"),
                       check("a remembered page costs at most 1.15 times nginx's", of_nginx <= 1.15, f"{of_nginx} times"),
                       check("at least 0.95 from memory while 5,000 scores a second land", min(hits) >= 0.95, f"{min(hits)}"),
                       check("a page from Redis at least 3 times as often as webdis", of_webdis >= 3, f"{of_webdis} times"),
                       check("caches take at least 95 % off the database's queries", fewer >= 95, f"{fewer} %"),
                       check("and at least 50 % off p99", slower >= 50, f"{slower} %")]}


AWAY_MS = 2
NO_REDIS = {"redis_url": "redis://127.0.0.1:1/0"}
# What is switched off: the settings or faults (builds with -Dfaults=true) that do it, and what it is compared with. "far": PostgreSQL is
# reached by links that are AWAY_MS late each way, so that a round trip is what it is between machines.
SWITCHES = {
    "all of it": ({}, None),
    "no memory of answers": ({"cache_l1_bytes": 0}, "all of it"),
    "no sharing of fetches": ({"cache_l1_bytes": 0, "faults": "alone"}, "no memory of answers"),
    "no batches": ({"database_batch_max": 1}, "all of it"),
    "no Redis": (NO_REDIS, "all of it"),
    "no Redis, no replica": ({**NO_REDIS, "database_replicas": ""}, "no Redis"),
    f"no Redis, PostgreSQL {2 * AWAY_MS} ms away": ({**NO_REDIS, "far": True}, None),
    "the same, one read at a time on a connection": ({**NO_REDIS, "far": True, "database_pipeline_max": 1}, f"no Redis, PostgreSQL {2 * AWAY_MS} ms away"),
}


MEASURES = {"rate": "of the rate", "cost_us": "times the processor time", "primary_us": "times the primary's"}


def worse(of, base):
    """In which loads, and how; of and base: load -> what each round measured. Worse is what lies beyond the 99 % interval of the rounds' ratios: a
    lower rate, or a higher cost, of all or of the primary. [(load, measure, low, ratio, high)]"""
    found = []
    for load, rounds in of.items():
        for measure in MEASURES:
            low, ratio, high = interval([max(1e-9, x[measure]) / max(1e-9, y[measure]) for x, y in zip(rounds, base[load])])
            if (high if measure == "rate" else 1 / low) < 1:
                found.append((load, measure, low, ratio, high))
    return found


@scenario("ablation")
def ablation(options):
    """Each optimisation switched off in turn: what it was worth."""
    lab = Lab()
    links = {}
    try:
        lab.open()
        boards_fill(lab, 20, 2000)
        dice = random.Random(1)
        loads = {"browse": (list(mix(lab, 20000, 20, 2000, 0.0)), 32),
                 "one page": ([("GET", f"{lab.path}/boards/b0/top?limit=100", "")], 200),
                 "submit": ([submit_one(lab, dice, "b19", 100000) for _ in range(100000)], 64)}
        files = {name: requests_write(lab.directory / name.replace(" ", "-"), lines) for name, (lines, _) in loads.items()}
        lab.server.stop()
        links = {name: Proxy(port, up_ms=(AWAY_MS, AWAY_MS), down_ms=(AWAY_MS, AWAY_MS)) for name, port in (("url", lab.primary_port), ("replicas", lab.replica_port))}
        results = {name: {load: [] for load in loads} for name in SWITCHES}
        for _ in range(max(5, options.rounds)):
            for name in dice.sample(list(SWITCHES), len(SWITCHES)):
                settings = dict(SWITCHES[name][0])
                if settings.pop("far", False):
                    settings |= {f"database_{which}": f"postgresql://ladder_serve@127.0.0.1:{link.port}/ladder" for which, link in links.items()}
                lab.server = lab.serve(binary=str(lab_module.ROOT / "build/loadtest/faults/ladder"), server_loops=1, **settings)
                if "redis_url" not in settings:
                    lab.trusted(lab.server)
                for load, (_, connections) in loads.items():
                    wrk(lab, files[load], 1, connections)
                    primary_s = lab.primary_cpu()
                    with Watch(lab) as watch:
                        done = wrk(lab, files[load], max(2, options.seconds // 10), connections)
                    results[name][load].append({**done, **watch.sum, "cost_us": sum(watch.sum["cpu_us"].values()),
                                                "primary_us": 1e6 * (lab.primary_cpu() - primary_s) / max(1, done["requests"])})
                lab.server.stop()

        def middle(rounds, *path):
            values = sorted(row[path[0]] if len(path) == 1 else row[path[0]].get(path[1], 0) for row in rounds)
            return values[len(values) // 2]
        head = ["", *(f"{load}: requests/s, µs in serve + Redis + PostgreSQL (the primary)" for load in loads)]
        rows = [head, ["---"] * len(head)]
        for name, of in results.items():
            rows.append([name, *(f"{middle(x, 'rate'):,.0f}, {middle(x, 'cpu_us', 'serve'):.0f} + {middle(x, 'cpu_us', 'redis'):.0f} + "
                                 f"{middle(x, 'cpu_us', 'postgres'):.0f} ({middle(x, 'primary_us'):.0f})" for x in of.values())])
        checks = []
        for name, (_, base) in SWITCHES.items():
            if base:
                found = [f"{load}: {ratio:.2f} ({low:.2f} to {high:.2f}) {MEASURES[measure]}" for load, measure, low, ratio, high in worse(results[name], results[base])]
                checks.append(check(f"{name}: worse somewhere than {base}", found, "; ".join(found) or "nowhere"))
        return {"title": "Each optimisation switched off", "about": "What each is worth: the same loads without it, in rounds of all of them, started anew in each; medians, and 99 % intervals of the ratios.",
                "text": "\n".join("| " + " | ".join(row) + " |" for row in rows), "checks": checks}
    finally:
        for link in links.values():
            link.close()
        lab.close()
