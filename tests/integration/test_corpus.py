"""Corpora of raw requests (tests/hostile/) against a strict reading of RFC 9112: sent whole, byte by byte, and cut at every place.

LADDER_CORPUS names files and directories of outside corpora, separated by ':' (gunicorn's tests/requests, llhttp's test/request,
raw files); they are sent whole.
"""
import os

import pytest

from harness import ROOT
from hostile import cases, run, strict

OWN = list(cases.read(ROOT / "tests" / "hostile" / "corpus"))


@pytest.fixture(scope="module")
def servers(stack):
    """By how the requests are cut: one waits long for the next piece, the other says soon that a request is incomplete."""
    patient = dict(server_header_timeout_ms=60000, server_body_timeout_ms=60000, server_idle_timeout_ms=60000)
    hasty = stack.serve(server_header_timeout_ms=10000, server_body_timeout_ms=10000, server_idle_timeout_ms=10000)
    servers = {"whole": hasty, "bytes": stack.serve(**patient), "cuts": stack.serve(**patient)}
    yield servers
    for server in servers.values():
        assert server.stop() == 0, server.log()[-3000:]
        server.check_clean()


@pytest.mark.parametrize("how", ["whole", "bytes", "cuts"])
def test_our_corpus(servers, how):
    found, counts = run.run(servers[how].port, OWN, how)
    assert not found, f"{len(found)} differences\n" + "\n".join(found[:20])
    assert counts["valid"] >= 30 and counts["invalid"] >= 40, counts


def test_outside_corpora(servers):
    paths = [path for path in os.environ.get("LADDER_CORPUS", "").split(":") if path]
    if not paths:
        pytest.skip("LADDER_CORPUS names no corpus")
    corpus = [case for path in paths for case in cases.read(path)]
    found, counts = run.run(servers["whole"].port, corpus, "whole")
    assert not found, f"{len(found)} differences\n" + "\n".join(found[:20])
    assert sum(counts.values()) >= len(corpus)


def test_the_strict_reading():
    """The corpus says what each case is worth, and so does the reading: they agree."""
    for case in OWN:
        last = strict.read(case.data)[-1]
        if case.statuses[-1] in (408, 505) or last.refusable:
            continue
        is_bad_request = case.statuses[-1] in (400, 413) and "parameter" not in case.name
        assert (last.kind == "invalid") == is_bad_request, (case, last)
    assert sum(strict.read(case.data)[-1].kind == "incomplete" for case in OWN) == sum(case.statuses[-1] == 408 for case in OWN)
