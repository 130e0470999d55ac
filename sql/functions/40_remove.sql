-- Removing players. A removed entry becomes a tombstone with a new revision; the event tells the tail.
-- Entries are locked in the order of submit, so that the two never wait for each other in a circle.

-- player_remove: from the open standings of one board. Closed periods are final and stay.
create or replace function ladder.player_remove(p_board bigint, p_player text)
    returns table (period_id bigint, revision bigint)
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
begin
    perform pg_current_xact_id(); -- as in submit
    return query
    with locked as materialized (
        select e.period_id, e.window_kind, e.period_start, e.k1, e.k2, e.k3
        from ladder.period p
        join ladder.entry e on e.period_id = p.id and e.window_kind = p.window_kind and e.period_start = p.starts_at
        where p.board_id = p_board
          and p.state = 'open'
          and e.player = p_player
          and not e.removed
        order by e.period_id
        for update of e
    ),
    gone as (
        update ladder.entry e
        set removed = true, metadata = null, revision = nextval('ladder.revision')
        from locked l
        where e.period_id = l.period_id
          and e.window_kind = l.window_kind
          and e.period_start = l.period_start
          and e.player = p_player
        returning e.period_id, e.revision, array[l.k1, l.k2, l.k3, null, null, null] as move
    ),
    event as (
        insert into ladder.score_event (board_id, kind, player, period_ids, moves)
        select p_board, 'remove', p_player, array_agg(g.period_id), array_agg(g.move)
        from gone g
        having count(*) > 0
    )
    select g.period_id, g.revision from gone g;
end
$$;
comment on function ladder.player_remove(bigint, text) is 'Removes a player from the open standings of a board; returns what it changed.';

-- player_erase: from everywhere in a game, closed periods and history too. What is left, a tombstone and one
-- event for each board, carries the id alone until the purge job deletes it.
create or replace function ladder.player_erase(p_game bigint, p_player text)
    returns table (period_id bigint, revision bigint)
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
begin
    perform pg_current_xact_id(); -- what is open now is not closed before we end
    -- What closes now gets its final ranks from a transaction that sees either him, and we see them, or neither.
    perform pg_advisory_xact_lock_shared(hashtextextended('ladder.close', x.id))
    from (select p.id
          from ladder.board b
          join ladder.period p on p.board_id = b.id
          where b.game_id = p_game and p.state = 'closing'
          order by p.id) x;
    -- Moves that the tally lacks are lost with their events: it is to count those standings again.
    with deleted as (
        delete from ladder.score_event v
        using ladder.board b
        where b.game_id = p_game and v.board_id = b.id and v.player = p_player
        returning v.xid, v.period_ids
    )
    insert into ladder.tally_recount (period_id)
    select distinct u.period_id
    from deleted d
    cross join lateral unnest(d.period_ids) as u (period_id)
    where not coalesce(pg_visible_in_snapshot(d.xid, (select c.snapshot from ladder.tally_cursor c)), false);
    delete from ladder.tally_player t
    using ladder.board b
    where b.game_id = p_game and t.board_id = b.id and t.player = p_player;
    return query
    with locked as materialized (
        select e.period_id, e.window_kind, e.period_start, p.board_id, e.k1, e.k2, e.k3
        from ladder.board b
        join ladder.period p on p.board_id = b.id
        join ladder.entry e on e.period_id = p.id and e.window_kind = p.window_kind and e.period_start = p.starts_at
        where b.game_id = p_game
          and e.player = p_player
          and not e.removed
        order by e.period_id
        for update of e
    ),
    gone as (
        update ladder.entry e
        set removed = true, k1 = 0, k2 = 0, k3 = 0, metadata = null, revision = nextval('ladder.revision')
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
    shot as (
        delete from ladder.standing_snapshot s
        using ladder.board b
        where b.game_id = p_game and s.board_id = b.id and s.player = p_player
    ),
    event as (
        insert into ladder.score_event (board_id, kind, player, period_ids, moves)
        select g.board_id, 'remove', p_player, array_agg(g.period_id), array_agg(g.move)
        from gone g
        group by g.board_id
    )
    select g.period_id, g.revision from gone g;
end
$$;
comment on function ladder.player_erase(bigint, text) is 'Erases a player from a game: entries, events and closed periods.';
