"""scripts/seed: the demo's season counts once, however often it is begun; a failure is one sentence."""
import collections
import importlib.machinery
import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

from harness import Client, free_port, wait_until

SEED = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "seed"


def seed_module():
    loader = importlib.machinery.SourceFileLoader("seed", str(SEED))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("seed", loader))
    was, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = was
    return module


@pytest.fixture(scope="module")
def demo(stack):
    server = stack.serve()
    worker = stack.worker()
    stack.trusted(server)
    stack.cli("game", "create", "demo")
    yield Client(server, "demo", stack.key("demo"))
    assert server.stop() == 0
    worker.stop()


def start(client, key=None, url=None, seconds=600):
    environment = {**os.environ, "LADDER_URL": url or f"http://127.0.0.1:{client.server.port}", "LADDER_KEY": key or client.key,
                   "LADDER_SEED_SECONDS": str(seconds)}
    return subprocess.Popen([str(SEED)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_season_that_was_cut_counts_once(demo):
    """Killed in the middle, begun again, and again when it is complete."""
    coins = collections.Counter()
    for line in seed_module().season():
        if line["board"] == "coins":
            coins[line["player"]] += line["score"]
    first = start(demo)
    wait_until(lambda: first.poll() is not None or demo.get("/boards/coins/stats").status_code == 200 and
               demo.get("/boards/coins/top", limit=1).json().get("entries"), 120, "some of it is taken")
    first.kill()
    first.communicate()
    for _ in range(2):
        again = start(demo)
        out, errors = again.communicate(timeout=590)
        assert again.returncode == 0 and out == "60000 submissions on 3 boards\n", (out, errors)
        assert {entry["player"]: entry["score"] for entry in demo.pages("coins")} == coins


def test_a_failure_is_one_sentence(demo, stack):
    for key, url, words in (("lk_nonsense", None, "answered 401"), (stack.key("demo", "read"), None, "answered 403"),
                            (None, f"http://127.0.0.1:{free_port()}", "may be run again")):
        failed = start(demo, key, url, seconds=0)
        out, errors = failed.communicate(timeout=60)
        assert failed.returncode == 1 and not out, out
        assert errors.startswith("seed: ") and errors.count("\n") == 1 and words in errors and "Traceback" not in errors, errors
