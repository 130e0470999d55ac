"""Metadata: any JSON value of up to 2,048 bytes, kept and given back byte for byte, wherever the entry is stored or read."""
import csv
import json
import subprocess

import pytest

import compare
from checks import refused
from harness import BINARY, wait_until

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
TEXTS = [
    "{}", "[]", '""', "0", "-0", "1e2", "1E+2", "1.50", "-0.0", "true", "false", '"null"', "[null]",
    "9223372036854775807", "9223372036854775808", "-9223372036854775809", "9" * 300, "1e308", "-1e400", "1e-999999", "0.1" + "0" * 300,
    "0.30000000000000004", "[1e999]", '{"id": 18446744073709551616, "ids": [9223372036854775808, 1]}',
    '{"z": 1, "a": 2, "": {"é": "\\u00e9"}}', '"\\u00e9\\u00E9\\/\\ud83c\\udfc6\U0001F3C6 \\"metadata\\":1 }]"', '"\\\\"', '{"metadata":{"metadata":"x"},"score":7}',
    "{ \"a\" :\t[ 1 ,2 ] }", '{"d": [[[[[[]]]]]]}', "{\r\n  \"a\": [\n    1\n  ]\n}",
]


def body(player, text, score=1, **more):
    """Metadata between two other members, and the name of one of them escaped; no line break outside of it."""
    more = "".join(f', "{name}": {json.dumps(value)}' for name, value in more.items())
    return (f'{{"player": {json.dumps(player)}, "score": {score}, "m\\u0065tadata" : {text} , "subscore": 0{more}}}').encode()


def submitted(client, board, player, text, **more):
    answer = client.request("POST", f"/boards/{board}/scores", body(player, text, **more), headers=JSON)
    assert answer.status_code == 200, answer.text
    return answer


def has(answer, text):
    """Its first metadata is this text."""
    assert answer.status_code == 200, answer.text
    content = answer.content.decode()  # as bytes: .text would guess
    at = content.index('"metadata":') + len('"metadata":')
    assert content[at:at + len(text) + 1] in (text + ",", text + "}"), content


def kept(stack, client, board):
    return dict(stack.sql("select e.player, e.metadata::text from ladder.entry e join ladder.period p on p.id = e.period_id join ladder.board b on b.id = p.board_id "
                          "join ladder.game g on g.id = b.game_id where g.name = %s and b.name = %s and p.facet = ''", client.game, board))


def test_metadata_comes_back_byte_for_byte(stack, client):
    """From the answer, from PostgreSQL, from Redis, and from memory."""
    client.put_board("b", operator="last", facets=["country"])
    wanted = {f"p{i:02}": text for i, text in enumerate(TEXTS)}
    for player, text in wanted.items():
        has(submitted(client, "b", player, text, facets={"country": player}), text)
    assert kept(stack, client, "b") == wanted
    wait_until(lambda: compare.same(stack, client.game), 60, "Redis equals PostgreSQL")
    wait_until(lambda: client.read("/boards/b/top", limit=1, source="true")["source"] == "redis", 60, "Redis has it")

    def check():
        for player, text in wanted.items():
            for _ in range(2):  # the second time from memory
                has(client.get(f"/boards/b/players/{player}"), text)
                has(client.get("/boards/b/players", ids=player, fields="metadata"), text)
                has(client.get(f"/boards/b/players/{player}/around", above=0, below=0, fields="metadata"), text)
                has(client.get("/boards/b/top", facet=f"country:{player}", fields="metadata"), text)
        page = client.get("/boards/b/top", fields="metadata", limit=100).content.decode()
        for player, text in wanted.items():
            assert f'"player":"{player}","score":1,"metadata":{text}}}' in page
    check()
    stack.redis_process.kill()
    try:
        check()
    finally:
        stack.redis_start()
        stack.trusted(client.server)
    wait_until(lambda: compare.same(stack, client.game), 60, "Redis equals PostgreSQL")


