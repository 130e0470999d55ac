"""How PostgreSQL carries out every statement of sql/statements.

Each is run for real, in a transaction that is undone (but for CALLS), and auto_explain tells the plans of what ran, also within functions.
"""
import datetime
import json
import pathlib
import re

import psycopg2

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAMES = sorted(path.stem for path in (ROOT / "sql" / "statements").glob("*.sql"))
PARTITION = r"(?:entry_(?:all|monthly|weekly|daily|hourly|scheduled)_\w+|score_event_\d+)"
SCAN = re.compile(r"(Seq Scan|Index Scan|Index Only Scan|Bitmap Heap Scan|Bitmap Index Scan|Tid Scan|Tid Range Scan)\b.* on (?:ladder\.)?(\w+)")
NOW = datetime.datetime.now(datetime.timezone.utc)
HASH = "\\x" + "00" * 32
KINDS = "{all,monthly,weekly,daily,hourly}"
STANDING = ("{kind}", "{start}", "{period}")
ABORTS = ("partition_drop",)
CALLS = ("refresh_gather",)  # can't be prepared, nor undone: a procedure's transactions are its own
MANY = 10000  # it may look at as many partitions as there are

# statement -> parameters, and how many partitions of entry and of score_event it may touch. Of score_event none is made for a
# statement that doesn't read it: insertions are not counted.
CASES = {
    "activity_added": (("{snapshot}", "{later}", "{{{period}}}"), 0, 6),
    "activity_load": (("{{{period}}}",), 0, 2),
    "board_delete": (("{board}", None), 0, 0),
    "board_find": (("{game_name}", "b"), 0, 0),
    "board_list": (("{game}", "", "10"), 0, 0),
    "board_loss": (("{board}", "{{all}}", "{{}}", "100000"), MANY, 0),
    "board_patch": (("{board}", "{kinds}", "0", None, None, None, None, None, None, None, None, "{{country}}", None, None, "false", "{{}}"), MANY, 0),
    "board_periods": (("{board}",), 0, 0),
    "board_put": (("{game}", "b", "desc", "best", "first", "{kinds}", "UTC", "0", "9", "false", "0", "0", "0", "0", "0", "false", "{{clan}}", "9", "on", "false", "{{}}"), MANY, 0),
    "board_schedules": (("{board}",), 0, 0),
    "combination_delete": (("{board}",), 0, 0),
    "combination_find": (("{combined}",), 0, 0),
    # Has the board scores? Any day of them will do. What is small is combined at once.
    "combination_put": (("{game}", "{combined}", "sum", "{{b}}", "{{1}}"), 8, MANY),
    "combine": (("{combined}",), 8, 2),
    "combine_due": (("1000",), 0, 2),
    "commit_level": (("on", "true"), 0, 0),
    "commit_lsn": ((), 0, 0),
    "compare_periods": ((*STANDING, "100", "{start}", "{period}"), 1, 2),
    "compare_snapshot": (("all", "-infinity", "{whole}", "100", "{board}"), 4, 0),
    "db_advice": (("30", "8388608"), 0, 0),
    "db_indexes": ((), 0, 0),
    "db_slow_there": ((), 0, 0),
    "definition_written": (("{game}",), 0, 0),
    "dense_want": (("{period}",), 0, 0),
    "edge_changed": (("{snapshot}", "{later}", None), 0, 6),
    "edge_defined": ((), 0, 0),
    "edge_games": ((), 0, 0),
    "edge_periods": (("0", "{now_us}"), 0, 0),
    "edge_tell": (("{board}",), 0, 0),
    "edge_told": (("{{1,2}}",), 0, 0),
    "epoch": ((), 0, 0),
    "export_check": (("{period}", "daily", "{start}", "{board}", "{snapshot}", "1", "1", "1", "ann"), 1, 0),
    "export_find": (("{board}", "daily", "current", "country:BR"), 0, 0),
    "facet_drop_done": (("{board}", "1"), 0, 0),
    "facet_drop_find": ((), 0, 0),
    "facet_drop_periods": (("{board}", "1"), 0, 0),
    "game_boards": (("{game}", "1000"), 0, 0),
    "game_contents": (("{game}",), MANY, 0),
    "game_delete": (("{game}",), 0, 0),
    "game_find": (("{game_name}",), 0, 0),
    # Of a period that the view lacks the entries: of its partition.
    "hall_of_fame": (("{game}", "", "", "", "3", "{now_us}", "9223372036854775807", "21"), 1, 0),
    # Of each closed period, so of every partition that one is in.
    "history_closed": (("{board}", "ann", "daily", "{now_us}", "100"), MANY, 0),
    "history_snapshots": (("{board}", "ann", "{now_us}", "100"), 0, 0),
    "idempotency_claim": (("{game}", HASH, HASH), 0, 0),
    "idempotency_find": (("{game}", HASH), 0, 0),
    "idempotency_keep": (("{game}", HASH, "200", "", "\\x00"), 0, 0),
    "idempotency_outcome": (("{game}", HASH), 0, 0),
    "import_find": (("{board}", HASH), 0, 0),
    "import_lock": (("{board}", HASH), 0, 0),
    "import_mark": (("{board}", HASH, "1", "0"), 0, 0),
    # A place in each window, each of its own partition; and the board's two facets, of which one is `all`'s other quarter.
    "import_submit": (("{board}", "{{ann,bob}}", "{{5,9}}", "{{0,0}}", "{{{now_us},{now_us}}}", "true", '{{"{{\\"country\\":\\"AR\\"}}",null}}', '{{"{{\\"car\\":1}}",null}}'), 8, 0),
    "job_due": (("purge", "1000"), 0, 0),
    "job_end": (("1", "0", None), 0, 0),
    "job_item_failed": (("close", "{board}", "why"), 0, 0),
    "job_item_failing": ((), 0, 0),
    "job_item_worked": (("{{close}}", "roll"), 0, 0),
    "job_lock": (("purge",), 0, 0),
    "job_start": (("purge", "test"), 0, 0),
    "job_unlock": (("purge",), 0, 0),
    "job_standing_failed": (("tail", "{period}", "why"), 0, 0),
    "job_standing_worked": (("{period}",), 0, 0),
    "key_find": (("nobody",), 0, 0),
    "key_secret": ((), 0, 0),
    "partition_drop": (("score_event_20000101",), 0, 0),
    "partition_ensure": (("7",), 0, 0),
    "partition_expired": (("30",), 0, 0),
    "period_at": (("{board}", "daily", "{now_us}", "1:BR"), 0, 0),
    "period_close_early": (("{board}",), 0, 0),
    "period_list": (("{board}", "daily", "{now_us}", "10"), 0, 0),
    "period_reopen": (("{board}", "daily", "2001-01-01T00:00:00Z", "60", "me", "why"), 0, 0),
    "period_reopenings": (("{board}",), 0, 0),
    "player_boards": (("{game}", "ann", "all", "", "20"), 4, 0),
    "player_describe": (("{board}", "ann", '{{"car":1}}', "", "false"), MANY, 0),
    # Of everything, so of every partition that the player may be in.
    "player_erase": (("{game}", "ann"), MANY, MANY),
    "player_remove": (("{board}", "ann"), MANY, 0),
    "player_statistics": (("{game}", "ann"), 0, MANY),
    "popularity_note": (("{{{period}}}", "{{1.5}}"), 0, 0),
    "purge_board": (("{board}",), 0, 0),
    "purge_board_entries": (("{period}", "daily", "{start}", "1000"), 1, 0),
    "purge_board_events": (("{board}", "1000"), 0, MANY),
    "purge_board_find": ((), 0, 0),
    "purge_game": (("{game}",), 0, 0),
    "purge_game_delivery": (("{game}", "1000"), 0, 0),
    "purge_game_find": ((), 0, 0),
    "purge_game_idempotency": (("{game}", "1000"), 0, 0),
    "purge_game_player": (("{game}", "1000"), 0, 0),
    "purge_board_ranks": (("{period}", "1000"), 0, 0),
    "purge_board_snapshots": (("{board}", "1000"), 0, 0),
    "purge_event": (("1", "{now}", "{board}", "ann"), 0, 1),
    "purge_idempotency": (("1000",), 0, 0),
    "purge_job_run": (("1000",), 0, 0),
    "purge_refresh_mark": (("1000",), 0, 0),
    "purge_refresh_run": (("1000",), 0, 0),
    "purge_tombstone": (("{period}", "ann", "daily", "{start}", "1"), 1, 0),
    "purge_tombstone_find": (("0", "1000"), MANY, MANY),
    "refresh_aside": (("daily_activity", "1"), 0, 0),
    "refresh_end": (("1", "0", None, "1", "false"), 0, 0),
    "refresh_gather": (("player_total",), MANY, 0),
    "game_statistics": (("{game}", "", "month", "-infinity", "infinity", "30"), 0, MANY),
    "games_of": (("{{1,2}}",), 0, 0),
    "refresh_list": ((), 0, 0),
    "refresh_look": (("daily_activity", None), 0, 0),
    "refresh_settings": (("64MB", "0", "25"), 0, 0),
    "refresh_settings_reset": ((), 0, 0),
    "refresh_start": (("daily_activity", "test", "test"), 0, 0),
    "refresh_view": (("daily_activity",), 0, 0),
    "replay_covers": (("0", "1"), 0, 0),
    "roll_close": (("{closed}",), 1, 0),
    "roll_closing": (("{{{period}}}",), 0, 0),
    "roll_due": (("100",), 0, 0),
    "roll_ended": (("0", "600", "100"), 0, 0),
    "roll_open": (("{{{board}}}", "60"), 0, 0),
    "roll_pending": ((), 0, 0),
    "roll_settled": (("100",), 0, 0),
    "roll_settling": (("{{{period}}}",), 0, 0),
    "roll_unsettled": (("100",), 0, 0),
    "schedule_check": (("{{weekend|0 18 * * 5|0 6 * * 1}}", "Europe/Paris"), 0, 0),
    "server_check": ((), 0, 0),
    "snapshot_due": (("100",), 0, 0),
    "snapshot_expire": (("400",), 0, 0),
    "snapshot_is_settled": (("1",), 0, 0),
    "snapshot_noted": (("{board}", "infinity"), 0, 0),
    "snapshot_settling": ((), 0, 0),
    "snapshot_take": (("{board}", "{now}", "1", "100"), 4, 0),
    # With a ladder: the events behind the cursor, an hour on either side, so of two days at midnight.
    "standing_after": ((*STANDING, "0", "0", "0", "", "9223372036854775807", "10", "2", "true"), 1, 2),
    "standing_around": ((*STANDING, "ann", "5", "5", "2", "1"), 1, 2),
    "standing_describe": (("{period}",), 0, 0),
    "standing_live": ((None, None, "100"), 0, 0),
    "standing_page": ((*STANDING, "0", "10", "2", "true"), 1, 2),
    "standing_percentile": ((*STANDING, "50", "10", "2"), 1, 2),
    "standing_players": ((*STANDING, "{{ann,bob}}", "2", "true"), 1, 2),
    "standing_seek": ((*STANDING, "0", "0", "0", "", "2"), 1, 2),
    "standing_statistics": ((*STANDING, "{{50,90}}", "width", "10", "false"), 1, MANY),
    "statistics_history": (("{board}", "day", "2026-01-01", "2036-01-01", "100"), 0, MANY),
    "submit": (("{{{board},{board}}}", "{{ann,bob}}", "{{500,9}}", "{{0,0}}", "{{{now_us},{now_us}}}", "{{NULL,NULL}}", "{{0,0}}", "{{0,0}}", "{{}}",
                "{{}}", "{{}}", '{{"{{\\"country\\":\\"AR\\"}}",null}}', "{{0,32}}"), 8, 0),
    "submit_changed": (("{snapshot} 1", "{{{board}}}"), 0, 5),
    "submit_committed": ((), 0, 0),
    # Of the events since then: of the eight or nine partitions that there are, those of the days from three days ahead on.
    "submit_apart": (("{{{board},{board}}}", "{{ann,bob}}", "{{500,9}}", "{{0,0}}", "{{{now_us},{now_us}}}", "{{NULL,NULL}}", "{{0,0}}", "{{0,0}}", "{{}}",
                "{{}}", "{{}}", '{{"{{\\"country\\":\\"AR\\"}}",null}}', "{{0,32}}"), 8, 0),
    # Of the events since then: of the eight or nine partitions that there are, those of the days from three days ahead on.
    "tail_aside": (("{board}",), 0, 0),
    "tail_aside_changed": (("{board}", "{snapshot}", "{later}"), 0, 6),
    "tail_aside_held": (("{{1,2,3}}", "{board}"), 0, 0),
    "tail_boards": (("{snapshot}", "{later}"), 0, 6),
    "tail_boards_all": ((), 0, 0),
    "tail_changes": (("{snapshot}", "{later}", None), 8, 6),
    "tail_snapshot": ((), 0, 0),
    "tally_aside": ((), 0, 0),
    "tally_behind": (("10000",), 0, MANY),
    "tally_fold": (("400",), MANY, MANY),
    "time_zones": ((), 0, 0),
    "warm_find": (("{game_name}", "b"), 0, 0),
    "webhook_claim": (("5000", "8"), 0, 0),
    "webhook_done": (("1", None), 0, 0),
    "webhook_failed": (("1", "no", "60", "24"), 0, 0),
    "webhook_purge": (("1000",), 0, 0),
    "webhook_text": (("1",), 4, 0),
}


