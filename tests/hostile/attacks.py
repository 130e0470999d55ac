"""Attacks on a server of two tenants, with the victim's p50 and p99 alone and during each attack, in one run.

    python3 tests/hostile/attacks.py [--rounds N] [NAME]…      # prints the table of docs/hostile.md

Starts its own PostgreSQL, Redis, server and worker. Alone and attacked alternate in slices of a few seconds, so that whatever else the
machine does falls on both.
"""
import argparse
import json
import os
import pathlib
import random
import re
import sys
import tempfile
import time

import requests

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from harness import Client, Stack, wait_until  # noqa: E402
from hostile import victim  # noqa: E402

ENTRIES = 100_000
SLICE_SECONDS = 3
# As a server runs by default; the tests' own are longer.
SETTINGS = dict(server_answer_timeout_ms=5000, database_statement_timeout_ms=2000, cache_heartbeat_ms=100, server_loops=2,
                limits_reads_wait_ms=1000)


def http(method, path, key=None, body=None):
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n" + (f"Authorization: Bearer {key}\r\n" if key else "")
    if body is None:
        return (head + "\r\n").encode()
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Town:
    """One server, the victim's game and the noisy one's. faults: rules of the server that are broken on purpose."""

    def __init__(self, stack, faults="", entries=ENTRIES, **settings):
        self.stack, self.entries, self.dice = stack, entries, random.Random(1)
        self.server = stack.serve(**{**SETTINGS, **settings}, **(dict(faults=faults) if faults else {}))
        victim.prefer(self.server.pid)
        self.worker = stack.worker()
        stack.trusted(self.server)
        self.victim, self.noisy = (Client(self.server, game, stack.key(game)) for game in (stack.new_game(), stack.new_game()))
        self.victim.put_board("v")
        self.noisy.put_board("b", public=True)
        self.victim.submit_many([{"board": "v", "player": f"p{n}", "score": n} for n in range(1000)])
        if entries:
            with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
                file.write("player,score\n")
                file.writelines(f"u{n},{self.dice.randrange(10 ** 9)}\n" for n in range(entries))
                file.flush()
                os.chmod(file.name, 0o644)
                stack.cli("import", file.name, "--game", self.noisy.game, "--board", "b", "--player", "player", "--score", "score")
            self.wait_in_redis("/boards/b/top")

    def wait_in_redis(self, path):
        wait_until(lambda: self.noisy.read(path, source="true").get("source") == "redis", 60, "Redis holds the board")

    def close(self):
        for process in (self.server, self.worker):
            if process.is_alive():
                assert process.stop() == 0, process.log()[-2000:]
            process.check_clean()

    # -- the victim --

    def feel(self, seconds=SLICE_SECONDS):
        base, key = f"/v1/games/{self.victim.game}/boards/v", self.victim.key
        reads = [http("GET", f"{base}/{path}", key) for path in ("top?limit=10", "top?limit=100", "players/p1", "players/p500/around")]
        return victim.alone(self.server.port, reads, lambda n: http(
            "POST", f"{base}/scores", key, json.dumps({"player": f"p{self.dice.randrange(1000)}", "score": self.dice.randrange(10 ** 6)}).encode()), seconds)

    def memory(self):
        """Bytes: the server's resident memory without its cache, which an attack may fill as any reader does."""
        status = pathlib.Path(f"/proc/{self.server.pid}/status").read_text()
        metrics = requests.get(f"http://127.0.0.1:{self.server.port}/metrics", timeout=60).text
        cached = sum(int(value) for value in re.findall(r"^ladder_cache_bytes\{[^}]*\} (\d+)", metrics, re.M))
        return (int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) << 10) - cached

    # -- the attacks: requests, connections, in flight on each --

    def ids(self, count):
        return ",".join(f"u{self.dice.randrange(self.entries)}" for _ in range(count))

    def query(self, paths, key=None):
        return http("POST", f"/v1/games/{self.noisy.game}/query", key, json.dumps({"queries": paths}).encode())

    def attack_query(self, connections, key=None, count=100):
        return [self.query([f"/boards/b/players?ids={self.ids(500)}" for _ in range(count)], key) for _ in range(4)], connections, 1

    def attack_broken(self):
        whole, _, _ = self.attack_query(16, self.noisy.key)
        return [request.replace(b'"]}', b'"] ') for request in whole], 16, 1

    def attack_twice(self):
        whole, _, _ = self.attack_query(16, self.noisy.key)
        more = b',"queries":0}'
        return [request.replace(b'"]}', b'"]' + more).replace(b"Content-Length: %d" % size, b"Content-Length: %d" % (size + len(more) - 1))
                for request in whole for size in [len(request) - request.index(b"\r\n\r\n") - 4]], 16, 1

    def attack_players(self):
        return [http("GET", f"/v1/games/{self.noisy.game}/boards/b/players?ids={self.ids(500)}") for _ in range(8)], 16, 1

    def attack_batches(self):
        def rows():
            return [{"board": "b", "player": f"u{self.dice.randrange(self.entries)}", "score": self.dice.randrange(10 ** 9)} for _ in range(1000)]
        path = f"/v1/games/{self.noisy.game}/scores"
        return [http("POST", path, self.noisy.key, json.dumps({"scores": rows()}).encode()) for _ in range(50)], 4, 1

    def attack_absent_boards(self):
        return [http("GET", f"/v1/games/{self.noisy.game}/boards/no{n}/top") for n in range(20000)], 8, 1

    def attack_absent_boards_at_once(self):
        return [self.query([f"/boards/no{self.dice.randrange(10 ** 9)}/top" for _ in range(100)]) for _ in range(200)], 8, 1

    def attack_keys(self):
        """Of both forms: with what could be a signature, and without."""
        return [http("GET", f"/v1/games/{self.noisy.game}/boards/b/top", f"lk_{self.dice.randrange(10 ** 15):0{31 if n % 2 else 15}}_x{'y' * 20}") for n in range(20000)], 8, 1


