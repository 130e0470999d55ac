"""What attacks cost a victim of another game, as a ratio in one run (tests/hostile/attacks.py), with the rules that hold them broken as the
control."""
import pytest

from hostile import attacks

pytestmark = pytest.mark.alone

ROUNDS = 3
TIMES_MAX = 3
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
@pytest.mark.parametrize("names", [("query", "query-few-16"), ("query-key", "players-16"), ("boards-query", "keys"), ("batches",)])
def test_an_attack_does_not_hurt_another_game(town, names):
    for name in names:
        measure = attacks.Measure(town, attacks.ATTACKS[name][1](town), ROUNDS)
        print(name, measure)
        assert sum(part.failed for part in measure.during) == 0, (name, str(measure))
        assert measure.events["redis-lost"] == 0, (name, str(measure))
        assert times(measure, 0) <= TIMES_MAX and times(measure, 1) <= TIMES_MAX, (name, str(measure))


@pytest.mark.parametrize("town", [dict(faults="turns,slow-is-lost,absent,bulk-anywhere", server_anonymous_body_bytes_max=1 << 20)], indirect=True)
def test_the_measure_finds_what_hurts(town):
    """The control: all at once, as it was."""
    measure = attacks.Measure(town, attacks.ATTACKS["query-16"][1](town), 2)
    print(measure)
    assert times(measure, 0) > TIMES_MAX or sum(part.failed for part in measure.during) > 0
