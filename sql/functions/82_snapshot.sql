-- Daily snapshots of the standings that never end: a player's history on them, and where the best were yesterday.

-- snapshot_take: notes who has moved since the board's last snapshot, and the best. One pass over the standing in rank order,
-- whatever the number of movers: ranks are counted, not looked up. p_revision: every change up to it is committed and seen;
-- the caller has waited for that. Returns the rows; null: it was taken before, or the board has no such standing.
create or replace function ladder.snapshot_take(p_board bigint, p_at timestamptz, p_revision bigint, p_top integer)
    returns bigint
    language plpgsql
    set search_path = pg_catalog
    set jit = off
as $$
declare
    v_since bigint;
    v_period bigint;
    v_rows bigint;
begin
    perform pg_advisory_xact_lock(hashtextextended('ladder.snapshot', p_board));
    if exists (select from ladder.snapshot_run r where r.board_id = p_board and r.at >= p_at) then
        return null;
    end if;
    select r.revision into v_since from ladder.snapshot_run r where r.board_id = p_board order by r.at desc limit 1;
    select p.id into v_period
    from ladder.period p
    where p.board_id = p_board and p.window_kind = 'all' and p.facet = '';
    if v_period is null then
        return null;
    end if;
    execute format('insert into ladder.standing_snapshot (board_id, player, at, rank, k1, k2) '
                   'select %s, x.player, %L, x.rank, x.k1, x.k2 '
                   'from (select e.player, e.k1, e.k2, e.revision, row_number() over (order by e.k1, e.k2, e.k3, e.player) as rank '
                   '      from ladder.entry e '
                   '      where e.window_kind = ''all'' and e.period_start = ''-infinity'' and e.period_id = %s and not e.removed) x '
                   'where x.revision > %s or x.rank <= %s',
                   p_board, p_at, v_period, coalesce(v_since, 0), p_top);
    get diagnostics v_rows = row_count;
    insert into ladder.snapshot_run (board_id, at, revision, rows) values (p_board, p_at, p_revision, v_rows);
    return v_rows;
end
$$;
comment on function ladder.snapshot_take(bigint, timestamptz, bigint, integer) is 'Takes the snapshot of a board at a midnight, once; returns its rows.';

-- snapshot_expire: drops the months of snapshots that are older than so many days. With its owner's rights, as partition_drop.
create or replace function ladder.snapshot_expire(p_days integer)
    returns integer
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '2s'
    set timezone = 'UTC'
as $$
declare
    v_name text;
    v_dropped integer := 0;
begin
    for v_name in
        select c.relname
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'ladder.standing_snapshot'::regclass
          and c.relname ~ '^standing_snapshot_[0-9]{6}$'
          and to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month' < current_date - p_days
        order by c.relname
    loop
        execute format('drop table ladder.%I', v_name);
        v_dropped := v_dropped + 1;
    end loop;
    delete from ladder.snapshot_run r
    where r.at < current_date - p_days
      and exists (select from ladder.snapshot_run q where q.board_id = r.board_id and q.at > r.at);
    return v_dropped;
end
$$;
comment on function ladder.snapshot_expire(integer) is 'Drops old months of snapshots; returns how many.';
