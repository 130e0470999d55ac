-- Reading the materialized views so that the answer is of this moment: what the view has, but for what changed since its refresh, which
-- is read from what the view is made of; and the events that this lacks.
--
--     daily_activity   the view, but for days of tally_day that a later fold changed, and boards that it lacks; and the events behind the cursor
--     hall_of_fame     the view, but for periods that closed, were opened again, or lost a player since, and boards that it lacks
--     player_total     as it is, with its own as_of: the best place over all boards is nothing that a tail could bring up to date
--
-- Which boards a view lacks (ladder.refresh_aside) is written by the transaction that refreshes it, too.
--
-- A view and its row in refresh_state are written by one transaction, and all functions here are stable: so both are of the one
-- snapshot of the statement that calls them, on a standby too. A view that was never filled must not be read: then all comes from the other side.

create or replace function ladder.view_is_filled(p_view text)
    returns boolean
    language plpgsql
    stable
    set search_path = pg_catalog
as $$
begin
    return coalesce((select c.relispopulated from pg_class c where c.relnamespace = 'ladder'::regnamespace and c.relname = p_view), false);
end
$$;
comment on function ladder.view_is_filled(text) is 'May the view be read?';

-- submissions_behind: the submissions that a cursor lacks, of some boards (null: all boards) and of a player (null: all players). The index on the
-- transaction id is scanned, because there are few such submissions. The query is planned at each call, so that only partitions of the last hours are
-- opened. It has a function of its own so that the callers' plans can be kept.
create or replace function ladder.submissions_behind(c ladder.tally_cursor, p_boards bigint[], p_player text)
    returns table (board_id bigint, player text, achieved_at timestamptz, is_improvement boolean)
    language plpgsql
    stable
    rows 200
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set enable_seqscan = off
    set enable_bitmapscan = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
#variable_conflict use_column
declare
    v_since constant timestamptz := c.at - interval '1 hour';
    v_until constant timestamptz := greatest(c.at, now()) + interval '1 hour';
    v_xip constant xid8[] := array(select pg_snapshot_xip(c.snapshot));
    v_xmax constant xid8 := pg_snapshot_xmax(c.snapshot);
begin
    return query
    select e.board_id, e.player, e.achieved_at, e.is_improvement
    from (select v.board_id, v.player, v.achieved_at, v.period_ids is not null as is_improvement
          from ladder.score_event v
          where v.submitted_at >= v_since
            and v.submitted_at < v_until
            and v.xid >= v_xmax
            and v.kind = 'submit'
          order by v.xid, v.board_id
          offset 0) e
    where (p_boards is null or e.board_id = any (p_boards))
      and (p_player is null or e.player = p_player collate "C");
    if v_xip <> '{}' then
        return query
        select v.board_id, v.player, v.achieved_at, v.period_ids is not null
        from ladder.score_event v
        where (p_boards is null or v.board_id + 0 = any (p_boards))
          and (p_player is null or v.player = p_player collate "C")
          and v.submitted_at >= v_since
          and v.submitted_at < v_until
          and v.xid = any (v_xip)
          and v.kind = 'submit';
    end if;
end
$$;
comment on function ladder.submissions_behind(ladder.tally_cursor, bigint[], text) is 'The submissions that a cursor lacks.';

-- game_rest_of: what tally_day lacks of some boards yet, as tally_rest has it of one. Who was last seen in an earlier bucket is new in this
-- one; only for submissions that speak of an earlier one than his last are the events asked.
create or replace function ladder.game_rest_of(p_boards bigint[], p_bucket text, c ladder.tally_cursor)
    returns table (board_id bigint, starts_on date, submissions bigint, improvements bigint, players bigint, newcomers bigint)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set enable_seqscan = off
    set enable_bitmapscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
#variable_conflict use_column
declare
    v_xip constant xid8[] := array(select pg_snapshot_xip(c.snapshot));
    v_xmax constant xid8 := pg_snapshot_xmax(c.snapshot);
    v_length constant interval := ('1 ' || p_bucket)::interval;
