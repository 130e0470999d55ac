-- player_describe: sets the metadata of a player's entries in the open standings of a board, of all its windows or of one, and in the
-- standings of his facets. Scores, the times when they were reached, and so the ranks stay as they are.
--
-- Locks in the order of submit: the entries, then the player's row in player_facet, then his entries in the standings of facets
-- (facet_mirror). The new revision is drawn under the row's lock, so a submission that was decided from the entry before is decided
-- again. The event has equal old and new keys: nothing is counted for it.
--
-- p_metadata: JSON, or null for none. p_window: '' is every window. p_reads_only: changes nothing.
-- Returns the entries in the order of the board's windows, the newest period first; those of facets come last. None: the player has no
-- entry there, or the board is made of others.
create or replace function ladder.player_describe(p_board bigint, p_player text, p_metadata text, p_window text, p_reads_only boolean)
    returns table (period_id bigint, is_facet boolean, is_changed boolean, revision bigint, k1 bigint, k2 bigint, k3 bigint, metadata text,
                   window_kind ladder.window_kind, period_start_us bigint)
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    v_periods bigint[];
    v_rows ladder.facet_row[];
begin
    perform ladder.write_begin(); -- before any look at a period's state
    v_periods := array(
        select e.period_id
        from ladder.period p
        join ladder.entry e on e.period_id = p.id and e.window_kind = p.window_kind and e.period_start = p.starts_at
        where p.board_id = p_board
          and p.facet = ''
          and p.state = 'open'
          and (p_window = '' or p.window_kind::text = p_window)
          and e.player = p_player
          and not e.removed
          and not exists (select from ladder.combination c where c.board_id = p_board)
        order by e.period_id
        for update of e);

    -- A new statement, so that it sees the rows as they were locked.
    with held as materialized (
        select p.id as period_id, p.window_kind, p.starts_at, e.k1, e.k2, e.k3, e.revision, e.metadata::text as metadata,
               not p_reads_only and e.metadata::text is distinct from p_metadata as must_write
        from unnest(v_periods) as v (period_id)
        join ladder.period p on p.id = v.period_id
        join ladder.entry e on e.period_id = p.id and e.window_kind = p.window_kind and e.period_start = p.starts_at
        where e.player = p_player
          and not e.removed
    ),
    written as (
        update ladder.entry e
        set metadata = p_metadata::json, revision = nextval('ladder.revision')
        from held h
        where h.must_write
          and e.period_id = h.period_id
          and e.window_kind = h.window_kind
          and e.period_start = h.starts_at
          and e.player = p_player
        returning e.period_id, e.revision
    )
    select array_agg(row(1, array_position(b.windows, h.window_kind), h.window_kind, h.period_id, h.must_write::integer,
                         coalesce(w.revision, h.revision), h.k1, h.k2, h.k3, case when h.must_write then p_metadata else h.metadata end,
                         h.k1, h.k2, h.k3, h.starts_at, null)::ladder.facet_row)
    into v_rows
    from held h
    left join written w on w.period_id = h.period_id
    cross join (select q.windows from ladder.board q where q.id = p_board) b;

    if not p_reads_only and exists (select from ladder.board b where b.id = p_board and b.facet_ids <> '{}') then
        v_rows := v_rows || array(
            select m
            from (select array_agg(r.item) as items, array_agg(r.window_index) as windows, array_agg(r.period_id) as periods
                  from unnest(v_rows) r) x
            cross join lateral ladder.facet_mirror(array[1], array[p_board], array[p_player], array[null]::text[],
                                                   x.items, x.windows, x.periods) m
            where x.items is not null);
    end if;

    insert into ladder.score_event (board_id, kind, player, period_ids, moves)
    select p_board, 'describe', p_player, array_agg(r.period_id), array_agg(array[r.old_k1, r.old_k2, r.old_k3, r.k1, r.k2, r.k3])
    from unnest(v_rows) r
    where r.outcome = 1
    having count(*) > 0;

    return query
    select r.period_id, r.facet is not null, r.outcome = 1, r.revision, r.k1, r.k2, r.k3, r.metadata,
           r.window_kind, ladder.us_of(r.starts_at)
    from unnest(v_rows) r
    order by r.facet is not null, r.window_index, r.starts_at desc;
end
$$;
comment on function ladder.player_describe(bigint, text, text, text, boolean)
    is 'Sets the metadata of a player''s entries in the open standings of a board; returns those entries.';
