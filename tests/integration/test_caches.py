"""Cached answers are never wrong: random clients on two servers against a model (checker.py), well and with rules broken."""
import collections
import pathlib
import subprocess
import time

import modelrun
import pytest
from harness import BINARY, ROOT

OPERATIONS = 15000


@pytest.fixture(scope="module", autouse=True)
def worker(stack):
    """Tests here end it and start another."""
    stack.worker()
    yield
    for child in modelrun.workers(stack):
        child.stop()


# ---- nothing is broken: no violation ----

def test_random_clients_find_nothing_wrong(stack):
    with modelrun.Setting(stack) as setting:
        counts, violations, _ = setting.check(OPERATIONS, seed=time.time_ns() % 100000)
        assert not violations, violations[0]
        assert counts["hit"] > OPERATIONS / 10 and counts["not modified"] > 0, counts
        setting.same_in_the_end()


def test_nor_where_messages_and_answers_come_late(stack):
    with modelrun.Setting(stack, delays=((0, 10), (-4, 2))) as setting:
        counts = collections.Counter()
        while not (counts["stale"] and counts["rolled"]):  # a handful in each round; on a slow machine none
            more, violations, _ = setting.check(OPERATIONS / 2, seed=time.time_ns() % 100000)
            assert not violations, violations[0]
            counts += more
            assert counts["operations"] < 10 * OPERATIONS, counts
        assert counts["hit"] > counts["operations"] / 25, counts


def test_nor_while_redis_and_the_worker_are_disturbed(stack):
    with modelrun.Setting(stack) as setting:
        counts, violations, disturbed = setting.check(10**6, seed=time.time_ns() % 100000, seconds=8, worker=modelrun.workers(stack)[0])
        assert not violations, violations[0]
        assert sum(disturbed.values()) > 3, disturbed
        setting.same_in_the_end()


def test_nor_without_redis(stack):
    with modelrun.Setting(stack, redis_url="redis://127.0.0.1:1/0") as setting:
        counts, violations, _ = setting.check(OPERATIONS / 6, seed=time.time_ns() % 100000)
        assert not violations, violations[0]
        assert counts["hit"] == 0, counts


# ---- each rule broken in turn: random clients find it ----

SLOW = {"delays": ((0, 20), (-3, 1))}
RANDOM = {
    "stack": ({}, {}),
    "ring": ({}, {}),
    "total": ({}, {}),
    "absence": ({}, {}),
    "range-border": ({}, {}),
    "competition-border": ({}, {"rankings": ("competition",)}),
    "seen": (SLOW, {}),
    "lost": ({"delays": ((0, 5), (0, 0))}, {"which": ["stream"]}),
    "date": ({}, {}),
    "staleness": ({"delays": ((0, 5), (0, 30))}, {}),
    "period-end": ({}, {}),
    "period-since": ({"delays": ((0, 10), (-4, 2))}, {}),
}


@pytest.mark.parametrize("fault", RANDOM)
def test_a_broken_rule_is_found(stack, fault):
    settings, options = RANDOM[fault]
    if "which" in options:
        options = dict(options, worker=modelrun.workers(stack)[0])
    with modelrun.Setting(stack, fault, **settings) as setting:
        counts, violations, _ = setting.check(10**6, seed=7, seconds=300, facets={}, **options)
        assert violations, counts


def test_no_other_build_can_be_broken():
    """Without the option, the names of the faults are gone before the compiler sees them."""
    users = [path for path in sorted((ROOT / "src").rglob("*.c")) if "fault_is(\"" in path.read_text()]
    assert len(users) > 3
    for path in [*users, ROOT / "src/base/fault.c"]:
        text = subprocess.run(["cc", "-E", "-P", "-D_GNU_SOURCE", "-I", ROOT / "src", "-I", pathlib.Path(BINARY).parent / "src", path],
                              capture_output=True, text=True).stdout
        assert "fault_is" not in text and "LADDER_FAULTS" not in text, path
