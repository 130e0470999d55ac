"""docs/operations.md: every command in it is run, in its order, against real servers; its tables name what there is."""
import json
import os
import pathlib
import re
import subprocess
import sys
import textwrap

import psycopg2
import pytest
import requests

from harness import BINARY, PG, ROOT, Stack, free_port, wait_until

PAGE = (ROOT / "docs" / "operations.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)

# systemctl for a machine without systemd: it starts what a unit says, with the unit's environment, below $DESTDIR.
SYSTEMCTL = """
    import os, pathlib, shlex, signal, subprocess, sys, time
    root = pathlib.Path(os.environ["DESTDIR"])
    verb, *units = [word for word in sys.argv[1:] if word != "--now"]

    def unit(name):
        path = root / "etc/systemd/system" / (name if "." in name else name + ".service")
        lines = [line.split("=", 1) for line in path.read_text().splitlines() if "=" in line and not line.startswith("#")]
        return {key: value for key, value in lines}

    def below(word):
        return str(root) + word if word.startswith(("/usr/local/", "/etc/")) else word

    def stop(name):
        pid = root / (name + ".pid")
        if not pid.exists():
            return
        os.kill(int(pid.read_text()), signal.SIGTERM)
        for _ in range(int(unit(name)["TimeoutStopSec"]) * 100):
            if not pathlib.Path("/proc", pid.read_text()).exists():
                break
            time.sleep(0.01)
        else:
            sys.exit(name + " did not stop in time")
        pid.unlink()

    def start(name):
        settings = unit(name)
        environment = {"PATH": os.environ["PATH"]}
        for line in open(below(settings["EnvironmentFile"])):
            key, value = line.rstrip("\\n").split("=", 1)
            environment[key] = value
        command = [below(word) for word in shlex.split(settings["ExecStart"])]
        with open(root / (name + ".log"), "ab") as log:
            # Twice forked: whoever waits for us does not wait for it, and when it ends it is gone.
            child = subprocess.Popen(["sh", "-c", 'setsid "$@" & echo $!', "sh", *command], env=environment, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=log, cwd="/")
            (root / (name + ".pid")).write_text(child.stdout.readline().decode().strip())

    for name in units:
        if name.endswith(".timer"):
            assert unit(name)["Unit"].startswith("ladder-job@"), name
            continue
        if verb in ("stop", "restart", "disable"):
            stop(name)
        if verb in ("start", "restart", "enable"):
            start(name)
    if verb not in ("daemon-reload", "enable", "disable", "start", "stop", "restart"):
        sys.exit("what is " + verb)
"""


class Bare(Stack):
    """Servers on which nobody has made anything yet."""

    def start(self):
        super().start()
        self.sql("drop database ladder", url=self.url("postgres"))

    def migrate(self):
        pass

    def url(self, database):
        return f"postgresql://ladder@127.0.0.1:{self.primary_port}/{database}"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page, run. Yields (stack, directory, what each block printed, the port)."""
    stack = Bare()
    directory = tmp_path_factory.mktemp("machine")
    tools, port = directory / "tools", free_port()
    tools.mkdir()
    (tools / "systemctl").write_text(f"#!{sys.executable}\n" + textwrap.dedent(SYSTEMCTL))
    (tools / "systemctl").chmod(0o755)
    address = "127.0.0.1:"
    environment = {"PATH": f"{tools}:{directory}/usr/local/bin:{PG}:{os.environ['PATH']}", "HOME": str(directory), "DESTDIR": str(directory),
                   "build": str(pathlib.Path(BINARY).parent), "primary": address + str(stack.primary_port), "backup": str(directory),
                   "replica": address + str(stack.replica_port), "redis": address + str(stack.redis_port), "port": str(port),
                   "PGHOST": "127.0.0.1", "PGPORT": str(stack.primary_port), "PGUSER": "ladder", "PAGER": "cat", "no_proxy": "127.0.0.1"}
    # Before each block a line that tells its output from the others'.
    script = "set -eu\n" + "".join(f"echo; echo '=== {number}'\n{block}" for number, block in enumerate(BLOCKS)) + "echo; echo '=== end'\n"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    parts = re.split(r"^=== (?:\d+|end)\n", done.stdout, flags=re.M)[1:]
    try:
        logs = "".join(log.read_text()[-2000:] for log in directory.glob("*.log"))
        assert done.returncode == 0, f"block {len(parts) - 1}:\n{BLOCKS[min(len(parts), len(BLOCKS)) - 1]}\n{done.stdout[-3000:]}{done.stderr[-3000:]}{logs}"
        yield stack, directory, dict(zip(BLOCKS, parts)), port
    finally:
        for name in ("ladder-serve", "ladder-work"):
            subprocess.run([tools / "systemctl", "stop", name], env=environment, check=False)
        stack.close()


def said(page, command):
    """What the first block with this command printed."""
    return next(out for block, out in page[2].items() if command in block)


def test_every_block_ran(page):
    assert len(page[2]) == len(set(BLOCKS)) == len(BLOCKS) >= 18
    assert "ladder 0." in said(page, "ladder --version") and "noeviction" in said(page, "config get")
    assert re.search(r"^ok$", said(page, "config check"), re.M) and "change-me" not in said(page, "config show").replace("change-me@", "")
    assert "migrate down" not in "".join(BLOCKS) and "created acme" in said(page, "game create") and "revoked" in said(page, "key revoke")
    assert '"rank":1' in said(page, "$board/scores")
    assert all(re.search(rf"^{job}: ", said(page, "ladder purge"), re.M) for job in ("roll", "partitions", "purge", "warm"))
    assert int(said(page, "days_ahead").strip()) >= 7


def test_a_restore_is_a_new_epoch_and_so_is_one_by_hand(page):
    assert len(re.findall(r"^ +\d+ \| +1 \|", said(page, "pg_restore"), re.M)) == 2
    assert re.search(r"^ +3$", said(page, "epoch_renew"), re.M)
    # Redis had been flushed when it was asked for; the answer is the same.
    top, _ = json.JSONDecoder().raw_decode(said(page, "flushall").removeprefix("OK\n"))
    assert [(e["player"], e["rank"]) for e in top["entries"]] == [("ann", 1)]


def test_what_was_stopped_is_stopped(page):
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(f"http://127.0.0.1:{page[3]}/healthz", timeout=50)
    for name in ("serve", "work"):
        log = (page[1] / f"ladder-{name}.log").read_text()
        assert log.count("event=stopped") == log.count("event=stopping") >= 3, log
        # Redis was flushed on the way: a worker that lived through it says so.
        bad = [line for line in log.splitlines() if re.search(r"level=(warn|error)", line) and "Redis lost data" not in line]
        assert not bad, bad


def test_a_promotion_is_followed_by_both_programs(page):
    """With the files that the page has made: the last test of it, for the primary is gone afterwards."""
    stack, directory, _, port = page
    environment = {"PATH": f"{directory}/usr/local/bin:{PG}:{os.environ['PATH']}", "DESTDIR": str(directory), "no_proxy": "127.0.0.1"}
    wait_until(lambda: stack.replica_sql("select count(*) from pg_stat_wal_receiver where status = 'streaming'") == [(1,)], 60, "the replica streams")
    subprocess.run([directory / "tools" / "systemctl", "start", "ladder-work", "ladder-serve"], env=environment, check=True)

    def checks():
        try:
            return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=30).json()["checks"]
        except requests.RequestException:
            return {}
    wait_until(lambda: checks().get("redis") == "ok", 60, "it serves")
    stack.primary.kill()
    assert stack.replica_sql("select pg_promote(true, 60)") == [(True,)]
    wait_until(lambda: checks().get("primary") == "ok", 60, "writes are taken again")
    log = directory / "ladder-work.log"
    wait_until(lambda: checks().get("redis") == "ok", 60, f"Redis is trusted again: {checks()}, {log.read_text()[-1500:]}")
    before = stack.replica_sql("select count(*) from ladder.job_run where error is null")[0][0]
    wait_until(lambda: stack.replica_sql("select count(*) from ladder.job_run where error is null and started_at > now() - interval '30 seconds'")[0][0] > 0, 60,
               f"jobs run: {before}, {log.read_text()[-1500:]}")


def test_secrets_are_for_root_alone(page):
    for name in ("serve", "work", "owner"):
        assert (page[1] / "etc" / "ladder" / f"{name}.env").stat().st_mode & 0o077 == 0
    assert (page[1] / "etc" / "ladder" / "ladder.yaml").stat().st_mode & 0o777 == 0o644


def test_a_restored_dump_is_another_history(stack, database, tmp_path):
    """Same cluster, same timeline, and yet what Redis holds was made by transactions that are not in it."""
    own = database()
    own.migrate("up")
    epochs = [own.sql("select epoch from ladder.epoch_current()")[0][0]]
    stack.run([PG + "pg_dump", "-Fc", "-d", own.url(), "-f", str(tmp_path / "dump")])
    epochs.append(own.sql("select epoch from ladder.epoch_current()")[0][0])
    again = database()
    stack.run([PG + "pg_restore", "--exit-on-error", "-d", again.url(), str(tmp_path / "dump")])
    epochs += [again.sql("select epoch from ladder.epoch_current()")[0][0] for _ in range(2)]
    epochs.append(again.sql("select ladder.epoch_renew()")[0][0])
    epochs += [again.sql("select epoch from ladder.epoch_current()")[0][0] for _ in range(2)]
    assert epochs == [1, 1, 2, 2, 3, 3, 3]
    for role, login in (("app", "ladder_serve"), ("worker", "ladder_work")):
        assert again.sql("select count(*) from ladder.board", login=login) == [(0,)], f"the grants of ladder_{role} came back"
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        again.sql("select ladder.partition_ensure(1)", login="ladder_serve")


# ---- the files in deploy/ ----

UNITS = sorted(path.name for path in (ROOT / "deploy").glob("ladder-*"))


def test_the_units_are_sound(tmp_path):
    """systemd's own opinion. It exits 0 even where it complains, so it shall say nothing."""
    for name in UNITS:
        text = (ROOT / "deploy" / name).read_text().replace("/usr/local/bin/ladder", "/bin/true")
        (tmp_path / name).write_text(text)
    (tmp_path / "ladder-job@roll.service").write_text((tmp_path / "ladder-job@.service").read_text())
    names = [str(tmp_path / name) for name in UNITS if "@" not in name] + [str(tmp_path / "ladder-job@roll.service")]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *names], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "ladder" in line]
    assert ours == [] and done.returncode == 0, done.stderr
    for name in ("ladder-serve.service", "ladder-work.service", "ladder-job@roll.service"):
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=25" if "job" not in name else "--threshold=40",
                               str(tmp_path / name)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-300:]
    for name in UNITS:
        for when in re.findall(r"^OnCalendar=(.*)$", (ROOT / "deploy" / name).read_text(), re.M):
            assert subprocess.run(["systemd-analyze", "calendar", when], capture_output=True).returncode == 0, when


