#!/usr/bin/python3
"""caches.py RUN URL KEY [PART…]: the measurements of loadtest/caches, which has started the servers under RUN. Prints Markdown.

Latency under a fixed rate is h2load's (nghttp2, Debian): it sends by the clock, and its log has one line a request. Capacity
and CPU are taken under wrk. Rounds of the two sides alternate, so that whatever else the machine does meets both.
"""
import http.client
import json
import math
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

RUN, URL, KEY = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
API = f"{URL}/v1/games/loadtest"
PAGE = f"{API}/boards/large/top?limit=100"
ROOT = pathlib.Path(__file__).resolve().parent.parent
REDIS_PORT = int(re.search(r"redis=(\d+)", (RUN / "ports").read_text())[1])
ROUNDS, THROUGH_ROUNDS, SECONDS, WRITERS = 5, 9, 4, 4
TICKS = os.sysconf("SC_CLK_TCK")
children = []


def say(text=""):
    print(text, flush=True)


def request(url, body=None, method=None, **headers):
    made = urllib.request.Request(url, data=json.dumps(body).encode() if body is not None else None, method=method)
    made.add_header("Authorization", "Bearer " + KEY)
    for name, value in headers.items():
        made.add_header(name.replace("_", "-"), value)
    with urllib.request.urlopen(made, timeout=30) as answer:
        return answer.status, dict(answer.headers), answer.read()


