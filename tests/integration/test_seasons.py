"""What a closed period leaves behind: final ranks, computed once and kept; answers that caches may keep."""
import datetime
import random
import subprocess

import psycopg2
import pytest

from harness import BINARY, ROOT, Client, wait_until

DAY = "2026-01-01T00:00:00Z"


def close(stack, client):
    """As if they had been made in their time: periods that an import makes afterwards stay open for a while."""
    stack.sql("update ladder.period p set created_at = p.starts_at from ladder.board b join ladder.game g on g.id = b.game_id "
              "where b.id = p.board_id and g.name = %s and p.starts_at > '-infinity' and p.ends_at < now()", client.game)

    def are_closed():
        stack.roll()
        return stack.sql("select bool_and(p.state = 'closed') from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g "
                         "on g.id = b.game_id where g.name = %s and p.ends_at < now()", client.game)[0][0]
    wait_until(are_closed, 20, "the periods are closed")


def period(stack, client, board="b", start=DAY):
    return stack.sql("select p.id, p.state::text, p.final_count from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g "
                     "on g.id = b.game_id where g.name = %s and b.name = %s and p.starts_at = %s", client.game, board, start)[0]


@pytest.fixture
def season(stack, client):
    """A closed day of 500 players, many with equal scores."""
    client.put_board("b", windows=["daily", "all"], public=True)
    draw = random.Random(4)
    client.submit_many([dict(board="b", player=f"p{i:03}", score=draw.randrange(100), at=f"2026-01-01T12:00:{i % 60:02}Z") for i in range(500)])
    close(stack, client)
    return client


def test_final_ranks_are_those_of_the_pages(stack, season):
    number, state, count = period(stack, season)
    assert (state, count) == ("closed", 500)
    entries = season.pages("b", window="daily", period=DAY)
    assert dict(stack.sql("select player, rank from ladder.final_rank where period_id = %s", number)) == {e["player"]: e["rank"] for e in entries}
    for entry in entries[::50]:
        one = season.read(f"/boards/b/players/{entry['player']}", window="daily", period=DAY, source="true")
        assert (one["rank"], one["total"]) == (entry["rank"], 500) and one["source"] != "redis"
    friends = season.read("/boards/b/players", window="daily", period=DAY, ids="p007,p300,p123,nobody")
    ranks = {e["player"]: e["rank"] for e in entries}
    assert [(e["player"], e["rank"]) for e in friends["entries"]] == sorted(((p, ranks[p]) for p in ("p007", "p300", "p123")), key=lambda x: x[1])


def test_a_players_final_rank_reads_no_others(stack, season):
    """The plan of the look-up: its cost does not grow with the standing."""
    text = (ROOT / "sql/statements/standing_players.sql").read_text()
    with psycopg2.connect(stack.primary_url) as connection, connection.cursor() as cursor:
        cursor.execute("analyze ladder.entry; set enable_seqscan = off; set plan_cache_mode = force_custom_plan; prepare statement as " + text)
        cursor.execute("explain (analyze, costs off, timing off) execute statement ('daily', %s, %s, %s, 0, false)", (DAY, period(stack, season)[0], ["p400"]))
        plan = "\n".join(row[0] for row in cursor.fetchall())
    read = [line for line in plan.splitlines() if "entry_rank_idx" in line or "k1_k2" in line]
    assert read and all("never executed" in line for line in read), plan