def test_the_units_limit_memory():
    """Above the first limit the kernel takes memory back, above the second one it ends the process."""
    for name in UNITS:
        if name.endswith(".service"):
            high, most = (int(re.search(rf"^Memory{which}=(\d+)%$", (ROOT / "deploy" / name).read_text(), re.M)[1]) for which in ("High", "Max"))
            assert 0 < high < most < 100, name


def test_the_lines_for_cron_run(stack, tmp_path):
    etc = tmp_path / "ladder"
    etc.mkdir()
    environment = stack.environment("ladder_work")
    (etc / "work.env").write_text("".join(f"{key}={value}\n" for key, value in environment.items() if key.startswith("LADDER_")))
    (etc / "ladder.yaml").write_text((ROOT / "config" / "ladder.yaml").read_text())
    text = (ROOT / "deploy" / "ladder.cron").read_text().replace("/etc/ladder", str(etc))
    setting = dict(line.split("=", 1) for line in text.splitlines() if re.match(r"[A-Z_]+=", line))
    setting["PATH"] = f"{pathlib.Path(BINARY).parent}:" + setting["PATH"]
    lines = [line.split(None, 6) for line in text.splitlines() if re.match(r"[\d*]", line)]
    assert [re.search(r"ladder (\w+)", words[6]).group(1) for words in lines] == ["roll", "snapshot", "partitions", "purge", "refresh"]
    for words in lines:
        assert len(words[:5]) == 5 and words[5] == "root"
        done = subprocess.run(["sh", "-c", words[6]], env=setting, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), words[6]


