"""POST /scores as lines: never cut while lines are taken, exact about what was not taken, once under an Idempotency-Key."""
import contextlib
import json
import re
import socket
import threading
import time
import zlib

import psycopg2
import pytest
import requests

from checks import problem_is
from harness import Client, wait_until

NDJSON = "application/x-ndjson"


def line(player, score=1, board="sum", **more):
    return json.dumps({"board": board, "player": player, "score": score, **more}).encode() + b"\n"


def lines(count, prefix="p"):
    return b"".join(line(f"{prefix}{i}") for i in range(count))


@pytest.fixture(scope="module", autouse=True)
def worker(stack):
    worker = stack.worker()
    yield worker
    assert worker.stop() == 0


@contextlib.contextmanager
def serving(stack, **settings):
    server = stack.serve(server_loops=1, **settings)
    try:
        game = stack.new_game()
        client = Client(server, game, stack.key(game))
        client.put_board("sum", operator="sum")
        stack.trusted(server)
        yield client
    finally:
        assert server.stop() == 0, server.log()[-2000:]
        server.check_clean()


class Lock:
    """No entry can be written while it is held."""

    def __init__(self, stack):
        self.connection = psycopg2.connect(stack.primary_url)

    def hold(self):
        with self.connection.cursor() as cursor:
            cursor.execute("lock table ladder.entry in exclusive mode")

    def release(self):
        self.connection.rollback()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


class Upload:
    """A request whose body is sent in pieces, by hand."""

    def __init__(self, client, key=None, query="", length=None, authorization=None, receive_bytes=None, accept=None):
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(120)
        self.socket.connect(("127.0.0.1", client.server.port))
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        self.is_chunked = length is None
        authorization = f"Authorization: Bearer {client.key}\r\n" if authorization is None else authorization
        claim = f"Idempotency-Key: {key}\r\n" if key else ""
        claim += f"Accept-Encoding: {accept}\r\n" if accept else ""
        self.socket.sendall((f"POST /v1/games/{client.game}/scores{query} HTTP/1.1\r\nHost: x\r\n{authorization}{claim}"
                             f"Content-Type: {NDJSON}\r\nConnection: close\r\n{framing}\r\n\r\n").encode())
        self.data = b""

    def send(self, data):
        self.socket.sendall(b"%x\r\n%b\r\n" % (len(data), data) if self.is_chunked else data)
        return self

    def end(self):
        if self.is_chunked:
            self.socket.sendall(b"0\r\n\r\n")
        return self

    def receive(self):
        more = self.socket.recv(65536)
        self.data += more
        return bool(more)

    def body(self):
        """As much of the answer's body as has come, without framing and compression."""
        head, _, body = self.data.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head.lower():
            whole, rest = b"", body
            while b"\r\n" in rest:
                size, _, rest = rest.partition(b"\r\n")
                if int(size, 16) == 0:
                    break
                whole, rest = whole + rest[:int(size, 16)], rest[int(size, 16) + 2:]
            body = whole
        return zlib.decompressobj(31).decompress(body) if b"content-encoding: gzip" in head.lower() else body

    def answer(self):
        while self.receive():
            pass
        self.socket.close()
        head, body = self.data.partition(b"\r\n\r\n")[0], self.body()
        return int(head.split()[1]), head.decode(), json.loads(body) if body else None


def total(client):
    return sum(entry["score"] for entry in client.pages("sum"))


def numbers(answer):
    """Each line of the results, once and in order."""
    found = [result["line"] for result in answer["results"]]
    assert found == sorted(set(found))
    return found


def post(client, body, key=None, **parameters):
    """Short bodies are compared with the description; that takes too long for thousands of results."""
    headers = {"Content-Type": NDJSON, **({"Idempotency-Key": key} if key else {})}
    if len(body) < 2000:
        return client.request("POST", "/scores", body, headers=headers, **parameters)
    return requests.post(client.base + "/scores", data=body, params=parameters, timeout=300,
                         headers={"Authorization": "Bearer " + client.key, **headers})


def rss(server):
    return int(re.search(r"VmRSS:\s+(\d+) kB", open(f"/proc/{server.pid}/status").read())[1]) << 10


# ---- progress, and the end of it ----