def make(stack):
    """A board with entries in periods of many years, and what the cases name of it."""
    game = stack.new_game()
    connection = psycopg2.connect(stack.primary_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        def one(query, *arguments):
            cursor.execute(query, arguments or None)
            return cursor.fetchone()
        game_id, = one("select id from ladder.game where name = %s", game)
        board, = one("insert into ladder.board (game_id, name, windows, facets, facet_ids) values (%s, 'b', %s::ladder.window_kind[], '{country}', "
                     "array[nextval('ladder.facet_id')]) returning id", game_id, KINDS)
        cursor.execute("select * from ladder.submit_history(%s, array(select 'p' || n from generate_series(1, 400) n), array(select n from "
                       "generate_series(1, 400) n), array_fill(0::bigint, array[400]), array(select ladder.us_of(now() - n * interval '20 days') from "
                       "generate_series(1, 400) n), false)", (board,))
        cursor.execute("update ladder.period set state = 'closed' where board_id = %s and ends_at < now()", (board,))
        snapshot, = one("select pg_current_snapshot()::text")
        for player in ("ann", "bob"):
            cursor.execute("select * from ladder.submit(array[%s::bigint], array[%s], array[7::bigint], array[0::bigint], array[ladder.us_of(now())], "
                           "array[null], array[0], array[0], '{}', '{}', '{}', array[%s])", (board, player, json.dumps({"country": "BR"})))
        cursor.execute("select * from ladder.player_remove(%s, 'p1')", (board,))
        period, start = one("select id, starts_at::text from ladder.period where board_id = %s and window_kind = 'daily' and facet = '' "
                            "order by starts_at desc limit 1", board)
        now_us, = one("select ladder.us_of(now())")
        whole, = one("select id from ladder.period where board_id = %s and window_kind = 'all' and facet = ''", board)
        combined, = one("insert into ladder.board (game_id, name, windows) values (%s, 'combined', '{all}') returning id", game_id)
        assert one("select ladder.combination_put(%s, %s, 'sum', '{b}', '{1}')", game_id, combined)[0].startswith("combined ")
        one("update ladder.combination set snapshot = null where board_id = %s returning 1", combined)
        closed, = one("select id from ladder.period where board_id = %s and window_kind = 'daily' and state = 'closed' limit 1", board)
        cursor.execute("analyze ladder.entry, ladder.score_event, ladder.period, ladder.board")
    connection.close()
    return dict(kind="daily", game=game_id, game_name=game, board=board, snapshot=snapshot, period=period, whole=whole, combined=combined, closed=closed, start=start, now_us=now_us, kinds=KINDS, now=NOW.isoformat(),
                later=(NOW + datetime.timedelta(days=3)).isoformat())


def plans(stack, name, made, is_forced=True):
    """The nodes of all plans that were carried out, as text; without those that were never reached. is_forced: sequential scans are
    made dear, so that where there is a way by index, it is taken even on a table this small, and where there is none, that shows."""
    text = (ROOT / "sql" / "statements" / f"{name}.sql").read_text()
    parameters = [p and p.format(**made) for p in CASES[name][0]]
    connection = psycopg2.connect(stack.primary_url)
    connection.notices = notices = []
    try:
        with connection.cursor() as cursor:
            cursor.execute("load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on; "
                           "set auto_explain.log_analyze = on; set auto_explain.log_timing = off; set client_min_messages = log")
            if is_forced:
                cursor.execute("set enable_seqscan = off; set plan_cache_mode = force_custom_plan")
            if name in CALLS:
                connection.commit()
                connection.autocommit = True
                cursor.execute(text.rpartition("--")[2].partition("\n")[2].replace("$1", "%s"), parameters)
                return reached(notices)
            cursor.execute(f"prepare statement as {text}")
            values = "(" + ", ".join(["%s"] * len(parameters)) + ")" if parameters else ""
            del notices[:]
            try:
                cursor.execute(f"execute statement {values}", parameters or None)
            except psycopg2.Error as error:
                assert name in ABORTS, (name, error)
    finally:
        connection.rollback()
        connection.close()
    return reached(notices)


def reached(notices):
    return [line for notice in notices for line in notice.splitlines() if "(never executed)" not in line]


def judge(name, lines, small=()):
    """What is wrong with these plans: partitions read from end to end, but for the small ones; partitions that do not concern it."""
    _, entries, events = CASES[name]
    scans = [match.groups() for match in map(SCAN.search, lines) if match]
    wrong = [f"Seq Scan on {table}" for kind, table in scans if kind == "Seq Scan" and re.fullmatch(PARTITION, table) and table not in small]
    touched = {re.sub(r"_(pkey|pk|idx|rank_idx|period_id.*|xid.*|board_id.*|submitted_at.*)$", "", table) for kind, table in scans if "Bitmap Index" not in kind}
    for prefix, most in ("entry", entries), ("score_event", events):
        some = sorted(table for table in touched if re.fullmatch(PARTITION, table) and table.startswith(prefix))
        if len(some) > most:
            wrong.append(f"{len(some)} partitions, at most {most}: {', '.join(some)}")
    return wrong
