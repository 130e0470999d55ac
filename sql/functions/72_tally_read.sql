-- Reading a standing by its tally: what the cursor's snapshot had, and what the reader's own snapshot sees beyond it.
--
--     entries before a key = rungs above + moves across that rung since the cursor + a count from the rung to the key
--
-- All functions here are stable, so that everything is of the one snapshot of the statement that calls them; and only the stored
-- snapshot is looked at, so that a standby, whose own ones lack what is in progress, is as exact as the primary.
--
-- What is asked of small tables is planned once a session (force_generic_plan); what is asked of partitioned ones each time, because
-- a plan that was kept would lock every partition that there is. So the two are never in one function. Nor is one of these functions
-- SQL, which would be planned with each call.
drop function if exists ladder.tally_is_sure(bigint);

-- tally_look: what every reader here has to know first. Sure: unless a count is due, nobody has added up for half a day, or so much is
-- not added up yet that to count entries by their index is quicker than to read those events: more than 50,000 events, by the number that
-- the next one will have, and more than a quarter of the standing. Behind the cursor: what was submitted from `since` on and before
-- `until`, an hour on either side, which is for transactions that take long and for clocks that differ; it keeps the other partitions out.
create or replace function ladder.tally_look(p_period bigint,
                                             out is_sure boolean, out board_id bigint, out is_desc boolean, out window_kind ladder.window_kind,
                                             out starts_at timestamptz, out ends_at timestamptz,
                                             out xip xid8[], out xmax xid8, out since timestamptz, out until timestamptz)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
    select coalesce(a.at, c.at) > now() - interval '12 hours'
               and greatest(50000, coalesce((select t.entries from ladder.tally t where t.period_id = p_period), 0) / 4)
                   >= (select q.last_value from ladder.score_event_id q) - coalesce(a.last_event, c.last_event)
               and c.incarnation = (select e.system_identifier || ' ' || e.incarnation from ladder.epoch e order by e.epoch desc limit 1)
               and not exists (select from ladder.tally_recount r where r.period_id = p_period),
           p.board_id, b.ordering = 'desc', p.window_kind, p.starts_at, p.ends_at,
           array(select pg_snapshot_xip(coalesce(a.snapshot, c.snapshot))), pg_snapshot_xmax(coalesce(a.snapshot, c.snapshot)),
           coalesce(a.at, c.at) - interval '1 hour', greatest(c.at, now()) + interval '1 hour'
    into is_sure, board_id, is_desc, window_kind, starts_at, ends_at, xip, xmax, since, until
    from ladder.period p
    join ladder.board b on b.id = p.board_id
    left join ladder.tally_cursor c on true
    left join ladder.tally_aside a on a.board_id = p.board_id
    where p.id = p_period;
    is_sure := coalesce(is_sure, false);
end
$$;
comment on function ladder.tally_look(bigint) is 'May the tally of a standing be used, and which events are behind it?';

-- tally_moves: from where (-1) to where (+1) entries of a standing went since the cursor.
create or replace function ladder.tally_moves(p_period bigint)
    returns table (sign integer, k1 bigint, k2 bigint, k3 bigint, player text)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set enable_seqscan = off
    set enable_bitmapscan = off
    set enable_sort = off
    set jit = off
as $$
#variable_conflict use_column
declare
    v_look record := ladder.tally_look(p_period);
    v_board constant bigint := v_look.board_id;
    v_since constant timestamptz := v_look.since;
    v_until constant timestamptz := v_look.until;
    v_xip constant xid8[] := v_look.xip;
    v_xmax constant xid8 := v_look.xmax;
