"""Statements whose cost must not grow with the tables: none reads a partition from end to end."""
import psycopg2
import pytest

from harness import ROOT


@pytest.mark.parametrize("statement, parameters", (
    ("purge_board_events", ("1", "1000")),
    ("purge_event", ("1", "2026-01-01T00:00:00Z", "1", "ann")),
    ("purge_board_entries", ("1", "all", "-infinity", "1000")),
    ("tail_changes", ("5:5:", "2026-01-01T00:00:00Z")),
    ("standing_players", ("daily", "2026-01-01T00:00:00Z", "1", "{ann}", "0")),
    ("history_closed", ("1", "ann", "daily", "1767225600000000", "100")),
    ("history_snapshots", ("1", "ann", "1767225600000000", "100")),
    ("compare_periods", ("daily", "2026-01-02T00:00:00Z", "2", "100", "2026-01-01T00:00:00Z", "1")),
    ("compare_snapshot", ("all", "-infinity", "1", "100", "1")),
    ("player_boards", ("1", "ann", "all", "", "20")),
    ("roll_settled", ("100",)),
    ("webhook_claim", ("5000", "8")),
    ("webhook_purge", ("1000",)),
    ("purge_board_ranks", ("1", "1000")),
    ("purge_board_snapshots", ("1", "1000"))))
def test_no_table_is_read_whole(stack, statement, parameters):
    text = (ROOT / "sql" / "statements" / f"{statement}.sql").read_text()
    connection = psycopg2.connect(stack.primary_url)
    try:
        with connection.cursor() as cursor:
            # Where there is a way by index, it is taken then even on a table this small; where there is none, that shows.
            cursor.execute("set enable_seqscan = off; set plan_cache_mode = force_custom_plan")
            cursor.execute(f"prepare statement as {text}")
            cursor.execute("explain execute statement (" + ", ".join(["%s"] * len(parameters)) + ")", parameters)
            plan = "\n".join(row[0] for row in cursor.fetchall())
    finally:
        connection.close()
    assert "Seq Scan on" not in plan, plan
