-- purge_events, purge_snapshots: some of what a deleted board left, a row for each that went.
--
-- What goes is found in the order of an index that begins with the board, so that the search ends with the last of them, and deleted
-- by its place in its partition. The planner would rather read partitions from end to end, if they are small, each time.
create or replace function ladder.purge_events(p_board bigint, p_limit integer)
    returns setof boolean
    language sql
    set search_path = pg_catalog
    set enable_hashjoin = off
    set enable_mergejoin = off
    set enable_seqscan = off
as $$
    with going as materialized (
        select q.submitted_at, q.ctid as place
        from ladder.score_event q
        where q.board_id = p_board
        order by q.board_id, q.player
        limit p_limit
    )
    delete from ladder.score_event v
    using going x
    where v.submitted_at = x.submitted_at
      and v.ctid = x.place
    returning true
$$;
comment on function ladder.purge_events(bigint, integer) is 'Deletes some of the events of a board, for the purge job; a row for each.';

create or replace function ladder.purge_snapshots(p_board bigint, p_limit integer)
    returns setof boolean
    language sql
    set search_path = pg_catalog
    set enable_hashjoin = off
    set enable_mergejoin = off
    set enable_seqscan = off
as $$
    with going as materialized (
        select q.at, q.ctid as place
        from ladder.standing_snapshot q
        where q.board_id = p_board
        order by q.board_id, q.player
        limit p_limit
    )
    delete from ladder.standing_snapshot s
    using going x
    where s.at = x.at
      and s.ctid = x.place
    returning true
$$;
comment on function ladder.purge_snapshots(bigint, integer) is 'Deletes some of the snapshots of a board, for the purge job; a row for each.';
