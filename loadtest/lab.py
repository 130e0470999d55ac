"""What loadtest/run works with: private servers (those of the tests), load from wrk and an open-loop generator, and what is
read meanwhile: processor time by process, ladder's own counters, transactions at PostgreSQL.

Latency comes from `loadtest` (npm), which sends by the clock whether or not earlier requests are answered; paced.mjs charges each
from the moment that it was due, so nothing is left out when the server stands still. wrk finds out how much goes at all: it is a closed
loop, so its latencies are of a service that is full.
"""
import collections
import json
import math
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
os.environ.setdefault("LADDER_BIN", str(ROOT / "build" / "ladder"))
sys.path.insert(0, str(ROOT / "tests"))
import psycopg2  # noqa: E402
import requests  # noqa: E402
from harness import PG, Client, Database, Stack, free_port, wait_until  # noqa: E402,F401

HERE = ROOT / "loadtest"
NODE = ROOT / "build" / "loadtest" / "node"
TICKS = os.sysconf("SC_CLK_TCK")
MARKS = (50, 90, 99, 99.9, 99.99)
WARM_S = 2


def tools_install():
    """The generator, as package-lock.json names it, under build/."""
    lock = (HERE / "package-lock.json").read_text()
    if (NODE / "package-lock.json").exists() and (NODE / "package-lock.json").read_text() == lock and (NODE / "node_modules").exists():
        return
    NODE.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, NODE)
    done = subprocess.run(["npm", "ci", "--silent", "--ignore-scripts"], cwd=NODE, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"npm ci in {NODE} failed:\n{done.stdout}{done.stderr}")


def percentile(ordered, mark):
    """The smallest value that at least this share of a sorted list does not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * mark / 100) - 1)] if ordered else None


def process_cpu(pid):
    """Seconds of processor time of a process and of those of its children that have ended; 0 when it is gone."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(x) for x in fields[11:15]) / TICKS


def children_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []


