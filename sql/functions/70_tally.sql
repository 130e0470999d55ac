-- The tally: what statistics are made of, kept by adding up events as they come.
--
--     score_event --(what became visible since the cursor's snapshot)--> tally, tally_rung, tally_slot, tally_day, tally_player
--
-- Exactly once: sums and cursor move in one REPEATABLE READ transaction, so both are of its snapshot; a second runner that
-- slipped past the lock fails on the cursor's row. Each event says how its entries moved, from which key to which. The moves of one
-- entry follow one another (each was made under the row's lock), so whatever set of transactions a snapshot sees, sums of
-- [after] - [before] are those of the entries that it sees: that is why a reader can add the events behind the cursor
-- (72_tally_read.sql) and be exact, on a standby too.
--
-- A board whose events raise an error when they are added up is set aside (ladder.tally_aside): its tally stays as of the cursor that it had, which
-- is kept for it alone, while the cursor of the others moves on. Readers add what is behind the board's own cursor, so they are exact.
create or replace function ladder.tally_incarnation()
    returns text
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
as $$
begin
    return (select e.system_identifier || ' ' || e.incarnation from ladder.epoch e order by e.epoch desc limit 1);
end
$$;
comment on function ladder.tally_incarnation() is 'Which tables these are: others, when a dump was restored.';

-- tally_cursor_of: the cursor of a board.
create or replace function ladder.tally_cursor_of(p_board bigint)
    returns ladder.tally_cursor
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
as $$
declare
    c ladder.tally_cursor := (select t from ladder.tally_cursor t);
    a ladder.tally_aside := (select q from ladder.tally_aside q where q.board_id = p_board);
begin
    if a.board_id is not null then
        c.snapshot := a.snapshot;
        c.at := a.at;
        c.last_event := a.last_event;
    end if;
    return c;
end
$$;
comment on function ladder.tally_cursor_of(bigint) is 'Which events the tally of a board has.';

-- tally_step: how many entries there should be from rung to rung. A rank costs the sum of the rungs above and a count from the
-- nearest rung on: at 2,000 rungs neither is long. A standing below 10,000 entries has no ladder: counting is as quick.
create or replace function ladder.tally_step(entries bigint)
    returns bigint
    language sql
    immutable
as $$
    select case when entries >= 10000 then greatest(500, entries / 2000) end
$$;
comment on function ladder.tally_step(bigint) is 'Entries from rung to rung of a standing of this size; null: it needs no ladder.';

-- tally_raise: puts rungs into one stretch of a standing, from a key (included) to another (excluded; null: to the end). Reads that
-- stretch and no more, as entry_count does (72_tally_read.sql).
create or replace function ladder.tally_raise(p_period ladder.period, p_step bigint, p_from ladder.tally_rung, p_to ladder.tally_rung)
    returns void
    language plpgsql
    set search_path = pg_catalog
    set enable_bitmapscan = off
    set enable_seqscan = off
    set enable_sort = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
begin
    delete from ladder.tally_rung r
    where r.period_id = p_period.id
      and (r.k1, r.k2, r.k3, r.player) >= (p_from.k1, p_from.k2, p_from.k3, p_from.player)
      and (p_to is null or (r.k1, r.k2, r.k3, r.player) < (p_to.k1, p_to.k2, p_to.k3, p_to.player));
    execute 'insert into ladder.tally_rung (period_id, k1, k2, k3, player, entries) '
            'select $1, case when x.nth = 0 then $4 else x.k1 end, case when x.nth = 0 then $5 else x.k2 end, '
            'case when x.nth = 0 then $6 else x.k3 end, case when x.nth = 0 then $7 else x.player end, least($12, x.last_nth + 1 - x.nth) '
            'from (select n.*, max(n.nth) over () as last_nth '
            'from (select e.k1, e.k2, e.k3, e.player, row_number() over (order by e.k1, e.k2, e.k3, e.player) - 1 as nth '
            || ladder.entry_from(p_period.window_kind) || ' and (e.k1, e.k2, e.k3, e.player) >= ($4, $5, $6, $7 collate "C")'
            || case when p_to is null then '' else ' and (e.k1, e.k2, e.k3, e.player) < ($8, $9, $10, $11 collate "C")' end
            || ') n) x where x.nth % $12 = 0'
        using p_period.id, p_period.window_kind, p_period.starts_at, p_from.k1, p_from.k2, p_from.k3, p_from.player,
              p_to.k1, p_to.k2, p_to.k3, p_to.player, p_step;
end
$$;
comment on function ladder.tally_raise(ladder.period, bigint, ladder.tally_rung, ladder.tally_rung) is 'Puts rungs into a stretch of a standing''s ladder, in place of those that are there.';

-- tally_count: one standing from its entries.
create or replace function ladder.tally_count(p_id bigint)
    returns void
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
declare
    p ladder.period;
    v_entries bigint;
    v_ordering ladder.score_order;
begin
    delete from ladder.tally t where t.period_id = p_id;
    delete from ladder.tally_rung r where r.period_id = p_id;
    delete from ladder.tally_pair r where r.period_id = p_id; -- tally_pair_make makes it anew
    select * into p from ladder.period q where q.id = p_id;
    if not found then
        return;
    end if;
    select b.ordering into v_ordering from ladder.board b where b.id = p.board_id;
    insert into ladder.tally (period_id, entries, total, squares)
    select p_id, count(*), coalesce(sum(e.score), 0), coalesce(sum(e.score::numeric * e.score), 0)
    from (select case v_ordering when 'desc' then ~q.k1 else q.k1 end as score
          from ladder.entry q
          where q.period_id = p.id and q.window_kind = p.window_kind and q.period_start = p.starts_at and not q.removed) e
    returning entries into v_entries;
    if ladder.tally_step(v_entries) is not null then
        perform ladder.tally_raise(p, ladder.tally_step(v_entries), ladder.tally_lowest(p_id), null);
    end if;
end
$$;
comment on function ladder.tally_count(bigint) is 'Counts one standing from its entries, and raises its ladder.';

create or replace function ladder.tally_lowest(p_period bigint)
    returns ladder.tally_rung
    language sql
    immutable
as $$
    select row(p_period, -9223372036854775808, -9223372036854775808, -9223372036854775808, '', 0)::ladder.tally_rung
$$;
comment on function ladder.tally_lowest(bigint) is 'The rung below every key.';

-- tally_start_of: counts some boards, or all if it is null, from their entries and events. Their tally is empty before. Days before the oldest event that
-- is kept cannot be counted again and stay as they are. Returns the number of standings.
create or replace function ladder.tally_start_of(p_boards bigint[])
    returns bigint
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
declare
    v_counted bigint;
begin
    insert into ladder.tally_day (board_id, day, submissions, changes, players, players_of_week, players_of_month, newcomers,
                                  score_total, score_min, score_max, changed_v)
    select x.board_id, x.day, sum(x.submissions), sum(x.changes), count(*),
           count(*) filter (where date_trunc('week', x.before) is distinct from date_trunc('week', x.day)),
           count(*) filter (where date_trunc('month', x.before) is distinct from date_trunc('month', x.day)),
           count(*) filter (where x.before is null), sum(x.score_total), min(x.score_min), max(x.score_max), ladder.refresh_next()
    from (select d.*, lag(d.day) over (partition by d.board_id, d.player order by d.day) as before
          from (select v.board_id, v.player, ladder.local_time(v.achieved_at, b.time_zone)::date as day, count(*) as submissions,
                       count(v.period_ids) as changes, sum(v.score) as score_total, min(v.score) as score_min, max(v.score) as score_max
                from ladder.score_event v
                join ladder.board b on b.id = v.board_id
                where v.kind = 'submit' and (p_boards is null or v.board_id = any (p_boards))
                group by 1, 2, 3) d) x
    group by x.board_id, x.day;
    insert into ladder.tally_player (board_id, player, submissions, changes, first_at, last_at)
    select v.board_id, v.player, count(*), count(v.period_ids), min(v.achieved_at), max(v.achieved_at)
    from ladder.score_event v
    join ladder.board b on b.id = v.board_id
    where v.kind = 'submit' and (p_boards is null or v.board_id = any (p_boards))
    group by v.board_id, v.player;
    with slot as (
        select t.period_id, w.width_s, date_bin(w.width_s * interval '1 second', t.submitted_at, 'epoch') as at,
               sum(t.submissions) as submissions, sum(t.changes) as changes, sum(t.arrivals) as arrivals, sum(t.departures) as departures
        from (values (60), (3600)) w (width_s)
        cross join (
            select p.id as period_id, v.submitted_at, 1 as submissions, 0 as changes, 0 as arrivals, 0 as departures
            from ladder.score_event v
            join ladder.board b on b.id = v.board_id
            cross join lateral unnest(b.windows) k
            cross join lateral ladder.period_of(b.id, k, v.achieved_at) p
            where v.kind = 'submit' and (p_boards is null or v.board_id = any (p_boards)) and v.submitted_at >= now() - interval '2 days' and p.state <> 'pause'
            union all
            select f.id, v.submitted_at, 1, 0, 0, 0
            from ladder.score_event v
            join ladder.board b on b.id = v.board_id
            cross join lateral unnest(b.windows) k
            cross join lateral ladder.period_of(b.id, k, v.achieved_at) p
            cross join lateral ladder.period_of_facets(p.id, v.facets) f
            where v.kind = 'submit' and (p_boards is null or v.board_id = any (p_boards)) and v.submitted_at >= now() - interval '2 days' and v.facets is not null
            union all
            select u.period_id, v.submitted_at, 0, (v.kind = 'submit')::integer,
                   (v.moves[u.nth][1] is null and v.moves[u.nth][4] is not null)::integer,
                   (v.moves[u.nth][1] is not null and v.moves[u.nth][4] is null)::integer
            from ladder.score_event v
            cross join lateral unnest(v.period_ids) with ordinality as u (period_id, nth)
            join ladder.period p on p.id = u.period_id and (p_boards is null or p.board_id = any (p_boards))
            where (p_boards is null or v.board_id = any (p_boards)) and v.submitted_at >= now() - interval '2 days') t
        group by 1, 2, 3
    )
    insert into ladder.tally_slot (period_id, width_s, at, submissions, changes, arrivals, departures)
    select * from slot;
    perform ladder.tally_count(p.id) from ladder.period p where p_boards is null or p.board_id = any (p_boards) order by p.id;
    get diagnostics v_counted = row_count;
    return v_counted;
end
$$;
comment on function ladder.tally_start_of(bigint[]) is 'Counts boards from the entries and events that there are.';

-- tally_start: everything from what there is, when there is no cursor that could be gone on from. A board that raises an error is set aside,
-- with nothing counted.
create or replace function ladder.tally_start(p_snapshot pg_snapshot)
    returns bigint
    language plpgsql
    set search_path = pg_catalog
    set jit = off
as $$
declare
    v_counted bigint;
begin
    delete from ladder.tally_cursor;
    delete from ladder.tally_aside;
    delete from ladder.job_item j where j.job = 'tally';
    delete from ladder.tally_recount;
    delete from ladder.tally;
    delete from ladder.tally_rung;
    delete from ladder.tally_pair;
    delete from ladder.tally_slot;
    delete from ladder.tally_player;
    delete from ladder.tally_day d
    where exists (select from ladder.score_event v where v.board_id = d.board_id and v.kind = 'submit');
    begin
        v_counted := ladder.tally_start_of(null);
    exception when others then
        if ladder.submit_is_passing(sqlstate) then
            raise;
        end if;
        v_counted := ladder.tally_start_apart();
    end;
    insert into ladder.tally_cursor (incarnation, snapshot, at) values (ladder.tally_incarnation(), p_snapshot, now());
    perform ladder.refresh_note(b.ids, b.ids, b.ids) from (select array(select id from ladder.board) as ids) b;
    return v_counted;
end
$$;
comment on function ladder.tally_start(pg_snapshot) is 'Counts everything from the entries and events that there are, and sets the cursor.';
