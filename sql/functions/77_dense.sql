-- Dense ranks by PostgreSQL: how many different pairs (k1, k2) of a standing are better than a pair.
--
-- The index of the order has the pairs in order, but counting them reads every better entry. So the large standings of which somebody
-- reads dense ranks here (tally_pair_want) have a ladder of pairs, which the worker keeps as it keeps that of entries (71_tally_fold.sql):
--
--     pairs before a pair = rungs above + pairs above the rung that came or went since the cursor + a count from the rung to the pair
--
-- Whether a pair came or went follows from the entries that there are now and the moves since a snapshot: a pair has n entries now, and
-- `net` more came than went, so it had n - net in the snapshot. Only n > 0 and n > net matter, so no more than net + 1 entries are read.
--
-- Without a ladder (a small standing, nobody has asked yet, the worker is down) the index is read from the best entry on, and no further
-- than a fifth of a second or so: what is deeper is not known until there is one.

-- pair_walk: counts the pairs from one (included) to another (excluded). Up to p_entries entries are read one by one; where there are
-- more, each pair is looked for by itself, so that those of a pair that many share are not read: up to p_pairs pairs (null: all of them).
-- Null: there are more.
create or replace function ladder.pair_walk(p_window ladder.window_kind, p_start timestamptz, p_period bigint,
                                            p_from_k1 bigint, p_from_k2 bigint, p_k1 bigint, p_k2 bigint, p_entries bigint, p_pairs bigint)
    returns bigint
    language plpgsql
    stable
    set search_path = pg_catalog
    set enable_bitmapscan = off
    set enable_seqscan = off
    set enable_sort = off
    set enable_hashagg = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
declare
    v_between constant text := ' and (e.k1, e.k2, e.k3, e.player) >= ($4, $5, -9223372036854775808, '''') '
                               'and (e.k1, e.k2, e.k3, e.player) < ($6, $7, -9223372036854775808, '''')';
    v_first constant text := ' order by e.k1, e.k2, e.k3, e.player limit 1';
    v_pairs bigint;
    v_entries bigint;
