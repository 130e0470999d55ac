"""The standings of facets in SQL: always the whole board's entries of the players who have the value, whatever was done."""
import json
import random
import threading

import psycopg2
import psycopg2.errors
import pytest

from test_submit_sql import (CHANGED, NOW, PASSED_OVER, Model, Board, connection, game_id,  # noqa: F401: fixtures
                             random_submission, run, us, window_start)

TOO_MANY, NO_FACET = 8, 9
NAMES = ("country", "clan")
VALUES = {"country": ("BR", "AR", "ÅX", 'a"\\b,{}'), "clan": ("red", "10:4", "%", None)}


def declare(connection, board, names, most=10000):
    """As PATCH does."""
    before = run(connection, "select facets, facet_ids from ladder.board where id = %s", board.id)[0]
    run(connection, "update ladder.board set facets = %s::text[], facet_ids = ladder.facet_ids(%s::text[], %s::text[], %s::bigint[]), "
        "facet_values_max = %s where id = %s", list(names), list(names), *before, most, board.id)
    board.facets = list(names)


def submit(connection, batch):
    """batch: [(board, player, score, subscore, at_us, metadata, given)] -> rows by item, (main, facets)."""
    rounds, seen = [], {}
    for board, player, *_ in batch:
        rounds.append(seen.setdefault((board.id, player), 0))
        seen[board.id, player] += 1
    rows = run(connection, "select item, window_kind, outcome, revision, k1, k2, k3, metadata, old_k1, old_k2, old_k3, period_start_us, facet "
               "from ladder.submit(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::int[], %s::int[], "
               "'{}', '{}', '{}', %s::text[])", *([x[i] for x in map(lambda b: (b[0].id, *b[1:]), batch)] for i in range(6)),
               rounds, [0] * len(batch), [None if b[6] is None else json.dumps(b[6]) for b in batch])
    answers = [([], []) for _ in batch]
    for row in rows:
        answers[row[0] - 1][row[12] is not None].append(row)
    return answers


class Faceted(Model):
    """Who has which value; and of standings that are closed, what was in them."""

    def __init__(self):
        super().__init__()
        self.values = {}  # (board id, player) -> {name: value}
        self.final = {}   # (board id, window, start, facet, player) -> entry

    def take(self, board, player, given):
        held = self.values.setdefault((board.id, player), {})
        for name, value in (given or {}).items():
            held[name] = value

    def facets(self, board_id, window, start):
        return {(board_id, window, start, f"{name}:{value}", player): entry
                for (b, w, s, player), entry in self.entries.items() if (b, w, s) == (board_id, window, start)
                for name, value in self.values.get((b, player), {}).items() if value is not None}

    def close(self, period):
        self.closed.add(period)
        self.final.update(self.facets(*period))

    def wanted(self):
        standings = {key[:3] for key in self.entries} - self.closed
        return {**self.final, **{k: v for standing in standings for k, v in self.facets(*standing).items()}}

    def drop(self, board, name):
        for (b, _), held in self.values.items():
            if b == board.id:
                held.pop(name, None)
        self.final = {k: v for k, v in self.final.items() if k[0] != board.id or not k[3].startswith(name + ":")}

    def remove(self, board, player):
        super().remove(board, player)
        self.values.pop((board.id, player), None)

    def erase(self, boards, player):
        for board in boards:
            self.values.pop((board.id, player), None)
        self.entries = {k: v for k, v in self.entries.items() if k[3] != player}
        self.final = {k: v for k, v in self.final.items() if k[4] != player}


def stored(connection, boards):
    """The entries in standings of facets that are declared now."""
    by_id = {b.id: b for b in boards}
    rows = run(connection, "select p.board_id, e.window_kind, case when e.window_kind <> 'all' then e.period_start end, "
               "ladder.facet_name(p.facet, b.facets, b.facet_ids), e.player, e.k1, e.k2, e.k3, e.metadata::text "
               "from ladder.entry e join ladder.period p on p.id = e.period_id join ladder.board b on b.id = p.board_id "
               "where p.board_id = any (%s) and p.facet <> '' and not e.removed and ladder.facet_key_id(p.facet) = any (b.facet_ids)", list(by_id))
    return {(b, w, s, f, p): (by_id[b].decode(k1, k2, k3), m) for b, w, s, f, p, k1, k2, k3, m in rows}


