-- standing_statistics: a standing in numbers, all of one snapshot. The scores at some places (from 0, the best; beyond the end: none),
-- and how many entries have a lower score than some scores, in the order asked for.
create or replace function ladder.standing_statistics(p_board bigint, p_window ladder.window_kind, p_start timestamptz, p_period bigint,
                                                      p_percentiles double precision[], p_bins integer, p_edges bigint[],
                                                      out entries bigint, out total numeric, out squares numeric,
                                                      out lowest bigint, out highest bigint,
                                                      out percentiles bigint[], out bin_scores bigint[], out lower bigint[])
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
#variable_conflict use_column
declare
    v_is_desc constant boolean := (select b.ordering = 'desc' from ladder.board b where b.id = p_board);
    v_first bigint;
    v_last bigint;
begin
    if ladder.tally_is_sure(p_period) then
        select coalesce(t.entries, 0) + m.entries, coalesce(t.total, 0) + m.total, coalesce(t.squares, 0) + m.squares
        into entries, total, squares
        from (select coalesce(sum(x.sign), 0) as entries, coalesce(sum(x.sign * x.score), 0) as total,
                     coalesce(sum(x.sign * x.score * x.score), 0) as squares
              from (select y.sign, (case when v_is_desc then ~y.k1 else y.k1 end)::numeric as score
                    from ladder.tally_moves(p_board, p_period) y) x) m
        left join ladder.tally t on t.period_id = p_period;
    else
        select count(*), coalesce(sum(x.score), 0), coalesce(sum(x.score::numeric * x.score), 0)
        into entries, total, squares
        from (select case when v_is_desc then ~e.k1 else e.k1 end as score
              from ladder.entry e
              where e.window_kind = p_window and e.period_start = p_start and e.period_id = p_period and not e.removed) x;
    end if;
    v_first := (select e.k1 from ladder.entry e
                where e.window_kind = p_window and e.period_start = p_start and e.period_id = p_period and not e.removed
                order by e.k1, e.k2, e.k3, e.player limit 1);
    v_last := (select e.k1 from ladder.entry e
               where e.window_kind = p_window and e.period_start = p_start and e.period_id = p_period and not e.removed
               order by e.k1 desc, e.k2 desc, e.k3 desc, e.player desc limit 1);
    lowest := case when v_is_desc then ~v_last else v_first end;
    highest := case when v_is_desc then ~v_first else v_last end;
    -- The last entry that has at least the percentile: percentile_rank of board/board.h.
    percentiles := array(select ladder.standing_score(p_board, p_window, p_start, p_period, v_is_desc,
                                                      greatest(0, entries - ceil(q.p * (entries - 1) / 100::float8 - 1e-6::float8)::bigint - 1))
                         from unnest(p_percentiles) with ordinality as q (p, nth)
                         where entries > 0
                         order by q.nth);
    bin_scores := array(select ladder.standing_score(p_board, p_window, p_start, p_period, v_is_desc, x.place)
                        from generate_series(0, p_bins - 1) i
                        -- The first and the last of each bin.
                        cross join lateral (values (i::bigint * entries / p_bins, 1), ((i + 1)::bigint * entries / p_bins - 1, 2)) x (place, nth)
                        where entries > 0
                        order by i, x.nth);
    lower := array(select case when v_is_desc
                               then entries - ladder.standing_before(p_board, p_window, p_start, p_period, least(~q.edge, 9223372036854775806) + 1,
                                                                     -9223372036854775808, -9223372036854775808, '')
                               else ladder.standing_before(p_board, p_window, p_start, p_period, q.edge,
                                                           -9223372036854775808, -9223372036854775808, '') end
                   from unnest(p_edges) with ordinality as q (edge, nth)
                   order by q.nth);
end
$$;
comment on function ladder.standing_statistics(bigint, ladder.window_kind, timestamptz, bigint, double precision[], integer, bigint[])
    is 'A standing in numbers.';