# ---- the tables ----

def test_every_event_of_the_log_is_in_the_table():
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.c"))
    logged = set(re.findall(r'log_(?:debug|info|warn|error)\("([a-z-]+)"', source))
    table = PAGE[PAGE.index("| event | level |"):]
    listed = {name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`([a-z-]+)`", row)}
    assert listed == logged


def test_every_metric_is_in_the_table(ladder, client):
    client.put_board("b")
    client.submit("b", "ann", 1)
    wait_until(lambda: client.get("/boards/b/top").headers["Ladder-Cache"] == "hit", 10, "a hit")
    text = requests.get(f"http://127.0.0.1:{ladder.port}/metrics", timeout=50).text
    served = set(re.findall(r"^# TYPE (\w+) ", text, re.M))
    assert served == set(re.findall(r"^\| `(ladder_\w+)` \|", PAGE, re.M))
    assert served == set(re.findall(r"^# HELP (\w+) \S", text, re.M))
    values = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"^(\w+)(?:\{.*\})? [\d.]+$", text, re.M)}
    here = {name for name in served if not name.startswith("ladder_redis_replica_")}  # there is none
    assert values <= served and len(values) >= len(here) - 2, "all but those of which nothing was counted yet"


def test_counters_are_of_the_process_not_of_a_loop(ladder):
    """Whichever loop answers, a counter never goes back."""
    def count(name):
        text = requests.get(f"http://127.0.0.1:{ladder.port}/metrics", timeout=50).text
        return int(re.search(rf"^{name} (\d+)$", text, re.M).group(1))
    before = count("ladder_http_requests_total")
    seen = [count("ladder_http_requests_total") for _ in range(40)]
    assert seen == list(range(before + 1, before + 41)), "each look is one more request"


def test_every_command_named_exists():
    known = set(re.findall(r'^    \{"(\w+)", cmd_', (ROOT / "src" / "cli" / "main.c").read_text(), re.M))
    assert set(re.findall(r"`ladder ([a-z]+)", PAGE)) <= known
    settings = (ROOT / "config" / "ladder.yaml").read_text()
    for name in re.findall(r"`(?:server|database|redis|cache|worker|log)\.([a-z_]+)`", PAGE):
        assert re.search(rf"^  # {name}: ", settings, re.M), name
