"""Hostile in quantity: thousands of connections that do nothing or next to it, bodies that do not end. Others are served on.

Shape by shape, byte by byte, is test_http_wire.py; docs/hostile.md has all of them in one table, which is checked here.
"""
import json
import re
import resource
import time

import pytest

from harness import ROOT, Client, patience, wait_until
from hostile.sender import wait_until_read
from test_http_wire import check_problem, descriptors
from wire import Wire

CROWD = 10000
BODY = 100 << 20
BODY_MAX = 1 << 20


def memory_bytes(server):
    return int(re.search(r"VmRSS:\s+(\d+) kB", open(f"/proc/{server.pid}/status").read())[1]) * 1024


@pytest.fixture
def raised():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CROWD + 500:
        pytest.skip(f"a process may have {hard} descriptors here, and this needs {CROWD + 500}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (CROWD + 500, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def own(stack, request):
    """A server with these settings, and an admin of a board with an entry; at the end it is well and stops."""
    server = stack.serve(**request.param)
    game = stack.new_game()
    client = Client(server, game, stack.key(game))
    client.put_board("b")
    client.submit("b", "ann", 3)
    yield client
    assert client.read("/boards/b/players/ann")["score"] == 3
    assert server.stop() == 0
    server.check_clean()


def reads(client, seconds=1.0):
    """How long reads take, each on a connection of its own, for so long."""
    took, end = [], time.monotonic() + seconds
    ask = f"GET /v1/games/{client.game}/boards/b/players/ann HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\n\r\n".encode()
    while time.monotonic() < end or len(took) < 20:
        begin = time.monotonic()
        with Wire(client.server.port) as wire:
            assert wire.send(ask).answer().status == 200
        took.append(time.monotonic() - begin)
    return sorted(took)


@pytest.mark.parametrize("own", [dict(server_loops=2, server_connections_max=CROWD)], indirect=True)
def test_ten_thousand_idle_connections(raised, own):
    """They cost some kilobytes each, and nobody else waits for them."""
    server = own.server
    before, empty = memory_bytes(server), descriptors(server)
    wires = []
    try:
        for _ in range(CROWD):
            wires.append(Wire(server.port, 30))
        for wire in wires[::10]:
            wire.send(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        assert all(wire.answer().status == 200 for wire in wires[::10])
        wait_until(lambda: descriptors(server) >= empty + CROWD, 20, "all are accepted")
        each = (memory_bytes(server) - before) / CROWD
        assert each < 48 * 1024, f"{each:.0f} bytes each"
        took = reads(own)
        assert took[len(took) // 2] < 0.1 * patience(), took
        # They still work, whichever is asked.
        for wire in wires[5::1000]:
            assert wire.send(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n").answer().status == 200
    finally:
        for wire in wires:
            wire.socket.close()
    wait_until(lambda: descriptors(server) <= empty + 10, 30, "their descriptors are free again")


@pytest.mark.parametrize("own", [dict(server_loops=1, server_connections_max=200, server_header_timeout_ms=1000)], indirect=True)
def test_more_than_the_limit_wait_or_are_refused(own):
    """Slow senders take all the connections there are; their deadline gives them back."""
    wires = [Wire(own.server.port) for _ in range(400)]
    try:
        for wire in wires:
            wire.send(b"GET /version HTTP/1.1\r\nHost: x\r\nX: ")
        wait_until(lambda: all(is_gone(wire) for wire in wires), 20, "every slow sender is gone")
    finally:
        for wire in wires:
            wire.socket.close()
    assert reads(own, 0.1)


def is_gone(wire):
    wire.socket.settimeout(0.001)
    try:
        return wire.is_closed or not wire.receive()
    except TimeoutError:
        return False


def chunk():
    return b"%x\r\n" % 65536 + b" " * 65536 + b"\r\n"


@pytest.mark.parametrize("own", [dict(server_loops=1, server_body_bytes_max=BODY_MAX)], indirect=True)
@pytest.mark.parametrize("kind", ["length", "chunks"])
def test_a_body_of_a_hundred_megabytes(own, kind):
    """413 at the limit, whether it says how long it is or not; it costs no memory, and the connection ends."""
    before = memory_bytes(own.server)
    head = f"POST /v1/games/{own.game}/boards/b/scores HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {own.key}\r\n"
    head += f"Content-Length: {BODY}\r\n\r\n" if kind == "length" else "Transfer-Encoding: chunked\r\n\r\n"
    piece = b" " * 65536 if kind == "length" else chunk()
    with Wire(own.server.port) as wire:
        wire.send(head.encode())
        try:
            for _ in range(BODY // 65536):
                wire.socket.sendall(piece)
            wire.socket.sendall(b"" if kind == "length" else b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        answers = wire.answers()
    # A reset may overtake the answer while we still send.
    assert [answer.status for answer in answers] in ([413], []), answers
    assert memory_bytes(own.server) - before < 16 << 20


@pytest.mark.parametrize("own", [dict(server_loops=1, server_body_bytes_max=BODY_MAX)], indirect=True)
def test_a_hundred_megabytes_of_lines(own):
    """A stream may be as long as it likes: each line is answered, and none is kept."""
    line = json.dumps({"board": "none", "player": "ann", "score": 1, "metadata": {"x": "a" * 60000}}).encode() + b"\n"
    count = BODY // len(line)
    before = memory_bytes(own.server)
    head = (f"POST /v1/games/{own.game}/scores HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {own.key}\r\nConnection: close\r\n"
            f"Content-Type: application/x-ndjson\r\nContent-Length: {count * len(line)}\r\n\r\n")
    with Wire(own.server.port, 60) as wire:
        wire.send(head.encode())
        for _ in range(count):
            wire.send(line)
        answer = wire.answer()
    assert answer.status == 200 and len(answer.json()["results"]) == count
    assert memory_bytes(own.server) - before < 64 << 20


@pytest.mark.parametrize("own", [dict(server_loops=1, server_body_timeout_ms=600000, server_answer_timeout_ms=600000)], indirect=True)
@pytest.mark.parametrize("name, fields, front, line", [
    ("an extension", "", b"", b"2;a"),
    ("a size of zeros", "", b"", b"0"),
    ("an extension of the last chunk", "", b"1\r\n{\r\n", b"0;a"),
    ("behind data", "", b"3\r\n{  \r\n", b"5;a"),
    ("expecting 100", "Expect: 100-continue\r\n", b"", b"2;a"),
    ("in a stream", "Content-Type: application/x-ndjson\r\n", b"1\r\n{\r\n", b"2;a"),
])
def test_a_chunk_line_without_an_end(own, name, fields, front, line):
    """Refused when it has filled the buffer, not at the deadline, whatever way it is cut; until then the loop would spin."""
    line += line[-1:] * 200000
    head = (f"POST /v1/games/{own.game}/scores HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {own.key}\r\n{fields}"
            "Transfer-Encoding: chunked\r\n\r\n").encode()
    for first, others in ((head + front + line, []), (head, [front + line]), (head + front, [line[:20000], line[20000:]]),
                          (b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n" + head + front + line, [])):
        with Wire(own.server.port, 60) as wire:
            wire.send(first)
            for other in others:
                wire.send(other)
            answers = [answer for answer in wire.answers() if answer.status not in (100, 200)]
            assert len(answers) <= 1, answers
            if answers:  # a reset may overtake it, as we send more than the server reads
                check_problem(answers[0], 400, "is longer than the connection's buffer")


@pytest.mark.parametrize("own", [dict(server_loops=1, server_body_timeout_ms=600000)], indirect=True)
def test_a_chunk_line_that_fills_the_buffer_bit_by_bit(own):
    """The client sends no byte more than fits, so that the answer always arrives; and long lines that fit are no matter."""
    head = (f"POST /v1/games/{own.game}/query HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").encode()
    body = b'{"queries": ["/boards/b"]}'
    with Wire(own.server.port, 60) as wire:
        wire.send(head + b"%x;" % len(body) + b"a" * 4000 + b"\r\n" + body + b"\r\n0;" + b"b" * 4000 + b"\r\n\r\n")
        assert wire.answer().status == 200
    coarse = fill(own.server.port, head, 0, 1024)
    fill(own.server.port, head, max(0, coarse - 2048), 16)


def fill(port, head, first, step):
    """Sends so many bytes of a chunk's extension, then more by steps, each once the last one is read; how many it takes."""
    with Wire(port, 60) as wire:
        wire.send(head + b"2;" + b"a" * first)
        for size in range(first, 200000, step):
            wait_until_read(port)
            if is_gone(wire) or wire.data:
                break
            wire.socket.settimeout(60)
            wire.send(b"a" * step)
        wire.socket.settimeout(60)
        (answer,) = wire.answers()
        check_problem(answer, 400, "is longer than the connection's buffer")
        return size


@pytest.mark.parametrize("own", [dict(server_loops=1)], indirect=True)
def test_a_flood_of_header_fields(own):
    """Without an end, and as many as fit."""
    for line, most in ((b"X: " + b"a" * 1000 + b"\r\n", 10000), (b"A:b\r\n", 100000)):
        with Wire(own.server.port) as wire:
            wire.send(b"GET /version HTTP/1.1\r\nHost: x\r\n")
            for _ in range(most // 100):
                wire.send(line * 100)
            answers = wire.answers()
        assert [answer.status for answer in answers] in ([431], []), answers
    for count, status in ((50, 200), (2000, 431)):
        with Wire(own.server.port) as wire:
            fields = b"".join(b"X-%d: a\r\n" % i for i in range(count))
            answer = wire.send(b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + fields + b"\r\n").answers()
        assert [one.status for one in answer] == [status]
        if status == 431 and "content-type" in answer[0].headers:
            check_problem(answer[0], 431)


def test_the_table_names_tests_that_there_are():
    text = (ROOT / "docs" / "hostile.md").read_text()
    named = re.findall(r"`(test_\w+)\.py`((?:,? `\w+`)+)", text)
    assert len(named) >= 20
    for file, tests in named:
        source = (ROOT / "tests" / "integration" / f"{file}.py").read_text()
        for test in re.findall(r"`(\w+)`", tests):
            assert f"def test_{test}(" in source, f"{file}.py has no test_{test}"