def anonymous(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return dict(answer.headers), answer.read()


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def start(*words, **more):
    child = subprocess.Popen([str(w) for w in words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
    children.append(child)
    return child


def free_port():
    return int(subprocess.run(["bash", "-c", f". {ROOT}/scripts/lib.sh; free_port"], capture_output=True, text=True, check=True).stdout)


def wrk(url, *more, connections=32, seconds=SECONDS):
    # The address stands before what is the script's.
    own = more[:more.index("--")] if "--" in more else more
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", *own, url, *more[len(own):]]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    out = done.stdout
    unit = {"us": 0.001, "ms": 1, "s": 1000}
    number, of = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return {"requests": int(re.search(r"(\d+) requests in", out)[1]), "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
            "p99_ms": float(number) * unit[of], "failed": int(failed[1]) if failed else 0}


def serve_pid():
    return int((RUN / "serve.pid").read_text())


def metrics():
    text = urllib.request.urlopen(URL + "/metrics").read().decode()
    return {name: float(value) for name, value in re.findall(r"^(\w\S*) ([\d.]+)$", text, re.M)}


def outcomes(before, after, route="/top"):
    counts = {}
    for name, value in after.items():
        found = re.match(r'ladder_cache_answers_total\{.*route="([^"]*)",outcome="(\w+)"\}', name)
        if found and found[1].endswith(route):
            counts[found[2]] = value - before.get(name, 0)
    return counts


# ---- memory, against nginx ----

def nginx_start(head, body):
    """The same body from memory, with the same header fields."""
    port, folder = free_port(), RUN / "nginx"
    folder.mkdir(exist_ok=True)
    skip = {"date", "content-length", "content-type", "connection"}
    fields = "".join(f"add_header {k} '{v}';\n" for k, v in head.items() if k.lower() not in skip)
    # A literal has at most 4 KiB.
    parts = [body[i:i + 3500] for i in range(0, len(body), 3500)]
    sets = "".join(f"set $p{i} '{part}';\n" for i, part in enumerate(parts))
    (folder / "conf").write_text(f"""worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; server_tokens off; keepalive_requests 1000000000; default_type application/json;
server {{ listen 127.0.0.1:{port}; location / {{ {fields} {sets} return 200 "{''.join(f'$p{i}' for i in range(len(parts)))}"; }} }} }}
""")
    master = start("nginx", "-c", folder / "conf", "-p", folder)
    for _ in range(100):
        workers = subprocess.run(["pgrep", "-P", str(master.pid)], capture_output=True, text=True).stdout.split()
        if workers:
            break
        time.sleep(0.05)
    time.sleep(0.2)
    return f"http://127.0.0.1:{port}/", int(workers[0])


COUNTER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
static unsigned long *count, early;
__attribute__((constructor)) static void open_count(void)
{
    int fd = open(getenv("ALLOCATION_COUNT"), O_RDWR | O_CREAT, 0644);
    if (fd >= 0 && ftruncate(fd, 8) == 0)
        count = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
static void one(void) { __sync_fetch_and_add(count ? count : &early, 1); }
void *malloc(size_t size) { one(); return __libc_malloc(size); }
void *calloc(size_t n, size_t size) { one(); return __libc_calloc(n, size); }
void *realloc(void *p, size_t size) { one(); return __libc_realloc(p, size); }
"""


def allocations():
    """How often the allocator is called for 50,000 hits, in a server that is run for this."""
    (RUN / "count.c").write_text(COUNTER)
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", RUN / "count.so", RUN / "count.c"], check=True)
    log = open(RUN / "counted.log", "w")
    server = subprocess.Popen([ROOT / "build/ladder", "serve"], stderr=log, stdout=log,
                              env={**os.environ, "LD_PRELOAD": str(RUN / "count.so"), "ALLOCATION_COUNT": str(RUN / "count"), "LADDER_SERVER_PORT": "0"})
    children.append(server)
    for _ in range(200):
        found = re.search(r"event=listening.* port=(\d+)", (RUN / "counted.log").read_text())
        if found:
            break
        time.sleep(0.05)
    page = PAGE.replace(URL, f"http://127.0.0.1:{found[1]}")

    def ask(count):
        done = subprocess.run(["h2load", "--h1", "-c", "1", "-n", str(count), page], capture_output=True, text=True, check=True).stdout
        assert f"{count} succeeded" in done, done
        return int.from_bytes((RUN / "count").read_bytes()[:8], "little")
    time.sleep(1)
    ask(1000)
    # What it does beside (beats, timers, the second's look at definitions) goes on at its own pace: counted apart and taken off.
    first = ask(1)
    started = time.monotonic()
    time.sleep(2)
    idle = (ask(1) - first) / (time.monotonic() - started)
    first, started = ask(1), time.monotonic()
    last = ask(50000)
    made = last - first - idle * (time.monotonic() - started)
    server.terminate()
    server.wait()
    return max(0.0, made / 50000)


def memory():
    head, body = {}, b""
    for _ in range(3):
        head, body = anonymous(PAGE)
    assert head["Ladder-Cache"] == "hit", head
    url, worker = nginx_start(head, body.decode())
    assert anonymous(url)[1] == body
    costs, rates = {"ladder": [], "nginx": []}, {"ladder": [], "nginx": []}
    for _ in range(ROUNDS):
        for name, pid, target in (("ladder", serve_pid(), PAGE), ("nginx", worker, url)):
            before = cpu_seconds(pid)
            done = wrk(target)
            costs[name].append((cpu_seconds(pid) - before) / done["requests"] * 1e6)
            rates[name].append(done["rate"])
    ratios = [a / b for a, b in zip(costs["ladder"], costs["nginx"])]
    say(f"A first page of 100 from memory, {len(body):,} bytes, 32 connections, medians of {ROUNDS} rounds in turn:")
    say()
    say("| | CPU a request | requests/s | allocations a request |")
    say("|---|---|---|---|")
    say(f"| ladder | {statistics.median(costs['ladder']):.2f} µs | {statistics.median(rates['ladder']):,.0f} | {allocations():.3f} |")
    say(f"| nginx | {statistics.median(costs['nginx']):.2f} µs | {statistics.median(rates['nginx']):,.0f} | |")
    say(f"| ratio | {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | "
        f"{statistics.median(rates['ladder']) / statistics.median(rates['nginx']):.2f} | |")
    say()


# ---- while scores land ----

class Writer(threading.Thread):
    """Its share of so many scores a second, of players and values drawn at random, in requests of 50 by the clock. The first
    writer now and then sends one that must be seen at once, at the top."""

    def __init__(self, number, rate):
        super().__init__(daemon=True)
        self.number, self.rate, self.is_over, self.sent, self.seen, self.missed = number, rate, False, 0, 0, 0
        self.written = []  # [player, score, when it was sent, when it was acknowledged]
        self.connection = http.client.HTTPConnection(URL.removeprefix("http://"), timeout=30)

    def ask(self, method, path, body=None):
        self.connection.request(method, "/v1/games/loadtest" + path, json.dumps(body) if body else None,
                                {"Authorization": "Bearer " + KEY, "Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return json.loads(text)

    def run(self):
        dice = random.Random(self.number)
        started = marked = time.monotonic()
        while not self.is_over:
            wait = started + self.sent / self.rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            scores = [{"board": "large", "player": f"player{dice.randrange(1000000):06}", "score": dice.randrange(1000000000)} for _ in range(50)]
            marker = self.number == 0 and time.monotonic() > marked + 1 and 2000000000 + self.sent
            if marker:
                marked = time.monotonic()
                scores[-1] = {"board": "large", "player": "marker", "score": marker}
            written = [[one["player"], one["score"], time.monotonic(), math.inf] for one in scores]
            self.written += written
            self.ask("POST", "/scores", {"scores": scores})
            for one in written:
                one[3] = time.monotonic()
            self.sent += 50
            if marker:
                first = self.ask("GET", "/boards/large/top?limit=100")["entries"][0]
                if (first["player"], first["score"]) == ("marker", marker):
                    self.seen += 1
                else:
                    self.missed += 1


class Pages(threading.Thread):
    """The same page, read again and again by a client of its own: each body, and when it was asked for and was there."""

    def __init__(self):
        super().__init__(daemon=True)
        self.is_over, self.bodies = False, []
        self.first = [(entry["player"], entry["score"]) for entry in json.loads(anonymous(PAGE.replace("limit=100", "limit=1000"))[1])["entries"]]

    def run(self):
        connection = http.client.HTTPConnection(URL.removeprefix("http://"), timeout=30)
        while not self.is_over:
            asked = time.monotonic()
            connection.request("GET", PAGE.removeprefix(URL))
            body = connection.getresponse().read()
            self.bodies.append((asked, time.monotonic(), body))
            time.sleep(0.01)

    def histories(self, written):
        """Of each player that was among the first thousand, or was written as high: (score, sent, acknowledged) of all he had."""
        near = {player for player, _ in self.first} | {player for player, score, _, _ in written if score >= self.first[-1][1]}
        had = {player: [(-1, -math.inf, -math.inf)] for player in near}
        for player, score in self.first:
            had[player] = [(score, -math.inf, -math.inf)]
        for player, *one in written:
            if player in near:
                had[player].append(tuple(one))
        return had

    def wrong(self, histories, later=0.0):
        """How many pages cannot be of the time between their request and their answer. later: as if they were so much younger."""
        return sum(not is_right(json.loads(body)["entries"], histories, asked + later, there + later) for asked, there, body in self.bodies)


def is_right(entries, histories, asked, there):
    """Whoever may have had no other score then than one above the page's last is on it, and all on it have one that they may have had."""
    shown = {entry["player"]: entry["score"] for entry in entries}
    scores = list(shown.values())
    may = {player: {score for score, sent, acknowledged in had
                    if sent < there and not any(acknowledged < more[1] and more[2] < asked for more in had)} for player, had in histories.items()}
    return (len(shown) == 100 and scores == sorted(scores, reverse=True) and [entry["rank"] for entry in entries] == list(range(1, 101))
            and all(score in may.get(player, ()) for player, score in shown.items())
            and all(player in shown or min(possible) <= scores[-1] for player, possible in may.items()))


def paced(rate, seconds):
    """p50 and p99 in ms at a fixed rate, from h2load's line a request: start, status, time."""
    log = RUN / "h2load.log"
    log.unlink(missing_ok=True)
    clients = 20
    done = subprocess.run(["h2load", "--h1", "-c", str(clients), f"--rps={rate / clients}", f"--duration={seconds}", f"--log-file={log}", PAGE],
                          capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in log.read_text().splitlines()]
    times = sorted(int(line[2]) / 1000 for line in lines if line[1] == "200")
    assert len(times) == len(lines) and times, done
    return {"count": len(times), "p50_ms": times[len(times) // 2], "p99_ms": times[len(times) * 99 // 100]}


def writes():
    rate, seconds = 5000, 20
    rows = []
    for is_written in (False, True):
        pages, writers = Pages(), [Writer(i, rate / WRITERS) for i in range(WRITERS if is_written else 0)]
        for thread in (*writers, pages):
            thread.start()
        time.sleep(1)
        before, sent, started = metrics(), sum(w.sent for w in writers), time.monotonic()
        done = paced(rate, seconds)
        written = (sum(w.sent for w in writers) - sent) / (time.monotonic() - started)
        counts = outcomes(before, metrics())
        for thread in (pages, *writers):
            thread.is_over = True
            thread.join()
        seen, missed = sum(w.seen for w in writers), sum(w.missed for w in writers)
        rows.append(f"| {written:,.0f} | {done['count'] / seconds:,.0f} | {counts.get('hit', 0) / sum(counts.values()):.4f} | "
                    f"{done['p50_ms']:.2f} ms | {done['p99_ms']:.2f} ms | {f'{seen} of {seen + missed}' if writers else ''} |")
    histories = pages.histories([one for writer in writers for one in writer.written])
    wrong, control = pages.wrong(histories), pages.wrong(histories, later=5)
    assert control > 0, "pages of five seconds before pass for new ones"
    say("The same page of a board of a million entries, asked for 5,000 times a second by the clock, while scores at random ranks land below it:")
    say()
    say("| scores/s | reads/s | from memory | p50 | p99 | new first places seen at once |")
    say("|---|---|---|---|---|---|")
    say("\n".join(rows))
    say()
    say(f"Another client read the page {len(pages.bodies):,} times meanwhile. In each body, every place was compared with the scores that the players may have had between the request "
        f"and the response, by when each score was sent and acknowledged: {wrong} wrong. (The control: taken for five seconds younger, {control:,} are.)")
    say()
    assert wrong == 0


# ---- Redis, against webdis ----

def second_server(**settings):
    log = RUN / f"second-{len(children)}.log"
    with open(log, "w") as out:
        server = subprocess.Popen([ROOT / "build/ladder", "serve"], stderr=out, stdout=out, env={**os.environ, "LADDER_SERVER_PORT": "0", **settings})
    children.append(server)
    for _ in range(400):
        found = re.search(r"event=listening.* port=(\d+)", log.read_text())
        if found:
            break
        time.sleep(0.05)
    time.sleep(1.5)
    return server, f"http://127.0.0.1:{found[1]}"


def through_redis():
    port = free_port()
    conf = RUN / "webdis.json"
    conf.write_text(json.dumps({"redis_host": "127.0.0.1", "redis_port": REDIS_PORT, "http_host": "127.0.0.1", "http_port": port, "threads": 1,
                                "pool_size": 8, "daemonize": False, "verbosity": 0, "logfile": str(RUN / "webdis.log"),
                                "acl": [{"disabled": ["DEBUG"]}]}))
    webdis = start("webdis", conf)
    import redis
    client = redis.Redis(port=REDIS_PORT)
    plain = [(f"player{i:06}", i) for i in range(100000)]
    client.delete("peer")
    for i in range(0, len(plain), 1000):
        client.zadd("peer", dict(plain[i:i + 1000]))
    server, url = second_server(LADDER_CACHE_L1_BYTES="0")
    page, peer = PAGE.replace(URL, url), f"http://127.0.0.1:{port}/ZREVRANGE/peer/0/99/WITHSCORES"
    for _ in range(100):
        try:
            assert len(json.loads(anonymous(peer)[1])["ZREVRANGE"]) == 200
            break
        except OSError:
            time.sleep(0.1)
    assert "redis" in anonymous(page)[0]["Server-Timing"]
    script = ["-s", str(ROOT / "loadtest/pages.lua")]
    webdis_title = "webdis, `ZREVRANGE … 0 99 WITHSCORES`"
    sides = {"ladder, `top?limit=100`: requests under way at the same time share a fetch": (server.pid, page, []),
             "ladder, 64 such pages in turn: each fetches its own": (server.pid, page, script),
             "ladder, these with `fields=player,score`": (server.pid, page + "&fields=player,score", script),
             webdis_title: (webdis.pid, peer, [])}
    redis_pid = int((RUN / "redis.pid").read_text())
    taken = {name: [] for name in sides}
    for _ in range(THROUGH_ROUNDS):
        for name, (pid, target, more) in sides.items():
            before, redis_before = cpu_seconds(pid), cpu_seconds(redis_pid)
            done = wrk(target, *more)
            assert done["failed"] == 0, done
            taken[name].append((done["rate"], (cpu_seconds(pid) - before) / done["requests"] * 1e6,
                                (cpu_seconds(redis_pid) - redis_before) / done["requests"] * 1e6))
    sizes = {name: len(anonymous(target)[1]) for name, (_, target, _) in sides.items()}
    server.terminate()
    server.wait()
    client.delete("peer")
    say(f"Pages of 100 that are not remembered (one loop, nothing kept), against webdis on the same Redis (one thread), "
        f"medians of {THROUGH_ROUNDS} rounds in turn, at a load average of {os.getloadavg()[0]:.1f} at the end:")
    say()
    say("| | bytes | requests/s | CPU a request | of Redis |")
    say("|---|---|---|---|---|")
    for name, rows in taken.items():
        rate, cpu, redis_cpu = (statistics.median(row[i] for row in rows) for i in range(3))
        say(f"| {name} | {sizes[name]:,} | {rate:,.0f} | {cpu:.1f} µs | {redis_cpu:.1f} µs |")
    for name, rows in taken.items():
        if name == webdis_title:
            continue
        cells = []
        for i in range(3):
            ratios = [row[i] / peer_row[i] for row, peer_row in zip(rows, taken[webdis_title])]
            cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        say(f"| {name.replace('ladder', 'against webdis', 1)} | | {' | '.join(cells)} |")
    say()


# ---- all caches, or none ----

def sql(text):
    return subprocess.run(["bash", "-c", f'. {ROOT}/loadtest/lib.sh; sql "$1"', "sql", text], capture_output=True, text=True, check=True).stdout.strip()


def database():
    boards = 50
    for i in range(boards):
        request(f"{API}/boards/b{i}", {"operator": "best", "public": True}, "PUT")
    for i in range(boards):
        request(f"{API}/scores", {"scores": [{"board": f"b{i}", "player": f"p{k}", "score": (k * 7919) % 10007} for k in range(1000)]})
    results = {}
    for name, settings in (("none", {"LADDER_CACHE_L1_BYTES": "0", "LADDER_REDIS_URL": "redis://127.0.0.1:1/0"}), ("all", {})):
        server, url = second_server(**settings)
        counted = "select sum(calls) from pg_stat_statements where query ~ 'ladder.entry' and query ~* '^ *(with|select)' and query !~ 'ladder.submit'"
        sql("create extension if not exists pg_stat_statements; select pg_stat_statements_reset()")
        done = wrk(f"{url}/v1/games/loadtest", "-s", str(ROOT / "loadtest/mixed.lua"), "--", KEY, str(boards), connections=16, seconds=15)
        results[name] = {**done, "queries": int(sql(counted) or 0)}
        server.terminate()
        server.wait()
    per = {name: r["queries"] / r["requests"] for name, r in results.items()}
    say(f"Reads spread over {boards} boards and their pages by Zipf's law with 5 % writes, 16 connections, 15 s:")
    say()
    say("| | requests/s | p99 | reading queries at PostgreSQL, a request |")
    say("|---|---|---|---|")
    for name in ("none", "all"):
        r = results[name]
        say(f"| {'no cache, no Redis' if name == 'none' else 'all caches'} | {r['rate']:,.0f} | {r['p99_ms']:.1f} ms | {per[name]:.4f} |")
    say(f"| less by | | {100 - 100 * results['all']['p99_ms'] / results['none']['p99_ms']:.0f} % | {100 - 100 * per['all'] / per['none']:.1f} % |")
    say()
    assert results["all"]["failed"] == results["none"]["failed"] == 0, results


def main():
    machine = subprocess.run(["bash", "-c", f". {ROOT}/loadtest/lib.sh; machine"], capture_output=True, text=True, check=True).stdout
    say(f"Made by `loadtest/caches` on {time.strftime('%Y-%m-%d', time.gmtime())} ({machine}; servers and clients on the same machine, one loop).")
    say()
    try:
        for part in (memory, writes, through_redis, database):
            if len(sys.argv) < 5 or part.__name__ in sys.argv[4:]:
                part()
    finally:
        for child in children:
            if child.poll() is None:
                child.terminate()
                child.wait()


main()
