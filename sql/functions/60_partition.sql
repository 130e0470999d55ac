-- partition_ensure, partition_drop: the partitions that the coming days need, and the end of old ones.
--
-- Never a default partition, and never CREATE … PARTITION OF: that locks the parent against everybody. A table
-- made by LIKE, with a CHECK that says its bounds, is attached under a lock that reads and writes pass.
--
-- Both run with the rights of ladder_migrate, so that the worker needs none to make or drop a table. Such a function looks
-- for nothing in a schema that its caller could write to: pg_temp comes last.
create or replace function ladder.partition_add(p_parent text, p_name text, p_column text, p_from timestamptz, p_to timestamptz)
    returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '2s'
    set timezone = 'UTC'
as $$
declare
    v_check text;
begin
    if to_regclass('ladder.' || quote_ident(p_name)) is not null then
        return false;
    end if;
    v_check := format('%I is not null and %I < %L::timestamptz', p_column, p_column, p_to)
               || case when p_from = '-infinity' then '' else format(' and %I >= %L::timestamptz', p_column, p_from) end;
    execute format('create table ladder.%I (like ladder.%I including all, constraint %I check (%s)) with (fillfactor = %s, '
                   'autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05)',
                   p_name, p_parent, p_name || '_bounds_ck', v_check,
                   case when p_parent in ('score_event', 'standing_snapshot') then 100 else 90 end);
    execute format('alter table ladder.%I attach partition ladder.%I for values from (%s) to (%L)', p_parent, p_name,
                   case when p_from = '-infinity' then 'minvalue' else quote_literal(p_from) end, p_to);
    execute format('alter table ladder.%I drop constraint %I', p_name, p_name || '_bounds_ck');
    execute format('comment on table ladder.%I is %L', p_name, format('%s from %s to %s.', p_parent, p_from, p_to));
    return true;
end
$$;
comment on function ladder.partition_add(text, text, text, timestamptz, timestamptz) is 'Makes and attaches one range partition; false if it is there.';

create or replace function ladder.partition_ensure(p_days_ahead integer)
    returns integer
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    set timezone = 'UTC'
as $$
declare
    v_made integer := 0;
    v_until timestamptz := now() + p_days_ahead * interval '1 day';
    v_kind record;
    v_at timestamptz;
begin
    perform pg_advisory_xact_lock(hashtext('ladder.partition'));
    for v_kind in
        select *
        from (values ('score_event', 'submitted_at', interval '1 day', 'day', 'YYYYMMDD'),
                     ('entry_monthly', 'period_start', interval '1 year', 'year', 'YYYY'),
                     ('entry_weekly', 'period_start', interval '1 year', 'year', 'YYYY'),
                     ('entry_daily', 'period_start', interval '3 months', 'quarter', 'YYYY"q"Q'),
                     ('entry_hourly', 'period_start', interval '1 month', 'month', 'YYYYMM'),
                     ('entry_scheduled', 'period_start', interval '1 year', 'year', 'YYYY'),
                     ('standing_snapshot', 'at', interval '1 month', 'month', 'YYYYMM'))
             as k (parent, range_column, step, unit, suffix)
    loop
        -- The first partition ever also takes all of the past: imports bring periods of long ago.
        if not exists (select from pg_inherits where inhparent = ('ladder.' || v_kind.parent)::regclass) then
            perform ladder.partition_add(v_kind.parent, v_kind.parent || '_past', v_kind.range_column,
                                         '-infinity', date_trunc(v_kind.unit, now()));
            v_made := v_made + 1;
        end if;
        -- On from where the newest ends, if that is long ago: an import may bring what nobody made a partition for then.
        select least(date_trunc(v_kind.unit, now()),
                     max((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''([^'']+)''\)'))[1]::timestamptz))
        into v_at
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where i.inhparent = ('ladder.' || v_kind.parent)::regclass;
        while v_at <= v_until loop
            if ladder.partition_add(v_kind.parent, v_kind.parent || '_' || to_char(v_at, v_kind.suffix), v_kind.range_column,
                                    v_at, v_at + v_kind.step) then
                v_made := v_made + 1;
            end if;
            v_at := v_at + v_kind.step;
        end loop;
    end loop;
    return v_made;
end
$$;
comment on function ladder.partition_ensure(integer) is 'Makes the partitions of the coming days; returns how many.';

-- partition_drop: a day of events that was detached before. What is still attached, or no such table, is refused.
create or replace function ladder.partition_drop(p_name text)
    returns void
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '2s'
as $$
begin
    if p_name !~ '^score_event_[0-9]{8}$'
       or exists (select from pg_class c where c.oid = to_regclass('ladder.' || quote_ident(p_name)) and c.relispartition) then
        raise exception '% is not a detached partition of events', p_name;
    end if;
    execute format('drop table if exists ladder.%I', p_name);
end
$$;
comment on function ladder.partition_drop(text) is 'Drops a detached partition of score_event.';