def memory_kb(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def answers(metrics):
    """How often the memory of answers had which outcome: hit, miss, … (docs/operations.md)."""
    counts = collections.Counter()
    for name, value in metrics.items():
        found = re.match(r'ladder_cache_answers_total\{layer="l1",.*outcome="(\w+)"', name)
        if found:
            counts[found[1]] += value
    return counts


def fetches(counts):
    """Of these, those that had to be fetched: memory had none, or a change had touched what it had. Coalesced ones share another one's."""
    return int(counts["miss"] + counts["invalidated"])


class Lab(Stack):
    """The servers of one scenario."""

    postgres_settings = {"shared_preload_libraries": "pg_stat_statements"}

    def __init__(self, replica=True):
        self.has_replica = replica
        super().__init__()
        self.sql("create extension if not exists pg_stat_statements")
        self.server = None

    def replica_make(self):
        if self.has_replica:
            super().replica_make()

    def environment(self, login="ladder", **settings):
        environment = super().environment(login, **settings)
        if not self.has_replica:
            environment.pop("LADDER_DATABASE_REPLICAS", None)
        # As they are by default: what a test machine gets more of is not for here.
        for name in ("SERVER_ANSWER_TIMEOUT_MS", "DATABASE_STATEMENT_TIMEOUT_MS", "CACHE_HEARTBEAT_MS", "WORKER_REFRESH_PERCENT", "LIMITS_READS_WAIT_MS"):
            if name.lower() not in settings:
                environment.pop(f"LADDER_{name}", None)
        return environment

    def open(self, loops=1, worker=True, pin=None, **settings):
        """ladder serve and ladder work, and a game with a client. pin: a processor for serve."""
        self.server = self.serve(server_loops=loops, **settings)
        if pin is not None:
            for task in os.listdir(f"/proc/{self.server.pid}/task"):
                os.sched_setaffinity(int(task), {pin})
        if worker:
            self.worker()
        self.trusted(self.server)
        self.game = self.new_game()
        self.api_key = self.key(self.game)
        self.client = Client(self.server, self.game, self.api_key)
        self.client.check_described = lambda answer: None  # the tests' business; a thousand results take it seconds
        return self.client

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def path(self):
        return f"/v1/games/{self.game}"

    # -- what is read --

    def processes(self):
        postgres = [self.primary.pid] + ([self.replica.pid] if self.has_replica else [])
        groups = {"serve": [self.server.pid], "redis": [self.redis_process.pid],
                  "postgres": [x for pid in postgres for x in [pid, *children_of(pid)]],
                  "work": [c.pid for c in self.children if c.command[1:2] == ["work"] and c.is_alive()]}
        return {name: pids for name, pids in groups.items() if pids}

    def cpu(self):
        return {name: sum(process_cpu(pid) for pid in pids) for name, pids in self.processes().items()}

    def primary_cpu(self):
        return sum(process_cpu(pid) for pid in [self.primary.pid, *children_of(self.primary.pid)])

    def metrics(self):
        text = requests.get(self.url + "/metrics", timeout=10).text
        return {name: float(value) for name, value in re.findall(r"^(\w\S*) ([\d.e+]+)$", text, re.M)}

    def transactions(self):
        urls = [self.primary_url] + ([self.replica_url] if self.has_replica else [])
        return sum(float(self.sql("select xact_commit + xact_rollback from pg_stat_database where datname = current_database()", url=u)[0][0]) for u in urls)

    def statements(self):
        """Calls of ladder's own statements since the last reset, on all servers."""
        urls = [self.primary_url] + ([self.replica_url] if self.has_replica else [])
        return sum(int(self.sql("select coalesce(sum(calls), 0) from pg_stat_statements where query ~ 'ladder\\.' and userid = "
                                "(select oid from pg_roles where rolname = 'ladder_serve')", url=u)[0][0]) for u in urls)


class Watch(threading.Thread):
    """Reads the counters twice a second while load runs; `with Watch(lab) as watch`, then watch.series and watch.sum."""

    def __init__(self, lab, pause=0.5):
        super().__init__(daemon=True)
        self.lab, self.pause, self.is_over, self.series = lab, pause, threading.Event(), []

    def read(self):
        metrics = self.lab.metrics()
        return {"at": time.monotonic(), "cpu": self.lab.cpu(), "answers": dict(answers(metrics)),
                "requests": metrics.get("ladder_http_requests_total", 0), "statements": self.lab.statements(), "rss_kb": memory_kb(self.lab.server.pid)}

    def run(self):
        while not self.is_over.wait(self.pause):
            self.series.append(self.read())

    def __enter__(self):
        self.series = [self.read()]
        self.start()
        return self

    def __exit__(self, *error):
        self.is_over.set()
        self.join()
        self.series.append(self.read())
        first, last = self.series[0], self.series[-1]
        answered = max(1.0, last["requests"] - first["requests"])
        counts = {name: last["answers"].get(name, 0) - first["answers"].get(name, 0) for name in last["answers"]}
        reads = sum(counts.values())
        self.sum = {
            "cpu_us": {name: 1e6 * (last["cpu"].get(name, 0) - first["cpu"].get(name, 0)) / answered for name in last["cpu"]},
            "hit_ratio": counts.get("hit", 0) / reads if reads else None,
            "queries": (last["statements"] - first["statements"]) / answered,
        }

    def lines(self):
        """The series, as rates between two looks."""
        result, start = [], self.series[0]["at"]
        for before, after in zip(self.series, self.series[1:]):
            took = after["at"] - before["at"]
            if took < 0.1:
                continue
            counts = {name: after["answers"].get(name, 0) - before["answers"].get(name, 0) for name in after["answers"]}
            reads = sum(counts.values())
            result.append({"at": round(after["at"] - start, 2), "rate": round((after["requests"] - before["requests"]) / took, 1),
                           "cpu": {name: round((after["cpu"].get(name, 0) - before["cpu"].get(name, 0)) / took, 3) for name in after["cpu"]},
                           "queries": round((after["statements"] - before["statements"]) / took, 1),
                           "hit": round(counts.get("hit", 0) / reads, 4) if reads else None, "rss_kb": after["rss_kb"]})
        return result


def machine_busy():
    """Seconds for which the machine's processors worked, for whoever: user, nice, system, interrupts, and what the host took (steal)."""
    fields = [int(x) for x in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return sum(fields[i] for i in (0, 1, 2, 5, 6, 7)) / TICKS


class Cores:
    """`with Cores(lab) as cores`: who used how many cores meanwhile, in cores.used: the lab's groups, what was run and waited for (the
    generator), and the machine in all."""

    def __init__(self, lab):
        self.lab = lab

    def read(self):
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {**self.lab.cpu(), "generator": ended.ru_utime + ended.ru_stime, "in all": machine_busy()}

    def __enter__(self):
        self.at, self.first = time.monotonic(), self.read()
        return self

    def __exit__(self, *error):
        last, took = self.read(), time.monotonic() - self.at
        self.used = {name: round((last[name] - self.first[name]) / took, 3) for name in self.first}


# ---- load ----

def requests_write(path, lines):
    """lines: (method, path, body or "")."""
    with open(path, "w") as out:
        for method, target, body in lines:
            out.write(f"{method}\t{target}\t{body}\n")
    return path


def wrk(lab, file, seconds, connections=32, pin=None):
    """As much as goes: requests/s, answers that were no 2xx or 3xx."""
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-s", str(HERE / "replay.lua"), lab.url, "--", str(file), lab.api_key]
    if pin is not None:
        words = ["taskset", "-c", str(pin), *words]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"wrk failed:\n{done.stdout}{done.stderr}")
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", done.stdout)
    return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1]),
            "requests": int(re.search(r"(\d+) requests in", done.stdout)[1]),
            "failed": (int(failed[1]) if failed else 0) + (sum(map(int, broken.groups())) if broken else 0)}


