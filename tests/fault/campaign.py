"""Cycles of a fault: clients at work, the fault, its end, how long until all is well, and the check of everything that was said."""
import contextlib
import json
import pathlib
import random
import statistics
import time
import traceback

import requests

import compare
from fault.acknowledged import Load, Wire, lost_and_phantom, standings_wrong
from fault.histories import around, linearizable, sessions

HEAL_LIMIT_S = 30
GAME_CYCLES = 10      # then a new game: the check reads all of one
PROBE_S = 0.01


class NotWell(Exception):
    """Within the limit, something did not come back."""


class Found:
    """What the cycles of one fault came to."""

    def __init__(self, name):
        self.name, self.cycles = name, 0
        self.acknowledged = self.reads = self.busy = self.retries = 0
        self.lost, self.phantom, self.wrong = [], [], []
        self.writes_s, self.whole_s = [], []   # from the end of the fault to the first write, and until all is well
        self.slowest = 0.0
        self.is_broken = False                 # it did not become well, or
        self.is_failed = False                 # the test itself failed

    @property
    def is_clean(self):
        return not (self.lost or self.phantom or self.wrong)

    def evidence(self):
        return "\n".join(str(x) for x in [*self.lost[:3], *self.phantom[:3], *self.wrong[:5]])


class Campaign:
    def __init__(self, field, seed, heal_limit_s=HEAL_LIMIT_S):
        self.field, self.seed, self.serial, self.heal_limit_s = field, seed, 0, heal_limit_s
        self.game_cycles = 0

    def game(self):
        if self.game_cycles % GAME_CYCLES == 0:
            self.field.game_make()
        self.game_cycles += 1

    # ---- healing ----

    def write_once(self, wire, port, number):
        """Is a write taken? A board of its own would be another standing: it is one of the game's, its player nobody's."""
        try:
            status, _, text = wire.request(port, "POST", f"/v1/games/{self.field.game}/boards/last/scores", json.dumps({"player": f"probe{number}", "score": number}))
        except Exception as error:  # noqa: BLE001 -- any failure is a "not yet"
            self.last_try = repr(error)
            return False
        self.last_try = status, text
        return status == 200

    def wait_for(self, condition, since, what):
        while not condition():
            if time.monotonic() - since > self.heal_limit_s:
                raise NotWell(f"not within {self.heal_limit_s} s: {what()}")
            time.sleep(PROBE_S)
        return time.monotonic() - since

    def whole_again(self, since):
        """Redis is believed by both servers and equal to PostgreSQL, and the replica has followed."""
        field = self.field
        for name in ("here", "there"):
            self.wait_for(lambda: field.is_trusted(name), since, lambda: f"{name} believes Redis: {self.readiness(name)}")

        def is_same():
            field.ask_for_all()
            return field.is_same()
        self.wait_for(is_same, since, lambda: f"Redis equals PostgreSQL: {compare.differences(field, field.game)}; the worker said {field.work.log()[-600:]}")

    def readiness(self, name):
        try:
            return requests.get(f"http://127.0.0.1:{self.field.ports[name]}/readyz", timeout=3).text
        except requests.exceptions.RequestException as error:
            return repr(error)

    # ---- the check ----

    def check(self, load, found):
        field, ledger = self.field, load.ledger
        events = [e for e in field.events() if e[1].startswith(load.prefix)]
        phantom = lost_and_phantom(ledger, events)[1]
        found.phantom += [f"there, though sent {'never' if e not in {(s.board, s.player, s.score) for s in ledger.submissions} else 'once'}: {e}" for e in phantom]
        self.retry(load, found)
        events = [e for e in field.events() if e[1].startswith(load.prefix)]
        found.phantom += [f"twice after its retry: {e}" for e in lost_and_phantom(ledger, events)[1]]
        kept = {(s.board, s.player, s.score) for s in ledger.submissions if s.key and (s.is_acknowledged or s.is_retried)} - set(events)
        found.lost += [f"still not there after its retry: {e}" for e in kept if not found.lost]
        field.replica_caught_up()
        if sorted(field.events(field.replica_url)) != sorted(field.events()):
            found.wrong.append("the replica has other submissions than the primary")
        with self.blaming(found, "facets' standings have other entries than the whole board's"):
            compare.mirrored(field, field.game)
        for name in field.ports:
            entries = {board: {p: s for p, s in its.items() if p.startswith(load.prefix)} for board, its in field.entries(name).items()}
            found.wrong += [f"{name}: {x}" for x in standings_wrong(ledger, events, entries)]
        found.wrong += [f"not linearizable: {read}: {why}: {around(ledger.single, read)}" for read, why in linearizable(ledger.single)]
        found.wrong += [f"promise broken: {read}: {why}: {around(ledger.history, read)}" for read, why in sessions(ledger.history)]
        found.wrong += ledger.wrong

    @contextlib.contextmanager
    def blaming(self, found, what):
        try:
            yield
        except AssertionError as error:
            found.wrong.append(f"{what}: {str(error)[:500]}")

    def retry(self, load, found):
        """Everything that was in doubt and has a key, twice: both answers agree, and it counts once."""
        wire = Wire(self.field.game_key)
        for submission in load.ledger.submissions:
            if submission.is_acknowledged or not submission.key:
                continue
            found.retries += 1
            answers = []
            for _ in range(2):
                status, text = self.retry_once(wire, load, submission)
                answers.append((status, json.loads(text).get("entry", {}).get("score"), text[:300]))
            if answers[0][0] != 200 or answers[0][:2] != answers[1][:2]:
                found.wrong.append(f"retries of one submission: {answers}")
            submission.is_retried = True

    def retry_once(self, wire, load, submission):
        """409 says that the first one is still under way, for as long as an answer may take; 503 to come again."""
        since = time.monotonic()
        while True:
            status, _, text = wire.request(self.field.ports["there"], "POST", f"/v1/games/{load.game}/boards/{submission.board}/scores",
                                           submission.body(), {"Idempotency-Key": submission.key})
            if status not in (409, 503) or time.monotonic() - since > self.heal_limit_s:
                return status, text
            time.sleep(0.05)

    # ---- a cycle ----

    def cycle(self, fault, found):
        field = self.field
        self.serial += 1
        seed = self.seed * 100000 + self.serial
        dice = random.Random(seed)
        self.game()
        load = field.load = Load(field.game, field.game_key, field.endpoints.values(), seed)
        wire = Wire(field.game_key)
        load.start()
        try:
            time.sleep(dice.uniform(*fault.before_s))
            fault.inject(field, dice)
            time.sleep(dice.uniform(*fault.during_s))
            since = time.monotonic()
            fault.heal(field)
            since = since if fault.is_start_counted else time.monotonic()
            numbers = iter(range(1, 10**9))
            found.writes_s.append(self.wait_for(lambda: self.write_once(wire, field.endpoints["here"].port, next(numbers)), since,
                                                lambda: f"a write is taken; the last: {self.last_try}"))
            time.sleep(fault.after_s)
        finally:
            load.stop()
        stopped = time.monotonic()
        lost = lost_and_phantom(load.ledger, field.events())[0]
        found.lost += [f"acknowledged, not there: {s.board} {s.player} {s.score} {s.answer}" for s in lost]
        found.acknowledged += sum(1 for s in load.ledger.submissions if s.is_acknowledged)
        if found.lost:  # worse than that is nothing
            found.cycles += 1
            return
        self.whole_again(since)
        # What the clients kept doing on purpose is no part of the healing.
        found.whole_s.append(time.monotonic() - since - fault.after_s if time.monotonic() - stopped > 0.05 else found.writes_s[-1])
        fault.settle(field)
        self.check(load, found)
        ledger = load.ledger
        found.cycles += 1
        found.reads += ledger.reads
        found.busy += ledger.busy
        found.slowest = max(found.slowest, ledger.slowest)

    def run(self, fault, cycles, progress=None, until=None):
        """until: what of it, once there is some, is enough."""
        found = Found(fault.name)
        try:
            fault.prepare(self.field)
            for _ in range(cycles):
                self.cycle(fault, found)
                if progress:
                    progress(found)
                if until and getattr(found, until):
                    break
            fault.finish(self.field)
        except NotWell as error:
            found.is_broken = True
            found.wrong.append(f"cycle {found.cycles + 1} of seed {self.seed}: {error}; servers that ended: {self.dead()}")
        except Exception:  # noqa: BLE001 -- told with what was found
            found.is_broken = found.is_failed = True
            found.wrong.append(f"cycle {found.cycles + 1} of seed {self.seed}: {traceback.format_exc()}; servers that ended: {self.dead()}")
        return found

    def dead(self):
        return {name: server.log()[-1500:] for name, server in self.field.servers.items() if not server.is_alive()}


