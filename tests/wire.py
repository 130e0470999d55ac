"""HTTP at the level of bytes: sends exactly these, reads what comes back until it is clear that no more will."""
import json
import re
import socket
import time


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]}>"


def take_answer(data, is_head=False):
    """The first answer in data and what stands behind it; (None, data) when it is not whole yet. Interim ones count."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None, data
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    match = re.fullmatch(r"HTTP/1\.[01] (\d{3}) [^\r\n]*", first)
    assert match, f"not an answer: {data[:200]}"
    status, headers, rest = int(match[1]), {}, data[end + 4:]
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if is_head or status < 200 or status in (204, 304):
        return Answer(status, headers, b""), rest
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while (match := re.match(rb"([0-9a-fA-F]+)\r\n", rest)) and len(rest) >= (end := match.end() + int(match[1], 16) + 2):
            body, rest, size = body + rest[match.end():end - 2], rest[end:], int(match[1], 16)
            if size == 0:
                return Answer(status, headers, body), rest
        return None, data
    size = int(headers["content-length"])
    return (Answer(status, headers, rest[:size]), rest[size:]) if len(rest) >= size else (None, data)


class Wire:
    """One connection."""

    def __init__(self, port, timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.data = b""
        self.is_closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before the end; the answer says why
        return self

    def receive(self):
        try:
            more = self.socket.recv(65536)
        except ConnectionResetError:
            more = b""
        self.is_closed = not more
        self.data += more
        return bool(more)

    def answer(self, is_head=False):
        """The next answer, or None when the connection was closed first."""
        while True:
            answer, self.data = take_answer(self.data, is_head)
            if answer:
                return answer
            if self.is_closed or not self.receive():
                assert not self.data, f"cut off: {self.data[:500]}"
                return None

    def answers(self, is_head=False):
        """All of them, until the server closes the connection."""
        return list(iter(lambda: self.answer(is_head), None))

    def closed_after(self):
        """Seconds until the server closes without another byte."""
        begin = time.monotonic()
        assert not self.receive(), f"not closed, but sent {self.data[:200]}"
        return time.monotonic() - begin