create or replace function ladder.standing_score(p_board bigint, p_window ladder.window_kind, p_start timestamptz, p_period bigint,
                                                 p_is_desc boolean, p_place bigint)
    returns bigint
    language sql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
as $$
    select case when p_is_desc then ~x.k1 else x.k1 end
    from ladder.standing_seek(p_board, p_period, p_place) s
    cross join lateral (select e.k1
                        from ladder.entry e
                        where e.window_kind = p_window
                          and e.period_start = p_start
                          and e.period_id = p_period
                          and not e.removed
                          and (e.k1, e.k2, e.k3, e.player) >= (s.k1, s.k2, s.k3, s.player collate "C")
                        order by e.k1, e.k2, e.k3, e.player
                        offset s.rest
                        limit 1) x
$$;
comment on function ladder.standing_score(bigint, ladder.window_kind, timestamptz, bigint, boolean, bigint) is 'The score at a place of a standing.';

-- standing_activity: submissions that fell into a period, and its new entries, from three moments on: the last 60 seconds, 60 minutes
-- and 24 hours up to the present second, minute and minute, which are in.
create or replace function ladder.standing_activity(p_board bigint, p_period bigint,
                                                    out since timestamptz[], out submissions bigint[], out arrivals bigint[])
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
#variable_conflict use_column
declare
    c constant ladder.tally_cursor := (select t from ladder.tally_cursor t);
    v_xip constant xid8[] := array(select pg_snapshot_xip(c.snapshot));
    v_xmax constant xid8 := pg_snapshot_xmax(c.snapshot);
    v_minute constant timestamptz := date_trunc('second', now()) - interval '59 seconds';
    v_hour constant timestamptz := date_trunc('minute', now()) - interval '59 minutes';
    v_day constant timestamptz := date_trunc('minute', now()) - interval '23 hours 59 minutes';
begin
    if c is null then
        return; -- nobody has counted yet
    end if;
    since := array[v_minute, v_hour, v_day];
    with event as (
        select v.submitted_at, v.achieved_at, v.kind, v.period_ids, v.moves
        from ladder.score_event v
        where v.board_id = p_board
          and v.submitted_at >= c.at - interval '1 hour'
          and (v.xid = any (v_xip) or v.xid >= v_xmax)
    ),
    part as (
        select t.width_s, t.at, t.submissions, t.arrivals
        from ladder.tally_slot t
        where t.period_id = p_period
          and (t.width_s = 1 and t.at >= v_minute or t.width_s = 60 and t.at >= v_day)
        union all
        select null, e.submitted_at, 1, 0
        from event e
        join ladder.period p on p.id = p_period and e.achieved_at >= p.starts_at and e.achieved_at < p.ends_at
        where e.kind = 'submit'
        union all
        select null, e.submitted_at, 0, 1
        from event e
        cross join lateral unnest(e.period_ids) with ordinality as u (period_id, nth)
        where u.period_id = p_period and e.moves[u.nth][1] is null and e.moves[u.nth][4] is not null
    )
    select array[coalesce(sum(p.submissions) filter (where p.at >= v_minute and p.width_s is distinct from 60), 0),
                 coalesce(sum(p.submissions) filter (where p.at >= v_hour and p.width_s is distinct from 1), 0),
                 coalesce(sum(p.submissions) filter (where p.at >= v_day and p.width_s is distinct from 1), 0)],
           array[coalesce(sum(p.arrivals) filter (where p.at >= v_minute and p.width_s is distinct from 60), 0),
                 coalesce(sum(p.arrivals) filter (where p.at >= v_hour and p.width_s is distinct from 1), 0),
                 coalesce(sum(p.arrivals) filter (where p.at >= v_day and p.width_s is distinct from 1), 0)]
    into submissions, arrivals
    from part p;
end
$$;
comment on function ladder.standing_activity(bigint, bigint) is 'Submissions and new entries of a standing in the last minute, hour and day.';
