-- Reading a standing by its tally: what the cursor's snapshot had, and what the reader's own snapshot sees beyond it.
--
--     entries before a key = rungs above + moves across that rung since the cursor + a count from the rung to the key
--
-- All functions here are stable, so that everything is of the one snapshot of the statement that calls them; and only the stored
-- snapshot is looked at, so that a standby, whose own ones lack what is in progress, is as exact as the primary.

-- tally_is_sure: not while a count is due, nor when nobody has added up for long: then the rest is too long to be read each time.
create or replace function ladder.tally_is_sure(p_period bigint)
    returns boolean
    language sql
    stable
as $$
    select exists (select from ladder.tally_cursor c where c.incarnation = ladder.tally_incarnation() and c.at > now() - interval '5 minutes')
           and not exists (select from ladder.tally_recount r where r.period_id = p_period)
$$;
comment on function ladder.tally_is_sure(bigint) is 'May the tally of a standing be used?';

-- tally_moves: from where (-1) to where (+1) entries of a standing went since the cursor.
create or replace function ladder.tally_moves(p_period bigint)
    returns table (sign integer, k1 bigint, k2 bigint, k3 bigint, player text)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    c constant ladder.tally_cursor := (select t from ladder.tally_cursor t);
    v_xip constant xid8[] := array(select pg_snapshot_xip(c.snapshot));
    v_xmax constant xid8 := pg_snapshot_xmax(c.snapshot);
begin
    return query
    select s.sign, s.k1, s.k2, s.k3, v.player
    from ladder.score_event v
    cross join lateral unnest(v.period_ids) with ordinality as u (period_id, nth)
    cross join lateral (values (-1, v.moves[u.nth][1], v.moves[u.nth][2], v.moves[u.nth][3]),
                               (1, v.moves[u.nth][4], v.moves[u.nth][5], v.moves[u.nth][6])) s (sign, k1, k2, k3)
    where v.board_id = (select p.board_id from ladder.period p where p.id = p_period)
      and v.submitted_at >= c.at - interval '1 hour'
      and (v.xid = any (v_xip) or v.xid >= v_xmax)
      and u.period_id = p_period
      and s.k1 is not null;
end
$$;
comment on function ladder.tally_moves(bigint) is 'How entries of a standing moved since the cursor.';

-- standing_total: how many entries there are.
create or replace function ladder.standing_total(p_window ladder.window_kind, p_start timestamptz, p_period bigint)
    returns bigint
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
as $$
begin
    if ladder.tally_is_sure(p_period) then
        return coalesce((select t.entries from ladder.tally t where t.period_id = p_period), 0)
               + (select coalesce(sum(m.sign), 0) from ladder.tally_moves(p_period) m);
    end if;
    return (select count(*)
            from ladder.entry e
            where e.window_kind = p_window
              and e.period_start = p_start
              and e.period_id = p_period
              and not e.removed);
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
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
declare
    r ladder.tally_rung := ladder.tally_lowest(p_period);
    v_above bigint := 0;
begin
    if ladder.tally_is_sure(p_period) then
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
                       + (select coalesce(sum(m.sign), 0)
                          from ladder.tally_moves(p_period) m
                          where (m.k1, m.k2, m.k3, m.player collate "C") < (r.k1, r.k2, r.k3, r.player));
        else
            r := ladder.tally_lowest(p_period);
        end if;
    end if;
    return v_above + (select count(*)
                      from ladder.entry e
                      where e.window_kind = p_window
                        and e.period_start = p_start
                        and e.period_id = p_period
                        and not e.removed
                        and (e.k1, e.k2, e.k3, e.player) >= (r.k1, r.k2, r.k3, r.player)
                        and (e.k1, e.k2, e.k3, e.player) < (p_k1, p_k2, p_k3, p_player collate "C"));
end
$$;
comment on function ladder.standing_before(ladder.window_kind, timestamptz, bigint, bigint, bigint, bigint, text)
    is 'How many entries of a standing are before a key.';

-- standing_seek: a key, and how many entries from it on to skip to come to a place: the nearest rung before it.
create or replace function ladder.standing_seek(p_period bigint, p_offset bigint,
                                                out k1 bigint, out k2 bigint, out k3 bigint, out player text, out rest bigint)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
#variable_conflict use_column
begin
    if ladder.tally_is_sure(p_period) then
        with moved as (
            select r.k1, r.k2, r.k3, r.player, sum(m.sign) as entries
            from ladder.tally_moves(p_period) m
            cross join lateral (select q.*
                                from ladder.tally_rung q
                                where q.period_id = p_period
                                  and (q.k1, q.k2, q.k3, q.player) <= (m.k1, m.k2, m.k3, m.player collate "C")
                                order by q.k1 desc, q.k2 desc, q.k3 desc, q.player desc
                                limit 1) r
            group by r.k1, r.k2, r.k3, r.player
        ),
        rung as (
            select r.k1, r.k2, r.k3, r.player,
                   sum(r.entries + coalesce(m.entries, 0)) over (order by r.k1, r.k2, r.k3, r.player)
                       - (r.entries + coalesce(m.entries, 0)) as before
            from ladder.tally_rung r
            left join moved m on m.k1 = r.k1 and m.k2 = r.k2 and m.k3 = r.k3 and m.player = r.player
            where r.period_id = p_period
        )
        select r.k1, r.k2, r.k3, r.player, p_offset - r.before
        into k1, k2, k3, player, rest
        from rung r
        where r.before <= p_offset
        order by r.before desc, r.k1 desc, r.k2 desc, r.k3 desc, r.player desc
        limit 1;
    end if;
    if rest is null then
        select r.k1, r.k2, r.k3, r.player, p_offset into k1, k2, k3, player, rest from ladder.tally_lowest(p_period) r;
    end if;
end
$$;
comment on function ladder.standing_seek(bigint, bigint) is 'Where to begin to read for the entry at a place of a standing, and how many to skip from there.';
