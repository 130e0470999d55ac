"""Content-Encoding of request bodies: gzip for JSON and for lines, decoded within the limits of the body."""
import contextlib
import gzip
import http.client
import json
import random
import re
import socket
import threading
import zlib

import pytest
import requests

from checks import refused
from harness import Client, wait_until

NDJSON = "application/x-ndjson"
LIMIT = 1 << 20  # server.body_bytes_max as it is set by default


@pytest.fixture
def board(client):
    client.put_board("sum", operator="sum")
    return client


def score(player, number=1, **more):
    return json.dumps({"player": player, "score": number, **more}).encode()


def line(player, number=1):
    return json.dumps({"board": "sum", "player": player, "score": number}).encode() + b"\n"


def lines(count):
    return b"".join(line(f"p{i}") for i in range(count))


def post(client, path, body, coding="gzip", **headers):
    return client.request("POST", path, body, headers={"Content-Type": "application/json", "Content-Encoding": coding, **headers})


def stream(client, body, **headers):
    """Past the check of the description, which takes long for thousands of results."""
    return requests.post(client.base + "/scores", data=body, timeout=300,
                         headers={"Authorization": "Bearer " + client.key, "Content-Type": NDJSON, "Content-Encoding": "gzip", **headers})


def scores(client):
    return {entry["player"]: entry["score"] for entry in client.pages("sum")}


def rss(client):
    return int(re.search(r"VmRSS:\s+(\d+) kB", open(f"/proc/{client.server.pid}/status").read())[1]) << 10


def zeros(size, byte=b"\0", before=b""):
    """gzip of `before` and of `size` equal bytes: a thousandth of that."""
    packer, block = zlib.compressobj(9, zlib.DEFLATED, 31), byte * (1 << 20)
    return packer.compress(before) + b"".join(packer.compress(block) for _ in range(size >> 20)) + packer.flush()


