"""How JSON answers look: each ends with a newline, and with `pretty` it is laid out as the documentation shows it.

The layout is that of `pretty` in test_docs.py, from which the documents' examples are made: the two are compared byte by byte.
"""
import json
import random

import pytest

from checks import refused
from harness import wait_until
from test_docs import pretty

READS = ["/boards", "/boards/b", "/boards/b/top", "/boards/b/top?window=daily&fields=metadata,total", "/boards/b/range?min=10",
         "/boards/b/at?score=10", "/boards/b/at?rank=2", "/boards/b/players/p3", "/boards/b/players/nobody", "/boards/b/players/p5/around",
         "/boards/b/players?ids=p1,p2,nobody", "/boards/b/stats?histogram=width&bins=4", "/boards/b/stats/history", "/boards/b/periods?window=daily",
         "/boards/b/players/p3/history?window=daily", "/boards/b/compare?window=daily", "/players/p3/boards", "/boards/nothing/top", "/boards/b/top?limit=0"]


@pytest.fixture
def filled(client):
    client.put_board("b", windows=["all", "daily"])
    dice = random.Random(5)
    items = [{"board": "b", "player": f"p{i}", "score": dice.randrange(1000),
              "metadata": {"text": "ä\"{,:}\\" * dice.randrange(30), "empty": {}, "list": [1, [], "", None] * dice.randrange(20)}} for i in range(30)]
    # Metadata is returned byte for byte; the plain answers below are compared with JSON without spaces, so send it like that.
    body = json.dumps({"scores": items}, ensure_ascii=False, separators=(",", ":")).encode()
    answer = client.request("POST", "/scores", body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200 and all(r["status"] == 200 for r in answer.json()["results"])
    return client


def folded(text):
    return pretty(json.loads(text)) + "\n"


@pytest.mark.parametrize("path", READS)
def test_a_read_ends_with_a_newline_and_is_folded_on_request(filled, path):
    mark = "&" if "?" in path else "?"
    plain = filled.get(path)
    assert plain.text.endswith("\n") and plain.text.count("\n") == 1
    for how in ("pretty", "pretty=true"):
        answer = filled.get(path + mark + how)
        assert answer.status_code == plain.status_code
        if "/stats" not in path:  # what it counts by the minute moves on
            assert answer.json() == plain.json()
        assert answer.text == folded(answer.text)
        assert "Content-Encoding" in answer.headers or int(answer.headers["Content-Length"]) == len(answer.content)
    assert "\n" not in filled.get(path + mark + "pretty=false").text[:-1]


def test_each_form_is_remembered_and_validated_by_itself(filled):
    filled.request("PATCH", "/boards/b", {"public": True})
    tags = {}
    for target in ("/boards/b/top?limit=9", "/boards/b/top?limit=9&pretty"):
        wait_until(lambda: filled.get(target).headers["Ladder-Cache"] == "hit", 30, "a hit")
        answer = filled.get(target)
        assert (answer.text == folded(answer.text)) == ("pretty" in target)
        tags[target] = answer.headers["ETag"]
        for coding in ("gzip", "identity"):
            same = filled.get(target, headers={"Accept-Encoding": coding})
            assert same.text == answer.text
        again = filled.get(target, headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304
    assert len(set(tags.values())) == 2
    assert filled.get("/boards/b/top?limit=9", headers={"If-None-Match": tags["/boards/b/top?limit=9&pretty"]}).status_code == 200


def test_writes_and_their_repeats(filled):
    answer = filled.request("POST", "/boards/b/scores?pretty", {"player": "w", "score": 1}, headers={"Idempotency-Key": "once"})
    again = filled.request("POST", "/boards/b/scores?pretty", {"player": "w", "score": 1}, headers={"Idempotency-Key": "once"})
    assert answer.text == folded(answer.text) == again.text and again.headers["Idempotency-Replayed"] == "true"
    assert filled.request("POST", "/boards/b/scores", {"player": "w", "score": 2}).text.endswith("}\n")
    bad = filled.request("POST", "/boards/b/scores?pretty", {"player": "w"})
    assert bad.text == folded(bad.text)
    refused(bad, "invalid-body", "/score")
    refused(filled.get("/boards/b/top?pretty=yes"), "invalid-parameter", "pretty")


@pytest.mark.parametrize("query", ["", "?pretty"])
def test_a_board_is_changed_under_the_tag_of_either_form(filled, query):
    tag = filled.get("/boards/b" + query).headers["ETag"]
    for target in ("/boards/b", "/boards/b?pretty"):
        answer = filled.request("PATCH", target, {"score_min": -5}, headers={"If-Match": tag})
        assert answer.status_code == 200
        refused(filled.request("PATCH", "/boards/b", {"score_min": -6}, headers={"If-Match": tag}), "precondition-failed")
        now = filled.get(target)
        assert now.text == answer.text and now.headers["ETag"] == answer.headers["ETag"]
        tag = filled.get("/boards/b" + query).headers["ETag"]


def test_reads_within_a_query_are_part_of_its_layout(filled):
    queries = {"queries": ["/boards/b/top?limit=2", "/boards/b/top?limit=2&pretty", "/boards/b/players/nobody"]}
    plain = filled.request("POST", "/query", queries)
    assert plain.text.count("\n") == 1 and plain.text.endswith("\n")
    answer = filled.request("POST", "/query?pretty", queries)
    assert answer.text == folded(answer.text) and answer.json() == plain.json()
    assert answer.json()["results"][0] == answer.json()["results"][1]


def test_what_is_outside_of_games(ladder, client):
    root = f"http://127.0.0.1:{ladder.port}"
    for path in ("/healthz", "/readyz", "/version", "/monitoring/performance", "/monitoring/alerts", "/nothing"):
        plain, answer = client.get(root + path), client.get(root + path + "?pretty")
        assert plain.text.endswith("\n") and "\n" not in plain.text[:-1]
        assert answer.text == folded(answer.text), path
    for path in ("/metrics", "/docs", "/openapi.json"):
        refused(client.get(root + path + "?pretty"), "invalid-parameter", "pretty")
        assert client.get(root + path).text.endswith("\n")


def test_a_closed_period_from_the_second_cache(stack, filled):
    """What is kept there is plain, compressed or not; the folded form is made of it."""
    filled.put_board("c", windows=["daily"])
    filled.submit("c", "ann", 1, at="2020-05-05T12:00:00Z", metadata={"text": "x" * 1500})
    target = "/boards/c/top?period=2020-05-05T00:00:00Z&fields=metadata"
    seen = set()
    for _ in range(3):
        for query in ("", "&pretty"):
            answer = filled.get(target + query, headers={"Accept-Encoding": "gzip"})
            seen.add((query, answer.text))
            assert answer.text == folded(answer.text) if query else answer.text.count("\n") == 1
    assert len(seen) == 2


@pytest.mark.parametrize("path, count", [("/boards/b/top?limit=7&fields=metadata", 5), ("/boards/b/range?min=0&limit=11", 3), ("/boards?limit=1", 2)])
def test_the_next_page_is_folded_too(filled, path, count):
    filled.put_board("c")
    links = []
    for query in ("", "&pretty"):
        url, pages = filled.base + path + query, 0
        while url:
            answer = filled.get(url)
            assert answer.status_code == 200 and (answer.text == folded(answer.text)) == bool(query)
            pages += 1
            url = answer.links.get("next", {}).get("url")
            assert bool(url) == (answer.json()["next"] is not None)
            url = url and f"http://127.0.0.1:{filled.server.port}" + url
        links.append(pages)
    assert links == [count, count]