ATTACKS = {
    "query": ("`POST /query` without a key, 100 × `players?ids=` of 500, one at a time", lambda town: town.attack_query(1)),
    "query-16": ("the same, 16 at once", lambda town: town.attack_query(16)),
    "query-few-16": ("the same with 16 queries, 16 at once", lambda town: town.attack_query(16, count=16)),
    "query-key": ("the same with 100 queries and a key, one at a time", lambda town: town.attack_query(1, town.noisy.key)),
    "query-key-16": ("the same with a key, 16 at once", lambda town: town.attack_query(16, town.noisy.key)),
    "query-broken-16": ("the same with a key, 16 at once, the body without its last brace", lambda town: town.attack_broken()),
    "query-twice-16": ("the same with a key, 16 at once, the list's name once more behind it", lambda town: town.attack_twice()),
    "players-16": ("`players?ids=` of 500 without a key, 16 at once", lambda town: town.attack_players()),
    "batches": ("`POST /scores` of 1,000, 4 at once", lambda town: town.attack_batches()),
    "boards": ("absent boards, 8 at once", lambda town: town.attack_absent_boards()),
    "boards-query": ("`POST /query` of 100 absent boards, 8 at once", lambda town: town.attack_absent_boards_at_once()),
    "keys": ("unknown API keys, 8 at once", lambda town: town.attack_keys()),
}
MEMORY_TIMES = 1.1
MEMORY_FIRST = 16 << 20  # what a server of 17 MB allocates and maps when it is first used in a new way, and keeps
LOG_EVENTS = "redis-lost", "database-lost", "server-left-alone"


def memory_max(before):
    return max(MEMORY_TIMES * before, before + MEMORY_FIRST)


class Measure:
    """alone, during: [reads, writes]; events: counts in the server's log; memory: before the last round, and the least in the minute
    after it."""

    def __init__(self, town, attack, rounds):
        texts, connections, in_flight = attack
        # Other processes must not find theirs grown by ours.
        log_from = len(town.server.log())
        with victim.Attack(town.server.port, texts, connections, in_flight):
            time.sleep(1)  # what a server maps when it is first used in a new way, and keeps, is there before it is measured
        self.attack = victim.Attack(town.server.port, texts, connections, in_flight)
        self.alone = self.during = None
        for _ in range(rounds):
            town.stack.trusted(town.server)
            alone = town.feel()
            before = town.memory()
            with self.attack:
                during = town.feel()
            self.alone = alone if self.alone is None else [a + b for a, b in zip(self.alone, alone)]
            self.during = during if self.during is None else [a + b for a, b in zip(self.during, during)]
        self.memory = before, self.memory_after(town, before)
        log = town.server.log()[log_from:]
        self.events = {event: len(re.findall(rf"event={event}\b", log)) for event in LOG_EVENTS}

    @staticmethod
    def memory_after(town, before):
        least, end = town.memory(), time.monotonic() + 60
        while least > memory_max(before) and time.monotonic() < end:
            time.sleep(0.5)
            least = min(least, town.memory())
        return least

    def gives_memory_back(self):
        return self.memory[1] <= memory_max(self.memory[0])

    def ratio(self, kind):
        return self.during[kind].p99 / self.alone[kind].p99

    def __str__(self):
        reads, writes = ([f"{before.p50:.1f} / {before.p99:.1f}", f"{after.p50:.1f} / {after.p99:.1f}", f"{after.p99 / before.p99:.1f}"]
                         for before, after in zip(self.alone, self.during))
        failed = sum(part.failed for part in self.during)
        done = sum(self.attack.statuses.values())
        statuses = ", ".join(f"{count} × {status}" for status, count in sorted(self.attack.statuses.items()))
        lost = ", ".join(f"{count} {event}" for event, count in self.events.items() if count) or "none"
        return " | ".join([*reads, *writes, str(failed), f"{done / self.attack.seconds:.1f}/s ({statuses})", lost,
                           f"{self.memory[0] / 1e6:.0f} / {self.memory[1] / 1e6:.0f}"])


HEAD = ("| attack | reads alone, p50 / p99 ms | during | times | writes alone | during | times | victim's failures | attack's answers | lost | MB before / after |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--faults", default="", help="rules to break, in a build with -Dfaults=true")
    parser.add_argument("--setting", action="append", default=[], help="name=value of the server, as in LADDER_NAME")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ATTACKS))
    options = parser.parse_args()
    stack = Stack()
    try:
        town = Town(stack, options.faults, **dict(setting.split("=", 1) for setting in options.setting))
        town.feel(1)
        print(HEAD, flush=True)
        for name in options.names or ATTACKS:
            what, attack = ATTACKS[name]
            print(f"| {what} | {Measure(town, attack(town), options.rounds)} |", flush=True)
        town.close()
    finally:
        stack.close()


if __name__ == "__main__":
    main()
