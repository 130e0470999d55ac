-- player_gather: brings ladder.player_rollup up to date, piece by piece, before the view player_total is refreshed from it
-- (docs/decisions/0040).
--
--     entry_all    --(a standing at a time)------------------> pg_temp.player_rank --+
--     tally_player --(some 100,000 rows at a time, by player)-------------------------+--> player_rollup, where it changed
--
-- A transaction is a piece, with its share of sleep, or several that are short: no snapshot is kept for longer than that takes. So every
-- rank is exact of the moment its standing was read, every sum of the moment its player was, all of them after gathered_at.

-- player_gather_ranks: the ranks of one standing of all time, into the best that its game's players have so far.
create or replace function ladder.player_gather_ranks(p_period bigint)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
declare
    v_game bigint := (select b.game_id from ladder.period p join ladder.board b on b.id = p.board_id where p.id = p_period);
begin
    insert into pg_temp.player_rank (game_id, player, best_rank)
    select v_game, x.player, x.rank
    from (select e.player, row_number() over (order by e.k1, e.k2, e.k3, e.player rows unbounded preceding) as rank
          from ladder.entry_all e
          where e.period_id = p_period
            and not e.removed) x
    left join pg_temp.player_rank r on r.game_id = v_game and r.player = x.player
    where (r.player is null or x.rank < r.best_rank)
      and case when x.rank % 1024 = 0 then ladder.refresh_pause() else true end
    on conflict (game_id, player) do update set best_rank = excluded.best_rank;
end
$$;
comment on function ladder.player_gather_ranks(bigint) is 'Ranks of one standing, into the best ranks of its game''s players.';

-- player_gather_sums: the next players of a game, in the order of their ids: what each did on its boards, and his best rank. Returns the
-- last one; null: there are no more.
create or replace function ladder.player_gather_sums(p_game bigint, p_after text)
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
declare
    v_boards constant bigint[] := array(select b.id from ladder.board b where b.game_id = p_game and b.deleted_at is null);
    v_step constant bigint := greatest(10, 100000 / greatest(1, cardinality(v_boards))); -- rows of each board, at most
    v_last text := (select min(x.player)
                    from unnest(v_boards) b (id)
                    cross join lateral (select t.player
                                        from ladder.tally_player t
                                        where t.board_id = b.id
                                          and t.player > p_after
                                        order by t.player
                                        offset v_step - 1
                                        limit 1) x);
begin
    with seen as materialized (
        select t.player, count(*) as boards, sum(t.submissions) as submissions, sum(t.changes) as improvements,
               min(t.first_at) as first_at, max(t.last_at) as last_at
        from ladder.tally_player t
        where t.board_id = any (v_boards)
          and t.player > p_after
          and (v_last is null or t.player <= v_last)
        group by t.player
    ),
    gone as (
        delete from ladder.player_rollup q
        where q.game_id = p_game
          and q.player > p_after
          and (v_last is null or q.player <= v_last)
          and not exists (select from seen s where s.player = q.player)
    )
    insert into ladder.player_rollup as q (game_id, player, boards, submissions, improvements, first_at, last_at, best_rank)
    select p_game, s.player, s.boards, s.submissions, s.improvements, s.first_at, s.last_at, r.best_rank
    from seen s
    left join pg_temp.player_rank r on r.game_id = p_game and r.player = s.player and r.player > p_after and (v_last is null or r.player <= v_last)
    order by s.player
    on conflict (game_id, player) do update
        set boards = excluded.boards, submissions = excluded.submissions, improvements = excluded.improvements,
            first_at = excluded.first_at, last_at = excluded.last_at, best_rank = excluded.best_rank
        where (q.boards, q.submissions, q.improvements, q.first_at, q.last_at, q.best_rank)
              is distinct from (excluded.boards, excluded.submissions, excluded.improvements, excluded.first_at, excluded.last_at, excluded.best_rank);
    return v_last;
end
$$;
comment on function ladder.player_gather_sums(bigint, text) is 'What the next players of a game did, into the rollup; returns the last of them, or null at the end.';