def test_what_is_final_can_be_changed_by_nobody(stack, season):
    number = period(stack, season)[0]
    for login in ("ladder_serve", "ladder_work"):
        for statement in ("update ladder.final_rank set rank = 1 where period_id = %s", "update ladder.final_gap set rank = 1 where period_id = %s"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                stack.sql(statement, number, url=stack.primary_as(login))


def test_an_erased_player_leaves_no_hole(stack, season):
    before = season.pages("b", window="daily", period=DAY)
    gone = [before[0], before[41], before[42], before[499]]
    for entry in gone:
        assert season.request("DELETE", f"/players/{entry['player']}").status_code == 200
    after = season.pages("b", window="daily", period=DAY)
    assert [e["player"] for e in after] == [e["player"] for e in before if e not in gone]
    assert [e["rank"] for e in after] == list(range(1, 497))
    for entry in (after[0], after[39], after[40], after[41], after[495]):
        one = season.read(f"/boards/b/players/{entry['player']}", window="daily", period=DAY)
        assert (one["rank"], one["total"]) == (entry["rank"], 496)
    number = period(stack, season)[0]
    left = stack.sql("select count(*) from ladder.final_rank where period_id = %s and player = any (%s)", number, [e["player"] for e in gone])
    assert left == [(0,)]


def test_erasing_while_it_closes(stack, client):
    """Both orders: whoever is first, the erased player has no rank, and there is no hole."""
    for first in ("erase", "close"):
        name = f"race-{first}"
        client.put_board(name, windows=["daily"])
        client.submit_many([dict(board=name, player=f"{first}{i}", score=i, at="2026-01-01T12:00:00Z") for i in range(5)])
        number = period(stack, client, name)[0]
        game = stack.sql("select id from ladder.game where name = %s", client.game)[0][0]
        stack.sql("update ladder.period set state = 'closing', settle_xid = pg_current_xact_id() where id = %s", number)
        one, two = psycopg2.connect(stack.primary_url), psycopg2.connect(stack.primary_url)
        two.autocommit = True
        statements = {"erase": ("select count(*) from ladder.player_erase(%s, %s)", (game, f"{first}3")), "close": ("select ladder.period_close(%s)", (number,))}
        other = "close" if first == "erase" else "erase"
        with one.cursor() as a, two.cursor() as b:
            a.execute(*statements[first])
            b.execute("set lock_timeout = '300ms'")
            with pytest.raises(psycopg2.errors.LockNotAvailable):
                b.execute(*statements[other])
            one.commit()
            b.execute(*statements[other])
        one.close()
        two.close()
        if period(stack, client, name)[1] != "closed":
            stack.roll()
        assert stack.sql("select player, ladder.final_rank_of(period_id, player) from ladder.final_rank where period_id = %s order by 2", number) == [
            (f"{first}{i}", rank) for rank, i in enumerate((4, 2, 1, 0), 1)]


def test_a_worker_killed_while_it_closes(stack, client):
    """Killed in the middle of the transaction that writes the ranks: nothing of it is there, and the next does it, once."""
    client.put_board("b", windows=["daily"])
    client.submit_many([dict(board="b", player=f"p{i:04}", score=i, at="2026-01-01T12:00:00Z") for i in range(2000)])
    number = period(stack, client)[0]
    stack.sql("update ladder.period set created_at = starts_at where id = %s", number)
    with psycopg2.connect(stack.primary_url) as holder, holder.cursor() as cursor:
        # It has written ranks, and waits to write the one that we hold.
        cursor.execute("insert into ladder.final_rank (period_id, player, rank) values (%s, 'p1000', 0)", (number,))
        for _ in range(2):
            worker = subprocess.Popen([BINARY, "roll"], env=stack.environment("ladder_work"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

            def waits():
                return stack.sql("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%%period_close%%' "
                                 "and application_name = 'ladder cron'")[0][0]
            wait_until(lambda: waits() or worker.poll() is not None, 30, "it is in the middle")
            worker.kill()
            worker.wait()
            stack.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ladder cron'")
            wait_until(lambda: not waits(), 10, "its session has ended")
            assert period(stack, client)[1:] == ("closing", None)
        holder.rollback()
    stack.roll()
    wait_until(lambda: period(stack, client)[1:] == ("closed", 2000), 20, "closed")
    assert stack.sql("select count(*), count(distinct rank), min(rank), max(rank) from ladder.final_rank where period_id = %s", number) == [(2000, 2000, 1, 2000)]


def test_two_close_at_once(stack, client):
    client.put_board("b", windows=["hourly"])
    hours = [datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(hours=n) for n in range(30)]
    client.submit_many([dict(board="b", player=f"p{i}", score=i, at=hour.isoformat()) for hour in hours for i in range(20)])
    ids = [row[0] for row in stack.sql("update ladder.period p set state = 'closing', settle_xid = pg_current_xact_id() from ladder.board b join ladder.game g "
                                       "on g.id = b.game_id where b.id = p.board_id and g.name = %s and p.ends_at < '2026-02-01' returning p.id", client.game)]
    assert len(ids) == 30
    both = [subprocess.Popen(["psql", "-q", "-At", "-d", stack.primary_as("ladder_work"), "-c", f"select count(ladder.period_close(x)) from unnest(array{ids}::bigint[]) x"],
                             stdout=subprocess.PIPE, text=True) for _ in range(2)]
    counts = [int(runner.communicate(timeout=60)[0]) for runner in both]
    assert sum(counts) == 30
    assert stack.sql("select count(*) from ladder.final_rank where period_id = any (%s)", ids) == [(600,)]


def test_periods_of_an_earlier_program_get_their_ranks(stack, season):
    number = period(stack, season)[0]
    stack.sql("delete from ladder.final_rank where period_id = %s", number)
    stack.sql("update ladder.period set final_count = null where id = %s", number)
    closed_at = stack.sql("select closed_at from ladder.period where id = %s", number)
    one = season.read("/boards/b/players/p123", window="daily", period=DAY)
    stack.roll()
    wait_until(lambda: period(stack, season)[2] == 500, 20, "ranked")
    assert season.read("/boards/b/players/p123", window="daily", period=DAY)["rank"] == one["rank"]
    assert stack.sql("select closed_at from ladder.period where id = %s", number) == closed_at


def test_the_list_says_what_is_final(season):
    closed = [p for p in season.read("/boards/b/periods", window="daily")["periods"] if p["id"] == DAY][0]
    assert closed["entries"] == 500 and closed["closed_at"] > closed["ends_at"]
    season.request("DELETE", "/players/p000")
    current = season.read("/boards/b/periods", window="all")["periods"][0]
    assert "entries" not in current and "closed_at" not in current
    assert [p["entries"] for p in season.read("/boards/b/periods", window="daily")["periods"] if p["id"] == DAY] == [499]


def test_what_caches_may_keep(stack, season, ladder):
    """By its id a closed period's page is immutable; by another name, or with a key, or while it is open, it is not."""
    everyone = Client(ladder, season.game)
    season.submit("b", "p000", 1)
    path = f"/boards/b/top?window=daily&limit=3&period={DAY}"
    wait_until(lambda: everyone.get(path).headers["Cache-Control"] == "public, max-age=3600, must-revalidate, immutable", 10, "it is immutable")
    assert everyone.get(path).headers["Cache-Control"] == "public, max-age=3600, must-revalidate, immutable", "from memory too"
    cursor = everyone.read(path)["next"]
    answer = everyone.get(f"/boards/b/top?cursor={cursor}&limit=3")
    assert answer.json()["entries"][0]["rank"] == 4 and answer.headers["Cache-Control"].endswith("immutable")
    for other in ("/boards/b/top?window=daily", "/boards/b/top?window=all", f"/boards/b/players/nobody?window=daily&period={DAY}"):
        assert "immutable" not in everyone.get(other).headers["Cache-Control"], other
    assert season.get(path).headers["Cache-Control"] == "private, no-store"


def test_previous_is_not_immutable(stack, client, ladder):
    """What `previous` means changes with the day."""
    client.put_board("b", windows=["daily"], public=True)
    yesterday = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    client.submit("b", "ann", 1, at=yesterday.isoformat())
    client.submit("b", "ann", 1)
    close(stack, client)
    everyone = Client(ladder, client.game)
    name = yesterday.strftime("%Y-%m-%dT%H:%M:%SZ")
    wait_until(lambda: "immutable" in everyone.get("/boards/b/top", period=name).headers["Cache-Control"], 10, "it is immutable")
    for _ in range(3):
        answer = everyone.get("/boards/b/top", period="previous")
        assert answer.json()["period"] == name and answer.headers["Cache-Control"] == "public, no-cache"
        assert "immutable" in everyone.get("/boards/b/top", period=name).headers["Cache-Control"]


def test_deleted_boards_leave_no_ranks(stack, season):
    number = period(stack, season)[0]
    season.request("DELETE", "/players/p000")
    season.request("DELETE", "/boards/b")
    stack.sql("update ladder.board set deleted_at = deleted_at - interval '2 minutes' where deleted_at is not null")

    def is_gone():
        stack.cli("purge")  # some boards a run, those deleted first before others
        return stack.sql("select count(*) from ladder.period where id = %s", number) == [(0,)]
    wait_until(is_gone, 30, "the board is gone")
    for table in ("final_rank", "final_gap"):
        assert stack.sql(f"select count(*) from ladder.{table} where period_id = %s", number) == [(0,)]
