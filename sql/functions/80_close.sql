-- Closing a period: its final ranks, and the message that it has closed.

-- final_rank_of: a player's place in a closed period, without counting who is before him. Null: he had no entry.
create or replace function ladder.final_rank_of(period_id bigint, player text)
    returns bigint
    language sql
    stable
as $$
    select f.rank - (select count(*) from ladder.final_gap g where g.period_id = f.period_id and g.rank < f.rank)
    from ladder.final_rank f
    where f.period_id = final_rank_of.period_id
      and f.player = final_rank_of.player collate "C"
$$;
comment on function ladder.final_rank_of(bigint, text) is 'The final rank of a player in a closed period.';

-- period_close: the last step. All that a closed period has, its state too, comes with one transaction: a worker that dies
-- before its end has done nothing, and the next does it. Returns how many entries it has; null: it was done before, or is
-- not settled.
--
-- Whoever is about to erase a player from it waits for this, or this for him (player_erase takes the same lock): so a rank
-- is never written for somebody who is gone.
create or replace function ladder.period_close(p_period bigint)
    returns bigint
    language plpgsql
    set search_path = pg_catalog
    set jit = off
as $$
declare
    p ladder.period;
    v_count bigint;
begin
    perform pg_advisory_xact_lock(hashtextextended('ladder.close', p_period));
    update ladder.period q
    set state = 'closed', closed_at = coalesce(q.closed_at, now()), settle_xid = null, close_at = null
    where q.id = p_period
      and (q.state = 'closing' and q.settle_xid <= (select ladder.writers_xmin())
           or q.state = 'closed' and q.final_count is null)
    returning * into p;
    if not found then
        return null;
    end if;

    -- By constants, so that one partition is planned for and read.
    execute format('insert into ladder.final_rank (period_id, player, rank) '
                   'select e.period_id, e.player, row_number() over (order by e.k1, e.k2, e.k3, e.player) '
                   'from ladder.entry e '
                   'where e.window_kind = %L and e.period_start = %L and e.period_id = %s and not e.removed',
                   p.window_kind, p.starts_at, p.id);
    get diagnostics v_count = row_count;
    update ladder.period q set final_count = v_count where q.id = p.id;

    insert into ladder.webhook_delivery (message_id, game_id, period_id)
    select 'msg_' || replace(gen_random_uuid()::text, '-', ''), w.game_id, p.id
    from ladder.board b
    join ladder.webhook w on w.game_id = b.game_id
    where b.id = p.board_id
      and b.deleted_at is null
      and p.facet = ''
      -- One that closed before there were ranks, or before somebody asked to be told, is no news.
      and p.closed_at = now()
      and p.closed_at >= w.created_at;
    return v_count;
end
$$;
comment on function ladder.period_close(bigint) is 'Makes a settled period final: ranks, message, state, in one transaction; returns its entries.';

-- period_reopen: opens a closed period again, for corrections, with its facets' standings. Its final ranks go; it closes again after
-- p_for, gets new ones, and the game's webhook is told again. Returns how many standings it opened; null: no period of the window
-- that starts then is closed.
create or replace function ladder.period_reopen(p_board bigint, p_window ladder.window_kind, p_starts_at timestamptz, p_for interval,
                                                p_person text, p_reason text)
    returns bigint
    language plpgsql
    set search_path = pg_catalog
as $$
declare
    v_ids bigint[] := array(select p.id
                            from ladder.period p
                            where p.board_id = p_board and p.window_kind = p_window and p.starts_at = p_starts_at and p.state = 'closed'
                            order by p.id);
    v_id bigint;
    v_closed_at timestamptz;
begin
    -- Whoever closes or erases has the same locks.
    foreach v_id in array v_ids loop
        perform pg_advisory_xact_lock(hashtextextended('ladder.close', v_id));
    end loop;
    v_closed_at := (select p.closed_at from ladder.period p where p.id = any (v_ids) and p.facet = '' and p.state = 'closed');
    if v_closed_at is null then
        return null;
    end if;
    if exists (select from ladder.period p where p.id = any (v_ids) and p.facet = '' and p.final_count > 0)
       and not exists (select from ladder.entry e where e.period_id = any (v_ids) and e.window_kind = p_window and e.period_start = p_starts_at) then
        raise exception 'the entries of this period are gone: it is beyond their retention' using errcode = 'object_not_in_prerequisite_state';
    end if;
    update ladder.period p
    set state = 'open', closed_at = null, final_count = null, settle_xid = null, close_at = now() + p_for
    where p.id = any (v_ids);
    delete from ladder.final_rank f where f.period_id = any (v_ids);
    delete from ladder.final_gap f where f.period_id = any (v_ids);
    delete from ladder.webhook_delivery d where d.period_id = any (v_ids); -- the message of its next closing takes its place
    insert into ladder.tally_recount (period_id) select unnest(v_ids) on conflict do nothing;
    perform ladder.refresh_note(array[p_board], '{}', array[p_board]);
    insert into ladder.edge_purge (game, board)
    select g.name, b.name
    from ladder.board b
    join ladder.game g on g.id = b.game_id
    where b.id = p_board;
    insert into ladder.period_reopening (board_id, window_kind, starts_at, closed_at, person, reason, close_at)
    values (p_board, p_window, p_starts_at, v_closed_at, p_person, p_reason, now() + p_for);
    return cardinality(v_ids);
end
$$;
comment on function ladder.period_reopen(bigint, ladder.window_kind, timestamptz, interval, text, text)
    is 'Opens a closed period again for a time, and notes who did it and why; returns how many standings.';