def paced(lab, file, rate, seconds):
    """At a fixed rate, in an open loop: latencies from when each was due. The generator runs WARM_S before it counts: its compiler
    takes its time over the first thousands."""
    log = lab.directory / "paced.log"
    log.unlink(missing_ok=True)
    done = subprocess.run(["node", str(HERE / "paced.mjs"), lab.url, lab.api_key, str(rate), str(WARM_S + seconds), str(file), str(log)],
                          capture_output=True, text=True, env={**os.environ, "NODE_PATH": str(NODE / "node_modules")})
    if done.returncode or not log.exists():
        sys.exit(f"paced.mjs failed:\n{done.stdout}{done.stderr}")
    rows = [tuple(map(int, line.split())) for line in log.read_text().splitlines()]
    return latencies([(due - WARM_S * 1000000, took, status) for due, took, status in rows if due >= WARM_S * 1000000], rate, seconds)


def latencies(rows, rate, seconds):
    """rows: due (us), took (us), status. What is known of them: percentiles, and by half second."""
    took = sorted(row[1] / 1000 for row in rows)
    buckets = collections.defaultdict(list)
    for due, us, _ in rows:
        buckets[due // 500000].append(us / 1000)
    return {"asked": rate, "rate": round(len(rows) / seconds, 1), "count": len(rows), "failed": sum(not 200 <= row[2] < 400 for row in rows),
            "statuses": dict(collections.Counter(str(row[2]) for row in rows)),
            "ms": {str(mark): round(percentile(took, mark), 3) for mark in MARKS}, "max_ms": round(took[-1], 3),
            "hdr": [[mark, round(percentile(took, mark), 3)] for mark in (0, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95, 99.99)],
            "series": [{"at": key / 2, "p50": round(percentile(sorted(values), 50), 3), "p99": round(percentile(sorted(values), 99), 3)}
                       for key, values in sorted(buckets.items())]}


def machine():
    model = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)[1]
    memory = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) / 1048576
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB"


def build(name):
    """What was measured: the commit, and whether anything differs from it."""
    def git(*words):
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True).stdout.strip()
    return {"name": name, "commit": git("rev-parse", "--short", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}


def document_write(name, text, page="performance.md"):
    """Puts the text between the marks of this name in a page of docs/."""
    path = ROOT / "docs" / page
    begin, end = f"<!-- begin loadtest/{name} -->\n", f"<!-- end loadtest/{name} -->\n"
    head, found, rest = path.read_text().partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        sys.exit(f"{path} has no marks for {name}")
    path.write_text(head + begin + text.rstrip("\n") + "\n" + end + tail)


def dump(value, path):
    pathlib.Path(path).write_text(json.dumps(value, indent=1) + "\n")


def connect(url):
    connection = psycopg2.connect(url)
    connection.autocommit = True
    return connection
