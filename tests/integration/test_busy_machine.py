"""scripts/up on one core that twenty other processes use: it comes up, seeds, serves, and exits with 0."""
import re
import subprocess

import pytest

from checkout import LONG_S, up
from harness import wait_until

CORE = "0"


@pytest.fixture
def others():
    """Twenty processes that always want this core; scripts/up gets about half of it."""
    loops = [subprocess.Popen(["taskset", "-c", CORE, "nice", "-n", "19", "sh", "-c", "while :; do :; done"]) for _ in range(20)]
    yield loops
    for loop in loops:
        loop.kill()
        loop.wait()


@pytest.mark.alone
def test_one_core_that_others_use(tmp_path, others):
    with up(tmp_path, is_seeded=False, prefix=["taskset", "-c", CORE, "nice", "-n", "5"]) as demo:
        assert all(loop.poll() is None for loop in others)
        assert re.search(r"^a season of [0-9,]+ players  (.|\n)* ok \(", demo.output, re.M), demo.output
        boards = demo.request("GET", "/boards").json()["boards"]
        assert boards and all(demo.request("GET", f"/boards/{board['name']}/top").json()["entries"] for board in boards)
        wait_until(lambda: demo.ready()["status"] == "ok", LONG_S / 10, "everything is ready")