def test_metadata_survives_a_load_of_redis(stack, client):
    client.put_board("b")
    for i, text in enumerate(TEXTS):
        submitted(client, "b", f"p{i}", text)
    assert "warm: 1 standings" in stack.cli("warm", "b", "--game", client.game)
    wait_until(lambda: compare.same(stack, client.game), 60, "Redis equals PostgreSQL")
    wait_until(lambda: client.read("/boards/b/top", limit=1, source="true")["source"] == "redis", 60, "Redis has it")
    for i, text in enumerate(TEXTS):
        has(client.get(f"/boards/b/players/p{i}", source="true"), text)


@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_batches_keep_the_metadata_of_each_item(stack, client, form):
    client.put_board("b")
    # The levels of a body include those of the batch; a line of NDJSON has no line break.
    texts = [text for text in TEXTS if (text.count("[") < 6 if form == "json" else "\n" not in text)]
    rows = [body(f"p{i}", text, board="b") for i, text in enumerate(texts)]
    rows[3:3] = [b"[]" if form == "json" else b'[{"metadata": 1}]', b'{"board": "b", "player": "none", "score": 1}']  # neither an object, nor metadata
    data = b'{"scores" : [ ' + b" , ".join(rows) + b"]}" if form == "json" else b"\n".join(rows)
    answer = client.request("POST", "/scores", data, headers=JSON if form == "json" else NDJSON)
    assert answer.status_code == 200, answer.text
    assert [r["status"] for r in answer.json()["results"]] == [200] * 3 + [400] + [200] * (len(rows) - 4)
    for text in texts:
        assert f'"metadata":{text}}}' in answer.content.decode()
    assert kept(stack, client, "b") == {f"p{i}": text for i, text in enumerate(texts)} | {"none": None}


def test_null_is_none(stack, client):
    client.put_board("b", operator="last")
    has(submitted(client, "b", "a", "1"), "1")
    has(submitted(client, "b", "a", "null"), "null")
    assert kept(stack, client, "b") == {"a": None}
    has(submitted(client, "b", "a", "1"), "1")
    assert client.submit("b", "a", 2)["entry"]["metadata"] is None, "the entry's own, not an older one's"


