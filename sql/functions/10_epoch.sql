-- epoch_current: the number of this database's history, made when it is new.
--
-- After an asynchronous failover, xids, LSNs and sequence values are issued again to other rows. What
-- remembers them (tokens, cursors in Redis, rebuilt standings) carries the epoch and is void in another.
-- The timeline is read from the WAL's file name: pg_control_checkpoint() still tells the old one right
-- after a promotion. A restored dump has neither another timeline nor another system, but its tables are other ones.
create or replace function ladder.epoch_current()
    returns table (epoch integer, timeline integer)
    language plpgsql
    set search_path = pg_catalog
as $$
declare
    v_system bigint := (select system_identifier from pg_control_system());
    v_timeline integer := ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer;
    v_incarnation oid := 'ladder.epoch'::regclass;
    v_last ladder.epoch;
begin
    select * into v_last from ladder.epoch e order by e.epoch desc limit 1;
    if (v_last.system_identifier, v_last.timeline, v_last.incarnation) is distinct from (v_system, v_timeline, v_incarnation) then
        perform pg_advisory_xact_lock(hashtext('ladder.epoch'));
        select * into v_last from ladder.epoch e order by e.epoch desc limit 1;
        if (v_last.system_identifier, v_last.timeline, v_last.incarnation) is distinct from (v_system, v_timeline, v_incarnation) then
            insert into ladder.epoch (epoch, system_identifier, timeline, incarnation)
            values (coalesce(v_last.epoch, 0) + 1, v_system, v_timeline, v_incarnation)
            returning * into v_last;
        end if;
    end if;
    return query select v_last.epoch, v_last.timeline;
end
$$;
comment on function ladder.epoch_current() is 'The epoch and timeline of this primary; fails on a standby.';

-- epoch_renew: for the operator, after the data went back in a way that leaves no trace: a copy of the data directory put
-- back and started as it was, without recovery to a new timeline.
create or replace function ladder.epoch_renew()
    returns integer
    language sql
    set search_path = pg_catalog
as $$
    insert into ladder.epoch (epoch, system_identifier, timeline, incarnation)
    select e.epoch + 1, e.system_identifier, e.timeline, e.incarnation
    from ladder.epoch e
    order by e.epoch desc
    limit 1
    returning epoch
$$;
comment on function ladder.epoch_renew() is 'Begins a new epoch by hand: every token, cursor and standing in Redis is void.';
