"""Processes that die, stand still, are restarted, or lack descriptors and the right time."""
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time

from fault.acknowledged import Wire
from fault.faults import Fault
from harness import wait_until
from trio import send_all

FAKETIME = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


class KillServe(Fault):
    number, name, sentence, cycles, is_start_counted = "F1", "kill-serve", "`kill -9` of a server amid requests", 10, True
    during_s = (0.0, 0.02)

    def inject(self, field, dice):
        self.which = dice.choice(("here", "here", "there", "alone"))
        field.servers[self.which].kill()

    def heal(self, field):
        field.server_start(self.which)


class KillServeAt(Fault):
    """Deterministic: the server stops itself at a named point of a submission's way, and is killed there."""
    number, cycles, during_s, is_start_counted = "F1", 1, (0.0, 0.01), True

    def __init__(self, point, where):
        self.point, self.name, self.sentence = point, f"kill-serve-{point}", f"`kill -9` of a server {where}"

    def inject(self, field, dice):
        field.servers["here"].kill()
        server = field.server_start("here", faults="stop-" + self.point, is_awaited=False)
        wait_until(server.is_stopped, 10, f"the server comes to {self.point}")
        assert server.is_alive(), server.log()[-2000:]
        server.kill()

    def heal(self, field):
        field.server_start("here")


class KillWorker(Fault):
    number, name, sentence, cycles, is_start_counted = "F2", "kill-worker", "`kill -9` of the worker", 3, True

    def inject(self, field, dice):
        field.work.kill()

    def heal(self, field):
        field.worker_start()


class WorkerAt(Fault):
    """Deterministic, as above. has_another: the first is not killed but wakes when a second one leads already."""
    number = "F2"

    def __init__(self, point, where, has_another=False):
        self.point, self.has_another = point, has_another
        if has_another:
            self.number, self.name = "F21", f"wake-worker-{point}"
            self.sentence = f"a worker that stood still {where} and wakes"
        else:
            self.name, self.sentence = f"kill-worker-{point}", f"`kill -9` of the worker {where}"

    def inject(self, field, dice):
        field.work.kill()
        field.worker_start(faults="stop-" + self.point)
        if self.point == "before-flip":
            field.redis.flushall()
        wait_until(field.work.is_stopped, 20, f"the worker comes to {self.point}")
        assert field.work.is_alive(), field.work.log()[-2000:]

    def heal(self, field):
        if not self.has_another:
            field.work.kill()
            field.worker_start()
            return
        # Its sessions hold the locks of its jobs: they go, as when PostgreSQL finds that nobody is there.
        asleep = field.work
        field.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'ladder_work'")
        field.worker_start()
        wait_until(lambda: "event=leading" in field.work.log(), 10, "the other one leads")
        asleep.send(signal.SIGCONT)
        time.sleep(0.1)
        self.asleep = asleep

    def settle(self, field):
        if self.has_another and self.asleep.is_alive():
            self.asleep.stop()


class KillPrimary(Fault):
    number, name, sentence, cycles = "F3", "kill-primary", "`kill -9` of the primary", 3

    def inject(self, field, dice):
        field.primary.kill()

    def heal(self, field):
        field.primary_start()


class QuitPrimary(KillPrimary):
    name, sentence, cycles = "quit-primary", "immediate shutdown of the primary", 1

    def inject(self, field, dice):
        field.primary.was_killed = True
        field.primary.stop(signal.SIGQUIT)


class KillBackend(Fault):
    number, name, sentence = "F3", "kill-backend", "`kill -9` of one backend: PostgreSQL restarts itself"

    def inject(self, field, dice):
        pids = [pid for pid, in field.sql("select pid from pg_stat_activity where usename = 'ladder_serve'")]
        os.kill(dice.choice(pids), signal.SIGKILL)


class EndSessions(Fault):
    number, name, sentence = "F3", "end-sessions", "every session of the primary is terminated"

    def inject(self, field, dice):
        field.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename in ('ladder_serve', 'ladder_work')")


