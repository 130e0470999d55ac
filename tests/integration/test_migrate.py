"""`ladder migrate`: forward, back, refused, in the way of others, cut in the middle; and the schema that it makes."""
import re

import psycopg2
import pytest

from harness import LOGINS, ROOT, wait_until


@pytest.fixture
def fresh(database):
    return database()


def test_up_down_up(fresh):
    every = fresh.versions()
    assert fresh.migrate("status").count("pending") == len(every) + 2  # the functions and the views too
    assert "0001_initial.up.sql is not applied" in fresh.migrate("verify", status=1)
    assert fresh.sql("select to_regnamespace('ladder')") == [(None,)], "looking changes nothing"
    assert fresh.migrate("up").count("applied ") == len(every)
    assert fresh.applied() == every
    assert "pending" not in fresh.migrate("status")
    assert fresh.migrate("verify") == f"ok: version {fresh.version:04d}\n"
    assert fresh.migrate("up") == f"up to date: version {fresh.version:04d}\n"
    first = fresh.dump()
    # With each length all that it covers goes down and comes back; one by one, the time would grow with the square of their number.
    for steps in [*range(1, 6), 10, 20, len(every)]:
        assert fresh.migrate("down", steps, "--allow-down").count("undid ") == steps
        assert fresh.applied() == every[:-steps]
        fresh.migrate("up")
        assert fresh.dump() == first, f"{steps} down and up again"
    fresh.migrate("down", len(every), "--allow-down")
    left = fresh.sql("select relname from pg_class where relnamespace = 'ladder'::regnamespace and relkind <> 'i' union "
                     "select proname from pg_proc where pronamespace = 'ladder'::regnamespace union "
                     "select typname from pg_type where typnamespace = 'ladder'::regnamespace and typtype = 'e' order by 1")
    assert left == [("schema_function",), ("schema_migration",)]
    assert fresh.migrate("down", "--allow-down") == "nothing to undo\n"


def test_down_asks_first(fresh):
    fresh.migrate("up")
    assert "--allow-down" in fresh.migrate("down", status=2)
    assert "usage" in fresh.migrate("sideways", status=2) and "usage" in fresh.migrate("up", "--lock-wait", "soon", status=2)
    assert fresh.applied()[-1] == fresh.version


def test_a_changed_migration_is_refused(fresh):
    fresh.migrate("up")
    changed = fresh.directory / "migrations" / "0001_initial.up.sql"
    changed.write_text(changed.read_text() + "\n-- one more thought\n")
    later = fresh.add("later", "create table ladder.later (n integer)")
    for words in (("up",), ("down", "--allow-down")):
        assert "migration 0001_initial.up.sql was changed after it was applied" in fresh.migrate(*words, status=1)
    assert "0001_initial.up.sql was changed" in fresh.migrate("verify", status=1) and "0001_initial.up.sql was changed" in fresh.migrate("status")
    assert later not in fresh.applied()


def test_a_missing_a_late_and_a_double_migration_are_refused(fresh):
    last = fresh.add("last", "select 1")
    fresh.migrate("up")
    for file in (fresh.directory / "migrations").glob(f"{last:04d}_*"):
        file.rename(fresh.directory / file.name)
    assert f"migration {last:04d} (last) was applied, but its file is missing" in fresh.migrate("up", status=1)
    (fresh.directory / "migrations" / f"{last + 1:04d}_x.up.sql").write_text("select 1")
    fresh.sql("update ladder.schema_migration set version = version + 1 where version = %s", last)
    (fresh.directory / "migrations" / f"{last:04d}_y.up.sql").write_text("select 1")
    assert "was never applied, but a later one was" in fresh.migrate("up", status=1)
    (fresh.directory / "migrations" / f"{last:04d}_z.up.sql").write_text("select 1")
    assert f"{last:04d}_y.up.sql and {last:04d}_z.up.sql have the same number" in fresh.migrate("up", status=1)


