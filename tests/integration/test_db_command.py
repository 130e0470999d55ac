"""`ladder db`: what it says of plans and indexes, and that it changes only what it was told to."""
import pytest

import plans
from harness import ROOT, wait_until


@pytest.fixture
def own(stack, database):
    """A database of the test's own, and `ladder db` on it as its owner."""
    made = database()
    made.migrate("up")
    made.db = lambda *words, **options: stack.cli("db", *words, login="ladder_owner", database_url=made.url("ladder_owner"), **options)
    return made


def test_every_statement_has_a_line(own):
    lines = {line.split()[0]: line for line in own.db("explain").splitlines()[1:]}
    assert set(lines) == {path.stem for path in (ROOT / "sql" / "statements").glob("*.sql")}
    assert {name: line.split(None, 2)[2] for name, line in lines.items() if line.split()[1] == "-"} == \
        {name: "it calls a procedure: that has no plan" for name in plans.CALLS}
    assert "entry" not in " ".join(lines["standing_page"].split()[2:])


def test_a_plan(own):
    plan = own.db("explain", "standing_percentile", "daily", "2026-11-21", "7", "50", "10", "0")
    assert "entry_daily_2026q4" in plan and "entry_daily_2027" not in plan and "actual rows" not in plan
    assert "entry_daily_2026q4" not in own.db("explain", "standing_percentile")  # for any values: which partition is not known yet
    assert "actual" in own.db("explain", "game_find", "o'clock", "--run")
    own.db("explain", "job_start", "purge", "by hand", "--run")
    assert own.sql("select count(*) from ladder.job_run") == [(0,)], "it is undone"
    assert "has 7 parameters, not 1" in own.db("explain", "standing_page", "daily", status=1)
    assert "has 7 parameters, not 0" in own.db("explain", "standing_page", "--run", status=1)
    assert "no statement" in own.db("explain", "nothing", status=1)
    for words in ((), ("slow", "x"), ("plans",), ("analyze", "--air", "0")):
        assert "usage" in own.db(*words, status=2)


def test_indexes(own):
    rows = {line.split()[0]: line for line in own.db("indexes").splitlines()[1:]}
    assert set(rows) >= {"entry_rank_idx", "entry_pk", "period_id_pk", "score_event_xid_idx"}
    assert int(rows["entry_rank_idx"].split()[2]) > 10, "its partitions are counted with it"
    assert "unused" in rows["entry_rank_idx"] and "unused" not in rows["entry_pk"], "a unique one is of use without being read"
    own.sql("create table ladder.wide (a integer, b text); insert into ladder.wide select n, repeat('x', 100) from generate_series(1, 20000) n; "
            "alter table ladder.wide owner to ladder_migrate; create index wide_a_idx on ladder.wide (b, a); update ladder.wide set a = -a; analyze ladder.wide")
    line = next(x for x in own.db("indexes").splitlines() if x.startswith("wide_a_idx"))
    assert 30 <= int(line.split()[5].rstrip("%")) <= 70, line  # every entry twice


def test_what_is_advised_is_done_when_told(own):
    own.sql("create table ladder.parent (id integer primary key); create table ladder.child (id integer, parent_id integer references ladder.parent); "
            "alter table ladder.parent owner to ladder_migrate; alter table ladder.child owner to ladder_migrate; "
            "create index child_id_idx on ladder.child (id); update pg_index set indisvalid = false where indexrelid = 'ladder.child_id_idx'::regclass; "
            "insert into ladder.child select n from generate_series(1, 5000) n")

    def is_advised():
        said = own.db("analyze")
        return "analyze ladder.child; -- never done" in said and said
    said = wait_until(is_advised, 20, "the counters arrive")
    assert "reindex index concurrently ladder.child_id_idx; -- it is not valid" in said
    assert "create index concurrently on ladder.child (parent_id); -- a foreign key" in said
    assert "3 to do" in said and own.sql("select indisvalid from pg_index where indexrelid = 'ladder.child_id_idx'::regclass") == [(False,)]
    assert "3 done" in own.db("analyze", "--apply")
    assert own.sql("select indisvalid from pg_index where indexrelid = 'ladder.child_id_idx'::regclass") == [(True,)]
    assert own.sql("select count(*) from pg_index where indrelid = 'ladder.child'::regclass") == [(2,)]
    wait_until(lambda: own.db("analyze") == "nothing to do\n", 20, "the counters arrive")


def test_air_is_taken_out(own):
    own.sql("create table ladder.wide (a integer, b text); insert into ladder.wide select n, repeat('x', 200) || n from generate_series(1, 40000) n; "
            "create index wide_b_idx on ladder.wide (b); analyze ladder.wide; alter table ladder.wide owner to ladder_migrate")
    assert "wide_b_idx" not in own.db("analyze")
    own.sql("update ladder.wide set b = repeat('y', 200) || a")
    own.sql("analyze ladder.wide")
    before = own.sql("select pg_relation_size('ladder.wide_b_idx')")[0][0]
    assert "reindex index concurrently ladder.wide_b_idx; -- " in own.db("analyze") and "are air" in own.db("analyze", "--apply")
    assert own.sql("select pg_relation_size('ladder.wide_b_idx')")[0][0] < before * 0.7


def test_slow_says_what_is_missing(own):
    assert "shared_preload_libraries" in own.db("slow", status=1)


def test_slow(own):
    """With something of its name and columns: loading the real one takes a restart."""
    text = "".join(x for x in (ROOT / "sql" / "statements" / "game_find.sql").read_text().splitlines(keepends=True) if not x.startswith("--")).strip()
    own.sql("create extension pg_stat_statements")
    try:
        own.sql("select count(*) from pg_stat_statements")
    except Exception:  # noqa: BLE001: it must be loaded at the server's start
        own.sql("alter extension pg_stat_statements drop view pg_stat_statements; drop view pg_stat_statements; create view pg_stat_statements as "
                "select %s::text as query, 12 as calls, 24.5::float8 as total_exec_time, 2.0416::float8 as mean_exec_time, 9::float8 as max_exec_time, "
                "12 as rows, (select oid from pg_database where datname = current_database()) as dbid; "
                "grant select on pg_stat_statements to public", text)
    lines = own.db("slow").splitlines()
    assert lines[1].split() == ["12", "24.5", "2.042", "9.000", "12", "game_find"]
