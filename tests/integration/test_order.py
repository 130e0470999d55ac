"""The exact order, by three that share no code: Python's definition here, PostgreSQL's index, Redis's sorted set.

A large random sample goes through a real server, so that every step on the way is held too. (Two by two and by the million,
without servers: tests/unit/unit_board.c.)
"""
import datetime
import json
import random

import pytest

import compare

LOW, HIGH = -2**63, 2**63 - 1
COUNT = 4000  # a board; all its 8 million pairs are ordered by the one total order that is compared
EDGES = [LOW, LOW + 1, HIGH, HIGH - 1, 0, 1, -1, 255, 256, -256, -257, 65535, 65536, 2**31, 2**32, 2**53 - 1, 2**53, 2**53 + 1, -2**53, -2**53 - 1,
         2**62, 2**62 + 1, -2**62, 2**63 - 513, 2**63 - 512, 2**63 - 511]
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
# One, two, three and four bytes of UTF-8; those whose order by UTF-16 or by a locale is another.
LETTERS = ["a", "B", "b", "Z", "~", " ", "0", "\u00e9", "\u00df", "\u0301", "\u07ff", "\u0800", "\u20ac", "\ud7ff", "\ue000", "\uffff", "\U00010000",
           "\U0001f600", "\U0010ffff"]


def number(dice):
    kind = dice.random()
    if kind < 0.3:
        return dice.choice(EDGES)
    if kind < 0.6:
        return dice.randrange(-3, 4)
    if kind < 0.8:
        return max(LOW, min(HIGH, dice.choice((1, -1)) * (dice.getrandbits(dice.randrange(1, 64)))))
    near = dice.choice((2**53, -2**53, 2**62, HIGH - 2000, LOW + 2000))
    return max(LOW, min(HIGH, near + dice.randrange(-1500, 1500)))


def sample(seed):
    """Rows (player, score, subscore, microseconds); most share their pair, many their time too."""
    dice, players, rows = random.Random(seed), set(), []
    scores = [number(dice) for _ in range(COUNT // 6)]
    times = [dice.randrange(10**6) for _ in range(40)]
    while len(rows) < COUNT:
        player = "".join(dice.choice(LETTERS) for _ in range(dice.randrange(1, 7)))
        while len(player.encode()) > 64:
            player = player[:-1]
        if player in players:
            continue
        players.add(player)
        rows.append((player, dice.choice(scores), dice.choice((0, 0, 0, 1, -1, LOW, HIGH, dice.choice(EDGES))), dice.choice(times)))
    return rows


def place(order, tie):
    """The definition: better score, better subscore, then who was first (or last), then the id's bytes."""
    sign = -1 if order == "desc" else 1
    return lambda row: (sign * row[1], sign * row[2], row[3] if tie == "first" else -row[3], row[0].encode())


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("tie", ["first", "last"])
def test_three_orders_are_one(client, stack, order, tie):
    rows = sample(f"{order} {tie}")
    client.put_board("b", order=order, tie=tie, operator="last")
    lines = "".join(json.dumps(dict(board="b", player=p, score=s, subscore=u, at=(START + datetime.timedelta(microseconds=t)).isoformat())) + "\n"
                    for p, s, u, t in rows)
    answer = client.request("POST", "/scores", lines.encode(), headers={"Content-Type": "application/x-ndjson"})
    assert {r["status"] for r in answer.json()["results"]} == {200}
    wanted = [row[0] for row in sorted(rows, key=place(order, tie))]
    (period,) = compare.periods(stack, client.game)

    by_sql = stack.sql("set enable_sort = off; set enable_seqscan = off; set enable_bitmapscan = off; select player from ladder.entry "
                       "where window_kind = 'all' and period_start = '-infinity' and period_id = %s and not removed order by k1, k2, k3, player", period)
    assert [row[0] for row in by_sql] == wanted
    by_comparison = stack.sql("select e.player from ladder.entry e where e.period_id = %s and not e.removed "
                              "order by (e.k1, e.k2, e.k3, e.player) using operator(pg_catalog.<)", period)
    assert [row[0] for row in by_comparison] == wanted, "as row comparison, which cursors use"
    in_redis = compare.in_redis(stack, period)
    assert [row[3] for row in in_redis] == wanted
    assert in_redis == compare.in_postgres(stack, period)

    entries = client.pages("b", limit=997)
    truth = {row[0]: row for row in rows}
    assert [e["player"] for e in entries] == wanted and [e["rank"] for e in entries] == list(range(1, COUNT + 1))
    for entry in entries:
        assert (entry["score"], entry["subscore"]) == truth[entry["player"]][1:3]
    ranks = {player: rank for rank, player in enumerate(wanted, 1)}
    for player in random.Random(1).sample(wanted, 100):
        listed = stack.sql("select count(*) + 1 from ladder.entry e, ladder.entry m where m.period_id = %s and m.player = %s and e.period_id = m.period_id "
                           "and not e.removed and (e.k1, e.k2, e.k3, e.player) < (m.k1, m.k2, m.k3, m.player)", period, player)[0][0]
        assert listed == ranks[player]
    in_list = [p for p in random.Random(2).sample(wanted, 100) if "," not in p and not p.startswith('"')]
    page = client.request("GET", "/boards/b/players", ids=",".join(in_list)).json()
    assert [(e["player"], e["rank"]) for e in page["entries"]] == sorted(((p, ranks[p]) for p in in_list), key=lambda x: x[1])


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("tie", ["first", "last"])
def test_where_each_score_would_stand(client, order, tie):
    """Redis's search by bytes, among members whose doubles are equal, counts as Python does."""
    rows = sample(f"seek {order} {tie}")[:1000]
    client.put_board("b", order=order, tie=tie, operator="last")
    client.submit_many([dict(board="b", player=p, score=s, subscore=u) for p, s, u, _ in rows])
    sign, dice = (-1 if order == "desc" else 1), random.Random(3)
    keys = [(sign * s, sign * u) for _, s, u, _ in rows]
    for _ in range(150):
        score, subscore = (dice.choice(rows)[1:3] if dice.random() < 0.7 else (number(dice), number(dice)))
        key = (sign * score, sign * subscore)
        before = sum(k < key or (k == key and tie == "first") for k in keys)
        told = client.read("/boards/b/at", score=score, subscore=subscore, fields="total")
        assert (told["rank"], told["total"]) == (before + 1, 1000), (score, subscore)
