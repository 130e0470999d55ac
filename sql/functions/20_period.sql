-- Periods: a pure function of window, time zone and instant.

-- period_bounds: the period of a window that holds an instant. PostgreSQL owns the time zones: a day is
-- from local midnight to local midnight, 23 or 25 hours long when the clocks change.
create or replace function ladder.period_bounds(window_kind ladder.window_kind, time_zone text, at timestamptz,
                                                out starts_at timestamptz, out ends_at timestamptz)
    language sql
    stable
as $$
    select case window_kind
               when 'all' then '-infinity'::timestamptz
               when 'monthly' then date_trunc('month', at, time_zone)
               when 'weekly' then date_trunc('week', at, time_zone)
               when 'daily' then date_trunc('day', at, time_zone)
               -- Hours are counted in UTC from the zone's own offset: a local hour that comes twice is two periods.
               when 'hourly' then at - (extract(epoch from (at at time zone time_zone)
                                        - date_trunc('hour', at at time zone time_zone)) * interval '1 second')
           end,
           case window_kind
               when 'all' then 'infinity'::timestamptz
               when 'monthly' then (date_trunc('month', at at time zone time_zone) + interval '1 month') at time zone time_zone
               when 'weekly' then (date_trunc('week', at at time zone time_zone) + interval '1 week') at time zone time_zone
               when 'daily' then (date_trunc('day', at at time zone time_zone) + interval '1 day') at time zone time_zone
               when 'hourly' then at - (extract(epoch from (at at time zone time_zone)
                                        - date_trunc('hour', at at time zone time_zone)) * interval '1 second')
                                  + interval '1 hour'
           end
$$;
comment on function ladder.period_bounds(ladder.window_kind, text, timestamptz) is 'The period of a window that holds an instant, [starts_at, ends_at).';

-- period_of: the row of that period, if it exists.
create or replace function ladder.period_of(board_id bigint, window_kind ladder.window_kind, at timestamptz)
    returns setof ladder.period
    language sql
    stable
as $$
    select p.*
    from (select q.*
          from ladder.period q
          where q.board_id = period_of.board_id
            and q.window_kind = period_of.window_kind
            and q.starts_at <= at
          order by q.starts_at desc
          limit 1) p
    where p.ends_at > at
$$;
comment on function ladder.period_of(bigint, ladder.window_kind, timestamptz) is 'The existing period of a window that holds an instant.';

-- period_ensure: makes the rows that a set of (board, instant) lacks, for every window of each board; returns theirs.
create or replace function ladder.period_ensure(board_ids bigint[], ats timestamptz[])
    returns setof bigint
    language sql
    set search_path = pg_catalog
as $$
    insert into ladder.period (board_id, window_kind, starts_at, ends_at)
    select distinct b.id, w.kind, bounds.starts_at, bounds.ends_at
    from unnest(board_ids, ats) as s (board_id, at)
    join ladder.board b on b.id = s.board_id
    cross join lateral unnest(b.windows) as w (kind)
    cross join lateral ladder.period_bounds(w.kind, b.time_zone, s.at) bounds
    where b.deleted_at is null
      and not exists (select from ladder.period_of(b.id, w.kind, s.at))
    order by 1, 2, 3
    on conflict (board_id, window_kind, starts_at) do nothing
    returning id
$$;
comment on function ladder.period_ensure(bigint[], timestamptz[]) is 'Makes the periods that submissions at these instants need; returns the new ones.';
