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
from harness import BINARY, ROOT, Client

BLOCKS = re.compile(r"^```(sh|json)\n(.*?)^```$", re.M | re.S)
INSTANT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")
OPAQUE = re.compile(r"^[\w-]{20,}$")
# In the order in which a reader may come to them: all run on one demo, one after the other.
FILES = ["README.md", "docs/api.md", "docs/caching.md", "docs/seasons.md", "docs/capacity.md", "docs/importing.md"]
# Pages whose commands are not for the demo, and what runs them instead.
ELSEWHERE = {"docs/operations.md": "tests/integration/test_docs_operations.py", "docs/contributing.md": "whoever builds and tests by hand",
             "docs/replicas.md": "tests/integration/test_replicas.py"}
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


def entries_of(client):
    """All of the demo's boards as they are: definitions, and every entry in every window."""
    found = {}
    for board in client.read("/boards?limit=1000")["boards"]:
        found[board["name"]] = board
        for window in board["windows"]:
            rows, path = [], f"/boards/{board['name']}/top?window={window}&limit=1000&fields=subscore,achieved_at,metadata"
            while path:
                page = client.read(path)
                rows += page["entries"]
                path = page["next"] and f"/boards/{board['name']}/top?cursor={page['next']}"
            found[board["name"], window] = rows
    return found


class Demo:
    """What scripts/up leaves: a game that scripts/seed has filled, and build/run/env, which says where it is."""

    def __init__(self, stack, ladder, directory):
        self.game, self.directory = "demo", directory
        stack.cli("game", "create", self.game)
        self.client = Client(ladder, self.game, stack.key(self.game))
        self.variables = {"LADDER_URL": f"http://127.0.0.1:{ladder.port}", "LADDER_GAME": self.game, "LADDER_KEY": self.client.key,
                          "LADDER_DATABASE_URL": stack.primary_url}
        (directory / "build" / "run").mkdir(parents=True)
        (directory / "build" / "run" / "env").write_text("".join(f"export {k}={v}\n" for k, v in self.variables.items()))
        (directory / "build" / "ladder").symlink_to(BINARY)
        (directory / "loadtest").symlink_to(ROOT / "loadtest")
        self.tree = self.files()
        subprocess.run([ROOT / "scripts" / "seed"], env={**os.environ, **self.variables}, check=True, timeout=600)
        self.before = entries_of(self.client)

    def files(self):
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob("*"))

    def run(self, commands):
        """What each block printed, in one shell."""
        script = "set -eu\n" + "".join(f"printf '\\n\\036'\n{c}\n" for c in commands)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LADDER_")}
        done = subprocess.run(["bash", "-c", script], cwd=self.directory, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout.split("\036")[1:]


@pytest.fixture(scope="module")
def demo(stack, ladder, tmp_path_factory):
    demo = Demo(stack, ladder, tmp_path_factory.mktemp("demo"))
    assert len(demo.before) >= 9 and all(demo.before.values())
    return demo


def compare(name, found, printed):
    answered = 0
    for (commands, answer, _), output in zip(found, printed):
        if answer is None:
            if output.strip().startswith("{"):
                for value in values(output):
                    assert not str(value.get("type", "")).startswith("urn:"), f"{commands}\n{value}"
            continue
        got = values(output)
        answered += len(got)
        for mine, printed_one in zip(got, values(answer)):
            assert form(mine) == form(printed_one), f"{name} prints another answer; LADDER_TEST_WRITE_DOCS=1 writes it anew:\n{commands}"
        assert len(got) == len(values(answer)), commands
        assert len(got) == commands.count("curl "), commands
        if commands.count("pretty") == commands.count("curl "):
            assert output.strip() == "\n".join(pretty(value) for value in got), commands
    return answered


@pytest.mark.parametrize("name", FILES)
def test_what_is_printed_is_what_is_answered(demo, name):
    text = (ROOT / name).read_text()
    found = blocks(text)
    printed = demo.run([block[0] for block in found])
    assert len(printed) == len(found) == text.count("\n```sh\n") - text.count("\n```sh\nscripts/")
    if os.environ.get("LADDER_TEST_WRITE_DOCS"):
        for (_, answer, span), output in reversed(list(zip(found, printed))):
            if answer is not None:
                text = text[:span[0]] + "".join(pretty(v) + "\n" for v in values(output)) + text[span[1]:]
        (ROOT / name).write_text(text)
        return
    assert compare(name, found, printed) > 0 or name == "docs/capacity.md"


@pytest.mark.parametrize("name", FILES)
def test_it_runs_once_more(demo, name):
    """Where an answer does not tell of earlier runs, it is the same."""
    found = blocks((ROOT / name).read_text())
    printed = demo.run([block[0] for block in found])
    if name in ("docs/caching.md", "docs/seasons.md", "docs/importing.md"):
        compare(name, found, printed)


def test_the_demo_is_as_it_was(demo):
    """After all pages, twice: the demo's boards have the definitions and entries that they had, and no file lies about."""
    after = entries_of(demo.client)
    changed = [key for key in demo.before if after.get(key) != demo.before[key]]
    assert not changed, f"the examples changed {changed}"
    own = {key for key in after if isinstance(key, str)} - set(demo.before)
    assert own == {"puzzle", "pinball", "rally", "wall", "league", "speedway", "speedway-copy"}
    assert demo.files() == demo.tree


def test_every_command_is_run():
    pages = [str(path.relative_to(ROOT)) for path in [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")]]
    assert sorted(p for p in pages if "```sh\n" in (ROOT / p).read_text()) == sorted([*FILES, *ELSEWHERE])
    everything = "".join(block[0] for name in FILES for block in blocks((ROOT / name).read_text()))
    everything += "".join(re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs/operations.md").read_text(), re.M | re.S))
    assert not re.search(r"--allow-down|drop database|rm -r", everything), "nothing to paste destroys data"


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
    reading = next(s for s in sections if s.startswith("Parameters of every read"))
    for method, base, rest, is_reading, more in rows:
        route = f"`{method} {paths.get(base, '')}{rest}`"
        section = next((s for s in sections if s.startswith(route)), None)
        assert section, f"docs/api.md lacks {route}"
        for parameter in more.split():
            assert f"`{parameter}" in section, f"{route}: {parameter}"
        if is_reading:
            assert all(f"`{p}" in reading for p in common.split())
            assert "Parameters of every read" in section or "[every read]" in section, route


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
    for name in ("uri_bytes_max", "header_bytes_max", "body_bytes_max", "anonymous_body_bytes_max"):
        assert f"| `server.{name}` | {rows[name]:,} |" in api()
