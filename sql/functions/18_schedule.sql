-- Schedules: windows that open and close when cron expressions say, in the board's time zone.
--
-- A cron expression is a set of local minutes, and each of these is one instant (cron_instant): where the clocks show it twice, the
-- first; where they skip it, as much later as they went ahead. So what is meant once a day is once a day, and nothing depends on the
-- moment from which one looks. Pure, as periods are: the tz database decides.

-- cron_field: the numbers that a field of a cron expression means, in order; null: it is none. `names`: words for the numbers from the
-- least on.
create or replace function ladder.cron_field(field text, least_value integer, most_value integer, names text[])
    returns integer[]
    language plpgsql
    immutable
    parallel safe
    set search_path = pg_catalog
as $$
declare
    v_part text;
    v_match text[];
    v_ends text[];
    v_from integer;
    v_to integer;
    v_found integer[] := '{}';
begin
    foreach v_part in array string_to_array(field, ',') loop
        v_match := regexp_match(v_part, '^(\*|([0-9]{1,2}|[A-Za-z]{3})(-([0-9]{1,2}|[A-Za-z]{3}))?)(/([0-9]{1,2}))?$');
        -- A step belongs to a range.
        if v_match is null or v_match[6] is not null and (v_match[6]::integer = 0 or v_match[1] <> '*' and v_match[3] is null) then
            return null;
        end if;
        if v_match[1] = '*' then
            v_from := least_value;
            v_to := most_value;
        else
            v_ends := array(select coalesce((array_position(names, lower(e.word)) + least_value - 1)::text, e.word)
                            from unnest(array[v_match[2], coalesce(v_match[4], v_match[2])]) with ordinality as e (word, nth)
                            order by e.nth);
            if v_ends[1] !~ '^[0-9]+$' or v_ends[2] !~ '^[0-9]+$' then
                return null;
            end if;
            v_from := v_ends[1]::integer;
            v_to := v_ends[2]::integer;
        end if;
        if v_from < least_value or v_to > most_value or v_from > v_to then
            return null;
        end if;
        v_found := v_found || array(select generate_series(v_from, v_to, coalesce(v_match[6], '1')::integer));
    end loop;
    return (select array_agg(distinct x order by x) from unnest(v_found) x);
end
$$;
comment on function ladder.cron_field(text, integer, integer, text[]) is 'The numbers that a field of a cron expression means; null: it is none.';

-- cron_parse: minute, hour, day of the month, month, day of the week (0 and 7: Sunday), with blanks between. All null: it is no cron
-- expression. is_either: days of the month and of the week are both restricted, and a day need be one of either only (POSIX).
create or replace function ladder.cron_parse(expression text, out minutes integer[], out hours integer[], out month_days integer[],
                                             out months integer[], out week_days integer[], out is_either boolean)
    language plpgsql
    immutable
    parallel safe
    set search_path = pg_catalog
as $$
declare
    v_fields text[] := regexp_split_to_array(btrim(expression, ' '), ' +');
begin
    if length(expression) > 64 or cardinality(v_fields) <> 5 then
        return;
    end if;
    minutes := ladder.cron_field(v_fields[1], 0, 59, '{}');
    hours := ladder.cron_field(v_fields[2], 0, 23, '{}');
    month_days := ladder.cron_field(v_fields[3], 1, 31, '{}');
    months := ladder.cron_field(v_fields[4], 1, 12, '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}');
    week_days := (select array_agg(distinct d % 7) from unnest(ladder.cron_field(v_fields[5], 0, 7, '{sun,mon,tue,wed,thu,fri,sat}')) d);
    is_either := left(v_fields[3], 1) <> '*' and left(v_fields[5], 1) <> '*';
    if num_nulls(minutes, hours, month_days, months, week_days) > 0 then
        minutes := null;
        hours := null;
        month_days := null;
        months := null;
        week_days := null;
        is_either := null;
    end if;
end
$$;
comment on function ladder.cron_parse(text) is 'What a cron expression means, field by field; nulls: it is none.';

-- cron_instant: the instant of a local minute; see the top. `at time zone` takes the later of two.
create or replace function ladder.cron_instant(local timestamp, time_zone text)
    returns timestamptz
    language sql
    stable
    set search_path = pg_catalog
as $$
    select case when y.first < x.at and ladder.local_time(y.first, time_zone) = local then y.first else x.at end
    from (select ladder.instant_of(local, time_zone) as at) x
    cross join lateral (select x.at - interval '1 day' as before) w
    cross join lateral (select (local - (ladder.local_time(w.before, time_zone) - w.before at time zone 'UTC')) at time zone 'UTC' as first) y
$$;
comment on function ladder.cron_instant(timestamp, text) is 'The instant of a local minute: the first, where it comes twice; where it is skipped, as much later as the clocks went ahead.';

