"""scripts/: they wait for conditions and not for a number of tries, show how far they are, and say what failed and where to look."""
import math
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from harness import BINARY, ROOT, free_port, patience

STEPS = f"set -euo pipefail; . {ROOT}/scripts/lib.sh; "


def bash(text, timeout=120, **environment):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LADDER_")}
    return subprocess.run(["bash", "-c", STEPS + text, "some/script"], env={**kept, **environment}, capture_output=True, text=True, timeout=timeout)


def command(directory, name, text):
    """Before all others in PATH."""
    directory.mkdir(exist_ok=True)
    (directory / name).write_text("#!/bin/bash\n" + textwrap.dedent(text))
    (directory / name).chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


# ---- waiting ----

@pytest.mark.parametrize("is_busy, status", [(True, 0), (False, 1)], ids=["works", "hangs"])
def test_a_process_is_waited_for_as_long_as_it_works(tmp_path, is_busy, status):
    """Longer than it may do nothing: one that uses the processor gets there, one that sleeps does not."""
    stall = 2 * min(5, math.ceil(patience()))  # a process that works may have to wait for the processor
    work = "while (($(date +%s) < end)); do :; done" if is_busy else f"sleep {3 * stall}"
    done = bash(f"(end=$(($(date +%s) + {3 * stall})); {work}; : >{tmp_path}/there) & wait_for $! '' test -e {tmp_path}/there && echo there || exit 1",
                LADDER_STALL_SECONDS=str(stall))
    assert done.returncode == status, done.stderr
    assert (done.stdout == "there\n") == is_busy


def test_a_process_that_ended_is_not_waited_for():
    began = time.monotonic()
    done = bash("true & wait_for $! '' false || echo ended")
    assert done.stdout == "ended\n" and time.monotonic() - began < 60


def test_redis_may_take_its_time(tmp_path):
    """It begins after eight seconds."""
    path = command(tmp_path / "bin", "redis-server", f"sleep 8; exec {shutil.which('redis-server')} \"$@\"")
    port = free_port()
    done = bash(f"mkdir {tmp_path}/run; redis_start {tmp_path}/run {port}; redis-cli -p {port} ping; echo redis={port} >{tmp_path}/run/ports; "
                f"everything_stop {tmp_path}/run; redis-cli -p {port} ping || echo gone", PATH=path)
    assert done.returncode == 0 and done.stdout == "PONG\ngone\n", done.stderr


def test_redis_that_fails_is_told_of(tmp_path):
    path = command(tmp_path / "bin", "redis-server", 'while [ $# != 0 ]; do [ "$1" != --logfile ] || echo "no memory today" >"$2"; shift; done; exit 1')
    done = bash(f"mkdir {tmp_path}/run; redis_start {tmp_path}/run {free_port()}", PATH=path)
    assert done.returncode == 1
    assert re.search(rf"no memory today\nsome/script: Redis did not start\nLook at: {tmp_path}/run/redis.log\nsome/script can be run again at any time", done.stderr)


def test_ladder_db_slow_works_on_what_up_makes(tmp_path):
    """The primary of scripts/up has the extension, loaded and created; what is there already stays."""
    port, run = free_port(), tmp_path / "run"
    environment = dict(LADDER_DATABASE_URL=f"postgresql://ladder@127.0.0.1:{port}/ladder", LADDER_SERVER_SECRET="a-secret-of-this-test")
    try:
        done = bash(f"mkdir {run}; primary_start {run} {port}; primary_start {run} {port}; {BINARY} migrate up >/dev/null; "
                    f"{BINARY} game create demo >/dev/null; {BINARY} db slow", timeout=600, **environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0].split()[0] == "calls" and len(done.stdout.splitlines()) > 3, done.stdout
    finally:
        bash(f"everything_stop {run}; remove_data {run}")


def test_stopping_does_not_kill_what_is_still_at_work(tmp_path):
    """On a slow machine PostgreSQL needs its time to stop: killed, it would have to recover."""
    slow = tmp_path / "slow"
    slow.write_text(f"trap 'end=$(($(date +%s) + 20)); while (($(date +%s) < end)); do :; done; echo clean >{tmp_path}/how; exit' TERM\n"
                    f"echo $$ >{tmp_path}/pid\nwhile :; do sleep 0.1; done\n")
    child = subprocess.Popen(["bash", slow])
    try:
        while not (tmp_path / "pid").exists():
            time.sleep(0.05)
        done = bash(f"stop_pid {tmp_path}/pid {slow}")
        assert done.returncode == 0 and child.wait(60) == 0 and (tmp_path / "how").read_text() == "clean\n"
    finally:
        child.kill()


# ---- showing ----

NINJA = "for i in 1 2 3 4; do echo \"[$i/4] Compiling C object $i\" >>LOG; sleep 1; done"