def median(values):
    return statistics.median(values) if values else 0.0


HEAD = ("Fault", "Cycles", "Acknowledged", "Reads", "Lost", "Phantom", "Wrong", "503", "Retries", "Write again, s", "Whole again, s")


def row(number, sentence, found):
    return (f"{number}: {sentence}", found.cycles, f"{found.acknowledged:,}", f"{found.reads:,}", len(found.lost), len(found.phantom), len(found.wrong),
            f"{found.busy:,}", f"{found.retries:,}", f"{median(found.writes_s):.2f} / {max(found.writes_s, default=0):.2f}",
            f"{median(found.whole_s):.2f} / {max(found.whole_s, default=0):.2f}")


def write_between(path, name, text):
    """Puts the text between the file's two marks of that name."""
    path = pathlib.Path(path)
    begin, end = f"<!-- {name} begin -->\n", f"<!-- {name} end -->"
    before, rest = path.read_text().split(begin, 1)
    path.write_text(before + begin + text.rstrip("\n") + "\n" + end + rest.split(end, 1)[1])


def rows_between(path, name):
    """The table's rows that are between the marks: {first cell: line}, in their order."""
    text = pathlib.Path(path).read_text().split(f"<!-- {name} begin -->\n", 1)[1].split(f"<!-- {name} end -->", 1)[0]
    return {line.split(" | ")[0][2:]: line for line in text.splitlines()[2:] if line.startswith("| ")}


def table(path, name, head, rows, order):
    """The table with these rows in place of their old ones; order: the first cells of all that there may be."""
    lines = {**rows_between(path, name), **{row[0]: "| " + " | ".join(str(cell) for cell in row) + " |" for row in rows}}
    return "\n".join([markdown(head, []), *(lines[cell] for cell in order if cell in lines)])


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in line) + " |" for line in rows])
