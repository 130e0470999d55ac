-- Periods: a pure function of window, time zone and instant.

-- local_start: the first instant of a local date. Where the clocks go back over midnight and stay on the same date, midnight
-- comes twice, and the date begins with the first one; where they skip midnight, with the change.
create or replace function ladder.local_start(local timestamp, time_zone text)
    returns timestamptz
    language plpgsql
    stable
as $$
declare
    v_at timestamptz := ladder.instant_of(local, time_zone); -- the later of two
    v_ahead interval := ladder.local_time(v_at - interval '1 microsecond', time_zone) + interval '1 microsecond' - local; -- of `local`, just before
begin
    return case when ladder.local_time(v_at - v_ahead, time_zone) = local then v_at - v_ahead else v_at end;
end
$$;
comment on function ladder.local_start(timestamp, text) is 'The first instant of a local date.';

-- hour_bounds: local hours, counted in UTC from the zone's own offset: a local hour that comes twice is two periods. Where
-- the clocks change by part of an hour (Lord Howe), the change ends one period and begins the next.
create or replace function ladder.hour_bounds(time_zone text, at timestamptz, out starts_at timestamptz, out ends_at timestamptz)
    language plpgsql
    stable
as $$
declare
    v_local timestamp := ladder.local_time(at, time_zone);
    v_offset interval := v_local - at at time zone 'UTC';
    v_last timestamptz;
begin
    starts_at := at - (v_local - date_trunc('hour', v_local));
    ends_at := starts_at + interval '1 hour';
    v_last := ends_at - interval '1 microsecond';
    if ladder.local_time(starts_at, time_zone) - starts_at at time zone 'UTC' <> v_offset then
        select min(t) into starts_at from generate_series(starts_at, at, interval '1 second') t
        where ladder.local_time(t, time_zone) - t at time zone 'UTC' = v_offset;
    end if;
    if ladder.local_time(v_last, time_zone) - v_last at time zone 'UTC' <> v_offset then
        select min(t) into ends_at from generate_series(starts_at, ends_at, interval '1 second') t
        where t > at and ladder.local_time(t, time_zone) - t at time zone 'UTC' <> v_offset;
    end if;
end
$$;
comment on function ladder.hour_bounds(text, timestamptz) is 'The local hour that holds an instant, [starts_at, ends_at).';

-- period_bounds: the period of a window that holds an instant. PostgreSQL owns the time zones: a day is from local
-- midnight to local midnight, 23 or 25 hours long when the clocks change. The periods of a window tile time. Of a zone that the
-- tz database does not have (any more), both are null.
create or replace function ladder.period_bounds(window_kind ladder.window_kind, time_zone text, at timestamptz,
                                                out starts_at timestamptz, out ends_at timestamptz)
    language plpgsql
    stable
as $$
declare
    v_unit text := case window_kind when 'monthly' then 'month' when 'weekly' then 'week' when 'daily' then 'day' end;
    v_step interval := ('1 ' || v_unit)::interval;
    v_local timestamp;
begin
    if window_kind = 'all' then
        starts_at := '-infinity';
        ends_at := 'infinity';
    elsif window_kind = 'hourly' then
        select h.* into starts_at, ends_at from ladder.hour_bounds(time_zone, at) h;
    else
        v_local := date_trunc(v_unit, ladder.local_time(at, time_zone));
        starts_at := ladder.local_start(v_local, time_zone);
        ends_at := ladder.local_start(v_local + v_step, time_zone);
        -- Where the clocks go back over midnight to the date before, that one ends with the second midnight: what showed
        -- the later date for the first time still belongs to it.
        if starts_at > at then
            ends_at := starts_at;
            starts_at := ladder.local_start(v_local - v_step, time_zone);
        end if;
    end if;
exception when invalid_parameter_value then
    starts_at := null;
    ends_at := null;
end
$$;
comment on function ladder.period_bounds(ladder.window_kind, text, timestamptz) is 'The period of a window that holds an instant, [starts_at, ends_at).';