begin
    return query
    with seen as materialized (
        select x.*, row_number() over (partition by x.board_id, x.player order by x.starts_on) as nth
        from (select e.board_id, e.player collate "C" as player, b.time_zone,
                     date_trunc(p_bucket, ladder.local_time(e.achieved_at, b.time_zone))::date as starts_on,
                     count(*) as submissions, count(*) filter (where e.is_improvement) as improvements
              from ladder.submissions_behind(c, p_boards, null) e
              join ladder.board b on b.id = e.board_id
              group by 1, 2, 3, 4) x
    )
    select x.board_id, x.starts_on, sum(x.submissions)::bigint, sum(x.improvements)::bigint, count(*) filter (where x.is_first),
           count(*) filter (where x.is_new and x.nth = 1)
    from (select s.*, t.player is null as is_new,
                 case when t.player is null or s.starts_on > l.starts_on then true
                      when s.starts_on = l.starts_on then false
                      else not ladder.tally_saw(s.board_id, s.player, s.time_zone, s.starts_on, (s.starts_on + v_length)::date - 1, v_xip, v_xmax) end as is_first
          from seen s
          left join ladder.tally_player t on t.board_id = s.board_id and t.player = s.player
          left join lateral (select date_trunc(p_bucket, ladder.local_time(t.last_at, s.time_zone))::date as starts_on) l on true) x
    group by x.board_id, x.starts_on;
end
$$;
comment on function ladder.game_rest_of(bigint[], text, ladder.tally_cursor) is 'What was submitted to some boards since a cursor, by day, week or month.';

create or replace function ladder.game_rest(p_boards bigint[], p_bucket text)
    returns table (board_id bigint, starts_on date, submissions bigint, improvements bigint, players bigint, newcomers bigint)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    v_aside constant bigint[] := array(select a.board_id from ladder.tally_aside a where a.board_id = any (p_boards));
begin
    return query
    select r.*
    from ladder.game_rest_of(array(select x from unnest(p_boards) x where x <> all (v_aside)), p_bucket, (select t from ladder.tally_cursor t)) r
    union all
    select r.*
    from unnest(v_aside) x
    cross join lateral ladder.game_rest_of(array[x], p_bucket, ladder.tally_cursor_of(x)) r;
end
$$;
comment on function ladder.game_rest(bigint[], text) is 'What was submitted to some boards since their cursors, by day, week or month.';

-- activity_shown: what the view has of a game between two dates, but of no more than the newest p_buckets buckets.
create or replace function ladder.activity_shown(p_game bigint, p_boards bigint[], p_bucket text, p_from date, p_to date, p_buckets integer)
    returns table (board_id bigint, starts_on date, submissions bigint, improvements bigint, players bigint, newcomers bigint)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set enable_seqscan = off
    set enable_bitmapscan = off
    set jit = off
as $$
#variable_conflict use_column
declare
    v_from date := p_from;
begin
    if not ladder.view_is_filled('daily_activity') then
        return;
    end if;
    with recursive bucket as (
        select 1 as nth, (select v.starts_on
                          from ladder.daily_activity v
                          where v.game_id = p_game and v.bucket = p_bucket and v.starts_on <= p_to and v.board_id = any (p_boards)
                          order by v.starts_on desc
                          limit 1) as starts_on
        union all
        select b.nth + 1, (select v.starts_on
                           from ladder.daily_activity v
                           where v.game_id = p_game and v.bucket = p_bucket and v.starts_on < b.starts_on and v.board_id = any (p_boards)
                           order by v.starts_on desc
                           limit 1)
        from bucket b
        where b.nth < p_buckets
          and b.starts_on >= p_from
    )
    select greatest(p_from, min(b.starts_on)) into v_from from bucket b having count(b.starts_on) = p_buckets;
    return query
    select v.board_id, v.starts_on, v.submissions, v.improvements, v.players, v.newcomers
    from ladder.daily_activity v
    where v.game_id = p_game
      and v.bucket = p_bucket
      and v.starts_on >= coalesce(v_from, p_from)
      and v.starts_on <= p_to
      and v.board_id = any (p_boards);
end
$$;
comment on function ladder.activity_shown(bigint, bigint[], text, date, date, integer) is 'What daily_activity has of a game, the newest buckets.';

-- game_activity: what was submitted to the boards of a game (p_board null: to all of them), by day, week or month: the newest p_buckets of them
-- from p_from to p_to, and no more than c_rows rows after the first bucket. Of the bucket behind them, one row says that there is one.
create or replace function ladder.game_activity(p_game bigint, p_board text, p_bucket text, p_from date, p_to date, p_buckets integer)
    returns table (starts_on date, board text, submissions bigint, improvements bigint, players bigint, newcomers bigint, is_behind boolean)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set jit = off
