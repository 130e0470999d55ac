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


def faults_run(arguments, seed):
    """-> (rows, skipped, failed)."""
    rows, skipped, failed = [], [], []
    todo = chosen(arguments.names, faults.everything())
    if not todo:
        return rows, skipped, failed
    field = Field()
    cycles = campaign.Campaign(field, seed)
    try:
        for fault in todo:
            reason = fault.why_not(field)
            if reason:
                skipped.append((fault, reason))
                print(f"{fault.number} {fault.name}: skipped: {reason}", flush=True)
                continue
            found = cycles.run(fault, arguments.cycles or fault.cycles or 1, progress(fault))
            if found.is_broken or fault.is_spoiling:  # what is left of it is no field for the next one
                with contextlib.suppress(AssertionError):
                    field.close()
                field = Field()
                cycles = campaign.Campaign(field, seed + 1)
            rows.append(campaign.row(fault.number, fault.sentence, found))
            print(show(rows[-1]), flush=True)
            if not found.is_clean:
                failed.append(fault.name)
                print(found.evidence(), flush=True)
    finally:
        field.close()
    return rows, skipped, failed


def controls_run(arguments, seed):
    """-> (rows, failed)."""
    rows, failed = [], []
    for control in chosen(arguments.names, controls.CONTROLS):
        found = control.run(seed, arguments.cycles)
        rows.append(controls.row(control, found))
        print("  ".join(map(str, rows[-1])), flush=True)
        if not control.is_found(found):
            failed.append(control.name)
            print(f"{control.name} was not found: {found.evidence()}", flush=True)
    return rows, failed


def main(arguments):
    if arguments.list:
        for one in [*faults.everything(), *controls.CONTROLS]:
            print(f"{one.number:8} {one.name:20} {one.sentence}")
        return 0
    seed = arguments.seed or int(time.time()) % 10000
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    print(f"seed {seed}, commit {commit}\n" + show(campaign.HEAD), flush=True)
    rows, skipped, failed = faults_run(arguments, seed)
    control_rows, control_failed = controls_run(arguments, seed)
    if arguments.write:
        rows += [(f"{fault.number}: {fault.sentence}", f"not on this machine: {why}", *[""] * 9) for fault, why in skipped]
        campaign.write_between(DOCUMENT, "faults", campaign.table(DOCUMENT, "faults", campaign.HEAD, rows,
                                                                  [f"{f.number}: {f.sentence}" for f in faults.everything()]))
        campaign.write_between(DOCUMENT, "controls", campaign.table(DOCUMENT, "controls", controls.HEAD, control_rows,
                                                                    [f"{c.number}: {c.sentence}" for c in controls.CONTROLS]))
    return 1 if failed or control_failed else 0
