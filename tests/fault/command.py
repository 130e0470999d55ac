"""What `tests/fault/run` does."""
import contextlib
import subprocess
import sys
import time

from fault import campaign, controls, faults
from fault.field import Field
from harness import ROOT

DOCUMENT = ROOT / "docs" / "reliability.md"


def chosen(names, those):
    return [one for one in those if not names or one.name in names or one.number in names]


def show(cells):
    widths = (64, 6, 12, 9, 4, 7, 5, 7, 7, 14, 14)
    return "  ".join(str(cell).ljust(width) if i == 0 else str(cell).rjust(width) for i, (cell, width) in enumerate(zip(cells, widths)))


def progress(fault):
    def tell(found):
        if sys.stderr.isatty():
            print(f"\r{fault.name}: {found.cycles}", end="\r", file=sys.stderr, flush=True)
    return tell


def keep(arguments, section, head, row, those):
    """At once: a long run that is ended early leaves what came of it."""
    if arguments.write:
        campaign.write_between(DOCUMENT, section, campaign.table(DOCUMENT, section, head, [row], [f"{one.number}: {one.sentence}" for one in those]))


def faults_run(arguments, seed):
    """-> those that failed."""
    failed = []
    todo = chosen(arguments.names, faults.everything())
    if not todo:
        return failed
    field = Field()
    cycles = campaign.Campaign(field, seed)
    try:
        for fault in todo:
            reason = fault.why_not(field)
            if reason:
                print(f"{fault.number} {fault.name}: skipped: {reason}", flush=True)
                keep(arguments, "faults", campaign.HEAD, (f"{fault.number}: {fault.sentence}", f"not on this machine: {reason}", *[""] * 9), faults.everything())
                continue
            found = cycles.run(fault, arguments.cycles or fault.cycles or 1, progress(fault))
            if found.is_broken or fault.is_spoiling:  # what is left of it is no field for the next one
                with contextlib.suppress(AssertionError):
                    field.close()
                field = Field()
                cycles = campaign.Campaign(field, seed + 1)
            row = campaign.row(fault.number, fault.sentence, found)
            print(show(row), flush=True)
            keep(arguments, "faults", campaign.HEAD, row, faults.everything())
            if not found.is_clean:
                failed.append(fault.name)
                print(found.evidence(), flush=True)
    finally:
        field.close()
    return failed


def controls_run(arguments, seed):
    """-> those that were not found."""
    failed = []
    for control in chosen(arguments.names, controls.CONTROLS):
        found = control.run(seed, arguments.cycles)
        row = controls.row(control, found)
        print("  ".join(map(str, row)), flush=True)
        keep(arguments, "controls", controls.HEAD, row, controls.CONTROLS)
        if not control.is_found(found):
            failed.append(control.name)
            print(f"{control.name} was not found: {found.evidence()}", flush=True)
    return failed


def main(arguments):
    if arguments.list:
        for one in [*faults.everything(), *controls.CONTROLS]:
            print(f"{one.number:8} {one.name:20} {one.sentence}")
        return 0
    seed = arguments.seed or int(time.time()) % 10000
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    print(f"seed {seed}, commit {commit}\n" + show(campaign.HEAD), flush=True)
    failed = faults_run(arguments, seed) + controls_run(arguments, seed)
    return 1 if failed else 0
