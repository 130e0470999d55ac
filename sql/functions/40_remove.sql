-- Removing players. A removed entry becomes a tombstone with a new revision; the event tells the tail.
--
-- Locks in the order of submit, so that the two never wait for each other in a circle: entries, then the player's row in
-- player_facet, then his entries in the standings of facets. Under that row's lock all is looked at again: what a submission
-- made that was under way before is removed too.

-- player_tombstone: the entries of a player in some standings of some boards: 'all' or the open ones, of these facets ('' is the
-- whole board). The arrays are parallel.
create or replace function ladder.player_tombstone(p_board bigint[], p_facet text[], p_player text, p_are_closed_too boolean)
    returns table (board_id bigint, period_id bigint, revision bigint)
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
begin
    return query
    with locked as materialized (
        select e.period_id, e.window_kind, e.period_start, p.board_id, e.k1, e.k2, e.k3
        from unnest(p_board, p_facet) as f (board_id, facet)
        join ladder.period p on p.board_id = f.board_id and p.facet = f.facet collate "C"
        join ladder.entry e on e.period_id = p.id and e.window_kind = p.window_kind and e.period_start = p.starts_at
        where (p_are_closed_too or p.state = 'open')
          and e.player = p_player
          and not e.removed
        order by e.period_id
        for update of e
    ),
    gone as (
        update ladder.entry e
        set removed = true, metadata = null, revision = nextval('ladder.revision'),
            k1 = case when p_are_closed_too then 0 else e.k1 end,
            k2 = case when p_are_closed_too then 0 else e.k2 end,
            k3 = case when p_are_closed_too then 0 else e.k3 end
        from locked l
        where e.period_id = l.period_id
          and e.window_kind = l.window_kind
          and e.period_start = l.period_start
          and e.player = p_player
        returning e.period_id, e.revision, l.board_id, array[l.k1, l.k2, l.k3, null, null, null] as move
    ),
    ranked as (
        delete from ladder.final_rank f
        using gone g
        where f.period_id = g.period_id and f.player = p_player
        returning f.period_id, f.rank
    ),
    gap as (
        insert into ladder.final_gap (period_id, rank)
        select r.period_id, r.rank from ranked r
    ),
    event as (
        insert into ladder.score_event (board_id, kind, player, period_ids, moves)
        select g.board_id, 'remove', p_player, array_agg(g.period_id), array_agg(g.move)
        from gone g
        group by g.board_id
    )
    select g.board_id, g.period_id, g.revision from gone g;
end
$$;
comment on function ladder.player_tombstone(bigint[], text[], text, boolean) is 'Removes a player''s entries from some standings; where closed ones are among them, the entries forget their values.';

-- player_leave: takes the player's rows in player_facet, which then name no facet. Returns where entries of his may be.
create or replace function ladder.player_leave(p_board bigint[], p_player text)
    returns table (board_id bigint, facet text)
    language sql
    volatile
    set search_path = pg_catalog
as $$
    with left_behind as (
        insert into ladder.player_facet as f (board_id, player, facets, past)
        select b.id, p_player, '{}', '{}'
        from ladder.board b
        where b.id = any (p_board)
          and b.facet_ids <> '{}'
        order by b.id
        on conflict (board_id, player) do update
            set facets = '{}'
        returning f.board_id, f.past
    )
    select l.board_id, unnest(array[''] || l.past)
    from left_behind l
$$;
comment on function ladder.player_leave(bigint[], text) is 'A player is of no facet any more; returns the standings where entries of his may be.';

-- player_remove: from the open standings of one board. Closed periods are final and stay.
create or replace function ladder.player_remove(p_board bigint, p_player text)
    returns table (period_id bigint, revision bigint)
    language plpgsql
    set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    v_board bigint[];
    v_facet text[];
begin
    perform ladder.write_begin();
    return query select t.period_id, t.revision from ladder.player_tombstone(array[p_board], array[''], p_player, false) t;
    if exists (select from ladder.board b where b.id = p_board and b.facet_ids <> '{}') then
        select array_agg(l.board_id), array_agg(l.facet) into v_board, v_facet from ladder.player_leave(array[p_board], p_player) l;
        return query select t.period_id, t.revision from ladder.player_tombstone(v_board, v_facet, p_player, false) t;
        -- Where he is in closed standings is remembered: he may be erased some day.
        delete from ladder.player_facet f where f.board_id = p_board and f.player = p_player and f.past = '{}';
    end if;
end
$$;
comment on function ladder.player_remove(bigint, text) is 'Removes a player from the open standings of a board; returns what it changed.';

-- player_erase: from everywhere in a game, closed periods and history too. What is left, tombstones and one or two
-- events for each board, carries the id alone until the purge job deletes it.
create or replace function ladder.player_erase(p_game bigint, p_player text)
    returns table (period_id bigint, revision bigint)
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    v_boards bigint[] := array(select b.id from ladder.board b where b.game_id = p_game);
    v_board bigint[];
    v_facet text[];
begin
    perform ladder.write_begin(); -- what is open now is not closed before we end
    -- What closes now gets its final ranks from a transaction that sees either him, and we see them, or neither.
    perform pg_advisory_xact_lock_shared(hashtextextended('ladder.close', x.id))
    from (select p.id from ladder.period p where p.board_id = any (v_boards) and p.state = 'closing' order by p.id) x;
    -- Moves that the tally lacks are lost with their events: it is to count those standings again. The events of earlier removals
    -- stay: by them the purge finds the tombstones, and Redis may have to learn of them still.
    with deleted as (
        delete from ladder.score_event v
        where v.board_id = any (v_boards) and v.player = p_player and v.kind <> 'remove'
        returning v.xid, v.board_id, v.period_ids
    )
    insert into ladder.tally_recount (period_id)
    select distinct u.period_id
    from deleted d
    cross join lateral unnest(d.period_ids) as u (period_id)
    where not coalesce(pg_visible_in_snapshot(d.xid, (ladder.tally_cursor_of(d.board_id)).snapshot), false);
    delete from ladder.tally_player t where t.board_id = any (v_boards) and t.player = p_player;
    delete from ladder.standing_snapshot s where s.board_id = any (v_boards) and s.player = p_player;
    return query
    select t.period_id, t.revision
    from ladder.player_tombstone(v_boards, array_fill(''::text, array[cardinality(v_boards)]), p_player, true) t;
    if exists (select from ladder.board b where b.game_id = p_game and b.facet_ids <> '{}') then
        select array_agg(l.board_id), array_agg(l.facet) into v_board, v_facet from ladder.player_leave(v_boards, p_player) l;
        return query select t.period_id, t.revision from ladder.player_tombstone(v_board, v_facet, p_player, true) t;
    end if;
    delete from ladder.player_facet f where f.board_id = any (v_boards) and f.player = p_player;
end
$$;
comment on function ladder.player_erase(bigint, text) is 'Erases a player from a game: entries, events and closed periods.';