-- player_gather_culprit: the board of a game whose sums can't be read; the first one, if none raises an error by itself.
create or replace function ladder.player_gather_culprit(p_game bigint)
    returns bigint
    language plpgsql
    set search_path = pg_catalog
as $$
declare
    v_board bigint;
    v_first bigint;
begin
    for v_board in select b.id from ladder.board b where b.game_id = p_game and b.deleted_at is null order by b.id loop
        v_first := coalesce(v_first, v_board);
        begin
            perform count(t) from ladder.tally_player t where t.board_id = v_board;
        exception when others then
            return v_board;
        end;
    end loop;
    return v_first;
end
$$;
comment on function ladder.player_gather_culprit(bigint) is 'Which board makes the gathering of a game fail.';

-- player_gather: a game of which a board raises an error keeps the rollup that it has; ladder.refresh_aside says up to when that is exact.
create or replace procedure ladder.player_gather()
    language plpgsql
as $$
declare
    c_short constant interval := '0.1 s';
    v_source bigint := ladder.refresh_seen('player_total');
    v_at timestamptz := (select least(c.at, (select min(a.at) from ladder.tally_aside a)) from ladder.tally_cursor c);
    v_period bigint;
    v_game bigint;
    v_board bigint;
    v_player text;
    v_error text;
    v_waiting bigint[] := array(select b.game_id
                                from ladder.refresh_aside a
                                join ladder.board b on b.id = a.board_id
                                where a.view = 'player_total' and ladder.job_waits('refresh', a.board_id));
    v_out bigint[] := v_waiting; -- games that are left out
    v_failed bigint[] := '{}';   -- boards
begin
    if pg_catalog.to_regclass('pg_temp.player_rank') is not null then
        drop table pg_temp.player_rank;
    end if;
    create temporary table player_rank (game_id bigint, player text collate "C", best_rank bigint, primary key (game_id, player));
    commit;
    for v_period, v_game, v_board in
        select p.id, b.game_id, b.id
        from ladder.period p
        join ladder.board b on b.id = p.board_id
        where p.window_kind = 'all' and p.facet = '' and b.deleted_at is null
        order by p.id
    loop
        continue when v_game = any (v_out);
        perform ladder.refresh_pause();
        begin
            perform ladder.player_gather_ranks(v_period);
        exception when others then
            if ladder.submit_is_passing(sqlstate) then
                raise;
            end if;
            perform ladder.refresh_set_aside('player_total', v_board, sqlerrm);
            v_out := v_out || v_game;
            v_failed := v_failed || v_board;
        end;
        perform ladder.refresh_pause();
        if clock_timestamp() - now() > c_short then
            commit;
        end if;
    end loop;
    for v_game in select g.id from ladder.game g order by g.id loop
        continue when v_game = any (v_out);
        v_player := '';
        while v_player is not null loop
            perform ladder.refresh_pause();
            begin
                v_player := ladder.player_gather_sums(v_game, v_player);
            exception when others then
                if ladder.submit_is_passing(sqlstate) then
                    raise;
                end if;
                v_error := sqlerrm;
                v_board := ladder.player_gather_culprit(v_game);
                perform ladder.refresh_set_aside('player_total', v_board, v_error);
                v_failed := v_failed || v_board;
                v_player := null;
            end;
            perform ladder.refresh_pause();
            if clock_timestamp() - now() > c_short then
                commit;
            end if;
        end loop;
    end loop;
    drop table pg_temp.player_rank;
    with over as (
        update ladder.refresh_aside a
        set is_over = true
        from ladder.board b
        where b.id = a.board_id
          and a.view = 'player_total'
          and a.board_id <> all (v_failed)
          and b.game_id <> all (v_waiting)
        returning a.board_id
    )
    delete from ladder.job_item j
    using over o
    where j.job = 'refresh'
      and j.item_id = o.board_id
      and not exists (select from ladder.refresh_aside a where a.board_id = j.item_id and a.view <> 'player_total');
    update ladder.refresh_state r set gathered_v = v_source, gathered_at = v_at where r.view = 'player_total';
    commit;
end
$$;
comment on procedure ladder.player_gather() is 'Brings player_rollup up to date, in transactions of its own.';