class PowerCut(Fault):
    number, name, sentence, cycles = "F4", "power-cut", "power cut of the primary's disk", 2

    def why_not(self, field):
        return field.disk.why_not

    def prepare(self, field):
        field.sync()

    def inject(self, field, dice):
        field.power_cut()

    def heal(self, field):
        field.power_on()


class KillReplica(Fault):
    number, name, sentence = "F5", "kill-replica", "`kill -9` of the replica"

    def inject(self, field, dice):
        field.replica.kill()

    def heal(self, field):
        field.replica_start()


class Promotion(Fault):
    """What is acknowledged is on the replica (remote_apply). The old primary is made a replica of the new one."""
    number, name, sentence, cycles = "F5", "promotion", "the primary dies, the replica is promoted", 1
    is_spoiling = True

    def prepare(self, field):
        field.promotable(True)

    def inject(self, field, dice):
        field.primary.kill()

    def heal(self, field):
        field.promote()

    def settle(self, field):
        field.follow()
        field.servers["alone"].stop()
        field.server_start("alone")  # it knows one address only



class Stop(Fault):
    """SIGSTOP, as a machine that stands still."""
    during_s = (0.3, 1.0)

    def __init__(self, number, what, is_long=False):
        self.number, self.what, self.name = number, what, f"stop-{what}"
        self.sentence = f"{dict(here='a server', work='the worker', redis_process='Redis').get(what, 'the ' + what)} stands still (SIGSTOP)"
        if is_long:
            self.name, self.during_s, self.sentence, self.cycles = self.name + "-long", (6, 7), self.sentence + " for more than every deadline", 0
        self.name = self.name.replace("_process", "")

    def process(self, field):
        return field.servers["here"] if self.what == "here" else getattr(field, self.what)

    def inject(self, field, dice):
        send_all(self.process(field), signal.SIGSTOP)

    def heal(self, field):
        send_all(self.process(field), signal.SIGCONT)


class Descriptors(Fault):
    """Clients take every descriptor that a server may have; its connections to the databases must not be the ones to go."""
    number, name, sentence, during_s = "F16", "no-descriptors", "a server has no file descriptor left", (0.3, 0.5)

    def inject(self, field, dice):
        server = field.servers["here"]
        self.was = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        in_use = len(os.listdir(f"/proc/{server.pid}/fd"))
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (in_use + 5, self.was[1]))
        self.idle = [socket.create_connection(("127.0.0.1", field.ports["here"])) for _ in range(300)]

    def heal(self, field):
        [connection.close() for connection in self.idle]
        if field.servers["here"].is_alive():
            resource.prlimit(field.servers["here"].pid, resource.RLIMIT_NOFILE, self.was)


class SlowClients(Fault):
    """Each sends a byte now and then. (What the server does to each is tests/integration/test_http_wire.py's.)"""
    number, name, sentence, during_s = "F17", "slow-clients", "300 clients that never finish their request", (0.5, 1.0)

    def inject(self, field, dice):
        self.slow = [socket.create_connection(("127.0.0.1", field.ports["here"])) for _ in range(300)]
        for turn in range(4):
            for connection in self.slow:
                connection.send(b"GET /v1/games HTTP/1.1\r\n"[turn * 5:turn * 5 + 5])

    def heal(self, field):
        [connection.close() for connection in self.slow]


class Interrupted(Fault):
    """Every few system calls one is interrupted, or would block, by ptrace."""
    number, name, sentence, during_s = "F19", "interrupted-calls", "system calls that fail with EINTR, EAGAIN", (0.3, 0.5)

    def why_not(self, field):
        if not shutil.which("strace"):
            return "there is no strace"
        done = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True)
        return None if done.returncode == 0 else "processes can't be traced here"

    def inject(self, field, dice):
        error = dice.choice(("EINTR", "EAGAIN"))
        calls = {"EINTR": "recvfrom,sendto,read,write,epoll_wait,poll", "EAGAIN": "recvfrom,sendto"}[error]
        self.tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e",
                                        f"inject={calls}:error={error}:when={dice.randint(3, 9)}+{dice.randint(5, 11)}",
                                        "-p", str(field.servers["here"].pid)], stderr=subprocess.DEVNULL)

    def heal(self, field):
        self.tracer.terminate()
        self.tracer.wait()


