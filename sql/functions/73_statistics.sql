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

drop function if exists ladder.standing_rungs(bigint);

-- standing_rungs: the whole ladder as it stands now: the keys of its rungs and how many entries are before each; and what the events
-- behind the cursor add to the sums of k1 and its squares. Of a standing whose tally may not be used: the lowest rung. Rungs and moves are
-- sorted together and summed in one go, which is cheaper than to look up the rung of each move.
create or replace function ladder.standing_rungs(p_period bigint, p_is_sure boolean, out k1 bigint[], out k2 bigint[], out k3 bigint[],
                                                 out player text[], out before bigint[],
                                                 out moved bigint, out moved_k1 numeric, out moved_squares numeric)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set jit = off
as $$
#variable_conflict use_column
begin
    if p_is_sure then
        with move as materialized (
            select m.* from ladder.tally_moves(p_period) m
        ),
        summed as (
            select x.*, (sum(x.entries) over (order by x.k1, x.k2, x.k3, x.player, x.is_move rows unbounded preceding))::bigint - x.entries as before
            from (select q.k1, q.k2, q.k3, q.player, q.entries, false as is_move from ladder.tally_rung q where q.period_id = p_period
                  union all
                  select m.k1, m.k2, m.k3, m.player collate "C", m.sign, true from move m) x
            order by x.k1, x.k2, x.k3, x.player, x.is_move
        )
        select r.*, m.*
        into k1, k2, k3, player, before, moved, moved_k1, moved_squares
        from (select array_agg(q.k1), array_agg(q.k2), array_agg(q.k3), array_agg(q.player::text), array_agg(q.before) from summed q where not q.is_move) r
        cross join (select coalesce(sum(m.sign), 0), coalesce(sum(m.sign * m.k1::numeric), 0), coalesce(sum(m.sign * m.k1::numeric * m.k1), 0) from move m) m;
    end if;
    if k1 is null then
        select array[r.k1], array[r.k2], array[r.k3], array[r.player::text], array[0] into k1, k2, k3, player, before from ladder.tally_lowest(p_period) r;
    end if;
end
$$;
comment on function ladder.standing_rungs(bigint, boolean) is 'The ladder of a standing as it stands now.';

-- standing_scores, standing_sums, standing_below: what standing_statistics asks of the entries.
create or replace function ladder.standing_scores(p_window ladder.window_kind, p_start timestamptz, p_period bigint, p_is_desc boolean)
    returns bigint[]
    language plpgsql
    stable
    set search_path = pg_catalog
    set jit = off
as $$
declare
    v_scores bigint[];
begin
    execute 'select array(select case when $4 then ~e.k1 else e.k1 end ' || ladder.entry_from(p_window) || ' order by e.k1, e.k2, e.k3, e.player)'
        into v_scores
        using p_period, p_window, p_start, p_is_desc;
    return v_scores;
end
$$;
comment on function ladder.standing_scores(ladder.window_kind, timestamptz, bigint, boolean) is 'All scores, the best first.';

create or replace function ladder.standing_sums(p_window ladder.window_kind, p_start timestamptz, p_period bigint, p_is_desc boolean,
                                                out entries bigint, out total numeric, out squares numeric)
    language plpgsql
    stable
    set search_path = pg_catalog
    set jit = off
as $$
begin
    execute 'select count(*), coalesce(sum(x.score), 0), coalesce(sum(x.score::numeric * x.score), 0) '
            'from (select case when $4 then ~e.k1 else e.k1 end as score ' || ladder.entry_from(p_window) || ') x'
        into entries, total, squares
        using p_period, p_window, p_start, p_is_desc;
end
$$;
comment on function ladder.standing_sums(ladder.window_kind, timestamptz, bigint, boolean) is 'Sums over the entries themselves.';

create or replace function ladder.standing_below(p_window ladder.window_kind, p_start timestamptz, p_period bigint,
                                                 p_rungs ladder.tally_rung[], p_k1 bigint[])
    returns bigint[]
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set enable_memoize = off
    set enable_bitmapscan = off
    set enable_seqscan = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
declare
    v_counts bigint[];
