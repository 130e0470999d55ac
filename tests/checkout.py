"""A copy of this checkout in which scripts/up has nothing to compile, and what scripts/up makes of it."""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess

import requests

from harness import BINARY, ROOT

LONG_S = 1200  # for a machine whose cores are taken; every wait ends with its condition


def make(directory, is_seeded):
    """is_seeded: scripts/up leaves the demo season out."""
    names = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if not (ROOT / name).is_file():
            continue
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, directory / name)
    (directory / "build" / "run").mkdir(parents=True)
    if is_seeded:
        (directory / "build" / "run" / "seeded").touch()
    (directory / "build" / "build.ninja").write_text("build ladder: phony\nbuild all: phony ladder\n")
    shutil.copy(BINARY, directory / "build" / "ladder")


class Setup:
    """What scripts/up made, by its own build/run/env."""

    def __init__(self, root, output):
        self.root, self.run, self.output = root, root / "build" / "run", output
        self.env = dict(re.findall(r"^export (\w+)=(.*)$", (self.run / "env").read_text(), re.M))
        self.api = f"{self.env['LADDER_URL']}/v1/games/{self.env['LADDER_GAME']}"

    def request(self, method, path, **more):
        return requests.request(method, self.api + path, headers={"Authorization": "Bearer " + self.env["LADDER_KEY"]}, timeout=30, **more)

    def ready(self):
        try:
            return requests.get(self.env["LADDER_URL"] + "/readyz", timeout=30).json()
        except requests.RequestException as fault:
            return {"status": str(fault), "checks": {}}


@contextlib.contextmanager
def up(directory, is_seeded, prefix=()):
    """Runs scripts/up in a copy of the checkout; at the end scripts/down, and the data is removed. prefix: of the command, for example nice."""
    root = pathlib.Path(directory) / "checkout"
    root.mkdir()
    make(root, is_seeded)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LADDER_")}
    data = None
    try:
        done = subprocess.run([*prefix, str(root / "scripts" / "up")], cwd=root, env=environment, capture_output=True, text=True, timeout=LONG_S)
        data = (root / "build" / "run" / "postgresql").resolve()
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        yield Setup(root, done.stdout)
    finally:
        subprocess.run([str(root / "scripts" / "down")], cwd=root, env=environment, capture_output=True, timeout=LONG_S, check=False)
        if data and data != root / "build" / "run" / "postgresql":
            shutil.rmtree(data, ignore_errors=True)