class Upload:
    """A request by hand."""

    def __init__(self, client, path, kind, length=None):
        self.socket = socket.create_connection(("127.0.0.1", client.server.port), 120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.is_chunked = length is None
        framing = "Transfer-Encoding: chunked" if self.is_chunked else f"Content-Length: {length}"
        self.socket.sendall((f"POST /v1/games/{client.game}{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\n"
                             f"Content-Type: {kind}\r\nContent-Encoding: gzip\r\nConnection: close\r\n{framing}\r\n\r\n").encode())

    def send(self, data):
        self.socket.sendall(b"%x\r\n%b\r\n" % (len(data), data) if self.is_chunked else data)
        return self

    def answer(self):
        """The status and the text of the body."""
        if self.is_chunked:
            self.socket.sendall(b"0\r\n\r\n")
        with contextlib.closing(http.client.HTTPResponse(self.socket, method="POST")) as response:
            response.begin()
            text = response.read().decode()
        self.socket.close()
        return response.status, text


# ---- what is taken ----

@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZip", "identity", "Identity", ""])
def test_codings(board, coding):
    body = score("ann", 5) if coding.lower() in ("identity", "") else gzip.compress(score("ann", 5))
    answer = requests.post(board.base + "/boards/sum/scores", data=body, timeout=300,
                           headers={"Authorization": "Bearer " + board.key, "Content-Encoding": coding})
    assert answer.status_code == 200, answer.text
    assert scores(board) == {"ann": 5}


@pytest.mark.parametrize("level", [0, 1, 9])
def test_every_route_that_takes_json(board, level):
    def pack(value):
        return gzip.compress(json.dumps(value).encode(), level)
    coded = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert board.request("PUT", "/boards/new", pack({"order": "asc"}), headers=coded).status_code == 201
    assert board.request("PATCH", "/boards/new", pack({"public": True}), headers=coded).status_code == 200
    items = [{"board": "sum", "player": f"p{i}", "score": i, "metadata": {"x": "y" * 300}} for i in range(1000)]
    answer = board.request("POST", "/scores", pack({"scores": items}), headers=coded)
    assert answer.status_code == 200 and {r["status"] for r in answer.json()["results"]} == {200}
    assert scores(board) == {f"p{i}": i for i in range(1000)}


def test_several_members(board):
    body = score("ann", 5)
    assert post(board, "/boards/sum/scores", gzip.compress(body[:9]) + gzip.compress(b"") + gzip.compress(body[9:])).status_code == 200
    assert scores(board) == {"ann": 5}


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("kind, path, body", [("application/json", "/boards/sum/scores", score("ann", 5)),
                                              (NDJSON, "/scores", line("ann", 2) + line("ann", 3))], ids=["json", "lines"])
def test_byte_by_byte(board, is_chunked, kind, path, body):
    coded = gzip.compress(body)
    upload = Upload(board, path, kind, None if is_chunked else len(coded))
    for i in range(len(coded)):
        upload.send(coded[i:i + 1])
    status, text = upload.answer()
    assert status == 200, text
    assert scores(board) == {"ann": 5}


@pytest.mark.parametrize("piece", [1 << 20, 1460, 7])
def test_a_stream_in_pieces(board, piece):
    """Its lines are more than the server reads ahead of the database, so it is paused while output waits."""
    count = 6000
    coded = gzip.compress(lines(count))
    upload = Upload(board, "/scores?results=errors", NDJSON)
    for at in range(0, len(coded), piece):
        upload.send(coded[at:at + piece])
    status, text = upload.answer()
    assert (status, json.loads(text)["taken"], json.loads(text)["results"]) == (200, count, []), text[:1000]
    assert scores(board) == {f"p{i}": 1 for i in range(count)}


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_a_stream_that_repeats_itself(board, is_chunked):
    """400 KB of lines in 8 KB: all of the body has arrived before the first line is taken."""
    count, times = 300, 28
    coded = gzip.compress(lines(count) * times, 9)
    upload = Upload(board, "/scores?results=errors", NDJSON, None if is_chunked else len(coded))
    status, text = upload.send(coded).answer()
    assert len(coded) < 16384 and (status, json.loads(text)["taken"]) == (200, count * times), text[:1000]
    assert scores(board) == {f"p{i}": times for i in range(count)}


def test_a_connection_goes_on_after_it(board):
    """The next request on the connection begins where the body ends."""
    for number in range(20):
        assert post(board, "/boards/sum/scores", gzip.compress(score("ann"))).status_code == 200
        assert stream(board, gzip.compress(lines(300))).status_code == 200
    assert scores(board)["ann"] == 20 and scores(board)["p299"] == 20


# ---- what is refused ----

@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "compress", "gzip, gzip", "gzip, identity", "gzipx", "*", "gzip;q=1"])
@pytest.mark.parametrize("kind", ["application/json", NDJSON])
def test_other_codings(board, coding, kind):
    answer = refused(post(board, "/scores", gzip.compress(lines(1)), coding, **{"Content-Type": kind}), "unsupported-media-type")
    assert answer.headers["Accept-Encoding"] == "gzip, identity" and coding in answer.json()["detail"]
    assert scores(board) == {}


def test_what_is_refused_anyway_is_not_refused_for_its_coding(board):
    """The path, the method and the key are looked at first."""
    def sent(path, key, method="POST"):
        client = Client(board.server, board.game, key)
        return client.request(method, path, gzip.compress(b"{}"), headers={"Content-Encoding": "br", "Content-Type": "application/json"})
    refused(sent("/nowhere", board.key), "not-found")
    refused(sent("/boards/sum/top", board.key), "method-not-allowed")
    refused(sent("/boards/sum/scores", None), "unauthorized")
    refused(sent("/boards/sum/scores", "lk_nobody_x"), "unauthorized")
    refused(sent("/boards/sum/scores", board.key), "unsupported-media-type")


