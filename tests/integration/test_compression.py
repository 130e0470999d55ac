"""Every answer worth it is compressed, for whoever accepts gzip or brotli: what is sent once as well as what is remembered, small and large."""
import ctypes
import ctypes.util
import gzip
import json
import socket

import pytest
import requests

from harness import Client, wait_until

CODINGS = ("gzip", "br")
SUFFIXES = {"gzip": ("-gzip", "-gzip-f"), "br": ("-br", "-br-f")}


def decoded(coding, data):
    if coding == "gzip":
        return gzip.decompress(data)
    library = ctypes.CDLL(ctypes.util.find_library("brotlidec"))
    size = ctypes.c_size_t(64 << 20)
    out = ctypes.create_string_buffer(size.value)
    assert library.BrotliDecoderDecompress(ctypes.c_size_t(len(data)), data, ctypes.byref(size), out) == 1
    return out.raw[:size.value]


class Answer:
    """One answer with its bytes as they came."""

    def __init__(self, answer, method):
        self.status, self.headers, self.raw = answer.status_code, answer.headers, answer.raw.read(decode_content=False)
        self.coding = self.headers.get("Content-Encoding", "identity")
        self.body = self.raw if method == "HEAD" or not self.raw or self.coding == "identity" else decoded(self.coding, self.raw)


def ask(client, path, coding, method="GET", body=None, **headers):
    url = path if path.startswith("http") else client.base + path
    sent = {"Accept-Encoding": coding, **({"Authorization": "Bearer " + client.key} if client.key else {}), **headers}
    return Answer(client.session.request(method, url, data=body, headers=sent, stream=True, timeout=30), method)


@pytest.fixture(scope="module")
def game(stack, ladder):
    """A board of 2,000 players with metadata, 60 boards beside it, and a server that may spend all its time on compression."""
    stack.redis.delete("ladder:popular:pages")
    server = stack.serve(server_loops=1, server_compress_percent=100)
    stack.trusted(server)
    name = stack.new_game()
    client = Client(server, name, stack.key(name))
    client.put_board("b", public=True, facets=["country"])
    metadata = {"name": "somebody of these parts", "clan": "the clan of those who climb", "text": "abcdefgh" * 20}
    client.submit_many([dict(board="b", player=f"player-{i:05}", score=100000 - i, metadata=metadata) for i in range(2000)])
    for i in range(60):
        client.put_board(f"other-{i}")
    for i in range(3):
        wait_until(lambda i=i: client.get("/boards/b/top", limit=200 + i).headers["Ladder-Cache"] == "hit", 10, "memory is trusted")
    yield client
    assert server.stop() == 0
    server.check_clean()


IDS = ",".join(f"player-{i:05}" for i in range(0, 900, 2))
PATHS = {"top": "/boards/b/top?limit=100", "deep": "/boards/b/top?offset=900&limit=50", "range": "/boards/b/range?min=0&max=99500", "ids": "/boards/b/players?ids=" + IDS,
         "around": "/boards/b/players/player-00700/around?above=30&below=30", "source": "/boards/b/top?limit=100&source=true", "boards": "/boards?limit=60",
         "large": "/boards/b/top?limit=1000&fields=metadata", "large, by PostgreSQL's and Redis's side": "/boards/b/top?limit=999&fields=metadata&source=true"}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("which", PATHS)
def test_the_first_answer_and_every_other_one(game, which, coding):
    path = PATHS[which]
    identity = ask(game, path, "identity")
    assert identity.status == 200 and identity.coding == "identity" and len(identity.body) >= 1024
    game.submit("b", "player-00000", 200000 + game.read("/boards/b/players/player-00000")["score"])  # what was remembered of the top is gone
    tags = set()
    for turn in range(3):
        answer = ask(game, path, coding)
        identity = ask(game, path, "identity")
        assert answer.coding == coding and answer.body == identity.body, (turn, answer.headers)
        assert len(answer.raw) < len(answer.body) / 2, (turn, len(answer.raw), len(answer.body))
        assert "Accept-Encoding" in answer.headers["Vary"] and answer.headers["Vary"] == identity.headers["Vary"]
        tag = answer.headers["ETag"]
        assert not tag.startswith("W/") and tag.rstrip('"') in {identity.headers["ETag"].rstrip('"') + suffix for suffix in SUFFIXES[coding]}
        tags.add((tag, answer.raw))
        unchanged = ask(game, path, coding, **{"If-None-Match": tag})
        assert (unchanged.status, unchanged.raw, unchanged.headers["ETag"]) == (304, b"", tag)
        assert unchanged.headers["Vary"] == answer.headers["Vary"] and "Transfer-Encoding" not in unchanged.headers
        if "Content-Length" in unchanged.headers:
            assert int(unchanged.headers["Content-Length"]) == len(answer.raw)
    assert len({tag for tag, _ in tags}) == len(tags), "one tag, two sequences of bytes"