def test_two_at_once(fresh):
    fresh.add("slow", "select pg_sleep(1)")
    both = [fresh.start("up") for _ in range(2)]
    texts = sorted((runner.communicate(timeout=60)[0] for runner in both), key=len)
    assert [runner.returncode for runner in both] == [0, 0], texts
    assert texts[0] == f"another ladder migrate is at work: waiting for its end\nup to date: version {fresh.version:04d}\n"
    assert texts[1].count("applied ") == len(fresh.versions())


def test_a_lock_in_the_way(fresh):
    fresh.migrate("up")
    version = fresh.add("lock", "create table ladder.first (n integer); alter table ladder.board add column colour text")
    with psycopg2.connect(fresh.url(), application_name="nightly report") as holder, holder.cursor() as cursor:
        cursor.execute("lock table ladder.board in access share mode")
        text = fresh.migrate("up", "--lock-wait", "1", status=1)
        assert "a lock was not to be had within 1 s; nothing was changed" in text and f"migration {version:04d}_lock.up.sql failed" in text, text
        assert f"pid {holder.get_backend_pid()}, user ladder, application 'nightly report', state idle in transaction" in text
        assert version not in fresh.applied() and fresh.sql("select to_regclass('ladder.first')") == [(None,)]
        # Its wait is short, so that whoever queues behind it waits no longer: a reader gets through while it tries.
        waiting = fresh.start("up")
        wait_until(lambda: fresh.sql("select count(*) from pg_locks where not granted")[0][0], 10, "it waits for the lock")
        assert fresh.sql("set statement_timeout = '4s'; select count(*) from ladder.board") == [(0,)]
        holder.rollback()
        assert waiting.communicate(timeout=60)[0].endswith(f"up to date: version {version:04d}\n") and waiting.returncode == 0


def test_one_that_fails_halfway_leaves_nothing(fresh):
    fresh.migrate("up")
    version = fresh.add("bad", "create table ladder.half (n integer); insert into ladder.half values (1); select 1 / 0; create table ladder.rest (n integer)")
    after = fresh.add("after", "create table ladder.after (n integer)")
    text = fresh.migrate("up", status=1)
    assert f"migration {version:04d}_bad.up.sql failed" in text and "division by zero" in text
    assert fresh.applied()[-1] == version - 1 and after not in fresh.applied()
    assert fresh.sql("select to_regclass('ladder.half'), to_regclass('ladder.after')") == [(None, None)]
    assert fresh.migrate("status").count("pending") == 2


def test_functions_are_replaced_when_one_changed(fresh):
    assert "replaced" in fresh.migrate("up") and "replaced" not in fresh.migrate("up")
    file = fresh.directory / "sql" / "functions" / "05_time.sql"
    file.write_text(file.read_text() + "\ncreate or replace function ladder.answer() returns integer language sql as 'select 42';\n"
                    "comment on function ladder.answer() is 'To everything.';\n")
    assert "the functions in the database are not those of sql/functions" in fresh.migrate("verify", status=1)
    assert "pending" in fresh.migrate("status")
    assert "replaced" in fresh.migrate("up") and fresh.sql("select ladder.answer()") == [(42,)]
    before = fresh.sql("select file, checksum from ladder.schema_function order by 1")
    file.write_text(file.read_text().replace("select 42", "select 43"))
    broken = fresh.directory / "sql" / "functions" / "70_broken.sql"
    broken.write_text("create or replace function ladder.broken() returns integer language sql as 'select nothing'")
    assert "column \"nothing\" does not exist" in fresh.migrate("up", status=1)
    assert fresh.sql("select ladder.answer()") == [(42,)], "all or none"
    assert fresh.sql("select file, checksum from ladder.schema_function order by 1") == before


