"""The harness itself: its servers are what they claim to be, its checks can fail, and it leaves nothing behind."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types

import psycopg2
import pytest

import harness
from harness import Client, Process, Stack, wait_until


def is_gone(pid):
    """Ended; whether somebody has collected it yet does not matter."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
def table(stack):
    stack.sql("create table public.harness (n integer primary key)")
    yield
    stack.sql("drop table public.harness")


def test_the_replica_follows_and_takes_no_writes(stack, table):
    stack.sql("insert into public.harness select generate_series(1, %s)", 1000)
    stack.replica_caught_up()
    assert stack.replica_sql("select count(*), pg_is_in_recovery() from public.harness") == [(1000, True)]
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        stack.replica_sql("insert into public.harness values (0)")


def test_what_the_primary_committed_survives_its_kill(stack, table):
    assert stack.sql("select name, setting from pg_settings where name in ('fsync', 'synchronous_commit') order by name") == [
        ("fsync", "on"), ("synchronous_commit", "on")]
    held = psycopg2.connect(stack.primary_url)  # a backend, so that one outlives the postmaster for a moment
    for n in range(50):
        stack.sql("insert into public.harness values (%s)", n)
    with held.cursor() as cursor:
        cursor.execute("insert into public.harness values (-1)")
    stack.primary.kill()
    held.close()
    stack.primary = stack.postgres_start("primary", stack.primary_port)
    assert [n for n, in stack.sql("select n from public.harness order by n")] == list(range(50))
    stack.replica_caught_up()
    assert stack.replica_sql("select count(*) from public.harness") == [(50,)]


def test_redis_restarts_empty_or_from_a_file(stack, tmp_path):
    stack.redis.set("harness", "old")
    stack.redis.save()
    old = tmp_path / "old.rdb"
    old.write_bytes((stack.directory / "dump.rdb").read_bytes())
    stack.redis.set("harness", "new")
    stack.redis_restart(old)
    assert stack.redis.get("harness") == b"old"
    stack.redis_restart()
    assert stack.redis.get("harness") is None
    assert stack.redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_raw_bytes_reach_the_server_and_its_answer_us(stack):
    client = Client(types.SimpleNamespace(port=stack.redis_port), "no game")
    assert client.raw(b"PING\r\nQUIT\r\n") == b"+PONG\r\n+OK\r\n"


def test_a_crash_is_told_from_a_kill(tmp_path):
    crashed = Process(["sh", "-c", "kill -SEGV $$"], tmp_path / "crashed.log")
    wait_until(lambda: not crashed.is_alive())
    with pytest.raises(AssertionError, match="died of signal 11"):
        crashed.check_clean()
    killed = Process(["sleep", "1000"], tmp_path / "killed.log")
    killed.kill()
    killed.check_clean()
    ended = Process(["true"], tmp_path / "ended.log")
    assert ended.child.wait(10) == 0
    ended.check_clean()


def test_what_a_process_started_ends_with_it_and_nothing_later(tmp_path, monkeypatch):
    """When a process was seen to end, its number is free: a group of that number is another's from then on."""
    process = Process(["sh", "-c", "sleep 1000 & echo $!"], tmp_path / "log")
    assert process.wait(10) == 0
    left = pathlib.Path("/proc", process.log().strip(), "stat")
    wait_until(lambda: not left.exists() or left.read_text().rsplit(") ", 1)[1][0] == "Z", 10, "the sleep has ended")
    monkeypatch.setattr(os, "killpg", lambda *arguments: pytest.fail(f"killpg{arguments}"))
    assert process.wait() == 0 and not process.is_alive()
    process.kill()
    process.check_clean()


@pytest.mark.parametrize("line", [
    "==7==ERROR: AddressSanitizer: heap-use-after-free", "store.c:7:9: runtime error: signed integer overflow",
    "WARNING: ThreadSanitizer: data race", "==7== Conditional jump or move depends on uninitialised value(s)", "level=error event=assertion-failed",
    "LOG:  server process (PID 7) was terminated by signal 11: Segmentation fault", "2026-01-01 00:00:00.000 UTC [7] PANIC:  could not write"])
def test_a_report_in_the_log_is_a_failure(tmp_path, line):
    process = Process(["echo", line], tmp_path / "log")
    assert process.child.wait(10) == 0
    with pytest.raises(AssertionError, match="echo"):
        process.check_clean()


def test_wait_until_gives_up():
    with pytest.raises(AssertionError, match="the impossible"):
        wait_until(lambda: False, 0.05, "the impossible")
    assert wait_until(lambda: "what it was", 0.05) == "what it was"


def test_the_servers_end_with_us(tmp_path):
    """Even when the harness is killed and can clean nothing up."""
    code = ("import pathlib, sys, harness\n"
            "child = harness.Process(['sleep', '1000'], pathlib.Path(sys.argv[1]))\n"
            "print(child.pid, flush=True)\n"
            "sys.stdin.read()\n")
    ours = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "log")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                            env=dict(os.environ, PYTHONPATH=os.path.dirname(harness.__file__)))
    pid = int(ours.stdout.readline())
    assert not is_gone(pid)
    ours.kill()
    ours.wait()
    wait_until(lambda: is_gone(pid), 5, "the child ended")


def test_a_stack_that_cannot_start_leaves_nothing():
    made = []

    class Stillborn(Stack):
        def cli(self, *words, **settings):
            made.append(self)
            raise AssertionError("migrate failed")
    with pytest.raises(AssertionError, match="migrate failed"):
        Stillborn()
    assert len(made[0].children) == 3 and not any(child.is_alive() for child in made[0].children)
    assert not made[0].directory.exists()


def test_what_a_process_started_ends_with_it(stack):
    for end in (lambda process: process.kill(), lambda process: process.stop()):
        parent = stack.spawn(["sh", "-c", "sleep 1000 & echo pid=$!; wait"], f"parent-{len(stack.children)}")
        child = int(wait_until(lambda: re.search(r"pid=(\d+)", parent.log()), 5, "the child is there").group(1))
        parent.was_killed = True
        end(parent)
        wait_until(lambda: is_gone(child), 5, "the child is gone")


def test_what_a_killed_run_left_in_memory_is_removed():
    """Not what is of a process that lives, or was written to within the hour: a container may share the memory."""
    if not os.path.isdir("/dev/shm"):
        pytest.skip("no /dev/shm")
    ended = subprocess.Popen(["true"])
    ended.wait()
    made = {name: pathlib.Path(tempfile.mkdtemp(prefix=f"ladder-test-{pid}-", dir="/dev/shm"))
            for name, pid in (("old", ended.pid), ("new", ended.pid), ("alive", os.getpid()))}
    try:
        for name in ("old", "alive"):
            os.utime(made[name], (time.time() - 7200,) * 2)
        harness.place()
        assert {name for name, path in made.items() if path.exists()} == {"new", "alive"}
    finally:
        for path in made.values():
            shutil.rmtree(path, ignore_errors=True)