begin
    return query
    select s.sign, v.moves[v.nth][s.at], v.moves[v.nth][s.at + 1], v.moves[v.nth][s.at + 2], v.player
    from (select e.player, e.moves, array_position(e.period_ids, p_period) as nth
          from (select q.player, q.moves, q.period_ids
                from ladder.score_event q
                where q.board_id = v_board
                  and q.submitted_at >= v_since
                  and q.submitted_at < v_until
                  and q.xid >= v_xmax
                order by q.xid, q.board_id
                offset 0) e
          union all
          select e.player, e.moves, array_position(e.period_ids, p_period)
          from ladder.score_event e
          where v_xip <> '{}'
            and e.board_id + 0 = v_board
            and e.submitted_at >= v_since
            and e.submitted_at < v_until
            and e.xid = any (v_xip)
          offset 0) v -- so that a place is looked for once
    cross join (values (-1, 1), (1, 4)) s (sign, at)
    where v.moves[v.nth][s.at] is not null;
end
$$;
comment on function ladder.tally_moves(bigint) is 'How entries of a standing moved since the cursor.';

-- The events are read by score_event_xid_board_id_idx alone, whatever PostgreSQL knows of the partition: by (board_id, player) it would
-- read all that was ever submitted to the board. Hence the order, and `board_id + 0`.
--
-- tally_moved: by how much the number of entries before a key has changed since the cursor; of a null key, the number of all.
create or replace function ladder.tally_moved(p_period bigint, p_to ladder.tally_rung)
    returns bigint
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set enable_seqscan = off
    set enable_bitmapscan = off
    set enable_sort = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
declare
    v_look record := ladder.tally_look(p_period);
    v_board constant bigint := v_look.board_id;
    v_since constant timestamptz := v_look.since;
    v_until constant timestamptz := v_look.until;
    v_xip constant xid8[] := v_look.xip;
    v_xmax constant xid8 := v_look.xmax;
begin
    return (select coalesce(sum(case when p_to is null then (v.moves[v.nth][4] is not null)::integer
                                     when v.moves[v.nth][4] > p_to.k1 then 0
                                     when v.moves[v.nth][4] < p_to.k1 then 1
                                     else coalesce(((v.moves[v.nth][4], v.moves[v.nth][5], v.moves[v.nth][6], v.player)
                                                    < (p_to.k1, p_to.k2, p_to.k3, p_to.player))::integer, 0) end
                                - case when p_to is null then (v.moves[v.nth][1] is not null)::integer
                                       when v.moves[v.nth][1] > p_to.k1 then 0
                                       when v.moves[v.nth][1] < p_to.k1 then 1
                                       else coalesce(((v.moves[v.nth][1], v.moves[v.nth][2], v.moves[v.nth][3], v.player)
                                                      < (p_to.k1, p_to.k2, p_to.k3, p_to.player))::integer, 0) end), 0)
            from (select e.player, e.moves, array_position(e.period_ids, p_period) as nth
                  from (select q.player, q.moves, q.period_ids
                        from ladder.score_event q
                        where q.board_id = v_board
                          and q.submitted_at >= v_since
                          and q.submitted_at < v_until
                          and q.xid >= v_xmax
                        order by q.xid, q.board_id
                        offset 0) e
                  union all
                  select e.player, e.moves, array_position(e.period_ids, p_period)
                  from ladder.score_event e
                  where v_xip <> '{}'
                    and e.board_id + 0 = v_board
                    and e.submitted_at >= v_since
                    and e.submitted_at < v_until
                    and e.xid = any (v_xip)) v);
end
$$;
comment on function ladder.tally_moved(bigint, ladder.tally_rung) is 'How many more entries than the tally says are before a key.';

-- entry_from: the entries of a standing ($1 period, $2 window, $3 period start). Those that never end are asked for by the period alone:
-- all that is then needed is in the index of the order, and the entries themselves, each on a page of its own, are not touched. Of two keys
-- PostgreSQL thinks that a ninth of the standing is between them, however near they are: hence neither the whole partition, nor bitmaps, nor
-- parallel workers, whose start takes ten times what is to be read.
create or replace function ladder.entry_from(p_window ladder.window_kind)
    returns text
    language sql
    immutable
as $$
    select case p_window when 'all' then 'from ladder.entry_all e where e.period_id = $1 and not e.removed'
                         else 'from ladder.entry e where e.window_kind = $2 and e.period_start = $3 and e.period_id = $1 and not e.removed' end