def test_a_stream_is_not_cut_while_lines_are_taken(stack):
    """It takes longer than server.answer_timeout_ms: the database stands still for most of each second."""
    count, is_over = 6000, threading.Event()
    with serving(stack, server_answer_timeout_ms=1500, database_statement_timeout_ms=60000, database_batch_max=256) as client, Lock(stack) as lock:
        def halting():
            while not is_over.is_set():
                lock.hold()
                time.sleep(0.6)
                lock.release()
                time.sleep(0.1)
        thread = threading.Thread(target=halting)
        thread.start()
        try:
            begin = time.monotonic()
            answer = post(client, lines(count))
            took = time.monotonic() - begin
        finally:
            is_over.set()
            thread.join()
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert numbers(found) == list(range(1, count + 1)) and found["taken"] == count and "complete" not in found
        assert total(client) == count and took > 1.5, took


@pytest.mark.parametrize("accept", [None, "gzip"])
def test_the_answer_begins_before_the_last_line_is_taken(stack, accept):
    with serving(stack, server_answer_timeout_ms=60000, database_statement_timeout_ms=60000) as client, Lock(stack) as lock:
        upload = Upload(client, accept=accept).send(lines(600, "a"))
        wait_until(lambda: total(client) >= 512, 60, "the first lines are taken")
        lock.hold()
        upload.send(lines(1200, "b")).end()  # less than a server reads ahead of the chunk under way: it reads the end
        while b'"line":100,' not in upload.body():
            assert upload.receive(), "the first results are sent while the database stands still"
        assert total(client) <= 600 and b"Transfer-Encoding: chunked" in upload.data
        assert (b"Content-Encoding: gzip" in upload.data) == (accept == "gzip")
        lock.release()
        status, head, answer = upload.answer()
        assert status == 200 and numbers(answer) == list(range(1, 1801)) and answer["taken"] == 1800
        assert total(client) == 1800


def test_nothing_is_taken_behind_an_error(stack):
    """The database stands still from the start: 503, and no line counts afterwards."""
    with serving(stack, server_answer_timeout_ms=1000, database_statement_timeout_ms=400) as client, Lock(stack) as lock:
        lock.hold()
        answer = post(client, lines(3000))
        lock.release()
        assert answer.status_code == 503 and answer.headers["Retry-After"], answer.text
        problem_is(answer.json(), "deadline-exceeded")
        client.submit("sum", "probe", 0)  # behind whatever may still be on its way
        time.sleep(1)
        assert total(client) == 0
        log = [entry for entry in client.server.log().splitlines() if "event=unavailable" in entry]
        assert len(log) == 1 and "cause=deadline" in log[0], log
        again = post(client, lines(3000))
        assert again.status_code == 200 and total(client) == 3000, "who obeys Retry-After counts once"


def test_each_line_that_was_not_taken_is_named(stack):
    """The database stands still in the middle: what was taken is said, what was not is said, and stays so."""
    with serving(stack, server_answer_timeout_ms=1000, database_statement_timeout_ms=400) as client, Lock(stack) as lock:
        upload = Upload(client).send(lines(700, "a"))
        wait_until(lambda: total(client) == 700, 60, "the first lines are taken")
        lock.hold()
        upload.send(lines(3000, "b")).end()
        status, head, answer = upload.answer()
        lock.release()
        assert status == 200 and answer["complete"] is False
        problem_is(answer["problem"], "deadline-exceeded")
        assert numbers(answer) == list(range(1, 3701)) and answer["first_not_taken"] == 701 and answer["taken"] == 700
        assert [result["status"] for result in answer["results"]] == [200] * 700 + [503] * 3000
        client.submit("sum", "probe", 0)
        time.sleep(1)
        assert total(client) == 700
        assert client.server.log().count("event=unavailable") == 1


