"""Many submissions in one request, as JSON or as a stream of lines: each with its own result, in the order sent."""
import json
import random

import pytest

from checks import problem_is, refused
from harness import Client

NDJSON = {"Content-Type": "application/x-ndjson"}
# (item, status, slug and field of its problem)
ITEMS = [
    ({"board": "sum", "player": "ann", "score": 5}, 200, None, None),
    ({"board": "none", "player": "ann", "score": 5}, 404, "board-not-found", None),
    ({"board": "sum", "player": "ann", "score": -2}, 200, None, None),
    ({"board": "sum", "player": "", "score": 1}, 400, "invalid-body", "/player"),
    ({"board": "sum", "player": "a" * 65, "score": 1}, 400, "invalid-body", "/player"),
    ({"board": "sum", "score": 1}, 400, "invalid-body", "/player"),
    ({"board": "sum", "player": "ann"}, 400, "invalid-body", "/score"),
    ({"player": "ann", "score": 1}, 400, "invalid-body", "/board"),
    ({"board": "sum", "player": "ann", "score": 1.5}, 400, "invalid-body", "/score"),
    ({"board": "sum", "player": "ann", "score": "x"}, 400, "invalid-body", "/score"),
    ({"board": "small", "player": "ann", "score": 11}, 422, "score-out-of-range", None),
    ({"board": "sum", "player": "big", "score": 2**63 - 1}, 200, None, None),
    ({"board": "sum", "player": "big", "score": 1}, 422, "score-overflow", None),
    ({"board": "sum", "player": "ann", "score": "10"}, 200, None, None),
    ({"board": "sum", "player": "ann", "score": 1, "colour": "red"}, 400, "invalid-body", "/colour"),
    ({"board": "sum", "player": "ann", "score": 1, "metadata": "x" * 2047}, 400, "invalid-body", "/metadata"),
    ({"board": "sum", "player": "ann", "score": 1, "at": "2999-01-01T00:00:00Z"}, 400, "invalid-body", "/at"),
    ({"board": ".", "player": "ann", "score": 1}, 404, "board-not-found", "/board"),
    ([], 400, "invalid-body", None),
    (7, 400, "invalid-body", None),
    ({"board": "small", "player": "ann", "score": 10}, 200, None, None),
]


def send(client, items, form):
    if form == "json":
        return client.request("POST", "/scores", {"scores": items})
    return client.request("POST", "/scores", "".join(json.dumps(i) + "\n" for i in items).encode(), headers=NDJSON)


@pytest.fixture
def boards(client):
    client.put_board("sum", operator="sum")
    client.put_board("small", score_max=10)
    return client


@pytest.mark.parametrize("form", ["json", "lines"])
def test_each_item_has_its_own_result(boards, form):
    answer = send(boards, [item for item, *_ in ITEMS], form)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert len(body["results"]) == len(ITEMS) and answer.headers["Ladder-Token"] == body["token"]
    if form == "lines":
        assert [result["line"] for result in body["results"]] == list(range(1, len(ITEMS) + 1))
        statuses = [status for _, status, *_ in ITEMS]
        assert (body["taken"], body["refused"]) == (statuses.count(200), len(ITEMS) - statuses.count(200)) and "complete" not in body
    for i, (result, (item, status, slug, field)) in enumerate(zip(body["results"], ITEMS)):
        assert result["status"] == status, (item, result)
        if slug:
            assert set(result) == {"status", "problem"} | ({"line"} if form == "lines" else set())
            problem_is(result["problem"], slug)
            if field:
                (error,) = result["problem"]["errors"]
                assert error.get("pointer", error.get("parameter")).endswith(field), result
                if form == "json" and slug == "invalid-body":
                    assert error["pointer"] == f"/scores/{i}{field}"
        else:
            assert set(result) == {"status", "entry", "previous", "improved", "windows"} | ({"line"} if form == "lines" else set())
            assert result["entry"]["player"] == item["player"]
    assert [r["entry"]["score"] for r in body["results"] if r["status"] == 200] == [5, 3, 2**63 - 1, 13, 10]
    assert boards.read("/boards/sum/players/ann")["score"] == 13


@pytest.mark.parametrize("form", ["json", "lines"])
def test_one_players_many_in_one_request_apply_in_order(boards, form):
    dice, total, steps = random.Random(3), {}, []
    for _ in range(900):
        steps.append(dict(board="sum", player=f"p{dice.randrange(5)}", score=dice.randrange(-9, 10)))
    results = send(boards, steps, form).json()["results"]
    for step, result in zip(steps, results):
        before = total.get(step["player"])
        total[step["player"]] = (before or 0) + step["score"]
        assert result["entry"]["score"] == total[step["player"]]
        assert (result["previous"] or {}).get("score") == before
    assert {e["player"]: e["score"] for e in boards.read("/boards/sum/top")["entries"]} == total


def test_a_thousand_and_one_more(boards):
    items = [dict(board="sum", player=f"p{i}", score=1) for i in range(1001)]
    refused(send(boards, items, "json"), "invalid-body", "/scores")
    assert boards.read("/boards/sum/top")["entries"] == [], "none of it"
    results = send(boards, items[:1000], "json").json()["results"]
    assert len(results) == 1000 and {r["status"] for r in results} == {200}
    assert len(send(boards, items, "lines").json()["results"]) == 1001, "a stream has no such limit"


@pytest.mark.parametrize("body, field", [({}, "/scores"), ({"scores": {}}, "/scores"), ({"scores": None}, "/scores"), ({"scores": [], "more": 1}, "/more"),
                                         ([], None), ("x", None)])
def test_bodies_that_are_no_batch(boards, body, field):
    refused(boards.request("POST", "/scores", json.dumps(body).encode(), headers={"Content-Type": "application/json"}), "invalid-body", field)


