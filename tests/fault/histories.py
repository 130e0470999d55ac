"""Is what was read explained by what was written? Pure functions over histories; test_histories.py holds them to exhaustive search.

All times are of one clock (one machine), so "before" is certain.
"""
import bisect
import collections

NEVER = float("inf")


class Operation:
    """A write of a best score, or a read of it. value: 0 where a read found nothing."""
    __slots__ = ("kind", "register", "value", "invoked", "answered", "server", "shown", "via")

    def __init__(self, kind, register, value, invoked, answered, server=None, shown=None, via=""):
        self.kind, self.register, self.value = kind, register, value  # kind: w acknowledged, W unknown (it may come at any time), r
        self.invoked, self.answered = invoked, answered if kind != "W" else NEVER
        self.server = server    # which process answered
        self.shown = shown      # the write whose token a read showed
        self.via = via          # what the answer said of how it came about

    @property
    def is_behind(self):
        return 'desc="behind"' in self.via

    def __repr__(self):
        shown = f" shows {self.shown.value}" if self.shown else ""
        return f"{self.kind}({self.register}={self.value}) {self.invoked:.4f}..{self.answered:.4f} at {self.server}{shown} {self.via}"


class Highest:
    """What was the highest value that had been completed before a moment?"""

    def __init__(self, completed):
        completed = sorted(completed)
        self.times, self.values = [at for at, _ in completed], []
        highest = 0
        for _, value in completed:
            highest = max(highest, value)
            self.values.append(highest)

    def before(self, moment):
        i = bisect.bisect_left(self.times, moment)
        return self.values[i - 1] if i else 0


def around(history, read, seconds=1.0):
    """What else happened to its register then, as evidence."""
    near = [o for o in history if o.register == read.register and o.invoked < read.answered + 0.1 and (o.answered > read.invoked - seconds or o.kind == "W")]
    return "; ".join(map(repr, sorted(near, key=lambda o: o.invoked)[-25:]))


def by_register(history):
    found = collections.defaultdict(list)
    for operation in history:
        found[operation.register].append(operation)
    return found.values()


def offered(history):
    """value -> when it was first sent."""
    first = {}
    for operation in history:
        if operation.kind != "r":
            first[operation.value] = min(first.get(operation.value, NEVER), operation.invoked)
    return first


def phantoms(history):
    """Reads of what nobody had sent when their answer came."""
    return [(read, "nobody had sent that") for operations in by_register(history) for first in [offered(operations)]
            for read in operations if read.kind == "r" and read.value and first.get(read.value, NEVER) > read.answered]


def linearizable(history):
    """
    What forbids to put the operations of each register, which keeps the highest value, in one order that respects real time.

    A read of v can't take place before v was sent, so it is as if it had been invoked then; and whatever had been completed
    before that, written or read, must not be higher. O(n log n).
    """
    bad = phantoms(history)
    for operations in by_register(history):
        first = offered(operations)
        highest = Highest([(o.answered, o.value) for o in operations if o.answered < NEVER])
        for read in operations:
            if read.kind == "r":
                seen = highest.before(max(read.invoked, first.get(read.value, read.invoked)))
                if seen > read.value:
                    bad.append((read, f"{seen} had been there before"))
    return bad


def sessions(history):
    """
    What breaks the promise of the service to who reads: it sees every write that the same process had acknowledged before; and,
    showing a token, on any server, the write that the token is of, with what the process that took it had acknowledged before that,
    and what anybody had of the same register. Only what says that it is behind, of a replica while there is no primary, may lack
    what the process knew; never what the token covers.
    """
    bad = phantoms(history)
    for operations in by_register(history):
        written = [o for o in operations if o.kind == "w"]
        everywhere = Highest([(o.answered, o.value) for o in written])
        here = {server: Highest([(o.answered, o.value) for o in written if o.server == server]) for server in {o.server for o in written}}
        for read in operations:
            if read.kind != "r":
                continue
            floor = here[read.server].before(read.invoked) if read.server in here and not read.is_behind else 0
            if read.shown:
                floor = max(floor, here[read.shown.server].before(read.shown.invoked) if read.shown.server in here else 0)
                if read.shown.register == read.register:
                    floor = max(floor, everywhere.before(read.shown.invoked), read.shown.value)
            if floor > read.value:
                bad.append((read, f"{floor} was acknowledged before"))
    return bad
