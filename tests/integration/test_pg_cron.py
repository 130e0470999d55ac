"""pg_cron itself refreshes the views, as docs/operations.md has it: every minute, as a user with the role ladder_worker."""
import re

import pytest

from harness import ROOT, Client, Stack, wait_until

USER = "ladder_cron"


class CronStack(Stack):
    postgres_settings = {"shared_preload_libraries": "pg_cron", "cron.database_name": "ladder", "cron.host": "127.0.0.1"}


@pytest.fixture(scope="module")
def cron():
    stack = CronStack()
    yield stack
    stack.close()


def test_pg_cron_refreshes(cron):
    command = re.search(r"`(select cron\.schedule\(.*\))`", (ROOT / "docs/operations.md").read_text())[1]
    cron.sql(f"create extension pg_cron; create role {USER} login in role ladder_worker; grant usage on schema cron to {USER}")
    server = cron.serve()
    game = cron.new_game()
    client = Client(server, game, cron.key(game))
    client.put_board("b")
    client.submit_many([dict(board="b", player=f"p{i}", score=i) for i in range(50)])
    assert cron.sql("select count(*) from ladder.refresh_run") == [(0,)], "no worker is there"
    cron.sql(command, url=cron.primary_url.replace("ladder@", f"{USER}@"))

    def is_refreshed():
        failed = cron.sql("select return_message from cron.job_run_details where status = 'failed'")
        assert not failed, failed
        succeeded = cron.sql("select count(*) from cron.job_run_details where status = 'succeeded' and username = %s", USER)
        return succeeded[0][0] > 0
    wait_until(is_refreshed, 130, "pg_cron has run it")
    runs = cron.sql("select view, rows, error from ladder.refresh_run where reason = 'refresh_due'")
    views = cron.sql("select view from ladder.refresh_state")
    assert {view for view, *_ in runs} == {view for view, in views} and not any(error for *_, error in runs), runs
    assert cron.sql("select sum(submissions) from ladder.daily_activity where bucket = 'day'")[0][0] == 50
    server.stop()
