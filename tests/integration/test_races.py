"""Several writers at once, through two servers, on the same players: ties, subscores, sums that leave 64 bits, removals.

Each answer says what its write found; so there must be one order of a player's writes that explains all of them, and each read meanwhile
shows, of each player, a beginning of that order, with what its server had acknowledged (checker.py).
"""
import json
import types

import pytest

import checker
import model
import modelrun

OFTEN = dict(writes=0.4, races=0.9)


@pytest.fixture(scope="module", autouse=True)
def worker(stack):
    worker = stack.worker()
    yield
    worker.stop()


def test_writers_on_the_same_players(stack):
    with modelrun.Setting(stack) as setting:
        counts, violations, _ = setting.check(4000, seed=11, **OFTEN)
        assert not violations, violations[0]
        assert counts["raced on a player"] > 300 and counts["overflown"] > 3 and counts["reads"] > 1000, counts
        setting.same_in_the_end()


def test_where_messages_and_answers_come_late(stack):
    with modelrun.Setting(stack, delays=((0, 10), (-4, 2))) as setting:
        counts, violations, _ = setting.check(2000, seed=12, **OFTEN)
        assert not violations, violations[0]
        assert counts["raced on a player"] > 150, counts
        setting.same_in_the_end()


def test_it_finds_that_an_older_write_replaces_a_newer_one(stack):
    """Redis without its gate: of two writes on a player, what comes last stays, though it may be the older one."""
    gate = "if struct.unpack('>I6', old) >= struct.unpack('>I6', revision) then return nil end"
    libraries = [dict(zip(row[::2], row[1::2])) for row in stack.redis.execute_command("FUNCTION", "LIST", "WITHCODE")]
    codes = [library[b"library_code"].decode() for library in libraries if gate in library[b"library_code"].decode()]
    assert codes
    with modelrun.Setting(stack) as setting:
        try:
            for code in codes:
                stack.redis.execute_command("FUNCTION", "LOAD", "REPLACE", code.replace(gate, ""))
            counts, violations, _ = setting.check(10**6, seed=13, seconds=120, facets={}, **OFTEN)
            assert violations, counts
        finally:
            for code in codes:
                stack.redis.execute_command("FUNCTION", "LOAD", "REPLACE", code)
            stack.redis.flushdb()  # what is wrong in there


# ---- the checker: what no order explains ----

def submitted(score, previous, improved=True, at=5):
    entry = {"score": score, "subscore": 0, "metadata": None, "achieved_at": model.time_text(at)}
    return 200, {"entry": entry, "improved": improved, "previous": None if previous is None else {"score": previous, "subscore": 0}}


OVERFLOW = 422, {"type": "urn:ladder:problem:score-overflow"}


@pytest.mark.parametrize("operator, scores, answers, is_right", [
    ("sum", [2, 3], [submitted(5, 3), submitted(3, None)], True),
    ("sum", [2, 3], [submitted(2, None), submitted(3, None)], False),  # one is lost
    ("sum", [2, 3], [submitted(5, 3), submitted(5, 2)], False),  # each after the other
    ("sum", [model.MAX, 3], [submitted(model.MAX, None), OVERFLOW], True),
    ("sum", [2, 3], [submitted(2, None), OVERFLOW], False),
    ("last", [7, 4], [submitted(7, 4), submitted(4, None)], True),
    ("last", [7, 4], [submitted(7, 4), submitted(4, 7)], False),
    ("best", [7, 4], [submitted(7, None), submitted(7, 7, improved=False)], True),
    ("best", [7, 4], [submitted(7, None), submitted(4, 7)], False),  # a worse one replaces a better one
    ("best", [7, 7], [submitted(7, None), submitted(7, None)], False),  # both first
])
def test_the_order_is_taken_from_the_answers(operator, scores, answers, is_right):
    watched = types.SimpleNamespace(last=0)
    race = checker.Race(watched, [("ann", {"player": "ann", "score": score}) for score in scores])
    race.answers = json.loads(json.dumps(answers))
    board, check = model.Board("b", "desc", operator, "first"), checker.Checker.__new__(checker.Checker)
    if is_right:
        order, states = check.chain_of(board, model.State([], {}), race, "ann")
        assert len(order) == 2 and len(states) == 3
    else:
        with pytest.raises(checker.Violation, match="in no order"):
            check.chain_of(board, model.State([], {}), race, "ann")