as $$
#variable_conflict use_column
declare
    c_rows constant integer := 10000;
    v_length constant interval := ('1 ' || p_bucket)::interval;
    v_boards constant bigint[] := array(select b.id
                                        from ladder.board b
                                        where b.game_id = p_game
                                          and b.deleted_at is null
                                          and (p_board is null or b.name = p_board));
    v_done bigint := coalesce((select r.done_v from ladder.refresh_state r where r.view = 'daily_activity'), 0);
    v_aside constant bigint[] := array(select a.board_id from ladder.refresh_aside a where a.view = 'daily_activity' and a.board_id = any (v_boards));
begin
    if v_done = 0 or not ladder.view_is_filled('daily_activity') then
        v_done := -1; -- every day
    end if;
    return query
    with changed as materialized (
        select x.board_id, date_trunc(p_bucket, x.day)::date as starts_on
        from (select t.board_id, t.day
              from ladder.tally_day t
              where t.board_id = any (v_boards)
                and t.changed_v > v_done
              union all
              select t.board_id, t.day
              from ladder.tally_day t
              where t.board_id = any (v_aside)) x
        where date_trunc(p_bucket, x.day) between p_from and p_to
        group by 1, 2
    ),
    present as (
        select v.*
        from ladder.activity_shown(p_game, v_boards, p_bucket, p_from, p_to, p_buckets + 1) v
        where not exists (select from changed c where c.board_id = v.board_id and c.starts_on = v.starts_on)
        union all
        select c.board_id, c.starts_on, sum(t.submissions), sum(t.changes),
               sum(case p_bucket when 'day' then t.players when 'week' then t.players_of_week else t.players_of_month end), sum(t.newcomers)
        from changed c
        join ladder.tally_day t on t.board_id = c.board_id and t.day >= c.starts_on and t.day < c.starts_on + v_length
        group by c.board_id, c.starts_on
        union all
        select r.*
        from ladder.game_rest(v_boards, p_bucket) r
        where r.starts_on between p_from and p_to
    ),
    summed as (
        select p.starts_on, b.name as board, sum(p.submissions)::bigint as submissions, sum(p.improvements)::bigint as improvements,
               sum(p.players)::bigint as players, sum(p.newcomers)::bigint as newcomers
        from present p
        join ladder.board b on b.id = p.board_id
        group by p.starts_on, b.name
    ),
    placed as (
        select s.*, dense_rank() over (order by s.starts_on desc) as nth, count(*) over (order by s.starts_on desc) as so_far,
               row_number() over (partition by s.starts_on order by s.board) as place
        from summed s
    ),
    judged as (
        select q.*, q.nth > 1 and (q.nth > p_buckets or q.so_far > c_rows) as is_behind from placed q
    )
    select j.starts_on, j.board, j.submissions, j.improvements, j.players, j.newcomers, j.is_behind
    from judged j
    where not j.is_behind
       or j.place = 1 and j.nth = (select min(k.nth) from judged k where k.is_behind)
    order by j.starts_on desc, j.board;
end
$$;
comment on function ladder.game_activity(bigint, text, text, date, date, integer) is 'What was submitted to the boards of a game, by day, week or month.';

-- fame_changed: closed periods of a game that hall_of_fame lacks, or shows otherwise than they are. A transaction that closed a period or
-- erased a player may have begun before the refresh and ended after it: hence the hour.
create or replace function ladder.fame_changed(p_game bigint)
    returns setof bigint
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set jit = off
as $$
declare
    v_is_filled constant boolean := ladder.view_is_filled('hall_of_fame');
    v_since constant timestamptz := case when v_is_filled
                                         then coalesce((select r.refreshed_at - interval '1 hour' from ladder.refresh_state r where r.view = 'hall_of_fame'), '-infinity')
                                         else '-infinity' end;
    v_aside constant bigint[] := array(select a.board_id
                                       from ladder.refresh_aside a
                                       join ladder.board b on b.id = a.board_id
                                       where a.view = 'hall_of_fame' and b.game_id = p_game);
    v_found bigint[];