-- window_bounds: the same of any window of a board; of a schedule that is not open then, the pause. Not called where `at` is null.
create or replace function ladder.window_bounds(window_kind ladder.window_kind, time_zone text, schedules text[], at timestamptz,
                                                out starts_at timestamptz, out ends_at timestamptz, out is_pause boolean)
    language plpgsql
    stable
    strict
as $$
declare
    v_schedule text;
begin
    if window_kind <= 'hourly' then
        is_pause := false;
        select b.* into starts_at, ends_at from ladder.period_bounds(window_kind, time_zone, at) b;
        return;
    end if;
    v_schedule := schedules[right(window_kind::text, 1)::integer];
    select b.starts_at, b.ends_at, not b.is_open
    into starts_at, ends_at, is_pause
    from ladder.schedule_bounds(split_part(v_schedule, '|', 2), split_part(v_schedule, '|', 3), time_zone, at) b;
exception when invalid_parameter_value then
    starts_at := null;
    ends_at := null;
end
$$;
comment on function ladder.window_bounds(ladder.window_kind, text, text[], timestamptz)
    is 'The period of a window of a board that holds an instant, or the pause of a schedule, [starts_at, ends_at).';

-- window_bounds_each: of many instants, in ascending order. A schedule is asked once for those of the same period or pause: an import may
-- bring years of them, and to read a cron expression takes a while.
create or replace function ladder.window_bounds_each(p_kind ladder.window_kind, p_time_zone text, p_schedules text[], p_ats timestamptz[])
    returns table (at timestamptz, starts_at timestamptz, ends_at timestamptz, is_pause boolean)
    language plpgsql
    stable
as $$
begin
    foreach at in array p_ats loop
        if ends_at is null or at >= ends_at then
            select x.starts_at, x.ends_at, x.is_pause into starts_at, ends_at, is_pause
            from ladder.window_bounds(p_kind, p_time_zone, p_schedules, at) x;
        end if;
        return next;
    end loop;
end
$$;
comment on function ladder.window_bounds_each(ladder.window_kind, text, text[], timestamptz[]) is 'The period or the pause that holds each of many instants.';

-- period_of: the row of that period, of the whole board, if it exists.
create or replace function ladder.period_of(board_id bigint, window_kind ladder.window_kind, at timestamptz)
    returns setof ladder.period
    language sql
    stable
as $$
    select p.*
    from (select q.*
          from ladder.period q
          where q.board_id = period_of.board_id
            and q.facet = ''
            and q.window_kind = period_of.window_kind
            and q.starts_at <= at
          order by q.starts_at desc
          limit 1) p
    where p.ends_at > at
$$;
comment on function ladder.period_of(bigint, ladder.window_kind, timestamptz) is 'The existing period of a window that holds an instant.';

-- period_known: period_of for statements over many boards: a row that raises an error counts as no row. The jobs that open and close periods report
-- such a row.
create or replace function ladder.period_known(p_board bigint, p_window ladder.window_kind, p_at timestamptz)
    returns table (starts_at timestamptz, ends_at timestamptz)
    language plpgsql
    stable
    rows 1
    set search_path = pg_catalog
    set jit = off
as $$
begin
    return query select p.starts_at, p.ends_at from ladder.period_of(p_board, p_window, p_at) p;
exception when others then
    if ladder.submit_is_passing(sqlstate) then
        raise;
    end if;
end
$$;
comment on function ladder.period_known(bigint, ladder.window_kind, timestamptz) is 'The period of a window that holds an instant, if it exists and can be read.';

-- period_ensure: makes the rows that a set of (board, instant) lacks, for every window of each board; returns theirs. The time between two
-- periods of a schedule has a row, too, of the state `pause`: so a window has a row for every instant, and who submits in a pause looks it up
-- and computes nothing.
--
-- Where the rules of a zone changed since the periods next to it were made, a new one begins where the last one ended and ends
-- where the next one begins. One that would then be empty, or would not hold its instant, is not made: no row breaks
-- period_bounds_ck, and a board whose zone makes no sense keeps no other from its periods.
create or replace function ladder.period_ensure(board_ids bigint[], ats timestamptz[])
    returns setof bigint
    language sql
    set search_path = pg_catalog
