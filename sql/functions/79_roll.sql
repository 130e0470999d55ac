-- roll_open: makes the current and the coming period of every window of these boards, and notes when each board needs the next ones:
-- when the first of those that hold now() + p_ahead_s ends, less p_ahead_s. Returns the new periods.
create or replace function ladder.roll_open(p_boards bigint[], p_ahead_s integer)
    returns setof bigint
    language plpgsql
    set search_path = pg_catalog
as $$
declare
    v_boards bigint[] := array(select b.id from ladder.board b where b.id = any (p_boards) and b.deleted_at is null and b.windows <> '{all}');
    v_ahead interval := p_ahead_s * interval '1 second';
    v_soon timestamptz := now() + v_ahead;
begin
    if v_boards <> '{}' then
        -- A pause that somebody made by the schedule as it was, while it was changed.
        delete from ladder.period p
        using ladder.board b
        where b.id = any (v_boards)
          and b.schedules <> '{}'
          and p.board_id = b.id
          and p.facet = ''
          and p.window_kind > 'hourly'
          and p.state = 'pause'
          and p.ends_at > now();
        return query
        select ladder.period_ensure(v_boards || v_boards,
                                    array_fill(now(), array[cardinality(v_boards)]) || array_fill(v_soon, array[cardinality(v_boards)]));
    end if;
    update ladder.job_item j
    set due_at = x.at, failures = 0, failed_at = null, failing_since = null, error = null
    from (select b.id, coalesce(d.at, 'infinity') as at
          from unnest(p_boards) b (id)
          left join (select q.id, case when bool_and(p.id is not null) then min(p.ends_at) - v_ahead else now() + interval '1 min' end as at
                     from ladder.board q
                     cross join lateral unnest(q.windows) w (kind)
                     left join lateral ladder.period_of(q.id, w.kind, v_soon) p on true
                     where q.id = any (v_boards) and w.kind <> 'all'
                     group by q.id) d on d.id = b.id) x
    where j.job = 'roll'
      and j.item_id = x.id;
end
$$;
comment on function ladder.roll_open(bigint[], integer) is 'Makes the current and the coming periods of some boards; returns the new ones.';
