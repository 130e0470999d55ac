"""Rules broken on purpose: each must be found, else the tables of what was not found say nothing."""
import contextlib

from fault.campaign import Campaign
from fault.field import Field
from fault.processes import KillPrimary, Stop
from fault.stores import Alone


class Control:
    def __init__(self, number, name, sentence, fault, expected, **field):
        self.number, self.name, self.sentence, self.fault, self.expected, self.field = number, name, sentence, fault, expected, field
        self.cycles = 10  # at most: it ends when it is found

    def run(self, seed, cycles=None):
        """Where it was found by something else, which ends a run (a write that Redis has and nobody was told of), again."""
        for turn in range(3):
            field = Field(**self.field)
            try:
                found = Campaign(field, seed + turn, heal_limit_s=4).run(self.fault, cycles or self.cycles, until=self.expected)
            finally:
                field.kill()
                with contextlib.suppress(AssertionError):  # a program that was broken on purpose may say so
                    field.close()
            if self.is_found(found) or not found.is_broken:
                break
        return found

    def is_found(self, found):
        """What it must do, not just anything: lost writes, wrong answers."""
        return not found.is_failed and len(getattr(found, self.expected)) > 0


CONTROLS = [
    Control("C1", "commit-not-synchronous", "PostgreSQL says that it committed before the disk has it (`synchronous_commit = off`)", KillPrimary(),
            "lost", postgres={"synchronous_commit": "off", "wal_writer_delay": "2s"}),
    Control("C2", "answer-early", "a server acknowledges before the commit", KillPrimary(), "lost", faults="answer-early"),
    Control("C3", "tail-skip", "the worker skips each third change", Stop("F21", "work"), "wrong", worker_faults="tail-skip"),
    Control("C4", "token-ignored", "servers and their choice of a replica take no notice of tokens", Alone(), "wrong",
            faults="token,replica-unchecked"),
]

HEAD = ("Broken rule", "Fault", "Cycles until found", "Acknowledged", "Lost", "Phantom", "Wrong")


def row(control, found):
    return (f"{control.number}: {control.sentence}", control.fault.sentence, max(found.cycles, 1) if control.is_found(found) else "not found",
            f"{found.acknowledged:,}", len(found.lost), len(found.phantom), len(found.wrong))
