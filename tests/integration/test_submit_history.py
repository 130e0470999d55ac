"""ladder.submit_history, which folds a batch, against the model that takes one submission after the other."""
import datetime
import random
import threading

import psycopg2
import psycopg2.errors
import pytest

from test_submit_sql import (ALL_KINDS, CHANGED, HIGH, LOW, NOW, NO_BOARD, Board, Model, connection, game_id,  # noqa: F401: fixtures
                             random_submission, run, stored, submit, us, window_start)


def submit_history(connection, board, rows, locks=False):
    """rows: [(player, score, subscore, at_us, metadata, if there is any)] -> (changed, {item: outcome} of the refused)"""
    changed, refused, items, outcomes = run(
        connection, "select changed, refused, refused_items, refused_outcomes from ladder.submit_history(%s, %s::text[], %s::bigint[], "
        "%s::bigint[], %s::bigint[], %s, '{}', %s::text[])",
        board.id, *([r[i] for r in rows] for i in range(4)), locks, [r[4] for r in rows] if rows and len(rows[0]) > 4 else [])[0]
    assert refused == len(items) == len(outcomes)
    return changed, dict(zip(items, outcomes))


def check(connection, model, board, rows, locks=False):
    """What it answers, and the events it leaves: which of each submission's standings it changed."""
    newest = run(connection, "select coalesce(max(id), 0) from ladder.score_event")[0][0]
    changed, refused = submit_history(connection, board, rows, locks)
    wanted = []
    refusals = {}
    for item, (player, score, subscore, at_us, *metadata) in enumerate(rows, 1):
        answer = model.submit(board, player, score, subscore, at_us, metadata[0] if metadata else None)
        if answer[0][1] > CHANGED:
            refusals[item] = answer[0][1]
        wanted.append(None if answer[0][1] > CHANGED else {window for window, outcome, _, _ in answer if outcome == CHANGED})
    assert refused == refusals
    assert changed == sum(bool(w) for w in wanted)
    events = run(connection, "select v.player, v.score, v.subscore, ladder.us_of(v.achieved_at), v.period_ids is null, array_agg(p.window_kind::text), "
                 "array_agg(ladder.us_of(p.starts_at)) from ladder.score_event v left join ladder.period p on p.id = any (v.period_ids) "
                 "where v.id > %s and v.board_id = %s group by v.id, v.player, v.score, v.subscore, v.achieved_at, v.period_ids order by v.id",
                 newest, board.id)
    assert [e[:4] for e in events] == [row[:4] for row, w in zip(rows, wanted) if w is not None]
    for event, row, windows in zip(events, *zip(*((r, w) for r, w in zip(rows, wanted) if w is not None))) if events else ():
        starts = {(window, LOW if window_start(window, row[3]) is None else us(window_start(window, row[3]))) for window in windows}
        assert (set() if event[4] else set(zip(event[5], event[6]))) == starts, row
        assert event[4] == (not windows), "null, not empty: the tail's index leaves it out"


@pytest.mark.parametrize("seed", range(3))
def test_random_batches_equal_the_model(connection, game_id, seed):  # noqa: F811
    dice = random.Random(seed)
    boards = [Board(connection, game_id, f"b{i}", **kind) for i, kind in enumerate(ALL_KINDS)]
    boards += [Board(connection, game_id, f"bound-{f}", operator=f, low=-4, high=7, windows=("all", "daily")) for f in ("best", "last", "sum")]
    model, players = Model(), ["ann", "bob", "cy", "Zoë", "zoe", "ä\\\"'{},NULL"]
    for step in range(60):
        board = dice.choice([b for b in boards if not b.is_deleted])
        rows = [random_submission(dice, [board], players)[1:6] for _ in range(dice.choice((1, 3, 40, 150)))]
        if dice.random() < 0.4:
            rows = [r[:4] for r in rows]
        if dice.random() < 0.7:  # no ends of int64: sums that stay within their bounds are folded
            rows = [(p, max(-9, min(9, s)), max(-9, min(9, t)), *more) for p, s, t, *more in rows]
        check(connection, model, board, rows, locks=dice.random() < 0.5)
        what = dice.random()
        if what < 0.3:
            batch = [random_submission(dice, boards, players) for _ in range(40)]
            submit(connection, batch)
            for submission in batch:
                model.submit(*submission[:6])
        elif what < 0.5:
            board, player = dice.choice(boards), dice.choice(players)
            run(connection, "select * from ladder.player_remove(%s, %s)", board.id, player)
            model.remove(board, player)
        elif what < 0.6:
            model.closed.update(run(
                connection, "update ladder.period p set state = %s from (select id from ladder.period where board_id = any (%s) and "
                "state = 'open' and window_kind <> 'all' order by random() limit 3) x where p.id = x.id "
                "returning p.board_id, p.window_kind, p.starts_at", dice.choice(("closing", "closed")), [b.id for b in boards]))
        elif what < 0.63:
            run(connection, "update ladder.board set deleted_at = now() where id = %s", board.id)
            board.is_deleted = True
            assert submit_history(connection, board, rows) == (0, {i + 1: NO_BOARD for i in range(len(rows))})
        assert stored(connection, boards) == model.entries
    assert run(connection, "select revision from ladder.entry e join ladder.period p on p.id = e.period_id where p.board_id = any (%s) "
               "group by revision having count(*) > 1", [b.id for b in boards]) == []