def test_lines_that_wait_in_the_queue_are_taken_back(stack):
    """Others fill the connection to the database; the stream's lines never reach it."""
    with serving(stack, server_answer_timeout_ms=1500, database_statement_timeout_ms=60000, database_write_connections=1,
                 database_batch_max=5000) as client, Lock(stack) as lock:
        lock.hold()
        other = Upload(client, length=len(line("o"))).send(line("o"))
        waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%ladder.submit%'"
        wait_until(lambda: stack.sql(waits)[0][0] >= 1, 60, "it waits in the database")
        answer = post(client, lines(600))
        lock.release()
        assert answer.status_code == 503, answer.text
        problem_is(answer.json(), "overloaded")
        assert other.answer()[0] == 200, "what the database has is waited for"
        client.submit("sum", "probe", 0)
        assert total(client) == 1


def test_a_full_queue_is_waited_for(stack):
    """A queue that is full for a moment holds the stream up, and fails nothing."""
    with serving(stack, server_answer_timeout_ms=60000, database_statement_timeout_ms=60000, database_write_connections=1,
                 database_queue_max=600, database_batch_max=512) as client, Lock(stack) as lock:
        lock.hold()
        answers = []

        def run(name):
            answers.append(post(Client(client.server, client.game, client.key), lines(1500, name)))
        threads = [threading.Thread(target=run, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        time.sleep(1)
        lock.release()
        for thread in threads:
            thread.join()
        assert [answer.status_code for answer in answers] == [200] * 4
        assert [answer.json()["taken"] for answer in answers] == [1500] * 4 and total(client) == 6000


# ---- bounds ----

def test_the_sender_waits_while_the_database_does(stack):
    """Back pressure: a body that is not read from the network is not in the server's memory."""
    with serving(stack, server_answer_timeout_ms=60000, database_statement_timeout_ms=60000) as client, Lock(stack) as lock:
        post(client, lines(2000))
        before = rss(client.server)
        lock.hold()
        upload = Upload(client)
        upload.socket.settimeout(3)
        piece, sent = lines(1000, "q"), 0
        with pytest.raises(TimeoutError):
            while sent < 200 << 20:
                upload.send(piece)
                sent += len(piece)
        assert rss(client.server) - before < 8 << 20, (rss(client.server) - before, sent)
        upload.socket.close()
        lock.release()


def test_forty_megabytes_do_not_raise_its_memory(stack):
    """Lines in and results out, more of both than it may hold: long lines, short ones whose results are long, and good ones."""
    with serving(stack, cache_l1_bytes=0) as client:
        good = b"".join(line(f"p{i}", metadata={"x": "a" * 1900}) for i in range(500))
        rows = [line("p", metadata={"x": "a" * 60000})] * 700 + [b"{}\n" * 1000] * 150 + [good] * 4
        post(client, good)
        before = rss(client.server)
        peak, is_over = [0], threading.Event()

        def watch():
            while not is_over.wait(0.02):
                peak[0] = max(peak[0], rss(client.server))
        thread = threading.Thread(target=watch)
        thread.start()
        try:
            answer = requests.post(client.base + "/scores?results=all", data=iter(rows), stream=True, timeout=300,
                                   headers={"Authorization": "Bearer " + client.key, "Content-Type": NDJSON})
            body = b""
            for piece in answer.iter_content(1 << 16):
                body += piece
        finally:
            is_over.set()
            thread.join()
        found = json.loads(body)
        assert len(body) > 30 << 20 and (found["taken"], found["refused"]) == (2000, 150700) and len(found["results"]) == 152700
        print(f"RSS {before >> 10} -> {peak[0] >> 10} KiB for {sum(map(len, rows))} bytes of lines, {len(body)} bytes of results")
        assert peak[0] - before < 12 << 20, (before, peak[0])


def test_results_have_a_bound(stack):
    """A body of lines that are refused becomes an answer many times as long: it ends, and says where."""
    with serving(stack, server_spool_bytes_max=1 << 20) as client:
        answer = post(client, b"{}\n" * 100000 + line("late"))
        assert answer.status_code == 413, "nothing was taken"
        problem_is(answer.json(), "body-too-large")
        answer = post(client, line("first") + b"{}\n" * 100000 + line("late"))
        found = answer.json()
        assert answer.status_code == 200 and found["complete"] is False and found["taken"] == 1
        problem_is(found["problem"], "body-too-large")
        assert len(answer.content) < 2 << 20 and found["first_not_taken"] <= found["results"][-1]["line"] + 1
        assert total(client) == 1
        assert post(client, b"".join(line(f"p{i}") for i in range(20000)), results="errors").json() | {"token": ""} == {
            "results": [], "taken": 20000, "refused": 0, "token": ""}


def spooled(client):
    text = requests.get(f"http://127.0.0.1:{client.server.port}/metrics", timeout=60).text
    return int(re.search(r"^ladder_spool_bytes (\d+)$", text, re.M)[1])


def test_results_of_all_streams_have_a_bound(stack):
    """Clients that send lines that are refused fill the directory no further, and when they have left there is room again."""
    limit = 4 << 20
    with serving(stack, server_spool_bytes=limit) as client:
        uploads = [Upload(client) for _ in range(8)]
        try:
            for upload in uploads:
                upload.send(b"{}\n" * 8000)  # 1.4 MB of results each
            wait_until(lambda: spooled(client) > limit - (1 << 20), 60, "they are written")
            with pytest.raises(AssertionError):
                wait_until(lambda: spooled(client) > limit + (1 << 20), 2 / 10, "more than the limit")
            answers = [upload.end().answer() for upload in uploads[:4]]
            assert {status for status, _, _ in answers} <= {200, 503}
            ended = [answer for _, _, answer in answers if answer.get("status") == 503 or answer.get("complete") is False]
            for answer in ended:
                problem_is(answer.get("problem", answer), "overloaded")
            assert post(client, line("short")).json()["taken"] == 1, "a short stream needs no file"
        finally:
            for upload in uploads:
                upload.socket.close()
        wait_until(lambda: spooled(client) == 0, 60, "nothing is kept for clients that left")
        assert len(post(client, b"{}\n" * 8000).json()["results"]) == 8000


def test_a_long_answer_lists_only_what_was_not_taken(stack):
    """From server.results_bytes on; nothing that was not taken is missing, and a repeat gets the same answer."""
    with serving(stack, server_results_bytes=100000) as client:
        body = lines(3000) + b"{}\n" + lines(2000, "q") + b"what?\n"

        def told(answer):
            assert answer.status_code == 200
            found = answer.json()
            assert len(numbers(found)) + found.get("omitted", 0) == found["taken"] + found["refused"] == 5002
            return found
        first = told(post(client, body, "k"))
        assert [result["line"] for result in first["results"] if result["status"] != 200] == [3001, 5002]
        assert 2000 < first["omitted"] < 5000 and numbers(first)[:500] == list(range(1, 501))
        again = post(client, body, "k")
        assert again.headers["Idempotency-Replayed"] == "true" and told(again) | {"token": ""} == first | {"token": ""}
        assert total(client) == 5000
        assert "omitted" not in told(post(client, body, results="all"))
        found = post(client, body, results="errors").json()
        assert numbers(found) == [3001, 5002] and "omitted" not in found and found["taken"] == 5000


@pytest.mark.parametrize("authorization, status", [("", 401), ("Authorization: Bearer nonsense\r\n", 401), ("Authorization: Basic eDp5\r\n", 401)])
def test_without_a_key_nothing_is_read(stack, authorization, status):
    """The answer comes before the body, and the connection ends: nobody holds it by a byte now and then."""
    with serving(stack) as client:
        for expect in (False, True):
            upload = Upload(client, authorization=authorization + ("Expect: 100-continue\r\n" if expect else ""))
            status_of, head, problem = upload.answer()  # until the server closes
            assert status_of == status and "connection: close" in head.lower() and problem["status"] == status


def test_keys_that_may_not(stack):
    with serving(stack) as client:
        other = stack.new_game()
        for key in (stack.key(client.game, "read"), stack.key(other)):
            status, head, problem = Upload(client, authorization=f"Authorization: Bearer {key}\r\n").answer()
            assert status == 403 and "connection: close" in head.lower()


# ---- under an Idempotency-Key ----

def test_a_long_stream_under_a_key_counts_once(stack):
    with serving(stack) as client:
        body = lines(3000)
        first = post(client, body, "k")
        assert first.status_code == 200 and first.json()["taken"] == 3000 and "Idempotency-Replayed" not in first.headers
        again = post(client, body, "k")
        assert again.status_code == 200 and again.headers["Idempotency-Replayed"] == "true"
        assert again.json() == first.json() and total(client) == 3000
        server = stack.serve()
        elsewhere = post(Client(server, client.game, client.key), body, "k")
        assert elsewhere.json() == first.json() and total(client) == 3000
        assert server.stop() == 0
        others = {"longer": body + line("new"), "shorter": lines(2999), "one line differs": lines(1500) + line("x") + lines(3000)[len(lines(1501)):],
                  "of the chunks' length": lines(512), "one line": line("p0"), "an empty line more": body + b"\n"}
        for name, other in others.items():
            answer = post(client, other, "k")
            assert answer.status_code == 422, (name, answer.text[:300])
            problem_is(answer.json(), "idempotency-mismatch")
        assert total(client) == 3000


@pytest.mark.parametrize("results", ["all", "errors"])
@pytest.mark.parametrize("cut_at", [100, 256, 257, 1500, 2999])
def test_a_stream_that_was_cut_is_resumed(stack, cut_at, results):
    """Each line counts once, however far the first one came."""
    with serving(stack) as client:
        rows = [line(f"p{i}") if i % 100 else b'{"board":"none","player":"x","score":1}\n' for i in range(3000)]
        body = b"".join(rows)
        upload = Upload(client, key="k", query=f"?results={results}", length=len(body))
        upload.send(b"".join(rows[:cut_at]))
        whole_chunks = cut_at // 256 - (cut_at % 256 == 0)
        if whole_chunks > 0:
            wait_until(lambda: total(client) >= 200, 60, "some are taken")
        upload.socket.close()
        answer = post(client, body, "k", results=results)
        found = answer.json()
        assert answer.status_code == 200 and found["taken"] == 2970 and found["refused"] == 30, answer.text[:500]
        assert numbers(found) == (list(range(1, 3001)) if results == "all" else list(range(1, 3001, 100)))
        assert total(client) == 2970
        again = post(client, body, "k", results=results)
        assert again.json() == found and total(client) == 2970


def test_a_chunk_whose_results_were_lost_is_answered_all_the_same(stack):
    """Its server died between the commit and the answer."""
    with serving(stack) as client:
        body = lines(600)
        first = post(client, body, "k").json()
        stack.sql("update ladder.idempotency_key set status = null, headers = null, body = null, backend_at = 'epoch' where game_id = "
                  "(select id from ladder.game where name = %s)", client.game)
        again = post(client, body, "k")
        assert again.status_code == 200 and numbers(again.json()) == numbers(first) and again.json()["taken"] == 600
        assert total(client) == 600 and post(client, body, "k").json() == again.json()


def test_a_failure_under_a_key_is_resumed(stack):
    with serving(stack, server_answer_timeout_ms=1000, database_statement_timeout_ms=400) as client, Lock(stack) as lock:
        body = lines(2000)
        upload = Upload(client, key="k", length=len(body)).send(lines(600))
        wait_until(lambda: total(client) >= 512, 60, "the first lines are taken")
        lock.hold()
        upload.send(body[len(lines(600)):])
        status, head, answer = upload.answer()
        lock.release()
        assert status == 200 and answer["complete"] is False and answer["taken"] == 512, answer["taken"]
        again = post(client, body, "k")
        assert again.status_code == 200 and again.json()["taken"] == 2000 and total(client) == 2000
        assert again.headers["Idempotency-Replayed"] == "true"


# ---- clients that leave ----

def test_a_client_that_does_not_wait_for_the_answer(stack):
    """The server lives, and lets go of everything, whenever the client leaves."""
    with serving(stack) as client:
        for at in range(0, 2000, 137):
            upload = Upload(client, length=len(lines(2000))).send(lines(2000)[:at * 40])
            upload.socket.close()
        for _ in range(5):
            upload = Upload(client).send(lines(5000, "x")).end()
            upload.socket.recv(100)
            upload.socket.close()
        wait_until(lambda: not [name for name in spools(client.server)], 60, "no spool is left")
        assert client.get("/boards/sum/top").status_code == 200


def spools(server):
    import os
    found = []
    for fd in os.listdir(f"/proc/{server.pid}/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/{server.pid}/fd/{fd}"))
    return [name for name in found if name.endswith("(deleted)")]