def test_no_body_needs_no_coding(board):
    assert board.request("GET", "/boards/sum", headers={"Content-Encoding": "br"}).status_code == 200


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_a_bomb_is_too_large(board, is_chunked):
    """900 MB in 900 KB."""
    bomb = zeros(900 << 20)
    assert len(bomb) < LIMIT
    before = rss(board)
    for _ in range(3):
        answer = refused(post(board, "/boards/sum/scores", iter([bomb]) if is_chunked else bomb), "body-too-large")
        assert str(LIMIT) in answer.json()["detail"]
    assert rss(board) - before < 16 << 20


def test_the_limit_is_exact(board):
    """Of what the body decodes to; one byte more is refused."""
    def body(size):
        return (score("ann") + b" " * size)[:size]
    assert post(board, "/boards/sum/scores", gzip.compress(body(LIMIT))).status_code == 200
    refused(post(board, "/boards/sum/scores", gzip.compress(body(LIMIT + 1))), "body-too-large")
    assert scores(board) == {"ann": 1}


def test_a_bomb_of_lines(board):
    """A line of 512 MB among others: it alone is refused, memory stays, and others are answered meanwhile."""
    long = zeros(512 << 20, b"x", before=line("ann"))
    peak, answered, is_over = [0], [0], threading.Event()
    before = rss(board)

    def asking():
        while not is_over.is_set():
            assert requests.get(board.base + "/boards/sum", headers={"Authorization": "Bearer " + board.key}, timeout=300).status_code == 200
            answered[0] += 1
            peak[0] = max(peak[0], rss(board))
    thread = threading.Thread(target=asking)
    thread.start()
    try:
        wait_until(lambda: answered[0] > 0, 60, "others are answered")
        answered_before = answered[0]
        answer = stream(board, long + gzip.compress(b"\n" + line("bob")))
        answered_during = answered[0] - answered_before
    finally:
        is_over.set()
        thread.join()
    assert answer.status_code == 200, answer.text
    assert [(r["line"], r["status"]) for r in answer.json()["results"]] == [(1, 200), (2, 413), (3, 200)]
    assert scores(board) == {"ann": 1, "bob": 1}
    assert answered_during > 1 and peak[0] - before < 24 << 20, (answered_during, peak[0] - before)


BODY = score("ann", 5)
CODED = gzip.compress(BODY)
DAMAGED = {
    "truncated in the header": (CODED[:5], "truncated"),
    "truncated": (CODED[:-9], "truncated"),
    "without its last byte": (CODED[:-1], "truncated"),
    "a second member is truncated": (CODED + gzip.compress(b" ")[:-1], "truncated"),
    "plain": (BODY, "damaged"),
    "zlib": (zlib.compress(BODY), "damaged"),
    "raw deflate": (zlib.compress(BODY)[2:-4], "damaged"),
    "another checksum": (CODED[:-5] + bytes([CODED[-5] ^ 1]) + CODED[-4:], "damaged"),
    "another size": (CODED[:-1] + b"\1", "damaged"),
    "a damaged block": (CODED[:10] + b"\xff" + CODED[11:], "damaged"),
    "a byte behind it": (CODED + b"x", "behind its end"),
    "zeros behind it": (CODED + bytes(512), "behind its end"),
    "JSON behind it": (CODED + BODY, "behind its end"),
}