as $$
    with lacking as materialized (
        select b.id, w.kind, b.time_zone, b.schedules, s.at
        from unnest(board_ids, ats) as s (board_id, at)
        join ladder.board b on b.id = s.board_id
        cross join lateral unnest(b.windows) as w (kind)
        where b.deleted_at is null
          and not exists (select from ladder.period_of(b.id, w.kind, s.at))
    ),
    found as (
        select l.id, l.kind, l.at, x.starts_at, x.ends_at, x.is_pause
        from lacking l
        cross join lateral ladder.window_bounds(l.kind, l.time_zone, l.schedules, l.at) x
        where l.kind <= 'hourly'
        union all
        select g.id, g.kind, x.at, x.starts_at, x.ends_at, x.is_pause
        from (select l.id, l.kind, l.time_zone, l.schedules, array_agg(l.at order by l.at) as ats
              from lacking l
              where l.kind > 'hourly'
              group by l.id, l.kind, l.time_zone, l.schedules) g
        cross join lateral ladder.window_bounds_each(g.kind, g.time_zone, g.schedules, g.ats) x
    ),
    bounded as materialized (
        select l.id, l.kind, l.at, l.is_pause,
               greatest(l.starts_at, (select max(p.ends_at)
                                      from ladder.period p
                                      where p.board_id = l.id
                                        and p.facet = ''
                                        and p.window_kind = l.kind
                                        and p.starts_at between l.starts_at - interval '32 days' and l.at
                                        and p.ends_at <= l.at),
                        -- A schedule's may be of any length.
                        case when l.kind > 'hourly' then (select q.ends_at
                                                          from ladder.period q
                                                          where q.board_id = l.id
                                                            and q.facet = ''
                                                            and q.window_kind = l.kind
                                                            and q.starts_at <= l.at
                                                          order by q.starts_at desc
                                                          limit 1) end) as starts_at,
               least(l.ends_at, (select min(p.starts_at)
                                 from ladder.period p
                                 where p.board_id = l.id
                                   and p.facet = ''
                                   and p.window_kind = l.kind
                                   and p.starts_at > l.at
                                   and p.starts_at < l.ends_at)) as ends_at
        from found l
    )
    insert into ladder.period (board_id, window_kind, starts_at, ends_at, state)
    select distinct d.id, d.kind, d.starts_at, d.ends_at, case when d.is_pause then 'pause' else 'open' end::ladder.period_state
    from bounded d
    where d.starts_at <= d.at
      and d.at < d.ends_at
    order by 1, 2, 3
    on conflict (board_id, facet, window_kind, starts_at) do nothing
    returning id
$$;
comment on function ladder.period_ensure(bigint[], timestamptz[]) is 'Makes the periods that submissions at these instants need; returns the new ones.';

-- schedule_next: the next periods of a schedule of a board, as they will be: one that is made already keeps its bounds, whatever the schedule
-- says now.
create or replace function ladder.schedule_next(p_board bigint, p_name text, p_count integer)
    returns table (starts_at timestamptz, ends_at timestamptz)
    language plpgsql
    stable
    set search_path = pg_catalog
as $$
declare
    b ladder.board;
    v_kind ladder.window_kind;
    v_at timestamptz := now();
    v_after timestamptz := '-infinity'; -- none begins before
    v_left integer := p_count;
    v_is_pause boolean;
begin
    select * into b from ladder.board q where q.id = p_board;
    v_kind := ladder.window_named(p_name, b.schedules);
    while v_left > 0 loop
        select p.starts_at, p.ends_at, false into starts_at, ends_at, v_is_pause
        from ladder.period_of(p_board, v_kind, v_at) p
        where p.state <> 'pause';
        if not found then
            select greatest(x.starts_at, v_after), x.ends_at, x.is_pause into starts_at, ends_at, v_is_pause
            from ladder.window_bounds(v_kind, b.time_zone, b.schedules, v_at) x;
        end if;
        exit when ends_at is null;
        v_at := ends_at;
        v_after := ends_at;
        if not v_is_pause then
            v_left := v_left - 1;
            return next;
        end if;
    end loop;
end
$$;
comment on function ladder.schedule_next(bigint, text, integer) is 'The next periods of a schedule of a board.';