begin
    v_found := array(select p.id
                     from (select q.id from ladder.period q where q.closed_at >= v_since
                           union
                           select g.period_id from ladder.final_gap g where g.at >= v_since
                           union
                           select q.id from ladder.period q where q.board_id = any (v_aside)) x
                     join ladder.period p on p.id = x.id
                     join ladder.board b on b.id = p.board_id
                     where b.game_id = p_game
                       and b.deleted_at is null
                       and p.facet = ''
                       and p.state = 'closed'
                       and p.final_count > 0
                       and (p.window_kind <> 'hourly' or p.ends_at > now() - interval '7 days'));
    if not v_is_filled or v_found = '{}' then
        return query select unnest(v_found);
        return;
    end if;
    return query
    select p.id
    from ladder.period p
    where p.id = any (v_found)
      and not exists (select
                      from ladder.hall_of_fame v
                      where v.period_id = p.id
                        and v.rank = 1
                        and v.closed_at = p.closed_at
                        and v.gaps = (select count(*) from ladder.final_gap g where g.period_id = p.id));
end
$$;
comment on function ladder.fame_changed(bigint) is 'Closed periods that hall_of_fame does not show as they are.';

-- fame_shown: periods in hall_of_fame, the newest first, before a place in that order. p_schedule: the name of one, which may be another
-- window on each board.
drop function if exists ladder.fame_shown(bigint, text, ladder.window_kind, text, integer, timestamptz, bigint, integer, bigint[]);
create or replace function ladder.fame_shown(p_game bigint, p_board text, p_window ladder.window_kind, p_player text, p_top integer,
                                             p_before timestamptz, p_before_id bigint, p_limit integer, p_without bigint[], p_schedule text)
    returns table (period_id bigint, ends_at timestamptz)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set enable_seqscan = off
    set enable_bitmapscan = off
    set jit = off
as $$
#variable_conflict use_column
begin
    if not ladder.view_is_filled('hall_of_fame') then
        return;
    end if;
    return query
    select v.period_id, v.ends_at
    from ladder.hall_of_fame v
    where v.game_id = p_game
      and (v.ends_at, v.period_id) < (p_before, p_before_id)
      and case when p_player is null then v.rank = 1 else v.rank <= p_top end
      and (p_player is not null or v.rank = 1)
      and (p_player is null or v.player = p_player collate "C")
      and (p_board is null or v.board = p_board)
      and (p_window is null or v.window_kind = p_window)
      and (v.window_kind <> 'hourly' or v.ends_at > now() - interval '7 days')
      and v.period_id <> all (p_without)
      and exists (select
                  from ladder.period p
                  join ladder.board b on b.id = p.board_id
                  where p.id = v.period_id and p.state = 'closed' and b.deleted_at is null
                    and (p_schedule is null or v.window_kind = ladder.window_named(p_schedule, b.schedules)))
    order by v.ends_at desc, v.period_id desc
    limit p_limit;
end
$$;
comment on function ladder.fame_shown(bigint, text, ladder.window_kind, text, integer, timestamptz, bigint, integer, bigint[], text)
    is 'Periods that hall_of_fame has.';

-- fame: who won the closed periods of a game: the first p_top of each, the newest period first, before a place in that order. With a player:
-- his places alone.
drop function if exists ladder.fame(bigint, text, ladder.window_kind, text, integer, timestamptz, bigint, integer);
create or replace function ladder.fame(p_game bigint, p_board text, p_window ladder.window_kind, p_player text, p_top integer,
                                       p_before timestamptz, p_before_id bigint, p_limit integer, p_schedule text default null)
    returns table (period_id bigint, board text, window_kind ladder.window_kind, starts_at timestamptz, ends_at timestamptz, rank bigint,
                   player text, score bigint, subscore bigint, achieved_at timestamptz)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set jit = off
as $$
#variable_conflict use_column
declare
    c_first constant bigint := -9223372036854775808;
    v_changed constant bigint[] := array(select ladder.fame_changed(p_game));
    v_shown bigint[];
    v_live bigint[] := '{}';
    v_period record;
