"""What attacks cost a victim of another game, as a ratio in one run (tests/hostile/attacks.py), with the rules that hold them broken as the
control."""
import pytest

from harness import patience
from hostile import attacks

pytestmark = pytest.mark.alone

TIMES_MAX = 3  # of a machine of its own; the table in docs/hostile.md is made by tests/hostile/attacks.py, with more rounds and all attacks
# p99 is of some 500 reads and 100 writes: on a machine that others use it is a few of their time slices. What is shorter does not count.
NOISE_MS = 25


@pytest.fixture
def town(stack, request):
    town = attacks.Town(stack, **request.param)
    town.feel(1)
    yield town
    town.close()


def times(measure, kind):
    return measure.during[kind].p99 / max(measure.alone[kind].p99, NOISE_MS)


@pytest.mark.parametrize("town", [{}], indirect=True)
def test_an_attack_does_not_hurt_another_game(town):
    for name in ("query-few-16", "players-16", "batches"):
        measure = attacks.Measure(town, attacks.ATTACKS[name][1](town), 1)
        print(name, measure)
        assert sum(part.failed for part in measure.during) == 0, (name, str(measure))
        assert measure.events["redis-lost"] == 0, (name, str(measure))
        assert max(times(measure, 0), times(measure, 1)) <= TIMES_MAX * patience(), (name, str(measure))
        assert measure.gives_memory_back(), (name, str(measure))


@pytest.mark.parametrize("town", [dict(faults="turns,slow-is-lost,absent,bulk-anywhere", server_anonymous_body_bytes_max=1 << 20)], indirect=True)
def test_the_measure_finds_what_hurts(town):
    """The control: all at once, as it was."""
    measure = attacks.Measure(town, attacks.ATTACKS["query-16"][1](town), 1)
    print(measure)
    assert times(measure, 0) > TIMES_MAX * patience() or sum(part.failed for part in measure.during) > 0