def test_progress_is_lines_in_a_file(tmp_path):
    done = bash(f"step building {tmp_path}/log; {NINJA}; sleep 3; done_step fine".replace("LOG", f"{tmp_path}/log"), LADDER_PROGRESS_INTERVAL="1")
    lines = done.stdout.splitlines()
    assert lines[0].strip() == "building" and len(lines) >= 4 and re.fullmatch(r"    \d+ s 4 of 4 +fine \(\d+\.\d s\)", lines[-1]), done.stdout
    assert all(re.match(r"    \d+ s( \d of 4)?", line) for line in lines[1:])


def test_progress_is_one_line_on_a_terminal(tmp_path):
    master, slave = pty.openpty()
    text = STEPS + f"step building {tmp_path}/log; {NINJA}; done_step fine".replace("LOG", f"{tmp_path}/log")
    child = subprocess.Popen(["bash", "-c", text], stdin=slave, stdout=slave, stderr=slave, close_fds=True)
    os.close(slave)
    seen = b""
    try:
        while chunk := os.read(master, 4096):
            seen += chunk
    except OSError:  # the other side is closed
        pass
    os.close(master)
    assert child.wait(60) == 0
    shown = seen.decode()
    assert shown.count("\n") == 1 and "of 4" in shown and re.search(r"\r\x1b\[Kbuilding +fine \(\d", shown), shown


def test_a_step_that_fails_says_what_and_where(tmp_path):
    (tmp_path / "log").write_text("first\nthe reason\n")
    done = bash(f"step building {tmp_path}/other; die 'the build failed' {tmp_path}/log")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-4:] == ["the reason", "some/script: the build failed", f"Look at: {tmp_path}/log",
                                             "some/script can be run again at any time; it continues with what is there."]


def test_a_command_that_fails_unforeseen_is_named():
    done = bash("broken() { grep nothing /dev/null; }; step migrating; broken; echo not reached")
    assert done.returncode == 1 and "not reached" not in done.stdout
    assert "the command `grep nothing /dev/null` failed" in done.stderr and 'in the step "migrating"' in done.stderr and done.stderr.count("can be run again") == 1


def test_nobody_is_left_who_watches(tmp_path):
    """The script is killed in the middle of a step: its watcher ends by itself."""
    child = subprocess.Popen(["bash", "-c", STEPS + "step waiting; sleep 60"], stdout=subprocess.PIPE, start_new_session=True)
    time.sleep(2)
    child.kill()
    child.wait()
    deadline = time.monotonic() + 60
    watchers = True
    while watchers and time.monotonic() < deadline:
        watchers = [pid for pid in pathlib.Path("/proc").glob("[0-9]*/cmdline") if b"step waiting; sleep 60" in read(pid)]
        time.sleep(0.2)
    os.killpg(child.pid, signal.SIGKILL)  # the sleep
    assert not watchers


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


# ---- scripts/test ----

def test_what_is_skipped_is_counted_and_named():
    """In any checkout: without its data the replay of the goals is skipped, and that is said last."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LADDER_", "PYTEST"))}
    done = subprocess.run([ROOT / "scripts" / "test", "integration", "tests/integration/test_real_data.py"], capture_output=True, text=True, timeout=900,
                          env={**environment, "LADDER_TEST_DATA": "/nowhere"})
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"0 passed, 0 failed, [3-9] skipped", lines[-1]), lines[-5:]
    named = lines[lines.index("skipped:") + 1:-1]
    assert len(named) == int(lines[-1].split()[-2]) and all("test_real_data::test_" in n and "no /nowhere/goalscorers.csv: set LADDER_TEST_DATA" in n for n in named)


def test_reports_are_counted(tmp_path):
    report = tmp_path / "a.xml"
    report.write_text('<testsuites><testsuite><testcase classname="tests.integration.test_a" name="one"/>'
                      '<testcase classname="tests.integration.test_a" name="two"><failure/></testcase>'
                      '<testcase classname="tests.integration.test_a" name="three"><skipped message="no\nnet"/></testcase></testsuite></testsuites>')
    done = subprocess.run([ROOT / "tests" / "junit", tmp_path / "skipped", report, tmp_path / "missing.xml"], capture_output=True, text=True, check=True)
    assert done.stderr == f"{tmp_path}/missing.xml: the runner wrote no report\n"
    assert done.stdout == "1 2 1\n" and (tmp_path / "skipped").read_text() == "test_a::three: no net\n"


def test_the_quick_files_exist():
    text = (ROOT / "scripts" / "test").read_text()
    files = re.findall(r"^    (tests/\S+\.py) ", text, re.M)
    assert len(files) >= 5 and all((ROOT / file).exists() for file in files)
    assert subprocess.run([ROOT / "scripts" / "test", "--nonsense"], capture_output=True, text=True).returncode == 2
