"""The documentation tells the truth: its commands are run, its answers compared, its tables held to the program's own.

A ```sh block is run as it stands, in one shell a file; a ```json block behind it is what it answered. What differs from run to
run (times, tokens, cursors) is compared by its form. LADDER_TEST_WRITE_DOCS=1 writes the answers anew.
"""
import json
import os
import re
import subprocess

import pytest

from checks import problems
from harness import ROOT

BLOCKS = re.compile(r"^```(sh|json)\n(.*?)^```$", re.M | re.S)
INSTANT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")
OPAQUE = re.compile(r"^[\w-]{20,}$")
FILES = ["README.md", "docs/api.md", "docs/caching.md"]
WIDTH = 118


def form(value):
    """A value without what differs from run to run."""
    if isinstance(value, dict):
        return {k: form(v) for k, v in value.items()}
    if isinstance(value, list):
        return [form(v) for v in value]
    if isinstance(value, str):
        return "an instant" if INSTANT.match(value) else "opaque" if OPAQUE.match(value) else value
    return value


def values(text):
    """The JSON values that stand one behind the other."""
    found, at, decoder = [], 0, json.JSONDecoder()
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


def pretty(value, indent="", head=""):
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(head) + len(line) <= WIDTH or not value or not isinstance(value, (dict, list)):
        return line
    items = [(f"{json.dumps(k)}: ", v) for k, v in value.items()] if isinstance(value, dict) else [("", v) for v in value]
    inside = ",\n".join(indent + "  " + k + pretty(v, indent + "  ", k) for k, v in items)
    return ("{\n%s\n%s}" if isinstance(value, dict) else "[\n%s\n%s]") % (inside, indent)


def blocks(text):
    """[(commands, answer or None, span of the answer)] in order, without what installs or tests."""
    found = []
    for match in BLOCKS.finditer(text):
        kind, body = match.groups()
        if kind == "sh" and not body.startswith("scripts/"):
            found.append([body, None, None])
        elif kind == "json" and found and found[-1][1] is None:
            found[-1][1:] = [body, match.span(2)]
    return found


def run(commands, directory, stack, ladder):
    """What each block printed."""
    game = stack.new_game()
    (directory / "build" / "run").mkdir(parents=True)
    (directory / "build" / "run" / "env").write_text(
        f"export LADDER_URL=http://127.0.0.1:{ladder.port}\nexport LADDER_GAME={game}\nexport LADDER_KEY={stack.key(game)}\n")
    script = "set -eu\n" + "".join(f"printf '\\n\\036'\n{c}\n" for c in commands)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LADDER_")}
    done = subprocess.run(["bash", "-c", script], cwd=directory, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.replace(game, "demo").split("\036")[1:]


@pytest.mark.parametrize("name", FILES)
def test_what_is_printed_is_what_is_answered(stack, ladder, tmp_path, name):
    text = (ROOT / name).read_text()
    found = blocks(text)
    printed = run([block[0] for block in found], tmp_path, stack, ladder)
    assert len(printed) == len(found) >= 5
    if os.environ.get("LADDER_TEST_WRITE_DOCS"):
        for (_, answer, span), output in reversed(list(zip(found, printed))):
            if answer is not None:
                text = text[:span[0]] + "".join(pretty(v) + "\n" for v in values(output)) + text[span[1]:]
        (ROOT / name).write_text(text)
        return
    answered = 0
    for (commands, answer, _), output in zip(found, printed):
        got = values(output)
        if answer is None:
            for value in got:
                assert not str(value.get("type", "")).startswith("urn:"), f"{commands}\n{value}"
            continue
        answered += len(got)
        for mine, printed_one in zip(got, values(answer)):
            assert form(mine) == form(printed_one), f"{name} prints another answer; LADDER_TEST_WRITE_DOCS=1 writes it anew:\n{commands}"
        assert len(got) == len(values(answer)), commands
        assert len(got) == commands.count("curl "), commands
    assert answered > 0


def api():
    return (ROOT / "docs" / "api.md").read_text()


def test_every_route_and_parameter_is_described():
    """A heading for each route of src/api/routes.c; in its section, each of its query parameters."""
    source = re.sub(r",\n\s+", ", ", (ROOT / "src" / "api" / "routes.c").read_text())
    common = re.search(r'#define API_STANDING_PARAMETERS "([^"]*)"', (ROOT / "src" / "api" / "api.h").read_text())[1]
    paths = {"GAME ": "", "BOARD ": "/boards/{board}", "BOARD": "/boards/{board}"}
    rows = re.findall(r'\{HTTP_(\w+), (GAME |BOARD ?|)(?:"([^"]*)")?, SCOPE_\w+, [^,]+, (API_STANDING_PARAMETERS)? ?(?:"([^"]*)")?, api_\w+\}', source)
    assert len(rows) == source.count("{HTTP_")
    sections = re.split(r"^#+ ", api(), flags=re.M)
    reading = next(s for s in sections if s.startswith("What every read"))
    for method, base, rest, is_reading, more in rows:
        route = f"`{method} {paths.get(base, '')}{rest}`"
        section = next((s for s in sections if s.startswith(route)), None)
        assert section, f"docs/api.md lacks {route}"
        for parameter in more.split():
            assert f"`{parameter}" in section, f"{route}: {parameter}"
        if is_reading:
            assert all(f"`{p}" in reading for p in common.split())
            assert "What every read" in section or "[every read]" in section, route


def test_the_errors_are_the_programs():
    inside = {"none", "cold", "stale", "write-uncertain", "config"}
    rows = {slug: int(status) for status, slug in re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \|", api(), re.M)}
    assert rows == {slug: status for slug, (status, _) in problems().items() if slug not in inside}


def test_links_lead_somewhere():
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]:
        text = path.read_text()
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
        for anchor in re.findall(r"\]\(#([^)]+)\)", text):
            headings = [re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)]
            assert anchor in headings, f"{path.name}: #{anchor}"


def test_limits_in_the_text_are_the_settings():
    rows = {name: int(default) for name, default in re.findall(r"^INT\(server, (\w+), (\d+),", (ROOT / "src" / "conf" / "settings.tbl.h").read_text(), re.M)}
    for name in ("uri_bytes_max", "header_bytes_max", "body_bytes_max"):
        assert f"| `server.{name}` | {rows[name]:,} |" in api()
