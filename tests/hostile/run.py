"""Sends corpora of raw requests to a server on this machine and compares its answers with the strict reading.

    python3 tests/hostile/run.py PORT [--cut whole|bytes|cuts]… [PATH]…

Without a PATH, tests/hostile/corpus. Behind each case a marker request is sent: it must be answered behind a valid case, and must
not be behind an invalid one. Prints each difference, then the counts; exit status 1 if there was a difference.
"""
import argparse
import collections
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from hostile import cases, sender, strict  # noqa: E402
from wire import take_answer  # noqa: E402

MARKER = b"GET /version HTTP/1.1\r\nHost: marker\r\nConnection: close\r\n\r\n"
CUT_BYTES_MAX = 1000  # longer cases are sent whole only

# Invalid, and not to be seen behind the library (src/http/guard.h).
TAKEN = {"a bare LF around a chunk's size", "a bare LF in a trailer", "a field value in a trailer", "a field line in a trailer",
         "a chunk extension", "an empty line that ends in LF", "NUL LF"}


def answers_of(data, requests):
    """The answers in it; raises ValueError at bytes that are none. Interim ones do not count."""
    answers = []
    while data:
        is_head = len(answers) < len(requests) and requests[len(answers)].method == b"HEAD"
        try:
            answer, data = take_answer(data, is_head)
        except (AssertionError, KeyError) as error:
            raise ValueError(f"not an answer: {error}") from error
        if not answer:
            raise ValueError(f"an answer that is cut off: {data[:200]}")
        if answer.status >= 200:
            answers.append(answer)
    return answers


def is_marker(answer):
    return answer.status == 200 and b'"version"' in answer.body


def is_refusal(answer):
    """By the guard, rather than by the application, which answers within a connection that goes on."""
    return answer.status in (405, 408, 413, 414, 417, 431, 501, 505) or (
        answer.status == 400 and json.loads(answer.body or b"{}").get("type") == "urn:ladder:problem:bad-request")


def difference(case, requests, data, is_closed):
    """What the server did otherwise than it should; "" if nothing."""
    if not is_closed:
        return "the connection was not closed"
    try:
        answers = answers_of(data, requests)
    except ValueError as error:
        return str(error)
    statuses = tuple(answer.status for answer in answers)
    last = requests[-1]
    before = len(requests) - 1
    is_refused = len(answers) in (before, before + 1) and all(answer.status >= 400 for answer in answers[before:])
    if last.kind == "valid":
        wanted = len(requests) + (not last.closes)
        is_taken = len(answers) == wanted and (last.closes or is_marker(answers[-1]))
        is_taken = is_taken and not (last.closes and is_refusal(answers[-1]))
        if not is_taken and not (last.refusable and is_refused):
            return f"valid, but not taken: {statuses}"
        if case.statuses is not None and case.statuses != (statuses[:-1] if is_taken and not last.closes else statuses):
            return f"statuses {statuses}, not {case.statuses}"
    elif last.kind == "invalid":
        if not is_refused:
            return f"invalid ({last.reason}), but taken: {statuses}"
    elif not is_refused or any(answer.status != 408 and answer.status < 400 for answer in answers[before:]):
        return f"incomplete, but answered: {statuses}"
    if last.kind != "valid" and case.statuses is not None and case.statuses != statuses:
        return f"statuses {statuses}, not {case.statuses}"
    return ""


def plans_of(case, requests, how):
    """The marker stands behind the last piece, and once alone; it would complete an incomplete request."""
    if how != "whole" and (len(case.data) > CUT_BYTES_MAX or requests[-1].kind == "incomplete"):
        return []
    if requests[-1].kind == "incomplete":
        return [[case.data]]
    plans = [plan[:-1] + [plan[-1] + MARKER] for plan in sender.pieces(case.data, how)]
    return plans + [[case.data, MARKER]] if how == "cuts" else plans


def run(port, corpus, how):
    """(differences, counts by kind) after all cases were sent so."""
    jobs = []
    for case in corpus:
        requests = strict.read(case.data)
        jobs += [(case, requests, plan) for plan in plans_of(case, requests, how)]
    counts, found = collections.Counter(), []
    for (case, requests, plan), (data, is_closed) in zip(jobs, sender.send_all(port, [plan for *_, plan in jobs])):
        last = requests[-1]
        why = difference(case, requests, data, is_closed)
        if why and last.kind == "invalid" and last.reason in TAKEN and case.statuses is None:
            counts["invalid, taken by the library"] += 1
            continue
        counts[last.kind + (f", may be refused ({last.refusable})" if last.refusable else "")] += 1
        if why:
            found.append(f"{case.name}: {why}; sent as {[len(piece) for piece in plan][:8]}: {case.data[:300]!r}")
    return found, counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("paths", nargs="*", default=[HERE / "corpus"], metavar="PATH")
    parser.add_argument("--cut", action="append", choices=["whole", "bytes", "cuts"])
    arguments = parser.parse_args()
    corpus = [case for path in arguments.paths for case in cases.read(path)]
    is_bad = False
    for how in arguments.cut or ["whole", "bytes", "cuts"]:
        found, counts = run(arguments.port, corpus, how)
        is_bad = is_bad or bool(found)
        for line in found:
            print(line)
        print(f"{how}: {sum(counts.values())} connections, {len(found)} differences; " +
              ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
