"""The OpenAPI description is the program's own: its routes, its parameters, its problems; and what is served is what is described.

Every test's Client holds every answer against it too (tests/described.py). Here are what that can't see, and the proof that it
can fail.
"""
import base64
import gzip
import hashlib
import json
import os
import re
import subprocess
import time

import pytest

import described
from checks import problems, refused
from harness import BINARY, ROOT, Client
from random_requests import Maker

INSIDE = {"none", "write-uncertain", "config"}
# Of no route: of paths that are none, and of methods that a path does not have.
NOWHERE = {"method-not-allowed"}


def routes():
    """{(method, path): (scope, is_public, parameters)} as the program has them."""
    text = subprocess.run([BINARY, "routes"], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in text.splitlines():
        method, path, scope, *parameters = line.split()
        found[method, path] = (scope.split("|")[0], scope.endswith("|public"), parameters)
    return found


def test_every_route_is_described_and_no_other():
    """Missing here? Describe it in openapi/*.yaml; docs/contributing.md says how."""
    table = routes()
    assert {(o.method, o.path) for o in described.operations()} == set(table)
    for operation in described.operations():
        scope, is_public, parameters = table[operation.method, operation.path]
        assert sorted(n for place, n in operation.parameters if place == "query") == sorted(parameters), operation.path
        needed = [one["key"] for one in operation.item["security"] if "key" in one]
        if operation.name != "queryMany":  # each of its reads needs what it needs alone
            assert needed == ([[scope]] if scope != "none" else []), operation.path
            assert ({} in operation.item["security"]) == is_public, operation.path


def test_every_problem_is_described():
    described_ones = set(re.findall(r'"urn:ladder:problem:([a-z-]+)"', json.dumps(described.description())))
    assert described_ones == set(problems()) - INSIDE - NOWHERE
    for operation in described.operations():
        for status, response in operation.responses.items():
            problem = response.get("content", {}).get("application/problem+json")
            for name, example in (problem or {"examples": {}})["examples"].items():
                assert problems()[name] == (int(status), example["value"]["title"])


def test_examples_are_right_and_there():
    for operation in described.operations():
        contents = [("body", operation.body)] + [(status, r.get("content", {})) for status, r in operation.responses.items()]
        for where, content in contents:
            for media, one in content.items():
                examples = [e["value"] for e in one.get("examples", {}).values()] + ([one["example"]] if "example" in one else [])
                assert examples, f"{operation.name} {where} {media} has no example: docs/api.md has none, nor openapi/"
                for example in examples:
                    operation.validate(f"example {where} {media}", one["schema"], example)
        assert all(re.match(r"curl |printf ", sample["source"]) for sample in operation.item["x-codeSamples"])


def test_it_is_served(ladder):
    client = Client(ladder, "none")
    url = f"http://127.0.0.1:{ladder.port}"
    answer = client.get(url + "/openapi.json")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    served = answer.json()
    version = served["info"].pop("version")
    assert version == client.get(url + "/version").json()["version"]
    own = json.loads(json.dumps(described.description()))
    own["info"].pop("version")
    assert served == own, "the binary is of another checkout"


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_how_documents_are_served(ladder, path):
    client = Client(ladder, "none")
    url = f"http://127.0.0.1:{ladder.port}{path}"
    tags = set()
    whole = client.request("GET", url, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in whole.headers
    for coding in ("identity", "gzip", "br"):
        raw = client.session.get(url, headers={"Accept-Encoding": coding}, stream=True)
        body = raw.raw.read(decode_content=False)
        assert raw.headers.get("Content-Encoding", "identity") == coding and raw.headers["Vary"] == "Accept-Encoding"
        assert coding != "gzip" or gzip.decompress(body) == whole.content
        assert coding == "identity" or len(body) < len(whole.content) / 5
        again = client.request("GET", url, headers={"Accept-Encoding": coding, "If-None-Match": raw.headers["ETag"]})
        assert again.status_code == 304 and not again.content and again.headers["ETag"] == raw.headers["ETag"]
        tags.add(raw.headers["ETag"])
    assert len(tags) == 3
    assert client.request("GET", url, headers={"If-None-Match": '"other"'}).status_code == 200
    refused(client.request("GET", url, headers={"If-Match": '"other"'}), "precondition-failed")
    head = client.request("HEAD", url, headers={"Accept-Encoding": "identity"})
    assert head.status_code == 200 and int(head.headers["Content-Length"]) == len(whole.content) and not head.content
    refused(client.request("POST", url, {}), "method-not-allowed")
    refused(client.request("GET", url + "?a=1"), "invalid-parameter", "a")


def test_the_page_loads_nothing(ladder):
    answer = Client(ladder, "none").get(f"http://127.0.0.1:{ladder.port}/docs")
    page, policy = answer.text, answer.headers["Content-Security-Policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.S)
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}';" in policy
    assert not re.search(r"<script|<img|<link|<iframe|\bsrc=|\bstyle=|\bon\w+=|url\(|@import", page)
    assert set(re.findall(r'href="([^#"][^"]*)"', page)) == {"/openapi.json"}
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert anchors <= set(re.findall(r'id="([^"]+)"', page))
    for operation in described.operations():
        assert operation.name in anchors and f"<code>{operation.path}</code>" in page


def test_it_is_linted():
    done = subprocess.run([ROOT / "scripts" / "lint-openapi"], capture_output=True, text=True, timeout=300)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr


# -- the check itself can fail --

GOOD = dict(method="GET", target="/v1/games/g/boards/b/players/ann", sent_headers={}, sent_body=b"", status=200,
            headers={"Content-Type": "application/json", "Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff", "ETag": '"x"'},
            body=b'{"rank": 1, "player": "ann", "score": 5, "board": "b", "window": "all", "period": "all"}')


def changed(**changes):
    return {**GOOD, **changes}


def test_the_check_takes_what_is_described():
    described.check(**GOOD)


@pytest.mark.parametrize("fault", [
    dict(status=202), dict(status=409), dict(body=b"[]"), dict(body=GOOD["body"].replace(b"rank", b"place")),
    dict(body=GOOD["body"].replace(b'"score": 5', b'"score": 5.5')), dict(body=GOOD["body"].replace(b'"score": 5', b'"score": 9223372036854775808')),
    dict(body=GOOD["body"].replace(b'"all"}', b'"all", "more": 1}')), dict(body=GOOD["body"].replace(b'"period": "all"', b'"period": "2026"')),
    dict(headers={**GOOD["headers"], "Content-Type": "text/html"}), dict(headers={**GOOD["headers"], "X-Powered-By": "x"}),
    dict(headers={k: v for k, v in GOOD["headers"].items() if k != "ETag"}), dict(headers={**GOOD["headers"], "Cache-Control": "maybe"}),
    dict(target=GOOD["target"] + "?more=1"), dict(target=GOOD["target"] + "?ranking=best"), dict(target="/v2/games"),
    dict(status=404, body=b'{"type": "urn:ladder:problem:conflict", "title": "t", "status": 404, "detail": "d"}',
         headers={**GOOD["headers"], "Content-Type": "application/problem+json"}),
], ids=lambda fault: json.dumps({k: str(v)[-70:] for k, v in fault.items()}))
def test_the_check_refuses(fault):
    with pytest.raises(described.NotDescribed):
        described.check(**changed(**fault))


def test_the_check_looks_at_what_was_accepted():
    headers = {name: value for name, value in GOOD["headers"].items() if name != "ETag"}
    answer = dict(method="PUT", target="/v1/games/g/boards/b", sent_headers={}, status=200, headers=headers,
                  body=json.dumps(described.find("PUT", "/v1/games/g/boards/b").responses["200"]["content"]["application/json"]["examples"]["example-1"]["value"]).encode())
    described.check(sent_body=b'{"operator": "sum"}', **answer)
    for body in (b'{"operator": "mean"}', b'{"colour": "red"}', b"[]"):
        with pytest.raises(described.NotDescribed):
            described.check(sent_body=body, **answer)


# -- random requests --

def test_random_requests_are_answered_as_described(stack, client):
    """No 5xx, no answer but those described, nothing accepted that is not. LADDER_TEST_RANDOM_SECONDS: how long; LADDER_TEST_SEED."""
    seconds = float(os.environ.get("LADDER_TEST_RANDOM_SECONDS", "12"))
    seed = int(os.environ.get("LADDER_TEST_SEED", time.time_ns() % 2**32))
    url = f"http://127.0.0.1:{client.server.port}"
    boards, players = ["one", "two", "three", "both"], ["ann", "bob", "cy", "a,b"]
    cursors, tokens, instants = [], [], ["current", "previous", "2026-11-21T00:00:00Z"]
    seen = {operation.name: 0 for operation in described.operations() if operation.name != "changeServers"}  # the operator's own token

    def renew():
        """What the requests delete or change beyond use."""
        for name, definition in (("one", dict(windows=["all", "daily"], public=True)), ("two", dict(order="asc", operator="sum", windows=["hourly"])),
                                 ("three", dict(operator="last"))):
            if client.request("PUT", f"/boards/{name}", definition).status_code == 409:
                client.request("DELETE", f"/boards/{name}")
                client.put_board(name, **definition)
        if client.get("/boards/both/combination").status_code != 200:
            client.request("DELETE", "/boards/both")
            client.put_board("both")
            client.request("PUT", "/boards/both/combination", {"by": "sum", "of": [{"board": "one"}, {"board": "three"}]})
        for player in players:
            answer = client.request("POST", "/boards/one/scores", {"player": player, "score": len(player)})
            if answer.status_code == 200:
                tokens.append(answer.json()["token"])
        page = client.get("/boards/one/top", limit=2)
        if page.status_code == 200 and page.json()["next"]:
            cursors.append(page.json()["next"])
        periods = client.get("/boards/one/periods", window="daily")
        if periods.status_code == 200:
            instants.extend(p["id"] for p in periods.json()["periods"])

    maker = Maker(seed, boards, players, cursors, tokens, instants)
    end = time.monotonic() + seconds
    count = 0
    # Longer, on a slow machine, until each operation has accepted something.
    while time.monotonic() < end or (not all(seen.values()) and time.monotonic() < end + 120):
        if count % 50 == 0:
            renew()
        count += 1
        method, target, headers, body = maker.request(client.game, [name for name, times in seen.items() if times == 0])
        shown = f"seed {seed}, request {count}: {method} {target} {headers} {body[:2000]!r}"
        try:
            answer = client.request(method, url + target, body, headers=headers)
        except AssertionError as fault:
            raise AssertionError(f"{shown}\n{fault}") from fault
        assert answer.status_code < 500, f"{shown}\n{answer.status_code} {answer.text[:2000]}"
        operation = described.find(method, target.partition("?")[0])
        if operation and answer.status_code < 300 and operation.name in seen:
            seen[operation.name] += 1
    print(f"{count} requests, accepted: {seen}")
    assert [name for name, times in seen.items() if times == 0] == [], f"seed {seed}: never accepted"