@pytest.mark.parametrize("coding", ("identity", *CODINGS))
@pytest.mark.parametrize("which", PATHS)
def test_head_is_get_without_the_body(game, which, coding):
    def fields(answer):
        return {name: value for name, value in answer.headers.items() if name not in ("Date", "Server-Timing")}

    def pair():
        return [ask(game, PATHS[which], coding, method) for method in ("GET", "HEAD")]
    if "source" not in PATHS[which] and which not in ("boards", "ids"):
        wait_until(lambda: ask(game, PATHS[which], coding).headers["Ladder-Cache"] == "hit", 10, "it is remembered")
    ask(game, PATHS[which], coding)
    get, head = pair()
    for _ in range(100):  # what is made anew each time may be of two seconds
        if get.headers.get("Last-Modified") == head.headers.get("Last-Modified"):
            break
        get, head = pair()
    expected = fields(get)
    if "Transfer-Encoding" in expected:  # the length is not known, and the library sends a last chunk behind a chunked HEAD
        del expected["Transfer-Encoding"]
        expected["Connection"] = "close"
    assert fields(head) == expected and head.raw == b""


@pytest.mark.parametrize("coding", ("identity", *CODINGS))
@pytest.mark.parametrize("which", PATHS)
def test_nothing_follows_the_header_of_an_answer_to_head(game, which, coding):
    def request(method, path):
        return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {coding}\r\nAuthorization: Bearer {game.key}\r\n\r\n".encode()

    path = game.base.split(f":{game.server.port}", 1)[1] + PATHS[which]
    for _ in range(3):  # made, remembered, and with a tag
        with socket.create_connection(("127.0.0.1", game.server.port), 30) as connection:
            file = connection.makefile("rb")
            connection.sendall(request("HEAD", path))
            head = list(iter(file.readline, b"\r\n"))
            assert head[0].startswith(b"HTTP/1.1 200 "), head
            if b"Connection: close\r\n" not in head:
                connection.sendall(request("GET", "/version"))
                assert file.readline().startswith(b"HTTP/1.1 200 ")
            else:
                assert file.read() == b""


def test_a_large_answer_is_compressed_while_it_is_sent_and_then_remembered(game):
    path = "/boards/b/top?limit=998&fields=metadata"
    first = ask(game, path, "gzip")
    assert first.headers["Transfer-Encoding"] == "chunked" and len(first.body) > 200000 and first.headers["Cache-Status"] == "ladder; fwd=miss; stored"
    second = ask(game, path, "gzip")
    assert second.headers["Cache-Status"] == "ladder; hit" and (second.headers["ETag"], second.raw) == (first.headers["ETag"], first.raw)
    assert int(second.headers["Content-Length"]) == len(second.raw), "made once"
    before = compressed(game)
    assert ask(game, path, "gzip").raw == first.raw
    assert compressed(game) == before


def test_a_client_that_leaves_in_the_middle_of_a_large_answer(game):
    path = "/boards/b/top?limit=997&fields=metadata"
    for _ in range(3):
        answer = game.session.get(game.base + path, headers={"Authorization": "Bearer " + game.key, "Accept-Encoding": "br"}, stream=True, timeout=30)
        assert answer.headers["Content-Encoding"] == "br"
        answer.raw.read(10, decode_content=False)
        answer.raw._connection.sock.close()
        answer.close()
    for _ in range(2):
        assert ask(game, path, "br").body == ask(game, path, "identity").body


def compressed(client):
    text = requests.get(f"http://127.0.0.1:{client.server.port}/metrics", headers={"Accept-Encoding": "identity"}, timeout=10).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("ladder_compressed_bytes_total "))


