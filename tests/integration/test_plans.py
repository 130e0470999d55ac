"""How PostgreSQL carries out every statement of sql/statements: no partition is read from end to end, and those that the
question does not concern are left alone. (loadtest/statistics asks the same at ten million entries, and lets PostgreSQL choose.)"""
import re

import psycopg2
import pytest

import plans
from harness import wait_until


@pytest.fixture(scope="module")
def made(stack):
    return plans.make(stack)


def test_every_statement_has_a_case():
    assert sorted(plans.CASES) == plans.NAMES, "a statement needs a case that says which partitions it may touch"


@pytest.mark.parametrize("name", plans.NAMES)
def test_no_partition_is_read_whole_and_others_are_left_alone(stack, made, name):
    lines = plans.plans(stack, name, made)
    assert lines or name in plans.ABORTS, "auto_explain tells nothing"
    assert not plans.judge(name, lines), "\n".join(lines)


@pytest.mark.parametrize("view, name, parameters", [
    ("daily_activity", "game_statistics", None),
    ("hall_of_fame", "hall_of_fame", None),
    ("hall_of_fame", "hall_of_fame", ("{game}", "", "", "p40", "3", "{now_us}", "9223372036854775807", "21")),
    ("hall_of_fame", "player_statistics", ("{game}", "p40")),
    ("player_total", "player_statistics", None)])
def test_each_view_is_read_by_a_route(stack, ladder, made, monkeypatch, view, name, parameters):
    """By an index of it, once it is filled. What it shows is not asked of the tables that it is made of."""
    stack.sql("update ladder.period set closed_at = coalesce(closed_at, ends_at), final_count = coalesce(final_count, 1) where state = 'closed' and board_id = %s",
              made["board"])
    stack.sql("update ladder.refresh_state set done_v = 0 where view = %s", view)  # it is not told of that
    wait_until(lambda: stack.refresh(view) and stack.sql(f"select count(*) from ladder.{view} where game = %s", made["game_name"])[0][0] > 0, 30, "the view shows it")
    if parameters:
        monkeypatch.setitem(plans.CASES, name, (parameters, *plans.CASES[name][1:]))
    lines = plans.plans(stack, name, made)
    assert [line for line in lines if re.search(rf"Index (Only )?Scan .*on {view}\b", line)], "\n".join(lines)
    assert not [line for line in lines if re.search(r"Scan .*on entry_", line)], "\n".join(lines)


def test_every_view_has_its_route(stack):
    shown = {row[0] for row in stack.sql("select c.relname::text from pg_class c where c.relnamespace = 'ladder'::regnamespace and c.relkind = 'm'")}
    read = {view for view in shown if any(re.search(rf"\bladder\.{view}\b", path.read_text()) for path in [plans.ROOT / "sql" / "functions" / "78_views_read.sql"])}
    assert shown == read == {"daily_activity", "hall_of_fame", "player_total"}


def test_a_statement_without_its_index_is_found(stack, made):
    """The check can fail: without the index that it needs, a page reads its partition whole."""
    connection = psycopg2.connect(stack.primary_url)
    connection.notices = notices = []
    try:
        with connection.cursor() as cursor:
            cursor.execute("drop index ladder.entry_rank_idx; alter table ladder.entry drop constraint entry_pk")
            cursor.execute("load 'auto_explain'; set auto_explain.log_min_duration = 0; set client_min_messages = log; set enable_seqscan = off")
            cursor.execute("select count(*) from ladder.entry e where e.window_kind = 'daily' and e.period_start = %s and e.period_id = %s",
                           (made["start"], made["period"]))
    finally:
        connection.rollback()
        connection.close()
    lines = [line for notice in notices for line in notice.splitlines()]
    assert any(re.match("Seq Scan on entry_daily", wrong) for wrong in plans.judge("standing_page", lines)), "\n".join(lines)


def test_a_purge_reads_what_it_deletes(stack, made):
    """Left to itself, the planner would read small partitions from end to end for each thousand."""
    board, = stack.sql("insert into ladder.board (game_id, name, windows) values (%s, 'gone', '{all}') returning id", made["game"])[0]
    for table, column in ("score_event", "submitted_at"), ("standing_snapshot", "at"):
        more = {"score_event": ("", ""), "standing_snapshot": (", rank, k1, k2", ", n, 1, 1")}[table]
        stack.sql(f"insert into ladder.{table} (board_id, player, {column}{more[0]}) select %s, 'p' || n, now() + n %% 5 * interval '1 day'{more[1]} "
                  "from generate_series(1, 20000) n", board)
        stack.sql(f"analyze ladder.{table}")
    for name in "purge_board_events", "purge_board_snapshots":
        lines = plans.plans(stack, name, {**made, "board": board}, is_forced=False)
        assert any("Tid Scan" in line for line in lines) and not [line for line in lines if "Seq Scan on" in line]
    stack.sql("delete from ladder.score_event where board_id = %s", board)
    stack.sql("delete from ladder.standing_snapshot where board_id = %s", board)
    stack.sql("delete from ladder.board where id = %s", board)