begin
    execute 'select count(*), coalesce(sum(g.entries), 0) from (select x.k1, x.k2, count(*) as entries from (select e.k1, e.k2 '
            || ladder.entry_from(p_window) || v_between || ' order by e.k1, e.k2, e.k3, e.player limit $8) x group by x.k1, x.k2) g'
        into v_pairs, v_entries
        using p_period, p_window, p_start, p_from_k1, p_from_k2, p_k1, p_k2, p_entries;
    if p_entries is null or v_entries < p_entries then
        return v_pairs;
    end if;
    execute 'with recursive pair as ((select e.k1, e.k2 ' || ladder.entry_from(p_window) || v_between || v_first || ') union all '
            'select n.k1, n.k2 from pair cross join lateral (select e.k1, e.k2 ' || ladder.entry_from(p_window)
            || ' and (e.k1, e.k2) > (pair.k1, pair.k2) and (e.k1, e.k2, e.k3, e.player) < ($6, $7, -9223372036854775808, '''')' || v_first
            || ') n) select count(*) from (select from pair limit $8) x'
        into v_pairs
        using p_period, p_window, p_start, p_from_k1, p_from_k2, p_k1, p_k2, p_pairs;
    return case when p_pairs is null or v_pairs < p_pairs then v_pairs end;
end
$$;
comment on function ladder.pair_walk(ladder.window_kind, timestamptz, bigint, bigint, bigint, bigint, bigint, bigint, bigint)
    is 'Counts the different pairs of a stretch of a standing.';

-- pair_deltas: for each of these pairs, of which so many entries (`pairs`) came, less those that went: 1 if the standing has the pair since,
-- -1 if it has it no more, else 0.
create or replace function ladder.pair_deltas(p_window ladder.window_kind, p_start timestamptz, p_period bigint, p_pairs ladder.tally_pair[])
    returns table (k1 bigint, k2 bigint, delta integer)
    language plpgsql
    stable
    set search_path = pg_catalog
    set enable_bitmapscan = off
    set enable_seqscan = off
    set enable_sort = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
begin
    return query execute
        'select m.k1, m.k2, (n.entries > 0)::integer - (n.entries > m.pairs)::integer '
        'from unnest($4) m cross join lateral (select count(*) as entries from (select 1 ' || ladder.entry_from(p_window)
        || ' and e.k1 = m.k1 and e.k2 = m.k2 limit greatest(m.pairs, 0) + 1) x) n'
        using p_period, p_window, p_start, p_pairs;
end
$$;
comment on function ladder.pair_deltas(ladder.window_kind, timestamptz, bigint, ladder.tally_pair[]) is 'Which pairs came, and which went.';

-- pair_moved: by how much the number of pairs before a pair has changed since the cursor.
create or replace function ladder.pair_moved(p_window ladder.window_kind, p_start timestamptz, p_period bigint, p_k1 bigint, p_k2 bigint)
    returns bigint
    language plpgsql
    stable
    set search_path = pg_catalog
    set jit = off
as $$
declare
    v_moved ladder.tally_pair[];
begin
    v_moved := array(select row(p_period, m.k1, m.k2, sum(m.sign))::ladder.tally_pair
                     from ladder.tally_moves(p_period) m
                     where (m.k1, m.k2) < (p_k1, p_k2)
                     group by m.k1, m.k2
                     having sum(m.sign) <> 0);
    if v_moved = '{}' then
        return 0;
    end if;
    return (select coalesce(sum(d.delta), 0) from ladder.pair_deltas(p_window, p_start, p_period, v_moved) d);
end
$$;
comment on function ladder.pair_moved(ladder.window_kind, timestamptz, bigint, bigint, bigint)
    is 'How many more different pairs than the ladder says are before a pair.';

create or replace function ladder.standing_dense(p_window ladder.window_kind, p_start timestamptz, p_period bigint, p_k1 bigint, p_k2 bigint)
    returns bigint
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set jit = off
as $$
declare
    c_lowest constant bigint := -9223372036854775808;
    c_near constant bigint := 4000;      -- of a stretch between two rungs
    c_entries constant bigint := 100000; -- without a ladder
    c_pairs constant bigint := 20000;
    v_k1 bigint;
    v_k2 bigint;
begin
    select q.k1, q.k2
    into v_k1, v_k2
    from ladder.tally_pair q
    where q.period_id = p_period
      and (q.k1, q.k2) <= (p_k1, p_k2)
    order by q.k1 desc, q.k2 desc
    limit 1;
    if v_k1 is not null and (ladder.tally_look(p_period)).is_sure then
        return (select coalesce(sum(q.pairs), 0)
                from ladder.tally_pair q
                where q.period_id = p_period
                  and (q.k1, q.k2) < (v_k1, v_k2))
               + ladder.pair_moved(p_window, p_start, p_period, v_k1, v_k2)
               + ladder.pair_walk(p_window, p_start, p_period, v_k1, v_k2, p_k1, p_k2, c_near, null);
    end if;
    return ladder.pair_walk(p_window, p_start, p_period, c_lowest, c_lowest, p_k1, p_k2, c_entries, c_pairs);
end
$$;
comment on function ladder.standing_dense(ladder.window_kind, timestamptz, bigint, bigint, bigint)
    is 'How many different pairs of a standing are better than a pair; null: not known until there is a ladder of pairs.';

-- pair_raise: puts rungs into one stretch of a standing's ladder of pairs, from a pair (included) to another (excluded; null: to the end).
create or replace function ladder.pair_raise(p_period ladder.period, p_from_k1 bigint, p_from_k2 bigint, p_k1 bigint, p_k2 bigint, p_step bigint)
    returns void
    language plpgsql
    set search_path = pg_catalog
    set enable_bitmapscan = off
    set enable_seqscan = off
    set enable_sort = off
    set enable_hashagg = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
begin
    delete from ladder.tally_pair t
    where t.period_id = p_period.id
      and (t.k1, t.k2) >= (p_from_k1, p_from_k2)
      and (p_k1 is null or (t.k1, t.k2) < (p_k1, p_k2));
    -- Where nothing is, one rung of nothing stays.
    execute 'insert into ladder.tally_pair (period_id, k1, k2, pairs) '
            'select $1, case when x.nth = 0 then $4 else x.k1 end, case when x.nth = 0 then $5 else x.k2 end, least($8, x.last_nth + 1 - x.nth) '
            'from (select n.*, max(n.nth) over () as last_nth from (select g.k1, g.k2, row_number() over (order by g.k1, g.k2) - 1 as nth '
            'from (select e.k1, e.k2 ' || ladder.entry_from(p_period.window_kind)
            || ' and (e.k1, e.k2, e.k3, e.player) >= ($4, $5, -9223372036854775808, '''')'
            || case when p_k1 is null then '' else ' and (e.k1, e.k2, e.k3, e.player) < ($6, $7, -9223372036854775808, '''')' end
            || ' group by e.k1, e.k2) g) n) x where x.nth % $8 = 0'
        using p_period.id, p_period.window_kind, p_period.starts_at, p_from_k1, p_from_k2, p_k1, p_k2, p_step;
    insert into ladder.tally_pair (period_id, k1, k2, pairs) values (p_period.id, p_from_k1, p_from_k2, 0) on conflict do nothing;
end
$$;
comment on function ladder.pair_raise(ladder.period, bigint, bigint, bigint, bigint, bigint) is 'Puts rungs into a stretch of a standing''s ladder of pairs, in place of those that are there.';

-- tally_pair_step: how many pairs there should be from rung to rung.
create or replace function ladder.tally_pair_step(p_pairs bigint)
    returns bigint
    language sql
    immutable
as $$
    select greatest(200, p_pairs / 4000)
$$;
comment on function ladder.tally_pair_step(bigint) is 'Pairs from rung to rung of a standing with so many.';

-- tally_pair_add: adds what a piece of events did to the ladders of pairs. In `pairs`, how many entries of a pair came, less those that
-- went. Only when the piece has everything that the caller's snapshot sees: otherwise the ladders of these standings are dropped, and
-- made anew after the last piece. Rungs that became too long are divided, up to so many pairs in one call.
create or replace function ladder.tally_pair_add(p_pairs ladder.tally_pair[], p_has_all boolean)
    returns void
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
declare
    r record;
begin
    if not p_has_all then
        delete from ladder.tally_pair t where t.period_id in (select x.period_id from unnest(p_pairs) x);
        return;
    end if;
    for r in
        select p as period, array_agg(row(x.period_id, x.k1, x.k2, x.pairs)::ladder.tally_pair) as pairs
        from unnest(p_pairs) x
        join ladder.period p on p.id = x.period_id and p.id = any (array(select q.period_id from unnest(p_pairs) q)) -- by its index, as the next one
        group by p.id
    loop
        update ladder.tally_pair t
        set pairs = t.pairs + x.delta
        from (select q.k1, q.k2, sum(d.delta) as delta
              from ladder.pair_deltas((r.period).window_kind, (r.period).starts_at, (r.period).id, r.pairs) d
              cross join lateral (
                  select n.k1, n.k2
                  from ladder.tally_pair n
                  where n.period_id = (r.period).id
                    and (n.k1, n.k2) <= (d.k1, d.k2)
                  order by n.k1 desc, n.k2 desc
                  limit 1) q
              where d.delta <> 0
              group by q.k1, q.k2
              having sum(d.delta) <> 0) x
        where t.period_id = (r.period).id and t.k1 = x.k1 and t.k2 = x.k2;
    end loop;
    for r in
        select p as period, y.*
        from (select w.*, sum(w.pairs) over (order by w.pairs desc, w.period_id, w.k1, w.k2) - w.pairs as before
              from (select t.*, lead(t.k1) over rung as next_k1, lead(t.k2) over rung as next_k2, sum(t.pairs) over (partition by t.period_id) as total
                    from ladder.tally_pair t
                    where t.period_id in (select x.period_id from unnest(p_pairs) x)
                    window rung as (partition by t.period_id order by t.k1, t.k2)) w
              where w.pairs > 4 * ladder.tally_pair_step(w.total::bigint)) y
        join ladder.period p on p.id = y.period_id and p.id = any (array(select q.period_id from unnest(p_pairs) q))
        where y.before < 100000
    loop
        perform ladder.pair_raise(r.period, r.k1, r.k2, r.next_k1, r.next_k2, ladder.tally_pair_step(r.total::bigint));
    end loop;
end
$$;
comment on function ladder.tally_pair_add(ladder.tally_pair[], boolean) is 'Brings the ladders of pairs up to the caller''s snapshot.';

-- tally_pair_make: makes the ladder of pairs of a standing for which it is wanted, and drops those that nobody has wanted for a day. Only when
-- the tally is as of the caller's snapshot. One standing in a call.
create or replace function ladder.tally_pair_make()
    returns void
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
declare
    c_lowest constant bigint := -9223372036854775808;
    v_want bigint;
    v_period ladder.period;
    v_pairs bigint;
begin
    if not exists (select from ladder.tally_pair_want) then
        return;
    end if;
    with gone as (
        delete from ladder.tally_pair_want w
        where w.at < now() - interval '1 day'
           or not exists (select from ladder.tally t where t.period_id = w.period_id and ladder.tally_step(t.entries) is not null)
        returning w.period_id
    )
    delete from ladder.tally_pair t using gone where t.period_id = gone.period_id;
    for v_want in
        select w.period_id
        from ladder.tally_pair_want w
        where not exists (select from ladder.tally_pair t where t.period_id = w.period_id)
        order by w.at
    loop
        v_period := null;
        begin
            select p.*
            into v_period
            from ladder.period p
            where p.id = v_want
              and not exists (select from ladder.tally_aside a where a.board_id = p.board_id);
            continue when not found;
            v_pairs := ladder.pair_walk(v_period.window_kind, v_period.starts_at, v_period.id, c_lowest, c_lowest,
                                        9223372036854775807, 9223372036854775807, null, null);
            perform ladder.pair_raise(v_period, c_lowest, c_lowest, null, null, ladder.tally_pair_step(v_pairs));
        exception when others then
            if ladder.submit_is_passing(sqlstate) then
                raise;
            end if;
            delete from ladder.tally_pair_want w where w.period_id = v_want; -- whoever needs it wants it again
            perform ladder.job_failed('tally', coalesce(v_period.board_id, 0), sqlerrm); -- 0: its row in ladder.period can't be read
        end;
        return;
    end loop;
end
$$;
comment on function ladder.tally_pair_make() is 'Makes a ladder of pairs that is wanted, and drops those that are wanted no more.';