@pytest.mark.parametrize("body, word", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_a_body_that_is_not_gzip(board, body, word, is_chunked):
    answer = refused(post(board, "/boards/sum/scores", iter([body]) if is_chunked else body), "invalid-body")
    assert "gzip" in answer.json()["detail"] and word in answer.json()["detail"]
    assert scores(board) == {}
    assert board.request("GET", "/boards/sum").status_code == 200


def test_an_empty_chunked_body_is_truncated(board):
    refused(post(board, "/boards/sum/scores", iter([])), "invalid-body")


def test_damaged_anywhere(board):
    """Nothing but 200 and 400, whatever is damaged; a score is never another than the one sent."""
    dice = random.Random(11)
    for _ in range(60):
        at = dice.randrange(len(CODED))
        answer = post(board, "/boards/sum/scores", CODED[:at] + bytes([CODED[at] ^ 1 << dice.randrange(8)]) + CODED[at + 1:])
        assert answer.status_code in (200, 400), answer.text
    assert set(scores(board)) <= {"ann"} and scores(board).get("ann", 0) % 5 == 0


@pytest.mark.parametrize("end, word", [(lambda coded: coded[:-1], "truncated"), (lambda coded: coded + b"x", "behind its end")],
                         ids=["truncated", "trailing"])
def test_a_stream_that_breaks_off(board, end, word):
    """The lines before were taken, and the answer says which were not."""
    count = 3000
    whole = b"".join(line(f"p{i}", random.randrange(1 << 40)) for i in range(count))
    answer = stream(board, end(gzip.compress(whole)))
    assert answer.status_code == 200, answer.text[:1000]
    found = answer.json()
    assert found["complete"] is False and found["problem"]["type"] == "urn:ladder:problem:invalid-body", found["problem"]
    assert word in found["problem"]["detail"]
    taken = {result["entry"]["player"] for result in found["results"] if result["status"] == 200}
    assert taken == set(scores(board)) and found["taken"] == len(taken) > 0


@pytest.mark.parametrize("body", [b"", CODED[:8], line("ann"), gzip.compress(b"")[:-1]], ids=["empty", "truncated", "plain", "empty, truncated"])
def test_a_stream_of_which_nothing_was_taken(board, body):
    status, text = Upload(board, "/scores", NDJSON).send(body).answer() if body else Upload(board, "/scores", NDJSON).answer()
    assert status == 400 and json.loads(text)["type"] == "urn:ladder:problem:invalid-body", text
    assert scores(board) == {}


def test_clients_that_leave(board):
    """Anywhere in a body, paused or not: nothing leaks (the server's end checks it), and it still answers."""
    coded, bomb = gzip.compress(lines(5000)), zeros(64 << 20, b"x")
    for path, kind in (("/scores", NDJSON), ("/boards/sum/scores", "application/json")):
        for body in (coded, bomb):
            for at in (1, 9, 40, len(body) // 2, len(body) - 1):
                Upload(board, path, kind, len(body)).send(body[:at]).socket.close()
    assert post(board, "/boards/sum/scores", CODED).status_code == 200


# ---- once ----

def test_a_repeat_in_another_coding_is_the_same(board):
    key = {"Idempotency-Key": "one"}
    first = post(board, "/boards/sum/scores", CODED, **key)
    again = post(board, "/boards/sum/scores", BODY, "identity", **key)
    other = post(board, "/boards/sum/scores", gzip.compress(BODY, 1), **key)
    assert first.status_code == 200 and "Idempotency-Replayed" not in first.headers
    for repeat in (again, other):
        assert (repeat.content, repeat.headers["Idempotency-Replayed"]) == (first.content, "true")
    refused(post(board, "/boards/sum/scores", gzip.compress(score("ann", 6)), **key), "idempotency-mismatch")
    assert scores(board) == {"ann": 5}


def test_a_stream_that_was_cut_goes_on_in_another_coding(board):
    """The truncated one took the first chunks; the repeat, in plain text, takes the others."""
    count, key = 5000, {"Idempotency-Key": "two"}
    whole = b"".join(line(f"p{i}", 1 + i % 7) for i in range(count))
    first = stream(board, gzip.compress(whole)[:-1], **key)
    assert first.status_code == 200 and 0 < first.json()["taken"] < count, first.text[:1000]
    again = stream(board, whole, **key, **{"Content-Encoding": "identity"})
    assert again.status_code == 200 and again.json()["taken"] == count, again.text[:1000]
    assert scores(board) == {f"p{i}": 1 + i % 7 for i in range(count)}