def given(dice, names=NAMES):
    if dice.random() < 0.4 or not names:
        return None
    return {name: dice.choice(VALUES[name]) for name in dice.sample(names, dice.randrange(len(names) + 1))}


@pytest.mark.parametrize("seed", range(4))
def test_random_batches_equal_the_model(connection, game_id, seed):  # noqa: F811
    dice = random.Random(seed)
    boards = [Board(connection, game_id, f"b{i}", operator=o, order=d, tie=t, windows=w) for i, (o, d, t, w) in enumerate((
        ("best", "desc", "first", ("all", "daily", "hourly")), ("last", "asc", "last", ("monthly",)),
        ("sum", "desc", "last", ("all", "weekly")), ("best", "asc", "first", ("all",))))]
    boards.append(Board(connection, game_id, "bound", operator="sum", low=-4, high=7, windows=("all", "daily")))
    for board in boards[1:]:
        declare(connection, board, NAMES)
    boards[0].facets = []  # declared later, when there are entries
    model, players, erased = Faceted(), ["ann", "bob", "cy", "Zoë"], set()
    for step in range(50):
        rows = [random_submission(dice, boards, players)[:6] for _ in range(dice.choice((1, 3, 30)))]
        rows = [(b, p, max(-9, min(9, s)), max(-9, min(9, t)), at, m, given(dice, b.facets)) for b, p, s, t, at, m in rows]
        if dice.random() < 0.4:  # as an import has them
            board = dice.choice(boards)
            rows = [(board, *r[1:5], None, given(dice, board.facets)) for r in rows]
            changed, refused = run(connection, "select changed, refused from ladder.submit_history(%s, %s::text[], %s::bigint[], %s::bigint[], "
                                   "%s::bigint[], %s, %s::text[])", board.id, *([r[i] for r in rows] for i in range(1, 5)), dice.random() < 0.5,
                                   [None if r[6] is None else json.dumps(r[6]) for r in rows])[0]
            answers = None
        else:
            answers = submit(connection, rows)
        refusals = 0
        for i, row in enumerate(rows):
            told = model.submit(*row[:6])
            if told[0][1] > CHANGED:
                refusals += 1
                continue
            model.take(row[0], row[1], row[6])
            if answers is not None:
                main, facets = answers[i]
                held = {f"{n}:{v}" for n, v in model.values.get((row[0].id, row[1]), {}).items() if v is not None}
                now = {(f[1], f[11], f[12]): f for f in facets if f[4] is not None}
                for m in main:  # each window's entry in each of the player's facets; a closed window has no change
                    if m[2] == PASSED_OVER:
                        continue
                    for facet in held:
                        assert now[m[1], m[11], facet][4:8] == m[4:8], (row, facets)
                assert {f[12] for f in facets} - {""} == held
        if answers is None:
            assert refused == refusals
        what, board, player = dice.random(), dice.choice(boards), dice.choice(players)
        if what < 0.2:
            run(connection, "select * from ladder.player_remove(%s, %s)", board.id, player)
            model.remove(board, player)
        elif what < 0.25:
            run(connection, "select * from ladder.player_erase(%s, %s)", game_id, player)
            model.erase(boards, player)
            erased.add(player)
        elif what < 0.35:
            closed = run(connection, "update ladder.period p set state = 'closed' from (select board_id, window_kind, starts_at from ladder.period "
                         "where board_id = any (%s) and state = 'open' and window_kind <> 'all' and facet = '' order by random() limit 3) x "
                         "where p.board_id = x.board_id and p.window_kind = x.window_kind and p.starts_at = x.starts_at "
                         "returning p.board_id, p.window_kind, p.starts_at, p.facet", [b.id for b in boards])
            for period in closed:
                if period[3] == "":
                    model.close(period[:3])
        elif what < 0.45:
            names = [n for n in NAMES if dice.random() < 0.7]
            for name in set(board.facets) - set(names):
                model.drop(board, name)
            declare(connection, board, names)
        assert stored(connection, boards) == model.wanted(), step
    # Every change has its event: by it the tail finds the entry, and the purge the tombstone.
    lost = run(connection, "select count(*) from ladder.entry e join ladder.period p on p.id = e.period_id where p.board_id = any (%s) "
               "and not exists (select from ladder.score_event v where v.board_id = p.board_id and v.player = e.player "
               "and p.id = any (v.period_ids))", [b.id for b in boards])[0][0]
    assert lost == 0
    # And the moves of the events lead to the entries: so whoever adds them up, the tally, has what is there. Of who was erased, events are gone.
    wrong = run(connection, """
        with period as (select * from ladder.period p where p.board_id = any (%s)),
        moved as (select u.period_id, v.player, v.moves[u.nth:u.nth][1:3] as before, v.moves[u.nth:u.nth][4:6] as after
                  from ladder.score_event v
                  cross join lateral unnest(v.period_ids) with ordinality as u (period_id, nth)
                  where v.board_id = any (%s)),
        sum as (select x.period_id, x.player, x.key, sum(x.sign) as sum
                from (select period_id, player, after as key, 1 as sign from moved
                      union all select period_id, player, before, -1 from moved
                      union all select e.period_id, e.player, array[array[e.k1, e.k2, e.k3]], -1
                      from ladder.entry e join period p on p.id = e.period_id where not e.removed) x
                where x.key[1][1] is not null
                group by 1, 2, 3)
        select p.facet, s.* from sum s join period p on p.id = s.period_id where s.sum <> 0""", [b.id for b in boards], [b.id for b in boards])
    assert [row for row in wrong if row[2] not in erased] == []