def test_what_changed_before_there_were_marks(fresh):
    """Every board is marked, with a number that the first fold gives it: more than any refresh saw."""
    fresh.migrate("up")
    fresh.sql("select ladder.tally_fold(interval '1 day')")
    fresh.migrate("down", sum(v > 13 for v in fresh.versions()), "--allow-down")
    fresh.sql("insert into ladder.game (name) values ('old'); insert into ladder.board (game_id, name, windows) select id, 'b', '{all}' from ladder.game")
    fresh.migrate("up")
    fresh.sql("update ladder.refresh_source set source_v = 7; update ladder.refresh_state set done_v = 7")  # as where no view is made anew
    assert fresh.sql("select input, changed_v from ladder.refresh_mark order by 1") == [("closed", None), ("days", None), ("standings", None)]
    fresh.sql("select ladder.tally_fold(interval '1 day')")
    assert fresh.sql("select min(changed_v), max(changed_v) from ladder.refresh_mark") == [(8, 8)]
    assert fresh.sql("select count(*), bool_and(s.source_v = 8 and r.done_v = 7 and exists (select from ladder.refresh_changed(r.view, r.done_v))) "
                     "from ladder.refresh_state r join ladder.refresh_source s on s.view = r.view") == [(3, True)]
    fresh.sql("select ladder.tally_fold(interval '1 day')")
    assert fresh.sql("select min(changed_v), max(changed_v) from ladder.refresh_mark") == [(8, 8)]


# ---- roles ----

def test_roles_of_another_database_stay(stack, database):
    """The roles are the cluster's: made if missing, kept if anybody needs them."""
    one, two = database(), database()
    runners = [one.start("up"), two.start("up")]
    texts = [runner.communicate(timeout=60)[0] for runner in runners]
    assert [runner.returncode for runner in runners] == [0, 0], texts
    one.migrate("down", one.version, "--allow-down")
    assert stack.sql("select count(*) from pg_roles where rolname in ('ladder_app', 'ladder_worker', 'ladder_migrate')") == [(3,)]
    assert two.sql("select count(*) from ladder.board", login="ladder_serve") == [(0,)]
    assert stack.sql("select count(*) from pg_auth_members m join pg_roles r on r.oid = m.member where r.rolname = any (%s)",
                     list(LOGINS)) == [(3,)]


def test_no_superuser_is_needed(database):
    """With the roles there and the database theirs, a member of ladder_migrate does it all; what he makes is not his own."""
    own = database(owner="ladder_migrate")
    own.migrate("up", login="ladder_owner")
    own.migrate("down", own.version, "--allow-down", login="ladder_owner")
    own.migrate("up", login="ladder_owner")
    assert own.sql("select distinct applied_by from ladder.schema_migration where version > 2") == [("ladder_owner",)]
    assert own.sql("select distinct pg_get_userbyid(proowner)::text from pg_proc where pronamespace = 'ladder'::regnamespace") == [("ladder_migrate",)]
    assert own.sql("select relname::text from pg_class where relnamespace = 'ladder'::regnamespace and relkind in ('r', 'p', 'S') "
                   "and pg_get_userbyid(relowner) <> 'ladder_migrate'") == [("score_event",)]
    version = own.add("more", "create table ladder.more (n integer)")
    own.migrate("up", login="ladder_owner")
    assert version in own.applied() and own.sql("select tableowner from pg_tables where tablename = 'more'") == [("ladder_migrate",)]
    # What an extension brings into our schema is an administrator's: his rights are not ours to change.
    own.sql("create extension pg_stat_statements schema ladder")
    grants = own.directory / "sql/functions/90_grant.sql"
    grants.write_text(grants.read_text() + "-- changed\n")
    own.migrate("up", login="ladder_owner")
    assert "permission denied" in own.migrate("up", status=1, login="ladder_serve")