-- cron_day: the instants of a local date. cron_instant is asked for each only where the clocks change around it.
create or replace function ladder.cron_day(minutes integer[], hours integer[], time_zone text, day date)
    returns setof timestamptz
    language plpgsql
    stable
    set search_path = pg_catalog
as $$
declare
    v_before timestamptz := (day - 2)::timestamp at time zone 'UTC';
    v_after timestamptz := (day + 3)::timestamp at time zone 'UTC';
    v_offset interval := ladder.local_time(v_before, time_zone) - v_before at time zone 'UTC';
begin
    if v_offset = ladder.local_time(v_after, time_zone) - v_after at time zone 'UTC' then
        return query
        select (day + make_time(h, m, 0) - v_offset) at time zone 'UTC'
        from unnest(hours) h
        cross join unnest(minutes) m;
    else
        return query
        select ladder.cron_instant(day + make_time(h, m, 0), time_zone)
        from unnest(hours) h
        cross join unnest(minutes) m;
    end if;
end
$$;
comment on function ladder.cron_day(integer[], integer[], text, date) is 'The instants that a cron expression means on a local date.';

-- cron_near: the first instant of a cron expression after `at`; backwards, the last one that is not after it. Null: there is none within
-- 3,000 days, in which each 29 February lies.
create or replace function ladder.cron_near(expression text, time_zone text, at timestamptz, is_back boolean)
    returns timestamptz
    language plpgsql
    stable
    set search_path = pg_catalog
as $$
declare
    c record;
    v_today date := ladder.local_time(at, time_zone)::date;
    v_span integer;
    v_day date;
    v_found_on date;
    v_near timestamptz;
    v_found timestamptz;
begin
    select * into c from ladder.cron_parse(expression);
    foreach v_span in array array[10, 3000] loop
        -- From the day before on: where the clocks skip a time, it may come a day later.
        for v_day in
            select x.day
            from (select v_today + (case when is_back then 1 - n else n - 1 end) as day from generate_series(0, v_span) n) x
            where extract(month from x.day) = any (c.months)
              and case when c.is_either then extract(day from x.day) = any (c.month_days) or extract(dow from x.day) = any (c.week_days)
                       else extract(day from x.day) = any (c.month_days) and extract(dow from x.day) = any (c.week_days) end
            order by case when is_back then v_today - x.day else x.day - v_today end
        loop
            -- The day next to the one that was found may have a nearer one.
            exit when v_found is not null and abs(v_day - v_found_on) > 1;
            if is_back then
                select max(d) into v_near from ladder.cron_day(c.minutes, c.hours, time_zone, v_day) d where d <= at;
            else
                select min(d) into v_near from ladder.cron_day(c.minutes, c.hours, time_zone, v_day) d where d > at;
            end if;
            if v_found is null and v_near is not null then
                v_found_on := v_day;
            end if;
            v_found := case when is_back then greatest(v_found, v_near) else least(v_found, v_near) end;
        end loop;
        exit when v_found is not null;
    end loop;
    return v_found;
end
$$;
comment on function ladder.cron_near(text, text, timestamptz, boolean) is 'The first instant of a cron expression after another, or the last one up to it.';

-- schedule_bounds: the period of a schedule that holds an instant, or the pause between two of them. A period begins when `opens` says,
-- unless one is under way, and ends when `closes` says next; where both say the same instant, one ends and the next begins. Nulls: it
-- never opens, or never closes.
--
-- After the last `closes` up to an instant nothing is under way: so that one decides alone.
create or replace function ladder.schedule_bounds(opens text, closes text, time_zone text, at timestamptz,
                                                  out starts_at timestamptz, out ends_at timestamptz, out is_open boolean)
    language plpgsql
    stable
    set search_path = pg_catalog
as $$
declare
    v_closed timestamptz := ladder.cron_near(closes, time_zone, at, true);
    v_opens timestamptz := ladder.cron_near(opens, time_zone, v_closed - interval '1 microsecond', false);
begin
    is_open := v_opens <= at;
    starts_at := case when is_open then v_opens else v_closed end;
    ends_at := case when is_open then ladder.cron_near(closes, time_zone, at, false) else v_opens end;
    if num_nulls(starts_at, ends_at) > 0 then
        starts_at := null;
        ends_at := null;
        is_open := null;
    end if;
end
$$;
comment on function ladder.schedule_bounds(text, text, text, timestamptz) is 'The period, or the pause, of a schedule that holds an instant, [starts_at, ends_at).';

-- schedule_periods: so many periods of a schedule, from the one on that holds an instant or comes next.
create or replace function ladder.schedule_periods(opens text, closes text, time_zone text, at timestamptz, count integer)
    returns table (starts_at timestamptz, ends_at timestamptz)
    language plpgsql
    stable
    set search_path = pg_catalog