def test_a_score_beyond_64_bits_spoils_its_own_item_only(boards):
    rows = [{"board": "sum", "player": f"wide{i}", "score": score} for i, score in enumerate((1, 2**63, -2**63 - 1, 10**30, 2))]
    for body, kind, pointer in ((json.dumps({"scores": rows}), "application/json", "/scores/1/score"),
                                ("\n".join(map(json.dumps, rows)), "application/x-ndjson", "/score")):
        answer = boards.request("POST", "/scores", body.encode(), headers={"Content-Type": kind}).json()
        assert [r["status"] for r in answer["results"]] == [200, 400, 400, 400, 200]
        assert answer["results"][1]["problem"]["errors"][0]["pointer"] == pointer


def test_nothing_is_a_batch_too(boards):
    assert send(boards, [], "json").json() == {"results": []}
    assert send(boards, [], "lines").json() == {"results": [], "taken": 0, "refused": 0}


@pytest.mark.parametrize("junk, problems", [(b"\n\n\r\n", 0), (b"x\n", 1), (b"{\n", 1), (b'{"board":"sum"}{"a":1}\n', 1), (b"\x00\n", 1), (b"\xff\n", 1), (b" \n", None)])
def test_lines_between_good_ones(boards, junk, problems):
    line = b'{"board":"sum","player":"ann","score":1}'
    answer = boards.request("POST", "/scores", line + b"\r\n" + junk + line, headers=NDJSON)  # the last without a newline
    statuses = [r["status"] for r in answer.json()["results"]]
    if problems is not None:
        assert statuses == [200] + [400] * problems + [200]
    assert statuses[0] == statuses[-1] == 200 and boards.read("/boards/sum/players/ann")["score"] == 2


def test_a_stream_is_taken_while_it_is_sent(boards, ladder):
    """Chunked, longer than any JSON body may be; what came first is readable before the last is sent."""
    count, player = 12000, "p" * 50
    reader = Client(ladder, boards.game, boards.key)
    seen = []

    def lines():
        for i in range(count):
            yield json.dumps(dict(board="sum", player=f"{player}{i % 3000}", score=1)).encode() + b"\n"
            if i == count - 1:
                for _ in range(200):
                    seen.append(len(reader.read("/boards/sum/top", limit=1)["entries"]))
                    if seen[-1]:
                        break
    answer = boards.request("POST", "/scores", lines(), headers=NDJSON)
    results = answer.json()["results"]
    assert len(results) == count and {r["status"] for r in results} == {200} and seen[-1] == 1
    assert sum(e["score"] for e in boards.pages("sum")) == count


def test_a_line_that_is_too_long_is_refused_alone(boards):
    line = b'{"board":"sum","player":"ann","score":1}\n'
    for end in (b'"}\n', b'"}'):
        answer = boards.request("POST", "/scores", line + b'{"board":"' + b"x" * (3 << 20) + end + line * (end[-1] == 10), headers=NDJSON)
        results = answer.json()["results"]
        assert [(r["line"], r["status"]) for r in results] == [(1, 200), (2, 413), (3, 200)][:len(results)] and len(results) == 2 + (end[-1] == 10)
        problem_is(results[1]["problem"], "body-too-large")


def test_a_problem_names_the_line_of_the_body(boards):
    """Empty lines count as lines and have no result."""
    good = b'{"board":"sum","player":"ann","score":1}\n'
    body = good + b"\n\r\n" + b'{"board":\n' + good + b"what?\n" + b'{"board":"sum","player":"ann"}\n'
    answer = boards.request("POST", "/scores", body, headers=NDJSON).json()
    assert [(r["line"], r["status"]) for r in answer["results"]] == [(1, 200), (4, 400), (5, 200), (6, 400), (7, 400)]
    details = {r["line"]: r["problem"]["detail"] for r in answer["results"] if r["status"] == 400}
    assert "line 4, column" in details[4] and "line 6, column" in details[6] and "line" not in details[7]


@pytest.mark.parametrize("form", ["json", "lines"])
def test_results_of_errors_only(boards, form):
    items = [item for item, *_ in ITEMS]
    body = json.dumps({"scores": items}).encode() if form == "json" else "".join(json.dumps(i) + "\n" for i in items).encode()
    kind = "application/json" if form == "json" else "application/x-ndjson"
    answer = boards.request("POST", "/scores", body, headers={"Content-Type": kind}, results="errors")
    found = answer.json()
    name, first = ("item", 0) if form == "json" else ("line", 1)
    assert [(r[name], r["status"]) for r in found["results"]] == [(i + first, s) for i, (_, s, *_) in enumerate(ITEMS) if s != 200]
    assert found["taken"] == 5 and found["refused"] == len(ITEMS) - 5 and answer.headers["Ladder-Token"] == found["token"]
    refused(boards.request("POST", "/scores", body, headers={"Content-Type": kind}, results="none"), "invalid-parameter", "results")


@pytest.mark.parametrize("type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", None])
def test_content_types(boards, type):
    body = json.dumps({"scores": [{"board": "sum", "player": "ann", "score": 1}]}).encode()
    assert boards.request("POST", "/scores", body, headers={"Content-Type": type} if type else {}).status_code == 200


@pytest.mark.parametrize("type", ["text/plain", "application/jsonx", "application/xml", "multipart/form-data", "application/x-ndjsonx"])
def test_content_types_that_are_refused(boards, type):
    for path in ("/scores", "/boards/sum/scores"):
        refused(boards.request("POST", path, b'{"player":"ann","score":1}', headers={"Content-Type": type}), "unsupported-media-type")
    refused(boards.request("POST", "/boards/sum/scores", b'{"player":"ann","score":1}', headers=NDJSON), "unsupported-media-type")