begin
    if p_window = 'all' then -- the same, of a few partitions: its plan is kept
        return array(select (r.rung).entries + case when r.rung < r.bound then x.entries else -x.entries end
                     from (select n as nth, p_rungs[n] as rung, row(p_period, p_k1[n], q.k2, q.k3, q.player, 0)::ladder.tally_rung as bound
                           from generate_subscripts(p_k1, 1) n cross join ladder.tally_lowest(p_period) q) r
                     cross join lateral (select least(r.rung, r.bound) as low, greatest(r.rung, r.bound) as high offset 0) k
                     cross join lateral (select count(*) as entries
                                         from ladder.entry_all e
                                         where e.period_id = p_period and not e.removed
                                           and (e.k1, e.k2, e.k3, e.player) >= ((k.low).k1, (k.low).k2, (k.low).k3, (k.low).player)
                                           and (e.k1, e.k2, e.k3, e.player) < ((k.high).k1, (k.high).k2, (k.high).k3, (k.high).player)) x
                     order by r.nth);
    end if;
    execute 'select array(select (r.rung).entries + case when r.rung < r.bound then x.entries else -x.entries end '
            'from (select n as nth, $4[n] as rung, row($1, $5[n], q.k2, q.k3, q.player, 0)::ladder.tally_rung as bound '
                  'from generate_subscripts($5, 1) n cross join ladder.tally_lowest($1) q) r '
            'cross join lateral (select least(r.rung, r.bound) as low, greatest(r.rung, r.bound) as high offset 0) k '
            'cross join lateral (select count(*) as entries ' || ladder.entry_from(p_window)
            || ' and (e.k1, e.k2, e.k3, e.player) >= ((k.low).k1, (k.low).k2, (k.low).k3, (k.low).player) '
               'and (e.k1, e.k2, e.k3, e.player) < ((k.high).k1, (k.high).k2, (k.high).k3, (k.high).player)) x '
               'order by r.nth)'
        into v_counts
        using p_period, p_window, p_start, p_rungs, p_k1;
    return v_counts;
end
$$;
comment on function ladder.standing_below(ladder.window_kind, timestamptz, bigint, ladder.tally_rung[], bigint[])
    is 'How many entries are before the first one with a k1, each counted from there to a rung that has `entries` before it.';

-- standing_statistics: a standing in numbers, all of one snapshot. Bins: width and log by bin_starts, count as equal as they can be.
-- A small standing is read whole; a large one by its ladder, which is fetched once: what costs here is planning.
create or replace function ladder.standing_statistics(p_window ladder.window_kind, p_start timestamptz, p_period bigint,
                                                      p_percentiles double precision[], p_bin_kind text, p_bins integer,
                                                      out entries bigint, out total numeric, out squares numeric,
                                                      out lowest bigint, out highest bigint, out percentiles bigint[],
                                                      out bin_from bigint[], out bin_to bigint[], out bin_entries bigint[])
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set jit = off
as $$
#variable_conflict use_column
declare
    v_look constant record := ladder.tally_look(p_period);
    v_is_desc constant boolean := v_look.is_desc;
    v_scores bigint[]; -- of a small standing: all, the best first
    v_lower bigint[];  -- how many have a lower score than each bin
    v_places bigint[]; -- from 0, the best: those whose scores are wanted
    v_found bigint[];
    v_rungs ladder.tally_rung[]; -- the nearest ones to what is looked for
    v_bounds bigint[];           -- k1 with which the bins begin, or on a desc board end
    r record;