$$;
comment on function ladder.entry_from(ladder.window_kind) is 'FROM and WHERE of the entries of a standing, with three parameters.';

-- entry_count: how many entries of a standing there are, from a key (included) to another (excluded; null: to the end).
create or replace function ladder.entry_count(p_window ladder.window_kind, p_start timestamptz, p_period bigint,
                                              p_from ladder.tally_rung, p_to ladder.tally_rung)
    returns bigint
    language plpgsql
    stable
    set search_path = pg_catalog
    set enable_bitmapscan = off
    set enable_seqscan = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
declare
    v_count bigint;
begin
    execute 'select count(*) ' || ladder.entry_from(p_window) || ' and (e.k1, e.k2, e.k3, e.player) >= ($4, $5, $6, $7 collate "C")'
            || case when p_to is null then '' else ' and (e.k1, e.k2, e.k3, e.player) < ($8, $9, $10, $11 collate "C")' end
        into v_count
        using p_period, p_window, p_start, p_from.k1, p_from.k2, p_from.k3, p_from.player, p_to.k1, p_to.k2, p_to.k3, p_to.player;
    return v_count;
end
$$;
comment on function ladder.entry_count(ladder.window_kind, timestamptz, bigint, ladder.tally_rung, ladder.tally_rung)
    is 'Counts a stretch of a standing.';

-- entry_find: what stands so many entries (`entries`) behind each of these keys; null where there is nothing.
create or replace function ladder.entry_find(p_window ladder.window_kind, p_start timestamptz, p_period bigint, p_rungs ladder.tally_rung[])
    returns ladder.tally_rung[]
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set enable_bitmapscan = off
    set enable_seqscan = off
    set enable_sort = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
declare
    v_found ladder.tally_rung[];
begin
    if p_window = 'all' then -- the same, of a few partitions: its plan is kept
        return (select array_agg(x.found order by r.nth)
                from unnest(p_rungs) with ordinality as r (period_id, k1, k2, k3, player, skip, nth)
                left join lateral (select row(p_period, e.k1, e.k2, e.k3, e.player, 0)::ladder.tally_rung as found
                                   from ladder.entry_all e
                                   where e.period_id = p_period and not e.removed
                                     and (e.k1, e.k2, e.k3, e.player) >= (r.k1, r.k2, r.k3, r.player)
                                   order by e.k1, e.k2, e.k3, e.player
                                   offset r.skip
                                   limit 1) x on true);
    end if;
    execute 'select array_agg(x.found order by r.nth) '
            'from unnest($4) with ordinality as r (period_id, k1, k2, k3, player, skip, nth) '
            'left join lateral (select row($1, e.k1, e.k2, e.k3, e.player, 0)::ladder.tally_rung as found ' || ladder.entry_from(p_window)
            || ' and (e.k1, e.k2, e.k3, e.player) >= (r.k1, r.k2, r.k3, r.player) '
               'order by e.k1, e.k2, e.k3, e.player offset r.skip limit 1) x on true'
        into v_found
        using p_period, p_window, p_start, p_rungs;
    return v_found;
end
$$;
comment on function ladder.entry_find(ladder.window_kind, timestamptz, bigint, ladder.tally_rung[])
    is 'The keys that are so many entries behind others.';

-- standing_total: how many entries there are.
create or replace function ladder.standing_total(p_window ladder.window_kind, p_start timestamptz, p_period bigint)
    returns bigint
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
as $$
begin
    if (ladder.tally_look(p_period)).is_sure then
        return coalesce((select t.entries from ladder.tally t where t.period_id = p_period), 0)
               + ladder.tally_moved(p_period, null);
    end if;
    return ladder.entry_count(p_window, p_start, p_period, ladder.tally_lowest(p_period), null);
end
$$;
comment on function ladder.standing_total(ladder.window_kind, timestamptz, bigint) is 'How many entries a standing has.';

