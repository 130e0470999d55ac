-- Statistics of a standing, exact to the last digit: numeric division and roots are only as long as they think they should be, so
-- what is rounded here are whole numbers.

-- mean_of: to six digits behind the point, half away from zero.
create or replace function ladder.mean_of(entries bigint, total numeric)
    returns numeric
    language sql
    immutable
as $$
    select case when entries > 0 then sign(total) * div(2000000 * abs(total) + entries, 2 * entries::numeric) * 0.000001 end
$$;
comment on function ladder.mean_of(bigint, numeric) is 'The mean, to six digits behind the point.';

-- deviation_of: of all entries, not of a sample of them; to six digits, half up. With d = n * sum of squares - square of the sum:
-- sqrt(d) / n, times 10^6, is rounded by way of the whole root of 4 * 10^12 * d.
create or replace function ladder.deviation_of(entries bigint, total numeric, squares numeric)
    returns numeric
    language plpgsql
    immutable
    set search_path = pg_catalog
as $$
declare
    v_square constant numeric := 4000000000000 * (entries * squares - total * total);
    v_root numeric := floor(sqrt(v_square));
begin
    if entries = 0 then
        return null;
    end if;
    while v_root * v_root > v_square loop
        v_root := v_root - 1;
    end loop;
    while (v_root + 1) * (v_root + 1) <= v_square loop
        v_root := v_root + 1;
    end loop;
    return div(v_root + entries, 2 * entries::numeric) * 0.000001;
end
$$;
comment on function ladder.deviation_of(bigint, numeric, numeric) is 'The standard deviation, to six digits behind the point.';

-- bin_starts: with which scores the second bin and those behind it begin. width: as equal as whole numbers allow. log: powers of two, zero,
-- and their mirror image below it.
create or replace function ladder.bin_starts(p_kind text, p_bins integer, p_lowest bigint, p_highest bigint)
    returns bigint[]
    language sql
    immutable
as $$
    select case p_kind
               when 'width' then
                   array(select (p_lowest + div(i * (p_highest::numeric - p_lowest + 1), x.bins))::bigint
                         from (select least(p_bins, p_highest::numeric - p_lowest + 1)::integer as bins) x
                         cross join lateral generate_series(1, x.bins - 1) i
                         order by i)
               when 'log' then
                   array(select y.score
                         from (select 0::bigint as score
                               union all select 1::bigint << k from generate_series(0, 62) k
                               union all select 1 - (1::bigint << k) from generate_series(1, 62) k
                               union all select -9223372036854775807) y
                         where y.score > p_lowest and y.score <= p_highest
                         order by y.score)
               else '{}'
           end
$$;
comment on function ladder.bin_starts(text, integer, bigint, bigint) is 'Where the bins of a histogram begin, but for the first.';

-- standing_statistics: a standing in numbers, all of one snapshot. Bins: width and log by bin_starts, count as equal as they can be.
create or replace function ladder.standing_statistics(p_window ladder.window_kind, p_start timestamptz, p_period bigint,
                                                      p_percentiles double precision[], p_bin_kind text, p_bins integer,
                                                      out entries bigint, out total numeric, out squares numeric,
                                                      out lowest bigint, out highest bigint, out percentiles bigint[],
                                                      out bin_from bigint[], out bin_to bigint[], out bin_entries bigint[])
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
#variable_conflict use_column
declare
    v_is_desc constant boolean := (select b.ordering = 'desc' from ladder.period p join ladder.board b on b.id = p.board_id where p.id = p_period);
    v_first bigint;
    v_last bigint;
    v_lower bigint[];
    v_scores bigint[]; -- of a small standing: all, the best first