def test_every_kind_folds_a_long_history(connection, game_id):  # noqa: F811
    """Each board by itself, a thousand rows of ten players: the rounds that are folded, and the sums at the ends of int64."""
    dice = random.Random(7)
    model = Model()
    boards = [Board(connection, game_id, f"b{i}", **kind) for i, kind in enumerate(ALL_KINDS)]
    for board in boards:
        rows = [(f"p{dice.randrange(10)}", dice.randrange(-50, 200), dice.randrange(2), us(NOW - datetime.timedelta(days=dice.randrange(40))))
                for _ in range(1000)]
        for at in (0, 400):
            check(connection, model, board, rows[at:at + 600])
        check(connection, model, board, [("p0", s, 0, us(NOW)) for s in (HIGH, 1, HIGH, LOW, LOW, LOW, HIGH)])
        check(connection, model, board, [(f"p{dice.randrange(4)}", dice.randrange(2), 0, us(NOW) - n, dice.choice((None, '{"n":1}', '{"n":2}')))
                                         for n in range(300)])
    assert stored(connection, boards) == model.entries


@pytest.mark.parametrize("operator", ("sum", "best"))
def test_batches_that_race(stack, connection, game_id, operator):  # noqa: F811
    """Two importers and a server's batches on the same players: everything counts once, and what raced gets through with locks."""
    board = Board(connection, game_id, "b", operator=operator, windows=("all", "daily"))
    players = [f"p{i}" for i in range(50)]
    retries, failures = [], []

    def attempt(own, action):
        for number in range(20):
            try:
                return action(number > 0)
            except (psycopg2.errors.SerializationFailure, psycopg2.errors.DeadlockDetected) as error:
                retries.append((error.pgcode, number))
        raise AssertionError("20 attempts did not get through")

    def importer(seed):
        dice = random.Random(seed)
        own = psycopg2.connect(stack.primary_url)
        own.autocommit = True
        try:
            for _ in range(60):
                rows = [(dice.choice(players), 1 if operator == "sum" else dice.randrange(100000), 0, us(NOW)) for _ in range(100)]
                given.extend(rows)
                assert attempt(own, lambda locks: submit_history(own, board, rows, locks))[1] == {}
        except Exception as error:  # noqa: BLE001: told to the test
            failures.append(error)
        finally:
            own.close()

    def server():
        dice = random.Random(3)
        own = psycopg2.connect(stack.primary_url)
        own.autocommit = True
        try:
            for _ in range(200):
                batch = [(board, player, 1 if operator == "sum" else dice.randrange(100000), 0, us(NOW), None, 0)
                         for player in dice.sample(players, 10)]
                given.extend(b[1:5] for b in batch)
                attempt(own, lambda _: submit(own, batch))
        except Exception as error:  # noqa: BLE001
            failures.append(error)
        finally:
            own.close()

    given = []
    threads = [threading.Thread(target=importer, args=(seed,)) for seed in (1, 2)] + [threading.Thread(target=server)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    print(f"{len(retries)} retries")
    assert retries, "they met, or this test shows nothing"
    fold = sum if operator == "sum" else max
    wanted = {player: fold(r[1] for r in given if r[0] == player) for player in players}
    entries = stored(connection, [board])
    for window in board.windows:
        assert {k[3]: v[0][0] for k, v in entries.items() if k[1] == window} == wanted
    assert run(connection, "select count(*) from ladder.score_event where board_id = %s", board.id)[0][0] == len(given)