-- standing_before: how many entries are before a key.
create or replace function ladder.standing_before(p_window ladder.window_kind, p_start timestamptz, p_period bigint,
                                                  p_k1 bigint, p_k2 bigint, p_k3 bigint, p_player text)
    returns bigint
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set jit = off
as $$
declare
    r ladder.tally_rung := ladder.tally_lowest(p_period);
    v_above bigint := 0;
begin
    if (ladder.tally_look(p_period)).is_sure then
        select q.*
        into r
        from ladder.tally_rung q
        where q.period_id = p_period
          and (q.k1, q.k2, q.k3, q.player) <= (p_k1, p_k2, p_k3, p_player collate "C")
        order by q.k1 desc, q.k2 desc, q.k3 desc, q.player desc
        limit 1;
        if found then
            v_above := (select coalesce(sum(q.entries), 0)
                        from ladder.tally_rung q
                        where q.period_id = p_period
                          and (q.k1, q.k2, q.k3, q.player) < (r.k1, r.k2, r.k3, r.player))
                       + ladder.tally_moved(p_period, r);
        else
            r := ladder.tally_lowest(p_period);
        end if;
    end if;
    return v_above + ladder.entry_count(p_window, p_start, p_period, r, row(p_period, p_k1, p_k2, p_k3, p_player, 0)::ladder.tally_rung);
end
$$;
comment on function ladder.standing_before(ladder.window_kind, timestamptz, bigint, bigint, bigint, bigint, text)
    is 'How many entries of a standing are before a key.';

-- standing_group: how many entries have a better pair (k1, k2) than an entry that has so many before it. Those beside it, if they are few,
-- are counted; else those before all of them.
create or replace function ladder.standing_group(p_window ladder.window_kind, p_start timestamptz, p_period bigint,
                                                 p_k1 bigint, p_k2 bigint, p_k3 bigint, p_player text, p_before bigint)
    returns bigint
    language plpgsql
    stable
    set search_path = pg_catalog
    set enable_bitmapscan = off
    set enable_seqscan = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
declare
    c_most constant integer := 2000;
    v_same bigint;