@pytest.mark.parametrize("login, statement", [
    ("ladder_serve", "create table ladder.mine (n integer)"),
    ("ladder_serve", "drop table ladder.score_event"),
    ("ladder_serve", "insert into ladder.api_key (id, game_id, scope, hash) values ('x', 1, 'admin', '')"),
    ("ladder_serve", "update ladder.api_key set revoked_at = null"),
    ("ladder_serve", "insert into ladder.game (name) values ('mine')"),
    ("ladder_serve", "delete from ladder.entry"),
    ("ladder_serve", "delete from ladder.board"),
    ("ladder_serve", "update ladder.period set state = 'open'"),
    ("ladder_serve", "update ladder.score_event set score = 0"),
    ("ladder_serve", "select ladder.partition_ensure(400)"),
    ("ladder_serve", "select ladder.partition_drop('score_event_20200101')"),
    ("ladder_serve", "update ladder.key_secret set previous = secret"),
    ("ladder_work", "select * from ladder.api_key"),
    ("ladder_work", "select * from ladder.key_secret"),
    ("ladder_work", "update ladder.board set is_public = true"),
    ("ladder_work", "insert into ladder.game (name) values ('mine')"),
    ("ladder_work", "drop table ladder.entry"),
    ("ladder_work", "create table ladder.mine (n integer)"),
    ("ladder_work", "create function ladder.mine() returns integer language sql as 'select 1'"),
    ("ladder_work", "select ladder.partition_add('entry_daily', 'entry_x', 'period_start', now(), now())"),
    ("ladder_work", "delete from ladder.entry_all_0"),
])
def test_no_more_than_its_role(stack, login, statement):
    with pytest.raises((psycopg2.errors.InsufficientPrivilege)):
        stack.sql(statement, url=stack.primary_as(login))


