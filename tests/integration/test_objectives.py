"""docs/capacity.md: its queries can be asked of /metrics as they stand, and are exact: each threshold is an edge of a histogram."""
import re

import pytest
import requests

from harness import ROOT, Client

PAGE = (ROOT / "docs" / "capacity.md").read_text()
QUERIES = [line for line in re.search(r"^```promql\n(.*?)^```$", PAGE, re.M | re.S)[1].splitlines() if line and line[0] != "#"]
SELECTOR = re.compile(r"(ladder_\w+)(?:\{([^}]*)\})?")


def series(ladder):
    """[(name, labels, value)] of /metrics."""
    text = requests.get(f"http://127.0.0.1:{ladder.port}/metrics", timeout=30).text
    return [(name, dict(re.findall(r'(\w+)="([^"]*)"', labels or "")), float(value))
            for name, labels, value in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.M)]


def total(found, name, matchers):
    """The sum of what the selector finds; None: nothing."""
    tests = re.findall(r'(\w+)(=~?)"([^"]*)"', matchers or "")
    values = [value for n, labels, value in found if n == name and all(
        re.fullmatch(wanted, labels.get(key, "")) if how == "=~" else labels.get(key) == wanted for key, how, wanted in tests)]
    return sum(values) if values else None


@pytest.fixture(scope="module")
def counted(stack, ladder):
    game = stack.new_game()
    client = Client(ladder, game, stack.key(game))
    client.put_board("b")
    for number in range(20):
        client.submit("b", f"p{number}", number)
        client.read("/boards/b/top")
    return series(ladder)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_finds_what_it_asks_for(counted, query):
    sums = [total(counted, *selector) for selector in SELECTOR.findall(query)]
    assert None not in sums, query
    if "_bucket" in query:
        within, all_of_them = sums
        assert 0 <= within <= all_of_them and all_of_them >= 20


@pytest.mark.parametrize("name, method, route", [("reads", "GET", "/v1/games/{game}/boards/{board}/top"),
                                                 ("submissions", "POST", "/v1/games/{game}/boards/{board}/scores")])
def test_every_threshold_is_an_edge(counted, name, method, route):
    row = re.search(rf"^\| {name} \| (.*) \|$", PAGE, re.M)[1]
    thresholds = {f"{int(ms) / 1000:g}" for ms in re.findall(r"≤ (\d+) ms", row)}
    edges = {labels["le"] for n, labels, _ in counted if n == "ladder_http_request_duration_seconds_bucket"
             and (labels["method"], labels["route"]) == (method, route)}
    asked = {le for query in QUERIES if f'method="{method}"' in query for le in re.findall(r'le="([^"]*)"', query)}
    assert len(thresholds) == 3 and thresholds == asked and thresholds <= edges


def test_the_edges_count_what_took_as_long(counted):
    """A bucket's number never falls, and the last is the count."""
    by_route = {}
    for name, labels, value in counted:
        if name == "ladder_http_request_duration_seconds_bucket":
            by_route.setdefault((labels["method"], labels["route"]), []).append((float(labels["le"].replace("+Inf", "inf")), value))
    assert by_route
    for (method, route), buckets in by_route.items():
        assert buckets == sorted(buckets) and [v for _, v in buckets] == sorted(v for _, v in buckets)
        count = total(counted, "ladder_http_request_duration_seconds_count", f'method="{method}",route="{route}"')
        assert buckets[-1] == (float("inf"), count)
