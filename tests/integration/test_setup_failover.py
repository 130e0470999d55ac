"""The set-up of scripts/up survives the loss of its primary: kill -9, pg_promote(), and both programs go on, each as its own user."""
import os
import pathlib
import re
import shutil
import signal
import subprocess

import psycopg2
import pytest
import requests

from harness import BINARY, ROOT, wait_until

LONG_S = 600  # for a machine whose cores are taken; every wait ends with its condition


def checkout_make(directory):
    """A copy of this checkout whose program is built already: `scripts/up` finds nothing to compile."""
    names = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if not (ROOT / name).is_file():
            continue
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, directory / name)
    (directory / "build" / "run").mkdir(parents=True)
    (directory / "build" / "run" / "seeded").touch()  # no demo season: it takes long and shows nothing here
    (directory / "build" / "build.ninja").write_text("build ladder: phony\nbuild all: phony ladder\n")
    shutil.copy(BINARY, directory / "build" / "ladder")


class Setup:
    """What scripts/up made, by its own build/run/env."""

    def __init__(self, root):
        self.root, self.run = root, root / "build" / "run"
        self.env = dict(re.findall(r"^export (\w+)=(.*)$", (self.run / "env").read_text(), re.M))
        self.api = f"{self.env['LADDER_URL']}/v1/games/{self.env['LADDER_GAME']}"

    def request(self, method, path, **more):
        return requests.request(method, self.api + path, headers={"Authorization": "Bearer " + self.env["LADDER_KEY"]}, timeout=30, **more)

    def ready(self):
        try:
            return requests.get(self.env["LADDER_URL"] + "/readyz", timeout=30).json()
        except requests.RequestException as fault:
            return {"status": str(fault), "checks": {}}

    def sql(self, url, query):
        connection = psycopg2.connect(url)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall()
        finally:
            connection.close()


@pytest.fixture
def demo(tmp_path):
    root = tmp_path / "checkout"
    root.mkdir()
    checkout_make(root)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LADDER_")}
    data = None
    try:
        done = subprocess.run([str(root / "scripts" / "up")], cwd=root, env=environment, capture_output=True, text=True, timeout=LONG_S)
        data = (root / "build" / "run" / "postgresql").resolve()
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        yield Setup(root)
    finally:
        subprocess.run([str(root / "scripts" / "down")], cwd=root, env=environment, capture_output=True, timeout=LONG_S, check=False)
        if data and data != root / "build" / "run" / "postgresql":
            shutil.rmtree(data, ignore_errors=True)


def test_both_programs_follow_a_promotion(demo):
    assert demo.ready()["status"] == "ok"
    assert demo.request("PUT", "/boards/arcade", json={}).status_code == 201
    data = (demo.run / "postgresql").resolve()
    os.kill(int((data / "primary" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    assert demo.sql(demo.env["LADDER_REPLICA_URL"], "select pg_promote(true, 60)") == [(True,)]

    def written():
        return demo.request("POST", "/boards/arcade/scores", json={"player": "after", "score": 999999999}).status_code == 200
    wait_until(written, LONG_S / 3, "a write on the promoted server")
    work_log = pathlib.Path(demo.run / "work.log")
    wait_until(lambda: demo.ready()["checks"].get("redis") == "ok", 60, f"Redis is trusted again: {demo.ready()}, {work_log.read_text()[-1500:]}")
    wait_until(lambda: demo.request("GET", "/boards/arcade/top?limit=1&source=true").json()["source"] == "redis", 60, "Redis has the board again")
    assert demo.request("GET", "/boards/arcade/top?limit=1").json()["entries"][0]["player"] == "after"
    # Every job runs again, as the worker's own user.
    runs = "select count(distinct job) from ladder.job_run where started_at > (select max(recorded_at) from (select now() - interval '1 hour' as recorded_at) x) and error is null"
    assert demo.sql(demo.env["LADDER_REPLICA_URL"], runs)[0][0] >= 4
    users = demo.sql(demo.env["LADDER_REPLICA_URL"], "select distinct usename::text, split_part(application_name, ' ', 2) from pg_stat_activity "
                                                     "where application_name like 'ladder%' and backend_type = 'client backend'")
    assert {user for user, program in users if program == "work"} == {"ladder_work"} and {user for user, program in users if program != "work"} <= {"ladder_serve"}