begin
    percentiles := '{}';
    bin_from := '{}';
    bin_to := '{}';
    bin_entries := '{}';
    if not exists (select from ladder.tally_rung q where q.period_id = p_period) then
        v_scores := ladder.standing_scores(p_window, p_start, p_period, v_is_desc);
        select count(*), coalesce(sum(x), 0), coalesce(sum(x::numeric * x), 0) into entries, total, squares from unnest(v_scores) x;
    else
        r := ladder.standing_rungs(p_period, v_look.is_sure);
        if v_look.is_sure then
            -- A desc board's score is ~k1 = -k1 - 1.
            select t.entries + r.moved,
                   t.total + case when v_is_desc then -r.moved_k1 - r.moved else r.moved_k1 end,
                   t.squares + case when v_is_desc then r.moved_squares + 2 * r.moved_k1 + r.moved else r.moved_squares end
            into entries, total, squares
            from ladder.tally t
            where t.period_id = p_period;
        else
            select s.* into entries, total, squares from ladder.standing_sums(p_window, p_start, p_period, v_is_desc) s;
        end if;
    end if;
    if entries = 0 then
        return;
    end if;
    -- The best, the last, the last that has at least each percentile (percentile_rank of board/board.h), the ends of bins of equal count.
    v_places := array[0, entries - 1]
                || array(select greatest(0, entries - ceil(q.p * (entries - 1) / 100::float8 - 1e-6::float8)::bigint - 1)
                         from unnest(p_percentiles) with ordinality as q (p, nth)
                         order by q.nth);
    if p_bin_kind = 'count' then
        p_bins := least(p_bins, entries);
        v_places := v_places
                    || array(select case when v_is_desc then entries - 1 - x.place else x.place end
                             from generate_series(1, p_bins) i
                             cross join lateral (values (div((i - 1) * entries::numeric, p_bins)::bigint, 1),
                                                        (div(i * entries::numeric, p_bins)::bigint - 1, 2)) x (place, nth)
                             order by i, x.nth);
    end if;
    if v_scores is not null then
        v_found := array(select v_scores[q.place + 1] from unnest(v_places) with ordinality as q (place, nth) order by q.nth);
    else
        v_rungs := array(select row(p_period, r.k1[q.rung], r.k2[q.rung], r.k3[q.rung], r.player[q.rung], q.place - r.before[q.rung])::ladder.tally_rung
                         from (select y.*, width_bucket(y.place, r.before) as rung from unnest(v_places) with ordinality as y (place, nth)) q
                         order by q.nth);
        v_found := array(select case when v_is_desc then ~x.k1 else x.k1 end
                         from unnest(ladder.entry_find(p_window, p_start, p_period, v_rungs)) with ordinality as x (period_id, k1, k2, k3, player, entries, nth)
                         order by x.nth);
    end if;
    highest := v_found[case when v_is_desc then 1 else 2 end];
    lowest := v_found[case when v_is_desc then 2 else 1 end];
    percentiles := v_found[3:2 + cardinality(p_percentiles)];
    if p_bin_kind = 'count' then
        bin_from := array(select v_found[2 + cardinality(p_percentiles) + 2 * i - 1] from generate_series(1, p_bins) i order by i);
        bin_to := array(select v_found[2 + cardinality(p_percentiles) + 2 * i] from generate_series(1, p_bins) i order by i);
        bin_entries := array(select div(i * entries::numeric, p_bins)::bigint - div((i - 1) * entries::numeric, p_bins)::bigint
                             from generate_series(1, p_bins) i order by i);
    elsif p_bin_kind <> '' then
        bin_from := lowest || ladder.bin_starts(p_bin_kind, p_bins, lowest, highest);
        if v_scores is not null then
            v_lower := array(select (select count(*) from unnest(v_scores) x where x < q.score)
                             from unnest(bin_from) with ordinality as q (score, nth) order by q.nth);
        else
            -- How many keys are before the first one with a k1; on a desc board those of the bin and above it.
            v_bounds := array(select case when v_is_desc then (~z.score) + 1 else z.score end
                              from unnest(bin_from[2:]) with ordinality as z (score, nth)
                              order by z.nth);
            v_rungs := array(select row(p_period, r.k1[q.rung], r.k2[q.rung], r.k3[q.rung], r.player[q.rung], r.before[q.rung])::ladder.tally_rung
                             from (select y.nth, g.rung + (r.k1[g.rung + 1]::float8 - y.k1 < y.k1 - r.k1[g.rung]::float8 is true)::integer as rung
                                   from unnest(v_bounds) with ordinality as y (k1, nth)
                                   cross join lateral (select width_bucket(y.k1 - 1, r.k1) as rung) g) q
                             order by q.nth);
            v_lower := 0::bigint
                       || array(select case when v_is_desc then entries - x.count else x.count end
                                from unnest(ladder.standing_below(p_window, p_start, p_period, v_rungs, v_bounds)) with ordinality as x (count, nth)
                                order by x.nth);
        end if;
        bin_to := array(select x - 1 from unnest(bin_from[2:]) with ordinality as q (x, nth) order by q.nth) || highest;
        bin_entries := array(select (v_lower || entries)[q.nth + 1] - q.lower
                             from unnest(v_lower) with ordinality as q (lower, nth)
                             order by q.nth);
    end if;
