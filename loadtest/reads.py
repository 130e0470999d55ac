#!/usr/bin/python3
"""reads.py URL KEY REDIS_PORT NAME=ENTRIES…: times each kind of read on boards of several sizes, as a Markdown table.

One connection that is kept alive, one request at a time, the boards in turn, so that whatever else the machine does meets all
of them alike. Medians. The second figure is the time inside Redis for one call, which is where the size could show: what is
around it (HTTP, JSON, this client) is the same for all.
"""
import random
import socket
import statistics
import sys
import time
import urllib.parse

import redis

ROUNDS = 3000
SCORES = 1000000000  # loadtest/scale draws them below this


class Connection:
    def __init__(self, url, key):
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tail = f" HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"

    def get(self, path, headers=""):
        """Seconds until the whole answer was there, which is then in `body`. headers: more lines."""
        return self.send(f"GET {path}{self.tail}{headers}\r\n".encode(), path)

    def post(self, path, body):
        return self.send(f"POST {path}{self.tail}Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode(), path)

    def send(self, request, path):
        started = time.perf_counter()
        self.socket.sendall(request)
        data = self.socket.recv(1 << 18)
        while b"\r\n\r\n" not in data:
            data += self.socket.recv(1 << 18)
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        size = int(next(x for x in lines if x.startswith(b"content-length:"))[15:])
        while len(body) < size:
            body += self.socket.recv(1 << 18)
        took = time.perf_counter() - started
        self.body = body
        if not head.startswith(b"HTTP/1.1 200"):
            sys.exit(f"{path}: {data[:500]!r}")
        return took


def reads(dice, board, count):
    """kind -> a path. Ranges of about a hundred entries, or all."""
    player = f"player{dice.randrange(count):06}"
    width = min(SCORES * 100 // count, SCORES)
    low = dice.randrange(max(1, SCORES - width))
    base = f"/v1/games/loadtest/boards/{board}"
    return {"top, 100 entries": f"{base}/top?limit=100", "page of 100 at a random offset": f"{base}/top?limit=100&offset={dice.randrange(count - 100)}",
            "player": f"{base}/players/{player}", "around, 5 and 5": f"{base}/players/{player}/around?above=5&below=5",
            "range of about 100": f"{base}/range?min={low}&max={low + width}&limit=100"}


def main():
    url, key, port = sys.argv[1:4]
    boards = {name: int(count) for name, count in (x.split("=") for x in sys.argv[4:])}
    connection, server, dice = Connection(url, key), redis.Redis(port=int(port)), random.Random(2)
    kinds = list(reads(dice, next(iter(boards)), 1000))
    print("| read, median of %d | %s | ratio |" % (ROUNDS, " | ".join(f"{count} entries: µs, in Redis" for count in boards.values())))
    print("|---|" + "---|" * (len(boards) + 1))
    for kind in kinds:
        times = {name: [] for name in boards}
        inside = {}
        for _ in range(ROUNDS):
            for name, count in boards.items():
                times[name].append(connection.get(reads(dice, name, count)[kind]))
        for name, count in boards.items():  # Redis counts by command: each board by itself
            server.config_resetstat()
            for _ in range(ROUNDS // 3):
                connection.get(reads(dice, name, count)[kind])
            calls = server.info("commandstats").get("cmdstat_fcall_ro")
            inside[name] = f"{calls['usec_per_call']:.0f}" if calls else "none"
        medians = {name: statistics.median(values) * 1e6 for name, values in times.items()}
        first, *_, last = medians.values()
        print(f"| {kind} | " + " | ".join(f"{medians[name]:.0f}, {inside[name]}" for name in boards) + f" | {last / first:.2f} |")


if __name__ == "__main__":
    main()