begin
    if not exists (select from ladder.tally_rung r where r.period_id = p_period) then
        v_scores := array(select case when v_is_desc then ~e.k1 else e.k1 end
                          from ladder.entry e
                          where e.window_kind = p_window and e.period_start = p_start and e.period_id = p_period and not e.removed
                          order by e.k1, e.k2, e.k3, e.player);
        select count(*), coalesce(sum(x), 0), coalesce(sum(x::numeric * x), 0) into entries, total, squares from unnest(v_scores) x;
    elsif ladder.tally_is_sure(p_period) then
        select coalesce(t.entries, 0) + m.entries, coalesce(t.total, 0) + m.total, coalesce(t.squares, 0) + m.squares
        into entries, total, squares
        from (select coalesce(sum(x.sign), 0) as entries, coalesce(sum(x.sign * x.score), 0) as total,
                     coalesce(sum(x.sign * x.score * x.score), 0) as squares
              from (select y.sign, (case when v_is_desc then ~y.k1 else y.k1 end)::numeric as score
                    from ladder.tally_moves(p_period) y) x) m
        left join ladder.tally t on t.period_id = p_period;
    else
        select count(*), coalesce(sum(x.score), 0), coalesce(sum(x.score::numeric * x.score), 0)
        into entries, total, squares
        from (select case when v_is_desc then ~e.k1 else e.k1 end as score
              from ladder.entry e
              where e.window_kind = p_window and e.period_start = p_start and e.period_id = p_period and not e.removed) x;
    end if;
    percentiles := '{}';
    bin_from := '{}';
    bin_to := '{}';
    bin_entries := '{}';
    if entries = 0 then
        return;
    end if;
    if v_scores is not null then
        lowest := case when v_is_desc then v_scores[entries] else v_scores[1] end;
        highest := case when v_is_desc then v_scores[1] else v_scores[entries] end;
    else
        v_first := (select e.k1 from ladder.entry e
                    where e.window_kind = p_window and e.period_start = p_start and e.period_id = p_period and not e.removed
                    order by e.k1, e.k2, e.k3, e.player limit 1);
        v_last := (select e.k1 from ladder.entry e
                   where e.window_kind = p_window and e.period_start = p_start and e.period_id = p_period and not e.removed
                   order by e.k1 desc, e.k2 desc, e.k3 desc, e.player desc limit 1);
        lowest := case when v_is_desc then ~v_last else v_first end;
        highest := case when v_is_desc then ~v_first else v_last end;
    end if;
    -- The last entry that has at least the percentile: percentile_rank of board/board.h.
    percentiles := array(select ladder.standing_score(p_window, p_start, p_period, v_is_desc, v_scores,
                                                      greatest(0, entries - ceil(q.p * (entries - 1) / 100::float8 - 1e-6::float8)::bigint - 1))
                         from unnest(p_percentiles) with ordinality as q (p, nth)
                         order by q.nth);
    if p_bin_kind = 'count' then
        -- By place from the lowest score on; a bin from its first place to its last.
        select array_agg(x.low order by x.i), array_agg(x.high order by x.i), array_agg(x.until - x.since order by x.i)
        into bin_from, bin_to, bin_entries
        from (select y.i, y.since, y.until,
                     ladder.standing_score(p_window, p_start, p_period, v_is_desc, v_scores,
                                           case when v_is_desc then entries - 1 - y.since else y.since end) as low,
                     ladder.standing_score(p_window, p_start, p_period, v_is_desc, v_scores,
                                           case when v_is_desc then entries - y.until else y.until - 1 end) as high
              from (select i, div((i - 1) * entries::numeric, z.bins)::bigint as since, div(i * entries::numeric, z.bins)::bigint as until
                    from (select least(p_bins, entries)::integer as bins) z
                    cross join lateral generate_series(1, z.bins) i) y) x;
    elsif p_bin_kind <> '' then
        bin_from := lowest || ladder.bin_starts(p_bin_kind, p_bins, lowest, highest);
        -- How many have a lower score than each bin.
        v_lower := array(select case when q.nth = 1 then 0
                                     when v_scores is not null
                                     then (select count(*) from unnest(v_scores) x where width_bucket(x, bin_from) < q.nth)
                                     when v_is_desc
                                     then entries - ladder.standing_before(p_window, p_start, p_period, (~q.score) + 1, -9223372036854775808,
                                                                           -9223372036854775808, '')
                                     else ladder.standing_before(p_window, p_start, p_period, q.score, -9223372036854775808,
                                                                 -9223372036854775808, '') end
                         from unnest(bin_from) with ordinality as q (score, nth)
                         order by q.nth);
        bin_to := array(select case when q.nth = cardinality(bin_from) then highest else bin_from[q.nth + 1] - 1 end
                        from unnest(bin_from) with ordinality as q (score, nth)
                        order by q.nth);
        bin_entries := array(select (v_lower || entries)[q.nth + 1] - q.lower
                             from unnest(v_lower) with ordinality as q (lower, nth)
                             order by q.nth);
    end if;
end
$$;
comment on function ladder.standing_statistics(ladder.window_kind, timestamptz, bigint, double precision[], text, integer)
    is 'A standing in numbers.';

create or replace function ladder.standing_score(p_window ladder.window_kind, p_start timestamptz, p_period bigint,
                                                 p_is_desc boolean, p_scores bigint[], p_place bigint)
    returns bigint
    language sql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
as $$
    select p_scores[p_place + 1] where p_scores is not null
    union all
    select case when p_is_desc then ~x.k1 else x.k1 end
    from ladder.standing_seek(p_period, p_place) s
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
    where p_scores is null
$$;
comment on function ladder.standing_score(ladder.window_kind, timestamptz, bigint, boolean, bigint[], bigint)
    is 'The score at a place of a standing: of all scores, or by the ladder.';

-- standing_activity: submissions that fell into a period, and its new entries, from three moments on: the last 60 seconds, 60 minutes
-- and 24 hours up to the present second, minute and minute, which are in.
create or replace function ladder.standing_activity(p_period bigint,
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
        where v.board_id = (select p.board_id from ladder.period p where p.id = p_period)
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
comment on function ladder.standing_activity(bigint) is 'Submissions and new entries of a standing in the last minute, hour and day.';