def test_values_are_counted(connection, game_id):  # noqa: F811
    board = Board(connection, game_id, "few")
    declare(connection, board, ("country",), most=2)
    one = lambda player, given: submit(connection, [(board, player, 1, 0, us(NOW), None, given)])[0][0][0][2]  # noqa: E731
    assert one("a", {"country": "BR"}) == CHANGED
    assert one("b", {"country": "AR"}) == CHANGED
    assert one("c", {"country": "CL"}) == TOO_MANY
    assert one("c", {"country": "BR"}) == CHANGED
    assert one("d", {"planet": "Mars"}) == NO_FACET
    assert one("d", {"country": None}) == CHANGED
    # Of one batch, those that fit; the others are refused whole.
    declare(connection, board, ("country",), most=3)
    answers = submit(connection, [(board, p, 5, 0, us(NOW), None, {"country": v}) for p, v in (("e", "PE"), ("f", "UY"), ("g", "PE"), ("a", "BR"))])
    assert [a[0][0][2] for a in answers] == [CHANGED, TOO_MANY, CHANGED, CHANGED]
    assert run(connection, "select count(*) from ladder.facet_value where board_id = %s", board.id) == [(3,)]
    assert run(connection, "select count(*) from ladder.entry e join ladder.period p on p.id = e.period_id where p.board_id = %s and player = 'f'",
               board.id) == [(0,)]


def test_racing_submissions_leave_the_mirror_right(stack, connection, game_id):  # noqa: F811
    """Many connections write the same few players, change their facets, remove them: in the end each standing is what it should be."""
    board = Board(connection, game_id, "race", windows=("all", "daily"))
    declare(connection, board, NAMES)

    def write(seed):
        dice, own = random.Random(seed), psycopg2.connect(stack.primary_url)
        own.autocommit = True
        for _ in range(60):
            batch = [(board, dice.choice("abcd"), dice.randrange(100), 0, us(NOW), None, given(dice)) for _ in range(dice.choice((1, 1, 4)))]
            try:
                if dice.random() < 0.1:
                    run(own, "select * from ladder.player_remove(%s, %s)", board.id, dice.choice("abcd"))
                else:
                    submit(own, batch)
            except (psycopg2.errors.SerializationFailure, psycopg2.errors.DeadlockDetected):
                pass  # the server sends it again
        own.close()
    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = {p: [f for f in fs if not f.endswith(":")] for p, fs in run(connection, "select player, facets from ladder.player_facet where board_id = %s", board.id)}
    main = run(connection, "select p.window_kind, p.starts_at, e.player, k1, k2, k3 from ladder.entry e join ladder.period p on p.id = e.period_id "
               "where p.board_id = %s and p.facet = '' and not e.removed", board.id)
    wanted = {(w, s, f, p, *k) for w, s, p, *k in main for f in held.get(p, ())}
    found = set(run(connection, "select p.window_kind, p.starts_at, p.facet, e.player, k1, k2, k3 from ladder.entry e join ladder.period p "
                    "on p.id = e.period_id where p.board_id = %s and p.facet <> '' and not e.removed", board.id))
    assert main and wanted == found
