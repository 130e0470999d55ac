-- Who writes entries, and who may still: closing a period, and the day's snapshots, wait for those transactions, not for others that run
-- long (a refresh, a fold, somebody's COPY).

-- write_begin: before anything is looked at that decides what is written. It takes a transaction id and a lock that everybody who writes
-- entries has, if later; in this order, so that whoever has looked shows both until he ends. The lock keeps nobody waiting but DDL.
create or replace function ladder.write_begin()
    returns void
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    perform pg_current_xact_id();
    lock table only ladder.entry in row exclusive mode;
end
$$;
comment on function ladder.write_begin() is 'Makes the transaction one of those that writers_xmin tells of.';

-- writers_xmin: what pg_snapshot_xmin is, of transactions that write entries: all older than this have ended, and what the next
-- statement reads has what they wrote.
create or replace function ladder.writers_xmin()
    returns xid8
    language sql
    stable
    set search_path = pg_catalog
as $$
    with held as materialized ( -- at one look
        select l.locktype, l.virtualtransaction, l.transactionid, l.database, l.relation, l.mode
        from pg_locks l
        where l.granted
          and l.locktype in ('relation', 'transactionid')
    )
    select coalesce(min(x.id), pg_snapshot_xmax(pg_current_snapshot()))
    from pg_snapshot_xip(pg_current_snapshot()) as x (id)
    join held t on t.locktype = 'transactionid' and t.transactionid = x.id::xid and t.mode = 'ExclusiveLock'
    join held e on e.virtualtransaction = t.virtualtransaction and e.locktype = 'relation' and e.mode = 'RowExclusiveLock'
               and e.relation = 'ladder.entry'::regclass
               and e.database = (select d.oid from pg_database d where d.datname = current_database())
$$;
comment on function ladder.writers_xmin() is 'The oldest transaction that writes entries; if there is none, one that has not begun.';