end
$$;
comment on function ladder.standing_statistics(ladder.window_kind, timestamptz, bigint, double precision[], text, integer)
    is 'A standing in numbers.';

-- standing_activity: submissions that fell into a period, and its new entries, from three moments on: the last 60 seconds, 60 minutes
-- and 24 hours up to the present second, minute and minute, which are in.
create or replace function ladder.standing_activity(p_period bigint,
                                                    out since timestamptz[], out submissions bigint[], out arrivals bigint[])
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set jit = off
as $$
#variable_conflict use_column
declare
    v_minute constant timestamptz := date_trunc('second', now()) - interval '59 seconds';
    v_hour constant timestamptz := date_trunc('minute', now()) - interval '59 minutes';
    v_day constant timestamptz := date_trunc('minute', now()) - interval '23 hours 59 minutes';
begin
    if not exists (select from ladder.tally_cursor) then
        return; -- nobody has counted yet
    end if;
    since := array[v_minute, v_hour, v_day];
    select array[coalesce(sum(p.submissions) filter (where p.at >= v_minute and p.width_s is distinct from 60), 0),
                 coalesce(sum(p.submissions) filter (where p.at >= v_hour and p.width_s is distinct from 1), 0),
                 coalesce(sum(p.submissions) filter (where p.at >= v_day and p.width_s is distinct from 1), 0)],
           array[coalesce(sum(p.arrivals) filter (where p.at >= v_minute and p.width_s is distinct from 60), 0),
                 coalesce(sum(p.arrivals) filter (where p.at >= v_hour and p.width_s is distinct from 1), 0),
                 coalesce(sum(p.arrivals) filter (where p.at >= v_day and p.width_s is distinct from 1), 0)]
    into submissions, arrivals
    from (select t.width_s, t.at, t.submissions, t.arrivals
          from ladder.tally_slot t
          where t.period_id = p_period and t.width_s = 1 and t.at >= v_minute
          union all
          select t.width_s, t.at, t.submissions, t.arrivals
          from ladder.tally_slot t
          where t.period_id = p_period and t.width_s = 60 and t.at >= v_day
          union all
          select null, r.at, r.submissions, r.arrivals
          from ladder.standing_rest(p_period) r) p;
end
$$;
comment on function ladder.standing_activity(bigint) is 'Submissions and new entries of a standing in the last minute, hour and day.';

-- standing_rest: what tally_slot lacks of a standing yet, event by event.
create or replace function ladder.standing_rest(p_period bigint)
    returns table (at timestamptz, submissions bigint, arrivals bigint)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
#variable_conflict use_column
declare
    v_look constant record := ladder.tally_look(p_period);
    v_board constant bigint := v_look.board_id;
    v_since constant timestamptz := v_look.since;
    v_until constant timestamptz := v_look.until;
    v_xip constant xid8[] := v_look.xip;
    v_xmax constant xid8 := v_look.xmax;
    v_starts_at constant timestamptz := v_look.starts_at;
    v_ends_at constant timestamptz := v_look.ends_at;
    v_facet constant text := (select p.facet from ladder.period p where p.id = p_period);
begin
    return query
    select v.submitted_at,
           (v.kind = 'submit' and v.achieved_at >= v_starts_at and v.achieved_at < v_ends_at
            and (v_facet = '' or coalesce(v_facet = any (v.facets), false)))::integer::bigint,
           coalesce((v.moves[u.nth][1] is null and v.moves[u.nth][4] is not null)::integer, 0)::bigint
    from ladder.score_event v
    cross join lateral (select array_position(v.period_ids, p_period) as nth) u
    where v.board_id + 0 = v_board -- by xid, not by all that was ever submitted to the board
      and v.submitted_at >= v_since
      and v.submitted_at < v_until
      and (v.xid = any (v_xip) or v.xid >= v_xmax);
end
$$;
comment on function ladder.standing_rest(bigint) is 'What was submitted to a standing since the cursor, and its new entries.';