@pytest.mark.parametrize("coding", CODINGS)
def test_answers_that_are_no_pages(game, coding):
    """/query, /metrics, results of a batch: each once, whatever its size; what has one, keeps its token."""
    base = f"http://127.0.0.1:{game.server.port}"
    json_type = {"Content-Type": "application/json"}
    queries = json.dumps({"queries": ["/boards/b/top?limit=1000"] * 5 + ["/boards/b/top?limit=2"]}).encode()
    small = json.dumps({"queries": ["/boards/b/top?limit=20"]}).encode()
    batch = json.dumps({"scores": [dict(board="b", player=f"new-{i}", score=i) for i in range(500)]}).encode()
    for path, method, body in (("/query", "POST", queries), ("/query", "POST", small), (base + "/metrics", "GET", None), ("/scores", "POST", batch),
                               ("/players/player-00001/boards", "GET", None)):
        answer = ask(game, path, coding, method, body, **(json_type if body else {}))
        assert answer.status == 200, answer.body
        if len(answer.body) < 1024:
            assert answer.coding == "identity" and "Vary" not in answer.headers
            continue
        assert answer.coding == coding and len(answer.raw) < len(answer.body) / 2 and answer.headers["Vary"] == "Accept-Encoding", path
        if path == "/query":
            assert answer.body == ask(game, path, "identity", method, body, **json_type).body
        if path == "/scores":
            assert answer.headers["Ladder-Token"] and len(json.loads(answer.body)["results"]) == 500


@pytest.mark.parametrize("coding", ("identity", *CODINGS))
@pytest.mark.parametrize("count", (1, 3000))
def test_the_results_of_a_stream(game, coding, count):
    """An answer that is sent while it is written; with its key again, one that is whole from the start."""
    rows = b"".join(json.dumps(dict(board="b", player=f"streamed-{i}", score=i)).encode() + b"\n" for i in range(count))
    headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": f"{coding}-{count}"}
    answers = [ask(game, "/scores", coding, "POST", rows, **headers) for _ in range(2)]
    for answer in answers:
        found = json.loads(answer.body)
        assert answer.status == 200 and [result["line"] for result in found["results"]] == list(range(1, count + 1)) and found["taken"] == count
        assert answer.coding == (coding if count > 1 else "identity"), (count, answer.headers)
        if answer.coding != "identity":
            assert len(answer.raw) < len(answer.body) / 2 and "Accept-Encoding" in answer.headers["Vary"]
    assert json.loads(answers[0].body)["results"] == json.loads(answers[1].body)["results"]
    assert ask(game, "/scores", coding, "POST", rows, **{**headers, "Idempotency-Key": f"{coding}-{count}-left"}).status == 200


def test_small_answers_and_those_who_take_none_get_them_as_they_are(game):
    for path, coding in (("/boards/b/top?limit=2", "gzip"), ("/boards/b", "br"), (PATHS["top"], "identity"), (PATHS["top"], "gzip;q=0, br;q=0"), (PATHS["large"], "deflate"),
                         ("/boards/b/players/nobody", "gzip")):
        assert ask(game, path, coding).coding == "identity", path
    assert ask(game, PATHS["large"], "gzip;q=0.5, br;q=0.2").coding == "gzip"


def test_http_1_0_gets_large_answers_too(game):
    data = game.raw(f"GET /v1/games/{game.game}{PATHS['large']} HTTP/1.0\r\nHost: x\r\nAccept-Encoding: gzip\r\nAuthorization: Bearer {game.key}\r\n\r\n".encode())
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in head and b"chunked" not in head
    assert gzip.decompress(body) == ask(game, PATHS["large"], "identity").body


def test_the_size_from_which_on_is_a_setting(stack, game):
    for settings, sizes in (({"server_compress_bytes_min": 0}, (False, False, False)), ({"server_compress_bytes_min": 100}, (True, True, True)),
                            ({"server_compress_bytes_min": 20000}, (False, False, True))):
        server = stack.serve(server_loops=1, server_compress_percent=100, **settings)
        one = Client(server, game.game, game.key)
        for path, is_compressed in zip(("/boards/b/top?limit=3", "/boards/b/top?limit=50", "/boards/b/top?limit=1000"), sizes):
            for _ in range(3):
                assert (ask(one, path, "gzip").coding == "gzip") == is_compressed, (settings, path)
        assert server.stop() == 0


def test_it_takes_no_more_than_its_share_of_the_time(stack, game):
    """With one percent of a loop's time, a herd for large pages gets them; most as they are, which is counted."""
    server = stack.serve(server_loops=1, server_compress_percent=1, cache_l1_bytes=0)
    one = Client(server, game.game, game.key)
    codings = [ask(one, f"/boards/b/top?limit={1000 - i}&source=true", "gzip").coding for i in range(150)]
    assert codings.count("gzip") >= 1 and codings.count("identity") > 20, codings.count("identity")
    text = requests.get(f"http://127.0.0.1:{server.port}/metrics", timeout=10).text
    skipped = next(float(line.split()[1]) for line in text.splitlines() if line.startswith("ladder_compress_skipped_total "))
    assert skipped >= codings.count("identity")
    assert server.stop() == 0