begin
    if p_before = 0 then
        return 0;
    end if;
    execute 'select count(*) from (select ' || ladder.entry_from(p_window)
            || ' and (e.k1, e.k2, e.k3, e.player) >= ($4, $5, -9223372036854775808, '''') '
               'and (e.k1, e.k2, e.k3, e.player) < ($4, $5, $6, $7 collate "C") limit $8) x'
        into v_same
        using p_period, p_window, p_start, p_k1, p_k2, p_k3, p_player, c_most;
    if v_same < c_most then
        return p_before - v_same;
    end if;
    return ladder.standing_before(p_window, p_start, p_period, p_k1, p_k2, -9223372036854775808, '');
end
$$;
comment on function ladder.standing_group(ladder.window_kind, timestamptz, bigint, bigint, bigint, bigint, text, bigint)
    is 'How many entries of a standing have a better pair than an entry whose place is known.';

-- entry_back: the key that stands so many entries before another one; null: there is none.
create or replace function ladder.entry_back(p_window ladder.window_kind, p_start timestamptz, p_period bigint,
                                             p_k1 bigint, p_k2 bigint, p_k3 bigint, p_player text, p_back bigint,
                                             out k1 bigint, out k2 bigint, out k3 bigint, out player text, out rest bigint)
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
    rest := 0;
    if p_back > 0 then
        execute 'select e.k1, e.k2, e.k3, e.player ' || ladder.entry_from(p_window)
                || ' and (e.k1, e.k2, e.k3, e.player) < ($4, $5, $6, $7 collate "C") '
                   'order by e.k1 desc, e.k2 desc, e.k3 desc, e.player desc offset $8 - 1 limit 1'
            into k1, k2, k3, player
            using p_period, p_window, p_start, p_k1, p_k2, p_k3, p_player, p_back;
    else
        k1 := p_k1;
        k2 := p_k2;
        k3 := p_k3;
        player := p_player;
    end if;
end
$$;
comment on function ladder.entry_back(ladder.window_kind, timestamptz, bigint, bigint, bigint, bigint, text, bigint)
    is 'The key that stands so many entries before another one.';

-- entry_page: so many entries from a key on, after `rest` others. By the index of the order, whatever PostgreSQL knows of the partition:
-- of one that was filled a moment ago it knows nothing, and would read a standing whole and sort it.
create or replace function ladder.entry_page(p_window ladder.window_kind, p_start timestamptz, p_period bigint,
                                             p_k1 bigint, p_k2 bigint, p_k3 bigint, p_player text, p_rest bigint, p_limit integer)
    returns table (player text, k1 bigint, k2 bigint, k3 bigint, metadata json)
    language plpgsql
    stable
    rows 100
    set search_path = pg_catalog
    set enable_bitmapscan = off
    set enable_seqscan = off
    set enable_sort = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
begin
    return query execute
        'select e.player, e.k1, e.k2, e.k3, e.metadata ' || ladder.entry_from(p_window)
        || ' and (e.k1, e.k2, e.k3, e.player) >= ($4, $5, $6, $7 collate "C") '
           'order by e.k1, e.k2, e.k3, e.player offset $8 limit $9'
        using p_period, p_window, p_start, p_k1, p_k2, p_k3, p_player, p_rest, p_limit;
end
$$;
comment on function ladder.entry_page(ladder.window_kind, timestamptz, bigint, bigint, bigint, bigint, text, bigint, integer)
    is 'A stretch of a standing, in its order.';

-- standing_seek: the key at a place; behind the end, a key and how many entries to skip from it on. Near the top the index is walked. Else
-- from a rung: the one that is at the place by the tally, then, as far as the events behind the cursor moved that, by the tally and those,
-- until the walk is short.
create or replace function ladder.standing_seek(p_period bigint, p_offset bigint,
                                                out k1 bigint, out k2 bigint, out k3 bigint, out player text, out rest bigint)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set jit = off
as $$
#variable_conflict use_column
declare
    c_walk constant bigint := 10000;
    v_look constant record := ladder.tally_look(p_period);
    v_from ladder.tally_rung := ladder.tally_lowest(p_period); -- in `entries`, how many are before it
    v_rung ladder.tally_rung;                                  -- the same, by the tally
    v_place bigint := p_offset;                                -- by the tally
    v_moved bigint;
    v_found ladder.tally_rung;
begin
    for turn in 1..6 loop
        exit when not v_look.is_sure or p_offset - v_from.entries <= c_walk;
        select p_period, r.k1, r.k2, r.k3, r.player, r.before
        into v_rung
        from (select q.*, (sum(q.entries) over (order by q.k1, q.k2, q.k3, q.player rows unbounded preceding))::bigint - q.entries as before
              from ladder.tally_rung q
              where q.period_id = p_period) r
        where r.before <= v_place
        order by r.before desc, r.k1 desc, r.k2 desc, r.k3 desc, r.player desc
        limit 1;
        exit when not found or v_rung.entries <= 0;
        v_moved := ladder.tally_moved(p_period, v_rung);
        v_rung.entries := v_rung.entries + v_moved;
        if v_rung.entries between v_from.entries and p_offset then
            v_from := v_rung;
        end if;
        exit when v_place = p_offset - v_moved;
        v_place := p_offset - v_moved - case when v_rung.entries > p_offset then 1000 << turn else 0 end;
    end loop;
    rest := p_offset - v_from.entries;
    v_from.entries := rest;
    v_found := (ladder.entry_find(v_look.window_kind, v_look.starts_at, p_period, array[v_from]))[1];
    if v_found.period_id is not null then
        v_from := v_found;
        rest := 0;
    end if;
    k1 := v_from.k1;
    k2 := v_from.k2;
    k3 := v_from.k3;
    player := v_from.player;
end
$$;
comment on function ladder.standing_seek(bigint, bigint)
    is 'Where to begin to read for the entry at a place of a standing, and how many to skip from there.';
