"""Windows by schedule: when they open and close is what a walk over every minute says."""
import datetime
import random
import zoneinfo

import pytest

import cron
from cron import DAY, MINUTE, UTC
from test_time_zones import changes, names

MICROSECOND = datetime.timedelta(microseconds=1)
# Changes at midnight and back over it, by half an hour, two hours and a whole day, in winter, and twice a year for a month.
ODD = ["America/Sao_Paulo", "America/Havana", "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia", "Europe/Dublin", "Africa/Casablanca",
       "Asia/Tehran", "Pacific/Chatham", "America/St_Johns", "Asia/Gaza", "CET", "UTC"]
SCHEDULES = [("0 18 * * 5", "0 6 * * 1"), ("0 * * * *", "30 * * * *"), ("30 1 * * *", "30 2 * * *"), ("0 2 * * sun", "0 3 * * SUN"), ("* * * * *", "*/7 * * * *"),
             ("15,45 0-3 * * *", "0 */2 * * *"), ("0 0 * * *", "0 0 * * *"), ("0 12 1 * *", "0 12 15,28 * *"), ("0 0 13 * fri", "59 23 * * *"),
             ("30 23 * * 6", "30 0 * * 7"), ("*/5 2 * * *", "2-59/5 2 * * *")]


def drawn(draw):
    """A cron expression of every kind."""
    def part(least, most):
        low, high = sorted(draw.sample(range(least, most + 1), 2))
        return draw.choice(["*", "*", str(low), f"{low}-{high}", f"{low},{high}", f"*/{draw.randint(1, 12)}", f"{low}-{high}/{draw.randint(1, 5)}"])
    return " ".join([part(0, 59), part(0, 23), draw.choice(["*", "*", part(1, 28)]), draw.choice(["*", "*", "*", part(1, 12)]), draw.choice(["*", part(0, 7)])])


def around(draw, zone):
    """An instant near a change of the zone's clocks, or any other."""
    turns = [t for t in changes(zone) if 1975 <= t.year <= 2036]
    if turns and draw.random() < 0.8:
        return draw.choice(turns) + MINUTE * draw.randint(-4000, 4000)
    return datetime.datetime(draw.randint(1975, 2036), 1, 1, tzinfo=UTC) + MINUTE * draw.randrange(500000)


def cases(seed, count):
    draw, every = random.Random(seed), [n for n in names() if n in zoneinfo.available_timezones()]
    for i in range(count):
        zone = ODD[i % len(ODD)] if i % 2 else draw.choice(every)
        yield draw, zone, around(draw, zone), SCHEDULES[i // 2 % len(SCHEDULES)] if i % 3 else (drawn(draw), drawn(draw))


@pytest.mark.parametrize("part", range(4))
def test_every_period_is_that_of_a_walk(stack, part):
    wrong, asked, held = [], 0, 0
    for draw, zone, middle, (opens, closes) in cases(part, 24):
        found = cron.periods(opens, closes, zone, middle - 5 * DAY, middle + 5 * DAY)
        if len(found) < 2:
            continue
        edges = [e for p in found for e in p if found[0][0] <= e <= found[-1][1]]
        near = sorted(draw.sample(edges, min(len(edges), 4)) + [middle, *[i for i in (draw.choice(edges) - MICROSECOND, draw.choice(edges) + MICROSECOND)]])
        near = [i for i in near if found[0][0] <= i < found[-1][1]]
        rows = stack.sql("select i.at, b.starts_at, b.ends_at, b.is_open from unnest(%s::timestamptz[]) with ordinality i (at, nth), "
                         "ladder.schedule_bounds(%s, %s, %s, i.at) b order by i.nth", near, opens, closes, zone)
        for at, start, end, is_open in rows:
            holding = [p for p in found if p[0] <= at < p[1]]
            asked, held = asked + 1, held + len(holding)
            is_right = (is_open and [(start, end)] == holding) if holding else (
                is_open is False and end == min(p[0] for p in found if p[0] > at) and start <= at and not any(start < p[1] and p[0] < at for p in found))
            if not is_right:
                wrong.append(f"{opens} | {closes} {zone} {at}: {start} to {end} {is_open}, by the walk {holding}")
    assert asked > 60 and held > 25 and not wrong, f"{len(wrong)} of {asked}, {held} in a period:\n" + "\n".join(wrong[:20])
