"""The set-up of scripts/up survives the loss of its primary: kill -9, pg_promote(), and both programs go on, each as its own user."""
import os
import pathlib
import re
import signal

import psycopg2
import pytest

from checkout import LONG_S, up
from harness import wait_until


def sql(url, query):
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
    with up(tmp_path, is_seeded=True) as demo:  # no demo season: it takes long and shows nothing here
        yield demo


def test_both_programs_follow_a_promotion(demo):
    assert demo.ready()["status"] == "ok"
    assert demo.request("PUT", "/boards/arcade", json={}).status_code == 201
    data = (demo.run / "postgresql").resolve()
    os.kill(int((data / "primary" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    assert sql(demo.env["LADDER_REPLICA_URL"], "select pg_promote(true, 60)") == [(True,)]

    def written():
        return demo.request("POST", "/boards/arcade/scores", json={"player": "after", "score": 999999999}).status_code == 200
    wait_until(written, LONG_S / 6, "a write on the promoted server")
    work_log = pathlib.Path(demo.run / "work.log")
    wait_until(lambda: demo.ready()["checks"].get("redis") == "ok", 60, f"Redis is trusted again: {demo.ready()}, {work_log.read_text()[-1500:]}")
    wait_until(lambda: demo.request("GET", "/boards/arcade/top?limit=1&source=true").json()["source"] == "redis", 60, "Redis has the board again")
    assert demo.request("GET", "/boards/arcade/top?limit=1").json()["entries"][0]["player"] == "after"
    # Every job runs again, as the worker's own user.
    runs = "select count(distinct job) from ladder.job_run where started_at > (select max(recorded_at) from (select now() - interval '1 hour' as recorded_at) x) and error is null"
    assert sql(demo.env["LADDER_REPLICA_URL"], runs)[0][0] >= 4
    users = sql(demo.env["LADDER_REPLICA_URL"], "select distinct usename::text, split_part(application_name, ' ', 2) from pg_stat_activity "
                                                "where application_name like 'ladder%' and backend_type = 'client backend'")
    assert {user for user, program in users if program == "work"} == {"ladder_work"} and {user for user, program in users if program != "work"} <= {"ladder_serve"}


def test_the_worker_leaves_a_primary_that_lives_on(demo):
    """The replica is promoted, and nobody stops the old primary: it goes on to take all that it is given."""
    assert demo.request("PUT", "/boards/arcade", json={}).status_code == 201
    sql(demo.env["LADDER_REPLICA_URL"], "select pg_promote(true, 60)")
    work = "select count(*) from pg_stat_activity where application_name like 'ladder work%' and application_name <> 'ladder work look'"
    promoted = demo.env["LADDER_REPLICA_URL"]
    port = (demo.run / "postgresql" / "primary" / "postmaster.pid").read_text().split("\n")[3]
    primary = re.sub(r":\d+/", f":{port}/", promoted)
    wait_until(lambda: sql(promoted, work)[0][0] > 0 and sql(primary, work) == [(0,)], LONG_S / 10, "the worker is at the promoted server")
    wait_until(lambda: demo.request("POST", "/boards/arcade/scores", json={"player": "after", "score": 1}).status_code == 200, LONG_S / 10, "a write")
    wait_until(lambda: demo.request("GET", "/boards/arcade/top?limit=1&source=true").json()["source"] == "redis", LONG_S / 10, "Redis has the board")
    assert demo.request("GET", "/boards/arcade/top?limit=1").json()["entries"][0]["player"] == "after"
    assert "event=primary-replaced" in (demo.run / "work.log").read_text()