begin
    v_shown := array(select s.period_id
                     from ladder.fame_shown(p_game, p_board, p_window, p_player, p_top, p_before, p_before_id, p_limit, v_changed, p_schedule) s);
    if v_changed <> '{}' then
        v_live := array(select p.id
                        from ladder.period p
                        join ladder.board b on b.id = p.board_id
                        where p.id = any (v_changed)
                          and (p.ends_at, p.id) < (p_before, p_before_id)
                          and (p_board is null or b.name = p_board)
                          and (p_window is null or p.window_kind = p_window)
                          and (p_schedule is null or p.window_kind = ladder.window_named(p_schedule, b.schedules))
                          and (p_player is null or ladder.final_rank_of(p.id, p_player) <= p_top)
                        order by p.ends_at desc, p.id desc
                        limit p_limit);
    end if;
    for v_period in
        select p.id, p.window_kind, p.starts_at, p.ends_at, b.name, b.ordering = 'desc' as is_desc, b.tie = 'last' as is_last, p.id = any (v_live) as is_live
        from ladder.period p
        join ladder.board b on b.id = p.board_id
        where p.id = any (v_shown || v_live)
        order by p.ends_at desc, p.id desc
        limit p_limit
    loop
        if v_period.is_live then
            return query
            select v_period.id, v_period.name, v_period.window_kind, v_period.starts_at, v_period.ends_at, x.nth, x.player,
                   case when v_period.is_desc then ~x.k1 else x.k1 end, case when v_period.is_desc then ~x.k2 else x.k2 end,
                   ladder.time_of(case when v_period.is_last then ~x.k3 else x.k3 end)
            from ladder.entry_page(v_period.window_kind, v_period.starts_at, v_period.id, c_first, c_first, c_first, '', 0, p_top)
                 with ordinality as x (player, k1, k2, k3, metadata, nth)
            where p_player is null or x.player = p_player collate "C"
            order by x.nth;
        else
            return query
            select v.period_id, v.board, v.window_kind, v.starts_at, v.ends_at, v.rank, v.player, v.score, v.subscore, v.achieved_at
            from ladder.hall_of_fame v
            where v.period_id = v_period.id
              and v.rank <= p_top
              and (p_player is null or v.player = p_player collate "C")
            order by v.rank;
        end if;
    end loop;
end
$$;
comment on function ladder.fame(bigint, text, ladder.window_kind, text, integer, timestamptz, bigint, integer, text) is 'Who won the closed periods of a game.';

-- player_rest: what a player submitted to a board since its cursor.
create or replace function ladder.player_rest(p_board bigint, p_player text)
    returns table (is_change boolean, achieved_at timestamptz)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
declare
    c constant ladder.tally_cursor := ladder.tally_cursor_of(p_board);
    v_since constant timestamptz := c.at - interval '1 hour';
    v_xip constant xid8[] := array(select pg_snapshot_xip(c.snapshot));
    v_xmax constant xid8 := pg_snapshot_xmax(c.snapshot);
begin
    return query
    select v.period_ids is not null, v.achieved_at
    from ladder.score_event v
    where v.board_id = p_board
      and v.player = p_player collate "C"
      and v.kind = 'submit'
      and v.submitted_at >= v_since
      and (v.xid = any (v_xip) or v.xid >= v_xmax);
end
$$;
comment on function ladder.player_rest(bigint, text) is 'What a player submitted to a board since its cursor.';

-- player_activity: what a player did on the boards of a game.
create or replace function ladder.player_activity(p_game bigint, p_player text,
                                                  out boards bigint, out submissions bigint, out improvements bigint,
                                                  out first_at timestamptz, out last_at timestamptz)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set enable_seqscan = off
    set enable_bitmapscan = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
#variable_conflict use_column
declare
    c constant ladder.tally_cursor := (select t from ladder.tally_cursor t);
    v_aside constant bigint[] := array(select a.board_id from ladder.tally_aside a join ladder.board b on b.id = a.board_id where b.game_id = p_game);
begin
    select count(distinct x.board_id), coalesce(sum(x.submissions), 0), coalesce(sum(x.changes), 0), min(x.first_at), max(x.last_at)
    into boards, submissions, improvements, first_at, last_at
    from (select t.board_id, t.submissions, t.changes, t.first_at, t.last_at
          from ladder.tally_player t
          where t.player = p_player collate "C"
          union all
          select e.board_id, 1, e.is_improvement::integer, e.achieved_at, e.achieved_at
          from ladder.submissions_behind(c, null, p_player) e
          where e.board_id <> all (v_aside)
          union all
          select a.id, 1, r.is_change::integer, r.achieved_at, r.achieved_at
          from unnest(v_aside) a (id)
          cross join lateral ladder.player_rest(a.id, p_player) r) x
    join ladder.board b on b.id = x.board_id
    where b.game_id = p_game
      and b.deleted_at is null;
