"""What loadtest/ judges and draws by; and that its commands still start. What they measure is theirs."""
import importlib.machinery
import importlib.util
import itertools
import math
import os
import re
import subprocess
import sys
import xml.etree.ElementTree

import pytest

from harness import ROOT

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


def test_the_signed_rank_test_is_exact():
    """Against all signs, each as likely."""
    signed_rank = load("compare").signed_rank
    for values in ([1, 2, 3, 4, 5, 6], [0.5, -1.25, 2, 4, -8, 16, 32], [-3, -1, -2], [0, 0, 1, -4, 2]):
        order = sorted((abs(v), v) for v in values if v)
        observed = sum(rank for rank, (_, v) in enumerate(order, 1) if v > 0)
        ways = [sum(rank for rank, sign in enumerate(signs, 1) if sign) for signs in itertools.product((0, 1), repeat=len(order))]
        assert signed_rank(values) == pytest.approx(sum(w >= observed for w in ways) / len(ways))
    assert signed_rank([1, 1, -1]) == pytest.approx(0.5)  # equal ones share their ranks
    assert signed_rank([]) == 1.0


def test_latencies():
    lab = load("lab.py")
    assert [lab.percentile([1, 2, 3, 4], mark) for mark in (0, 25, 26, 50, 99, 100)] == [1, 1, 2, 2, 4, 4] and lab.percentile([], 50) is None
    seen = lab.latencies([(i * 1000, 1000 * (i % 100 + 1), 503 if i == 7 else 200) for i in range(1000)], 500, 2)
    assert (seen["count"], seen["failed"], seen["rate"], seen["max_ms"]) == (1000, 1, 500.0, 100.0)
    assert (seen["ms"]["50"], seen["ms"]["99"]) == (50.0, 99.0)
    assert [x["at"] for x in seen["series"]] == [0.0, 0.5]


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


def test_capacity(tmp_path):
    """The command of docs/capacity.md; and twice the players need twice as much."""
    def ask(dau):
        command = re.search(r"^loadtest/capacity .*$", (ROOT / "docs/capacity.md").read_text(), re.M)[0].replace("--dau 1M", f"--dau {dau}")
        done = subprocess.run([*command.split(), "--report", str(tmp_path / "none.json")], cwd=ROOT, capture_output=True, text=True, check=True)
        found = dict(re.findall(r"^(.+?)  +([^ ].*?)  ", done.stdout, re.M))
        used = {key: float(value) for key, value in re.findall(r"^(\w+), cores +\d+  \(([\d.]+) used\)", done.stdout, re.M)}
        return found, used
    (found, used), (_, double) = ask("1M"), ask("2M")
    assert found["at the busiest minute"] == "1,852 reads/s, 463 submissions/s"  # 1M × 40 / 86400 s × 4
    assert found["Redis, memory"] == "17.9 GiB"  # 10M × 3 boards × 2 windows × 214 B × 1.5
    assert set(used) == {"serve", "Redis", "PostgreSQL"} and all(double[key] == pytest.approx(2 * used[key], abs=0.011) and used[key] > 0 for key in used)
