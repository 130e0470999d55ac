"""docs/architecture.md: each function is in the file that the page names, and is entered from where the page says."""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
ROW = re.compile(r"^\| `([\w/]+\.c)` \| `(\w+)` \| `(\w+)` \|", re.M)


def blocks(path):
    """What functions and tables of a file use: {name: text between the braces}. As clang-format leaves them, a function's braces stand alone in the first column."""
    text, found = path.read_text(), {}
    for head, body in re.findall(r"^(\w[^\n;{}]*(?:\n [^\n;{}]*)*)\n\{\n(.*?)^\}$", text, re.M | re.S):
        if name := re.search(r"(\w+)\(", head):
            found[name[1]] = body
    for name, body in re.findall(r"(\w+)\[\] = \{(.*?)\};", text, re.S):
        found.setdefault(name, body)
    return found


BLOCKS = {path.relative_to(ROOT / "src").as_posix(): blocks(path) for path in (ROOT / "src").rglob("*.c")}


def faults(rows):
    for file, name, entered in rows:
        if name not in BLOCKS.get(file, {}):
            yield f"{name} is not in {file}"
        elif not any(re.search(rf"\b{name}\b", of[entered]) for of in BLOCKS.values() if entered in of):
            yield f"{entered} does not use {name}"


def walks():
    return {title: ROW.findall(body) for title, body in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)}


@pytest.mark.parametrize("title", walks())
def test_a_walk_is_as_the_page_says(title):
    rows = walks()[title]
    assert len(rows) > 10 and not list(faults(rows)), list(faults(rows))
    lines = [line for line in PAGE.partition(f"## {title}")[2].partition("\n## ")[0].splitlines() if line.startswith("| `")]
    assert len(lines) == len(rows), "a row that is not checked"


def test_a_wrong_step_is_found():
    """The control: another file, a function that there is not, an arrow that there is not."""
    for row in (("api/page.c", "api_top", "routes"), ("api/standings.c", "api_bottom", "routes"), ("api/standings.c", "api_top", "steps"), ("api/reading.c", "reading_fetch", "reading_fail")):
        assert list(faults([row])), row