def test_strangers_see_nothing(stack):
    stack.sql("drop role if exists ladder_stranger; create role ladder_stranger login")
    for statement in ("select * from ladder.board", "select ladder.us_of(now())", "select ladder.partition_ensure(1)"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            stack.sql(statement, url=stack.primary_as("ladder_stranger"))


@pytest.mark.parametrize("name", ["entry", "board", "score_event", "score_event_past", "score_event_20200101; drop table x", "today"])
def test_partition_drop_drops_nothing_else(stack, name):
    if name == "today":
        name = stack.sql("select 'score_event_' || to_char(now() at time zone 'UTC', 'YYYYMMDD')")[0][0]
    before = stack.sql("select count(*) from pg_class where relnamespace = 'ladder'::regnamespace")
    with pytest.raises(psycopg2.errors.RaiseException, match="is not a detached partition of events"):
        stack.sql("select ladder.partition_drop(%s)", name, url=stack.primary_as("ladder_work"))
    assert stack.sql("select count(*) from pg_class where relnamespace = 'ladder'::regnamespace") == before


# ---- the schema ----

def test_everything_is_commented(stack):
    """Every object that a person may meet in psql says what it is for; an index which query it serves."""
    bare = stack.sql("""
        select 'relation', c.relname::text
        from pg_class c
        where c.relnamespace = 'ladder'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
          and obj_description(c.oid, 'pg_class') is null
        union all
        select 'sequence', c.relname
        from pg_class c
        where c.relnamespace = 'ladder'::regnamespace and c.relkind = 'S' and obj_description(c.oid, 'pg_class') is null
        union all
        select 'constraint', c.relname || '.' || k.conname
        from pg_constraint k
        join pg_class c on c.oid = k.conrelid
        where c.relnamespace = 'ladder'::regnamespace and not c.relispartition and obj_description(k.oid, 'pg_constraint') is null
        union all
        select 'index', c.relname
        from pg_class c
        join pg_index i on i.indexrelid = c.oid
        join pg_class t on t.oid = i.indrelid
        where c.relnamespace = 'ladder'::regnamespace and not t.relispartition and obj_description(c.oid, 'pg_class') is null
          and not exists (select from pg_constraint k where k.conindid = c.oid)
        union all
        select 'column', c.relname || '.' || a.attname
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace = 'ladder'::regnamespace and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
          and col_description(c.oid, a.attnum) is null
        union all
        select 'function', p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')'
        from pg_proc p
        where p.pronamespace = 'ladder'::regnamespace and obj_description(p.oid, 'pg_proc') is null
        union all
        select 'type', t.typname
        from pg_type t
        where t.typnamespace = 'ladder'::regnamespace and t.typtype in ('e', 'd') and obj_description(t.oid, 'pg_type') is null
        union all
        select 'schema', 'ladder' where obj_description('ladder'::regnamespace, 'pg_namespace') is null
        union all
        select 'role', r.rolname
        from pg_roles r
        where r.rolname in ('ladder_app', 'ladder_worker', 'ladder_migrate') and shobj_description(r.oid, 'pg_authid') is null""")
    assert bare == []


def test_the_layout_of_partitions(stack):
    def children(parent):
        return stack.sql("select c.relname::text, pg_get_expr(c.relpartbound, c.oid), c.reloptions, pg_get_partkeydef(c.oid) from pg_inherits i "
                         "join pg_class c on c.oid = i.inhrelid where i.inhparent = %s::regclass order by 1", "ladder." + parent)
    assert stack.sql("select pg_get_partkeydef('ladder.entry'::regclass), pg_get_partkeydef('ladder.score_event'::regclass)") == [
        ("LIST (window_kind)", "RANGE (submitted_at)")]
    keys = {name: key for name, _, _, key in children("entry")}
    assert keys == {"entry_all": "HASH (period_id)", **{f"entry_{kind}": "RANGE (period_start)" for kind in ("monthly", "weekly", "daily", "hourly", "scheduled")}}
    leaves = [leaf for parent in keys for leaf in children(parent)]
    assert len(children("entry_all")) == 4 and all(any(x.startswith("fillfactor=90") for x in leaf[2]) for leaf in leaves)
    every = stack.sql("select c.relname::text from pg_class c where c.relnamespace = 'ladder'::regnamespace and c.relispartition "
                      "and pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT'")
    assert every == [], "never a default partition"
    # Without a gap, from for ever to at least a week ahead.
    for parent in ("score_event", "entry_monthly", "entry_weekly", "entry_daily", "entry_hourly"):
        bounds = [re.fullmatch(r"FOR VALUES FROM \((.*)\) TO \('(.*)'\)", bound).groups() for _, bound, _, _ in children(parent)]
        bounds = sorted((start.strip("'") if start != "MINVALUE" else "", end) for start, end in bounds)
        assert bounds[0][0] == "" and all(a[1] == b[0] for a, b in zip(bounds, bounds[1:])), (parent, bounds)
        assert stack.sql("select %s::timestamptz > now() + interval '7 days'", bounds[-1][1]) == [(True,)]


def test_indexes_are_in_rank_order(stack):
    leaves = stack.sql("select c.oid::regclass::text from pg_class c where c.relname ~ '^entry_' and c.relkind = 'r' and c.relnamespace = 'ladder'::regnamespace")
    assert len(leaves) > 8
    for leaf, in leaves:
        indexes = [re.sub(r"^.* USING ", "", text) for text, in stack.sql("select pg_get_indexdef(indexrelid) from pg_index where indrelid = %s::regclass", leaf)]
        assert sorted(indexes) == ["btree (period_id, k1, k2, k3, player) WHERE (NOT removed)", "btree (period_id, player, window_kind, period_start)"], leaf
        assert stack.sql("select distinct collcollate from pg_attribute a join pg_collation c on c.oid = a.attcollation where attrelid = %s::regclass "
                         "and attname = 'player'", leaf) == [("C",)]
    plan = "\n".join(line for line, in stack.sql(
        "set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off; explain (costs off) select player from ladder.entry where window_kind = 'all' "
        "and period_start = '-infinity' and period_id = 1 and not removed and (k1, k2, k3, player) > (0, 0, 0, 'a') order by k1, k2, k3, player limit 100"))
    assert "Sort" not in plan and "Index" in plan and plan.count("entry_all") <= 2, plan


def test_the_purge_reads_removals_not_all_events(stack):
    query = re.sub(r"\$1", "24", (ROOT / "sql" / "statements" / "purge_tombstone_find.sql").read_text()).replace("$2", "1000")
    plan = "\n".join(line for line, in stack.sql("set enable_seqscan = off; explain (costs off) " + query.replace("%", "%%")))
    assert "Seq Scan" not in plan and re.search(r"Scan (using|on) score_event_\w*submitted_at_idx", plan), plan
