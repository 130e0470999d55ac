"""The checkers of histories against exhaustive search: on random small histories both must say the same."""
import random

import pytest

from fault.histories import NEVER, Operation, linearizable, sessions


def is_linearizable(operations, state=0):
    """By trying every order. A write whose outcome is unknown may never take place."""
    left = [o for o in operations if o.kind != "W"]
    if not left:
        return True
    horizon = min(o.answered for o in left)
    for operation in operations:
        if operation.invoked > horizon or (operation.kind == "r" and operation.value != state):
            continue
        rest = [o for o in operations if o is not operation]
        if is_linearizable(rest, state if operation.kind == "r" else max(state, operation.value)):
            return True
    return False


def is_kept(operations):
    """The promise of sessions(), literally."""
    for read in operations:
        if read.kind != "r":
            continue
        if read.value and not any(w.kind != "r" and w.register == read.register and w.value == read.value and w.invoked <= read.answered
                                  for w in operations):
            return False
        for write in operations:
            if write.kind != "w" or write.register != read.register or write.value <= read.value:
                continue
            if write.server == read.server and write.answered < read.invoked:
                return False
            if write is read.shown:
                return False
            if read.shown and write.answered < read.shown.invoked and (write.server == read.shown.server or read.shown.register == read.register):
                return False
    return True


def draw(dice, registers, servers):
    operations = []
    for i in range(dice.randint(1, 6)):
        invoked = dice.random()
        kind = dice.choice("wwWrrr")
        value = dice.randint(0, 4) if kind == "r" else dice.randint(1, 4)
        operations.append(Operation(kind, dice.randrange(registers), value, invoked, invoked + dice.random() * dice.choice((0.1, 1)),
                                    dice.randrange(servers)))
    for read in operations:
        if read.kind == "r" and dice.random() < 0.5:
            read.shown = dice.choice([None, *(w for w in operations if w.kind == "w" and w.answered < read.invoked)])
    return operations


@pytest.mark.parametrize("checker, by_search, writers", ((linearizable, is_linearizable, 1), (sessions, is_kept, 2)), ids=("linearizable", "sessions"))
def test_it_finds_what_exhaustive_search_finds(checker, by_search, writers):
    dice = random.Random(writers)
    right = 0
    for _ in range(6000):
        history = draw(dice, writers, writers)
        expected = by_search(history)
        assert (not checker(history)) == expected, history
        right += expected
    assert 1000 < right < 5000, "both kinds were tried"


def test_an_unknown_write_may_come_late():
    late = [Operation("W", "a", 5, 0, 1), Operation("r", "a", 0, 2, 3), Operation("r", "a", 5, 4, 5)]
    assert late[0].answered == NEVER and not linearizable(late) and not sessions(late)
    assert linearizable([*late, Operation("r", "a", 0, 6, 7)]) and not sessions([*late, Operation("r", "a", 0, 6, 7)])
