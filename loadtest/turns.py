"""What it takes to compare on a machine that others use too: short slices of load in turn, what a process spent on each, and an interval.

A slice is a fixed number of requests, so a busy machine makes it longer and not smaller. It is read before and after while the server
has nothing to do, so nothing is cut off.
"""
import functools
import math
import os
import pathlib
import re
import socket
import subprocess
import time

LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)")


# ---- load ----

class Caller:
    """Connections to a server on this machine, one request at a time on each."""

    def __init__(self, port, connections=16):
        self.sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
        for each in self.sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            each.settimeout(60)

    def send(self, requests):
        """Sends these (bytes), each on the connection whose turn it is when the answer before has come; returns how many bytes the answers
        had once all are there. An answer that is no 2xx raises RuntimeError."""
        size, count = 0, len(self.sockets)
        for number, request in enumerate(requests):
            each = self.sockets[number % count]
            if number >= count:
                size += self.receive(each)
            each.sendall(request)
        for number in range(max(0, len(requests) - count), len(requests)):
            size += self.receive(self.sockets[number % count])
        return size

    @staticmethod
    def receive(each):
        data = each.recv(1 << 18)
        while (end := data.find(b"\r\n\r\n")) < 0:
            more = each.recv(1 << 18)
            if not more:
                raise RuntimeError(f"the connection was closed: {data[:300]!r}")
            data += more
        if data[9:10] != b"2":
            raise RuntimeError(f"{data[:300]!r}")
        length, size = int(LENGTH.search(data, 0, end)[1]), len(data)
        while size < end + 4 + length:
            size += len(each.recv(1 << 18))
        return size

    def close(self):
        for each in self.sockets:
            each.close()


def request(method, path, key, body=""):
    """The bytes of a request."""
    fields = f"Content-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n{fields}\r\n{body}".encode()


# ---- what a process spent ----

def tasks_ns(pid):
    """Processor time of all threads of a process, by the scheduler's own count."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            total += int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
        except OSError:
            pass
    return total


class Time:
    """Nanoseconds of processor time that a process has used so far."""
    unit = "ns"

    def __init__(self, process):
        self.pid = process.pid

    def read(self):
        time.sleep(0.001)  # it ends what the last answer left to do, and the scheduler has counted it
        return tasks_ns(self.pid)


class Instructions:
    """Instructions that a process has executed so far outside of the kernel: it runs under callgrind (`under`), in this folder."""
    unit = "instructions"

    @staticmethod
    def under(folder, binary):
        """A program that runs this one under callgrind."""
        path = folder / "counted"
        path.write_text(f'#!/bin/sh\nexec valgrind --tool=callgrind --quiet --vgdb-prefix={folder}/vgdb --callgrind-out-file={folder}/callgrind.%p "{binary}" "$@"\n')
        path.chmod(0o755)
        return str(path)

    def __init__(self, process, folder):
        self.pid, self.folder, self.sum = process.pid, folder, 0

    def read(self):
        done = subprocess.run(["vgdb", f"--pid={self.pid}", f"--vgdb-prefix={self.folder}/vgdb", "dump"], capture_output=True, text=True)
        paths = list(self.folder.glob(f"callgrind.{self.pid}.*"))
        if done.returncode or not paths:
            raise RuntimeError(done.stdout + done.stderr)
        for path in paths:  # each has what was executed since the one before
            self.sum += int(re.search(r"^(?:totals|summary): (\d+)", path.read_text(), re.M)[1])
            path.unlink()
        return self.sum


# ---- what is known of a mean ----

def student(t, freedom):
    """The probability of a value up to t in Student's distribution, t >= 0: the density by Simpson's rule."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    steps = 1000
    width = t / steps
    values = [(1 + (i * width) ** 2 / freedom) ** (-(freedom + 1) / 2) for i in range(steps + 1)]
    return 0.5 + scale * width / 3 * (values[0] + values[-1] + 4 * sum(values[1:-1:2]) + 2 * sum(values[2:-1:2]))


@functools.cache
def student_quantile(share, freedom):
    """The t for which student(t) is this share, above 0.5."""
    low, high = 0.0, 1.0
    while student(high, freedom) < share:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if student(middle, freedom) < share else (low, middle)
    return (low + high) / 2


def interval(ratios, confidence=0.99):
    """(low, mean, high) of ratios that were measured independently: Student's interval of their logarithms."""
    logs = [math.log(x) for x in ratios]
    mean = sum(logs) / len(logs)
    spread = math.sqrt(sum((x - mean) ** 2 for x in logs) / (len(logs) - 1) / len(logs))
    half = student_quantile(0.5 + confidence / 2, len(logs) - 1) * spread
    return math.exp(mean - half), math.exp(mean), math.exp(mean + half)


def median(values):
    values = sorted(values)
    return (values[len(values) // 2] + values[(len(values) - 1) // 2]) / 2