as $$
declare
    v_at timestamptz := at;
    v_left integer := count;
    x record;
begin
    while v_left > 0 loop
        select * into x from ladder.schedule_bounds(opens, closes, time_zone, v_at);
        exit when x.is_open is null;
        if x.is_open then
            starts_at := x.starts_at;
            ends_at := x.ends_at;
            v_left := v_left - 1;
            return next;
        end if;
        v_at := x.ends_at;
    end loop;
end
$$;
comment on function ladder.schedule_periods(text, text, text, timestamptz, integer) is 'The next periods of a schedule.';

-- Of the board: schedules[n] is of the window scheduled_n, its name, `opens` and `closes` with | between (none of them holds one).

-- window_title: what a window is called.
create or replace function ladder.window_title(kind ladder.window_kind, schedules text[])
    returns text
    language sql
    stable
as $$
    select case when kind <= 'hourly' then kind::text else split_part(schedules[right(kind::text, 1)::integer], '|', 1) end
$$;
comment on function ladder.window_title(ladder.window_kind, text[]) is 'What a window is called: by its kind, or by the name of its schedule.';

-- window_named: the window that is called so; null: the board never had one.
create or replace function ladder.window_named(name text, schedules text[])
    returns ladder.window_kind
    language sql
    stable
as $$
    select case when name in ('all', 'monthly', 'weekly', 'daily', 'hourly') then name::ladder.window_kind
                else (select ('scheduled_' || s.nth)::ladder.window_kind
                      from unnest(schedules) with ordinality as s (text, nth)
                      where split_part(s.text, '|', 1) = name) end
$$;
comment on function ladder.window_named(text, text[]) is 'The window of a name.';

create or replace function ladder.windows_named(names text[], schedules text[])
    returns ladder.window_kind[]
    language sql
    stable
as $$
    select array(select ladder.window_named(w.name, schedules) from unnest(names) with ordinality as w (name, nth) order by w.nth)
$$;
comment on function ladder.windows_named(text[], text[]) is 'The windows of some names, in their order.';

-- schedules_merge: a board's schedules when these are defined. One whose name it has, or had, takes that one's place; any other the place of
-- none, or of one that never had a period. LD003: there is no such place; LD004: the
-- board is made of others.
create or replace function ladder.schedules_merge(p_board bigint, p_before text[], p_wanted text[])
    returns text[]
    language plpgsql
    stable
    set search_path = pg_catalog
as $$
declare
    c_most constant integer := 4;
    v_names constant text[] := array(select split_part(w, '|', 1) from unnest(p_wanted) w);
    v_found text[] := p_before;
    v_slot integer;
    v_nth integer;
begin
    if p_wanted = '{}' then
        return p_before;
    end if;
    if exists (select from ladder.combination c where c.board_id = p_board) then
        raise exception 'a board made of others has no schedules' using errcode = 'LD004';
    end if;
    for v_nth in 1..cardinality(p_wanted) loop
        v_slot := (select min(s.nth)
                   from unnest(v_found) with ordinality as s (text, nth)
                   where split_part(s.text, '|', 1) = v_names[v_nth]);
        v_slot := coalesce(v_slot, (select min(n)
                                    from generate_series(1, c_most) n
                                    where v_found[n] is null
                                       or split_part(v_found[n], '|', 1) <> all (v_names)
                                          and not exists (select
                                                          from ladder.period p
                                                          where p.board_id = p_board
                                                            and p.facet = ''
                                                            and p.window_kind = ('scheduled_' || n)::ladder.window_kind
                                                            and p.state <> 'pause')));
        if v_slot is null then
            raise exception 'the board has had as many schedules as it can have' using errcode = 'LD003';
        end if;
        v_found[v_slot] := p_wanted[v_nth];
    end loop;
    return v_found;
end
$$;
comment on function ladder.schedules_merge(bigint, text[], text[]) is 'A board''s schedules when some are defined: names keep their places.';

-- board_rescheduled: pauses that are not over yet are those of the schedule that was; of a place that another name takes, all are. Periods
-- stay. With its owner's rights: ladder serve deletes no periods.
create or replace function ladder.board_rescheduled()
    returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    delete from ladder.period p
    where p.board_id = new.id
      and p.facet = ''
      and p.window_kind > 'hourly'
      and p.state = 'pause'
      and (p.ends_at > now()
           or ladder.window_title(p.window_kind, old.schedules) <> ladder.window_title(p.window_kind, new.schedules));
    return null;
end
$$;
comment on function ladder.board_rescheduled() is 'Forgets the pauses of a schedule that was changed.';
create or replace trigger board_rescheduled
    after update of schedules on ladder.board
    for each row when (old.schedules is distinct from new.schedules) execute function ladder.board_rescheduled();
comment on trigger board_rescheduled on ladder.board is 'Forgets the pauses of a schedule that was changed.';