end
$$;
comment on function ladder.player_activity(bigint, text) is 'What a player did on the boards of a game.';

-- player_medals: how often a player was first, second, third and among the ten in the closed periods of a game, by window.
drop function if exists ladder.player_medals(bigint, text);
create or replace function ladder.player_medals(p_game bigint, p_player text)
    returns table (window_kind text, best_rank bigint, firsts bigint, seconds bigint, thirds bigint, tens bigint)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set enable_seqscan = off
    set enable_bitmapscan = off
    set jit = off
as $$
#variable_conflict use_column
declare
    c_tens constant integer := 10;
    v_changed constant bigint[] := array(select ladder.fame_changed(p_game));
    v_titles text[] := '{}';
    v_ranks bigint[] := '{}';
begin
    if ladder.view_is_filled('hall_of_fame') then
        select coalesce(array_agg(ladder.window_title(v.window_kind, b.schedules) order by v.period_id), '{}'), coalesce(array_agg(v.rank order by v.period_id), '{}')
        into v_titles, v_ranks
        from ladder.hall_of_fame v
        join ladder.period p on p.id = v.period_id
        join ladder.board b on b.id = p.board_id
        where v.game_id = p_game
          and v.player = p_player collate "C"
          and v.period_id <> all (v_changed)
          and (v.window_kind <> 'hourly' or v.ends_at > now() - interval '7 days')
          and p.state = 'closed'
          and b.deleted_at is null;
    end if;
    return query
    select x.title, min(x.rank), count(*) filter (where x.rank = 1), count(*) filter (where x.rank = 2),
           count(*) filter (where x.rank = 3), count(*)
    from (select * from unnest(v_titles, v_ranks) as s (title, rank)
          union all
          select ladder.window_title(p.window_kind, b.schedules), r.rank
          from ladder.period p
          join ladder.board b on b.id = p.board_id
          cross join lateral (select ladder.final_rank_of(p.id, p_player) as rank) r
          where p.id = any (v_changed)
            and r.rank <= c_tens) x
    group by x.title
    order by array_position('{monthly,weekly,daily,hourly}'::text[], x.title), x.title;
end
$$;
comment on function ladder.player_medals(bigint, text) is 'How often a player was among the first in the closed periods of a game.';

-- player_best: the best place of a player in the game's standings of all time, as of the last refresh. Nothing, where the view speaks of
-- somebody who was erased since, even if the id has come back (p_first_at: his first submission, as it is now).
create or replace function ladder.player_best(p_game bigint, p_player text, p_first_at timestamptz, out best_rank bigint, out as_of timestamptz)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set enable_seqscan = off
    set enable_bitmapscan = off
    set jit = off
as $$
begin
    if not ladder.view_is_filled('player_total') then
        return;
    end if;
    select t.best_rank, least(r.as_of, a.as_of)
    into best_rank, as_of
    from ladder.refresh_state r
    left join (select min(coalesce(q.as_of, '-infinity')) as as_of
               from ladder.refresh_aside q
               join ladder.board b on b.id = q.board_id
               where q.view = 'player_total' and b.game_id = p_game) a on true
    left join ladder.player_total t on t.game_id = p_game and t.player = p_player collate "C" and t.first_at = p_first_at
    where r.view = 'player_total';
    if as_of = '-infinity' then -- the game was never gathered
        best_rank := null;
        as_of := null;
    end if;
end
$$;
comment on function ladder.player_best(bigint, text, timestamptz) is 'The best place of a player in standings of all time, as of the last refresh.';

-- read_as_of: up to when what is read now is told: on a standby, as far as it has come.
create or replace function ladder.read_as_of()
    returns bigint
    language sql
    stable
as $$
    select ladder.us_of(case when pg_is_in_recovery() then pg_last_xact_replay_timestamp() else now() end)
$$;
comment on function ladder.read_as_of() is 'Up to when what is read is told, in microseconds since 1970.';
