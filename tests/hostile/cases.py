"""Corpora of raw requests: our own in corpus/, and those of other projects by a path.

  *.txt   ours: many cases a file. "== name: 200 400" begins one and says the statuses of its answers; the lines below are its
          bytes, with the escapes of gunicorn's files. A `#` line before the first case is a comment.
  *.http  gunicorn's tests/requests: a case a file. Line ends of the file do not count, \\r \\n \\t \\0 and \\xHH are bytes
  *.md    llhttp's test/request: each ```http block is a case; its line ends are CR LF
  others  a case a file, as it is (fuzzers' corpora)
"""
import pathlib
import re
from dataclasses import dataclass

ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "f": b"\f", "0": b"\0", "\\": b"\\"}
BYTES_MAX = 200_000


@dataclass
class Case:
    name: str
    data: bytes
    statuses: tuple = None  # of the answers, when the corpus says them


def unescape(text):
    def byte(match):
        code = match[1]
        return bytes([int(code[1:], 16)]).decode("latin-1") if code[0] == "x" else ESCAPES[code].decode("latin-1")
    return re.sub(r"\\(x[0-9A-Fa-f]{2}|[rntf0\\])", byte, text).encode("latin-1")


def own(path):
    for part in re.split(r"^== ", path.read_text("utf-8"), flags=re.M)[1:]:
        head, _, body = part.partition("\n")
        name, _, statuses = head.rpartition(":")
        yield Case(f"{path.stem}: {name}", unescape(body.replace("\n", "")), tuple(map(int, statuses.split())))


def gunicorn(path):
    yield Case(str(path), unescape(path.read_text("latin-1").replace("\n", "")))


def llhttp(path):
    for number, block in enumerate(re.findall(r"^```http\n(.*?)^```", path.read_text("latin-1"), re.M | re.S)):
        if "${" not in block:  # computed by JavaScript
            text = re.sub(r"\\\n", "", block.removesuffix("\n")).replace("\n", "\r\n")
            yield Case(f"{path} #{number}", unescape(text))


def raw(path):
    if path.stat().st_size <= BYTES_MAX:
        yield Case(str(path), path.read_bytes())


READERS = {".txt": own, ".http": gunicorn, ".md": llhttp}


def read(path):
    """All cases of a file or of a directory, without those that are there twice."""
    path, seen = pathlib.Path(path), set()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file() and file.suffix != ".py":
            for case in READERS.get(file.suffix, raw)(file):
                if case.data not in seen:
                    seen.add(case.data)
                    yield case
