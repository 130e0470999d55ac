"""What loadtest/ judges and draws by; and that its commands still start. What they measure is theirs."""
import importlib.machinery
import importlib.util
import json
import math
import os
import random
import re
import subprocess
import sys
import types
import xml.etree.ElementTree

import pytest

from harness import BINARY, ROOT, Client

FOLDER = ROOT / "loadtest"
COMMANDS = sorted(path.name for path in FOLDER.iterdir() if path.is_file() and os.access(path, os.X_OK) and "." not in path.name)


def load(name):
    """A command as a module; one that runs when it is loaded can't be."""
    sys.path.insert(0, str(FOLDER))
    loader = importlib.machinery.SourceFileLoader("loadtest_" + name.replace(".", "_"), str(FOLDER / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", COMMANDS)
def test_says_how_it_is_used(name):
    done = subprocess.run([str(FOLDER / name), "--help"], capture_output=True, text=True, timeout=60, cwd="/", env={**os.environ, "LADDER_BIN": "/nowhere/ladder"})
    assert f"usage: {'' if f'usage: {name}' in done.stdout + done.stderr else 'loadtest/'}{name}" in done.stdout + done.stderr


def test_intervals():
    """Student's quantiles as tables have them; and of samples of which the mean is known, as many intervals hold it as should."""
    turns = load("turns.py")
    for share, freedom, quantile in ((0.975, 1, 12.706), (0.995, 5, 4.032), (0.975, 10, 2.228), (0.995, 30, 2.750)):
        assert turns.student_quantile(share, freedom) == pytest.approx(quantile, abs=0.001)
    low, mean, high = turns.interval([1.05, 1.04, 1.06, 1.03, 1.07, 1.05])
    assert low < mean < high and mean == pytest.approx(1.05, abs=0.001) and math.log(high / mean) == pytest.approx(math.log(mean / low))
    dice = random.Random(1)
    held = 0
    for _ in range(200):
        low, _, high = turns.interval([math.exp(dice.gauss(0.02, 0.05)) for _ in range(6)], 0.9)
        held += low <= math.exp(0.02) <= high
    assert 165 <= held <= 195


class Side:
    """A game of the tests' servers, as loadtest/compare has one."""

    def __init__(self, stack, game):
        self.stack, self.path, self.api_key = stack, f"/v1/games/{game}", stack.key(game)

    def __getattr__(self, name):
        return getattr(self.stack, name)


@pytest.mark.alone
def test_compare_finds_a_slower_build(stack, ladder):
    """By processor time, in turn: a build passes beside itself, and is found when each request costs 30 % more. (How much less is found on a
    machine of one's own is for the command's --control.)"""
    compare = load("compare")
    game = stack.new_game()
    side = Side(stack, game)
    client = Client(ladder, game, side.api_key)
    client.put_board("b0", operator="best")
    client.submit_many([dict(board="b0", player=f"p{i}", score=i) for i in range(100)])
    options = types.SimpleNamespace(by="time", blocks=10, pairs=16, margin=10, kinds="remembered")
    comparison = compare.Comparison(side, load("turns.py"), {"A": BINARY, "B": BINARY}, options)
    same = comparison.run()["remembered"]
    assert not same["worse"], same
    for _ in range(3):  # beside other work the interval may be too wide to tell
        slower = comparison.run(slower=30)["remembered"]
        if slower["worse"]:
            break
    assert slower["worse"] and slower["ratio"] < 2, slower


def test_latencies():
    lab = load("lab.py")
    assert [lab.percentile([1, 2, 3, 4], mark) for mark in (0, 25, 26, 50, 99, 100)] == [1, 1, 2, 2, 4, 4] and lab.percentile([], 50) is None
    seen = lab.latencies([(i * 1000, 1000 * (i % 100 + 1), 503 if i == 7 else 200) for i in range(1000)], 500, 2)
    assert (seen["count"], seen["failed"], seen["rate"], seen["max_ms"]) == (1000, 1, 500.0, 100.0)
    assert (seen["ms"]["50"], seen["ms"]["99"]) == (50.0, 99.0)
    assert [x["at"] for x in seen["series"]] == [0.0, 0.5]


def test_worse_is_beyond_the_interval():
    """A difference that the rounds agree on, be it small; not one that some rounds show and others do not."""
    worse = load("scenarios.py").worse

    def rounds(*rates, cost=100.0, primary=10.0):
        return {"browse": [{"rate": rate, "cost_us": cost, "primary_us": primary} for rate in rates]}
    base = rounds(1000, 900, 1100, 1050, 950)
    assert worse(rounds(970, 875, 1065, 1020, 920), base)[0][:2] == ("browse", "rate")
    assert worse(rounds(700, 1300, 500, 1060, 1000), base) == [] and worse(base, base) == []
    assert worse(rounds(1030, 930, 1130, 1080, 980), base) == []  # better is not worse
    assert [x[1] for x in worse(rounds(1000, 900, 1100, 1050, 950, cost=103.0, primary=9.0), base)] == ["cost_us"]


def test_fetches_are_counted():
    """What a change touched is fetched again, as what was never there; the second cache has counts of its own."""
    lab = load("lab.py")

    def metric(layer, outcome):
        return f'ladder_cache_answers_total{{layer="{layer}",route="/v1/games/{{game}}/boards/{{board}}/top",outcome="{outcome}"}}'
    l1 = {"hit": 90.0, "stale": 4.0, "miss": 3.0, "invalidated": 20.0, "coalesced": 50.0, "bypass": 1.0}
    counts = lab.answers({**{metric("l1", outcome): count for outcome, count in l1.items()}, metric("l2", "miss"): 1000.0, metric("l2", "hit"): 1000.0,
                          "ladder_cache_invalidated_total": 1000.0})
    assert counts == l1 and lab.fetches(counts) == 23
    assert lab.fetches(lab.answers({})) == 0


def test_the_report_can_be_read():
    report, lab = load("report.py"), load("lab.py")
    latency = lab.latencies([(i * 1000, 2000 + i, 200) for i in range(2000)], 1000, 2)
    series = [{"at": n / 2, "rate": 100 * n, "cpu": {"serve": 0.5, "redis": 0.1}, "queries": 3.0, "hit": 0.9} for n in range(5)]
    result = {"title": "Mixed & <more>", "about": "A test.", "latency": latency, "series": series, "memory": [(1.0, 2048)],
              "checks": [{"promise": "none fails", "seen": "0 < 1", "held": True}, {"promise": "fast", "seen": "slow", "held": False}]}
    whole = {"made": "2026-01-01T00:00:00Z", "machine": "a machine", "build": {"commit": "abc", "dirty": True}, "scenarios": {"mixed": result}}
    picture = xml.etree.ElementTree.fromstring(report.picture(result))
    texts = "".join(picture.itertext())
    for words in ("Mixed & <more>", "Latency over time", "Latency by percentile", "Processor by process", "Queries at PostgreSQL", "Answers from memory", "Memory"):
        assert words in texts, words
    lines = [line for line in picture.iter("{http://www.w3.org/2000/svg}polyline")]
    assert len(lines) == 2 + 1 + 2 + 1 + 1 + 1 + 1
    for line in lines:
        for x, y in (map(float, point.split(",")) for point in line.attrib["points"].split()):
            assert 0 <= x <= report.WIDTH and 0 <= y <= report.HEIGHT and math.isfinite(x + y)
    page = report.page(whole)
    assert "Mixed &amp; &lt;more&gt;" in page and page.count("<figure>") == 7 and 'class="bad">fast' in page
    table = report.table(whole).splitlines()
    assert table[0].split() == " ".join(report.ROWS).split() and table[-1] == "NO  mixed: fast: slow"


COSTS = {"made": "2026-01-01", "machine": "a machine", "idle": {"serve": 1000, "redis": 2000, "postgres": 3000, "work": 4000},
         "transaction_ms": 5, "redis_entry": 200, "table_entry": 300, "table_event": 400,
         "routes": {**{name: {"serve": 10, "redis": 0, "postgres": 1, "work": 0, "bytes": 5000, "wal": 0} for name in ("top, from memory",)},
                    **{f"{name}, from Redis": {"serve": 30, "redis": 20, "postgres": 2, "work": 0, "bytes": 4000, "wal": 0} for name in ("top", "player", "around")},
                    **{f"{name}, from PostgreSQL": {"serve": 80, "redis": 0, "postgres": 500, "work": 0, "bytes": 4000, "wal": 0} for name in ("top", "player", "around")},
                    "submission, alone": {"serve": 130, "redis": 120, "postgres": 1050, "work": 110, "bytes": 300, "wal": 1700, "batch": 1},
                    "submission, 1 window": {"serve": 40, "redis": 30, "postgres": 150, "work": 20, "bytes": 300, "wal": 800, "batch": 10},
                    "submission, 2 windows": {"serve": 50, "redis": 50, "postgres": 210, "work": 30, "bytes": 400, "wal": 1200, "batch": 10},
                    "submission, in a batch of 100": {"serve": 10, "redis": 10, "postgres": 50, "work": 2, "bytes": 300, "wal": 400, "batch": 100}}}


def test_capacity(tmp_path):
    """The command of docs/capacity.md, with costs of the test's own; twice the players need less than twice as much, because transactions grow."""
    costs = tmp_path / "costs.json"
    costs.write_text(json.dumps(COSTS))

    def ask(dau, *more):
        command = re.search(r"^loadtest/capacity .*$", (ROOT / "docs/capacity.md").read_text(), re.M)[0].replace("--dau 1M", f"--dau {dau}")
        done = subprocess.run([*command.split(), *more], cwd=ROOT, capture_output=True, text=True, check=True)
        found = dict(re.findall(r"^(.+?)  +([^ ].*?)  ", done.stdout, re.M))
        used = {key: float(value) for key, value in re.findall(r"^(\w+), cores +\d+  \(([\d.]+) used\)", done.stdout, re.M)}
        return found, used
    (found, used), (_, double) = ask("1M", "--costs", costs, "--hits", "0.5"), ask("2M", "--costs", costs, "--hits", "0.5")
    reads, writes = 1e6 * 40 / 86400 * 4, 1e6 * 10 / 86400 * 4
    syncs = writes / (writes * 0.005 + math.exp(-writes * 0.005))
    assert found["at the busiest minute"] == "1,852 reads/s, 463 submissions/s"
    assert found["Redis, memory"] == "16.8 GiB"  # 10M × 3 boards × 2 windows × 200 B × 1.5
    assert found["disk syncs"] == f"{math.ceil(syncs):,}/s"
    assert found["at most, one core of PostgreSQL"] == "6,667 submissions/s, 20,000 in batches of 100" and found["at most, one core of a replica"] == "2,000 reads/s"
    # A transaction costs 100 µs (1,000 of PostgreSQL) beside its rows: (alone - among 10) / (1 - 1/10).
    assert used == {"serve": pytest.approx((reads * 20 + writes * 40 + syncs * 100 + 1000) / 1e6, abs=0.006),
                    "Redis": pytest.approx((reads * 10 + writes * 40 + syncs * 100 + 2000) / 1e6, abs=0.006),
                    "PostgreSQL": pytest.approx((reads * 1.5 + writes * 110 + syncs * 1000 + 3000) / 1e6, abs=0.006),
                    "worker": pytest.approx((writes * 20 + syncs * 100 + 4000) / 1e6, abs=0.006)}
    assert all(1.2 * used[key] < double[key] < 2 * used[key] for key in used)
    assert ask("1M", "--costs", "loadtest/costs.json")[1]["serve"] > 0  # the measured ones


def test_transactions_of_submissions():
    """One submission each while they are rare; at most what follow each other; and as many as a queue with such a rule has, played through."""
    model = load("planning.py").Model(COSTS)
    assert model.syncs(0) == 0 and model.syncs(1) == pytest.approx(1, rel=0.001) and model.syncs(1e6) == pytest.approx(200, rel=0.001)
    dice = random.Random(1)
    for rate in (50, 200, 800):
        due, free, transactions = [], 0.0, 0
        at = 0.0
        for _ in range(20000):
            at += dice.expovariate(rate)
            due.append(at)
        first = 0
        while first < len(due):
            start = max(free, due[first])
            while first < len(due) and due[first] <= start:
                first += 1
            free, transactions = start + 0.005, transactions + 1
        assert transactions / at == pytest.approx(model.syncs(rate), rel=0.03)
