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
    set state = 'closed', closed_at = coalesce(q.closed_at, now()), settle_xid = null
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