@pytest.mark.parametrize("size, is_taken", [(3, True), (2047, True), (2048, True), (2049, False), (4000, False)])
def test_metadata_to_the_byte(stack, client, size, is_taken):
    """In bytes of UTF-8, white space and escapes included."""
    client.put_board("b", operator="last")
    texts = ['"' + "é" * ((size - 2) // 2) + "x" * (size % 2) + '"', "9" * size, "[" + " " * (size - 2) + "]"]
    texts += ['"' + "\\u00e9" * ((size - 2) // 6) + "x" * ((size - 2) % 6) + '"']
    assert {len(text.encode()) for text in texts} == {size}
    for text in texts:
        if is_taken:
            has(submitted(client, "b", "a", text), text)
            has(client.get("/boards/b/players/a"), text)
            continue
        answer = client.request("POST", "/boards/b/scores", body("a", text), headers=JSON)
        assert f"metadata: has {size} bytes, the limit is 2048" in refused(answer, "invalid-body", "/metadata").text
        for headers, data in ((JSON, b'{"scores": [' + body("a", text, board="b") + b"]}"), (NDJSON, body("a", text, board="b"))):
            (item,) = client.request("POST", "/scores", data, headers=headers).json()["results"]
            assert item["status"] == 400 and item["problem"]["errors"][0]["pointer"].endswith("/metadata"), item


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"a":NaN}', '{"a":"\\u0000"}', "{'a':1}", "01", "1.", "1e", "+1", '"\\ud800"', "tru", "[1,]", "", " "])
def test_metadata_that_is_refused(client, text):
    client.put_board("b")
    refused(client.request("POST", "/boards/b/scores", body("a", text), headers=JSON), "invalid-body")


@pytest.mark.parametrize("number", ["9223372036854775808", "-9223372036854775809", "1e2", "1e308", "1e400"])
def test_numbers_that_metadata_takes_are_no_scores(client, number):
    client.put_board("b")
    refused(client.request("POST", "/boards/b/scores", body("a", number, score=number), headers=JSON), "invalid-body", "/score")


def test_a_batch_of_the_largest_size_is_read_in_linear_time(client):
    """Each item's text is found from where the item before it ended; else 1,000 items of 2 KiB would be scanned a billion bytes long."""
    client.put_board("b")
    rows = [body(f"p{i}", f"{i}." + "0" * 700, board="b") for i in range(1000)]
    answer = client.request("POST", "/scores", b'{"scores": [' + b",".join(rows) + b"]}", headers=JSON)
    assert answer.status_code == 200 and {r["status"] for r in answer.json()["results"]} == {200}
    page = client.get("/boards/b/top", fields="metadata", limit=1000).content.decode()
    assert all(f'"player":"p{i}","score":1,"metadata":{i}.{"0" * 700}}}' in page for i in range(1000))


def test_the_same_request_again_answers_the_same_bytes(client):
    client.put_board("b", operator="sum")
    for i, text in enumerate(TEXTS):
        for _ in range(2):
            answer = client.request("POST", "/boards/b/scores", body("a", text), headers={**JSON, "Idempotency-Key": f"k{i}"})
            has(answer, text)


def test_pretty_changes_white_space_only(client):
    client.put_board("b")
    for i, text in enumerate(TEXTS):
        submitted(client, "b", f"p{i}", text)
        pretty = client.get(f"/boards/b/players/p{i}", pretty="true").content.decode()
        assert "".join(text.split()) in "".join(pretty.split())


def test_an_export_imported_has_the_same_bytes(stack, client, tmp_path):
    for board in ("one", "two", "three"):
        client.put_board(board)
    for i, text in enumerate(TEXTS):
        submitted(client, "one", f"p{i}", text)
    path = tmp_path / "one.csv"
    stack.cli("export", "--game", client.game, "--board", "one", "--output", path)
    stack.cli("import", path, "--game", client.game, "--board", "two", "--exported", login="ladder_work")
    assert kept(stack, client, "two") == kept(stack, client, "one") == {f"p{i}": text for i, text in enumerate(TEXTS)}
    # NDJSON is one line a row: a line break between the parts is a space there.
    lines = stack.cli("export", "--game", client.game, "--board", "one", "--format", "ndjson").split("\n")
    assert len(lines) == len(TEXTS) + 1 and lines[-1] == ""
    wanted = {f"p{i}": text.replace("\r", " ").replace("\n", " ") for i, text in enumerate(TEXTS)}
    for line in lines[:-1]:
        assert line.endswith('"metadata":' + wanted[json.loads(line)["player"]] + "}"), line


def test_an_import_keeps_what_stands_in_the_column(stack, client, tmp_path):
    client.put_board("b")
    path = tmp_path / "m.csv"
    with open(path, "w", newline="") as f:
        csv.writer(f).writerows([("p", "s", "d", "m"), *((f"p{i}", 1, "2020-01-01", f" {text}\n") for i, text in enumerate(TEXTS)),
                                 ("none", 1, "2020-01-01", ""), ("null", 1, "2020-01-01", "null"), ("long", 1, "2020-01-01", "9" * 2049)])
    done = subprocess.run([BINARY, "import", path, "--game", client.game, "--board", "b", "--player", "p", "--score", "s", "--at", "d", "--metadata-json", "m"],
                          env=stack.environment("ladder_work"), capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "has 2049 bytes, the limit is 2048" in done.stderr, done.stderr
    assert "invalid-metadata" in (tmp_path / "m.csv.rejects.csv").read_text()
    stack.cli("import", path, "--game", client.game, "--board", "b", "--player", "p", "--score", "s", "--at", "d", "--metadata-json", "m", "--skip-bad",
              login="ladder_work")
    assert kept(stack, client, "b") == {f"p{i}": text for i, text in enumerate(TEXTS)} | {"none": None, "null": None}
