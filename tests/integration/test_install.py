"""What meson installs: every page, and links that lead somewhere from there."""
import os
import pathlib
import re
import subprocess

import pytest

from harness import BINARY, ROOT


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    build = pathlib.Path(BINARY).parent
    directory = tmp_path_factory.mktemp("install")
    done = subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", directory], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def headings(text):
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}


def test_every_page_is_installed_and_its_links_lead_somewhere(tree):
    share = tree / "usr/local/share/ladder"
    pages = sorted(str(path.relative_to(share)) for path in share.rglob("*.md"))
    assert pages == sorted(str(path.relative_to(ROOT)) for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    count = 0
    for page in map(share.joinpath, pages):
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text()):
            if re.match(r"\w+:", target):
                continue
            path = (page.parent / target).resolve() if target else page
            assert path.exists() and share in path.parents, f"{page.name}: {target}"
            if anchor:
                assert anchor in headings(path.read_text()), f"{page.name}: {target}#{anchor}"
            count += 1
    assert count > 40


def test_the_units_name_a_page_that_is_there(tree):
    units = sorted((tree / "usr/local/share/ladder/deploy").glob("*.service"))
    assert units
    for unit in units:
        page = re.search(r"^Documentation=file:(/\S+)$", unit.read_text(), re.M)
        assert page and (tree / page[1][1:]).exists(), unit.name


def test_the_program_runs_from_there(tree):
    done = subprocess.run([tree / "usr/local/bin/ladder", "config", "check", "--config", tree / "usr/local/share/ladder/ladder.yaml"],
                          capture_output=True, text=True, timeout=60, env={k: v for k, v in os.environ.items() if not k.startswith("LADDER_")})
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