class Clock(Fault):
    """A server whose clock is wrong: only the database's decides what a moment is."""
    number, during_s = "F20", (0.3, 0.5)

    def __init__(self, name, offset, sentence):
        self.name, self.offset, self.sentence = name, offset, sentence

    def why_not(self, field):
        return None if FAKETIME.exists() else "there is no libfaketime"

    def inject(self, field, dice):
        field.servers["here"].kill()
        field.raw = dict(LD_PRELOAD=str(FAKETIME), FAKETIME=self.offset, FAKETIME_DONT_FAKE_MONOTONIC="1", DONT_FAKE_MONOTONIC="1")
        try:
            field.server_start("here")
        finally:
            field.raw = {}

    def heal(self, field):
        field.servers["here"].kill()
        field.server_start("here")


class Restart(Fault):
    """SIGTERM under load, when another process has taken the port already."""
    number, name, sentence, during_s = "F22", "rolling-restart", "a server is replaced by another on its port", (0.0, 0.01)

    def inject(self, field, dice):
        old = field.servers["here"]
        field.server_start("here", server_share_port="true")
        assert old.stop() == 0, old.log()[-2000:]


class Reload(Fault):
    number, name, sentence, during_s = "F22", "reload", "SIGHUP, again and again", (0.0, 0.01)

    def inject(self, field, dice):
        for _ in range(10):
            field.servers["here"].send(signal.SIGHUP)
            time.sleep(0.02)


class Repeats(Fault):
    """A client that sends everything again, to both servers at once, in another order."""
    number, name, sentence, cycles = "F24", "repeats", "submissions are sent again, twice, out of order", 1
    during_s = (0.2, 0.3)

    def inject(self, field, dice):
        self.is_over, self.count = False, 0
        self.thread = threading.Thread(target=self.send, args=(field, dice), daemon=True)
        self.thread.start()

    def send(self, field, dice):
        wire = Wire(field.game_key)
        while not self.is_over:
            keyed = [s for s in field.load.ledger.submissions[-60:] if s.key]
            for submission in dice.sample(keyed, min(8, len(keyed))):
                for name in ("there", "here"):
                    wire.request(field.ports[name], "POST", f"/v1/games/{field.game}/boards/{submission.board}/scores", submission.body(),
                                 {"Idempotency-Key": submission.key})
                    self.count += 1
            time.sleep(0.001)

    def heal(self, field):
        # A slow machine needs longer than a cycle lasts.
        wait_until(lambda: self.count > 4 or not self.thread.is_alive(), 60, "submissions are repeated")
        self.is_over = True
        self.thread.join()
        assert self.count > 4, self.count


FAULTS = [
    KillServe(), KillServeAt("submitted", "whose submission PostgreSQL has but has not answered"),
    KillServeAt("committed", "after the commit, before Redis has it"), KillServeAt("applied", "after Redis has it, before its client knows"),
    KillWorker(), WorkerAt("changes-read", "between its read of PostgreSQL and Redis"), WorkerAt("changes-applied", "before it notes how far it came"),
    WorkerAt("before-flip", "at the end of a rebuild"),
    KillPrimary(), QuitPrimary(), KillBackend(), EndSessions(), PowerCut(), KillReplica(), Promotion(),
    Stop("F21", "here"), Stop("F21", "work"), Stop("F21", "primary"), Stop("F6", "replica"), Stop("F8", "redis_process"),
    Stop("F21", "primary", is_long=True), Stop("F8", "redis_process", is_long=True),
    WorkerAt("changes-read", "between its read of PostgreSQL and Redis", has_another=True),
    WorkerAt("before-flip", "at the end of a rebuild", has_another=True),
    Descriptors(), SlowClients(), Interrupted(), Clock("clock-ahead", "+3600s", "a server's clock is an hour ahead"),
    Clock("clock-behind", "-3600s", "a server's clock is an hour behind"), Clock("clock-2038", "@2038-01-19 03:14:00", "a server's clock passes 2038"),
    Restart(), Reload(), Repeats(),
]
