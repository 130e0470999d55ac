-- tally_fold: adds what became visible since the cursor's snapshot, and moves the cursor. In a REPEATABLE READ transaction, by the
-- one runner who holds the lock of the job; see 70_tally.sql. If there is nothing new, nothing is written, except the cursor once a minute.
--
-- A backlog is added in pieces, one call and one commit each. A piece ends at a transaction id: of the caller's snapshot it has every
-- transaction below that id, and this, a snapshot too, is what the cursor then holds. So after each commit the tally is exact for its cursor,
-- whoever is killed in between.
--
--     cursor's snapshot        |<------- piece ------->|<---- left for the next call ---->|  caller's snapshot
--                              xmax                    cut
--
-- What reads entries, and not events, sees the caller's snapshot and not the piece's: standings are counted and rungs are made only in
-- the last piece, which has everything. Until then tally_due remembers the standings that grew.
--
-- Different players: who was last seen on an earlier day is new on this one. Only where submissions come that speak of a day before
-- the last (imports), the events are asked.
--
-- A board that makes the addition of a piece fail is found by adding boards by themselves, in halves, each in a subtransaction. It is set aside with the
-- cursor of before the piece, and tried again when ladder.job_item (job tally) says so, with what is behind its own cursor, in pieces too.
drop function if exists ladder.tally_fold(interval);
drop function if exists ladder.tally_events(timestamptz, xid8[], xid8, xid8);
drop function if exists ladder.tally_mend(bigint[], bigint[], ladder.tally_rung[]);

-- tally_cut: where a piece of at least p_limit events ends, if twice as many and more are behind the cursor: its first transaction id that is
-- not in, and when the last event that is in was submitted. Null: the rest is no more than a piece.
create or replace function ladder.tally_cut(p_since timestamptz, p_xmax xid8, p_limit integer,
                                            out cut xid8, out at timestamptz, out last_event bigint)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set enable_sort = off
    set enable_seqscan = off
    set enable_bitmapscan = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
#variable_conflict use_column
begin
    if not exists (select from ladder.score_event v
                   where v.submitted_at >= p_since and v.xid >= p_xmax order by v.xid offset 2 * p_limit limit 1) then
        return;
    end if;
    -- A whole transaction is in or not.
    select (v.xid::text::bigint + 1)::text::xid8, v.submitted_at, v.id
    into cut, at, last_event
    from ladder.score_event v
    where v.submitted_at >= p_since and v.xid >= p_xmax
    order by v.xid
    offset p_limit - 1
    limit 1;
end
$$;
comment on function ladder.tally_cut(timestamptz, xid8, integer) is 'Where the next piece of a backlog ends.';

-- tally_events: what a piece has; of some boards, or (null) of all.
create or replace function ladder.tally_events(p_since timestamptz, p_xip xid8[], p_xmax xid8, p_cut xid8, p_boards bigint[])
    returns setof ladder.score_event
    language plpgsql
    stable
    rows 10000
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set enable_sort = off
    set enable_seqscan = off
    set enable_bitmapscan = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
begin
    return query
    select v.*
    from ladder.score_event v
    where v.submitted_at >= p_since and v.xid >= p_xmax and v.xid < p_cut and (p_boards is null or v.board_id = any (p_boards))
    order by v.xid;
    if p_xip <> '{}' then
        return query
        select v.*
        from ladder.score_event v
        where v.submitted_at >= p_since and v.xid = any (p_xip) and (p_boards is null or v.board_id = any (p_boards));
    end if;
end
$$;
comment on function ladder.tally_events(timestamptz, xid8[], xid8, xid8, bigint[]) is 'The events behind a snapshot, below a transaction id.';

-- tally_is_behind: reads so many entries of an index and no more. Without a cursor that can be gone on from, nobody can be waited for.
create or replace function ladder.tally_is_behind(p_limit integer)
    returns boolean
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set enable_sort = off
    set enable_seqscan = off
    set enable_bitmapscan = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
declare
    c ladder.tally_cursor;
    v_since timestamptz;
    v_xmax xid8;
begin
    select * into c from ladder.tally_cursor t;
    if c.incarnation is distinct from ladder.tally_incarnation() then
        return false;
    end if;
    v_since := c.at - interval '1 hour';
    v_xmax := pg_snapshot_xmax(c.snapshot);
    return exists (select from ladder.score_event v where v.submitted_at >= v_since and v.xid >= v_xmax order by v.xid offset p_limit limit 1);
end
$$;
comment on function ladder.tally_is_behind(integer) is 'Are more events than so many behind the cursor?';

-- snapshot_below: what a snapshot sees of the transactions below an id.
create or replace function ladder.snapshot_below(p_snapshot pg_snapshot, p_cut xid8)
    returns pg_snapshot
    language sql
    immutable
    set search_path = pg_catalog
as $$
    select concat(coalesce(min(x.xip), p_cut), ':', p_cut, ':', string_agg(x.xip::text, ',' order by x.xip))::pg_snapshot
    from pg_snapshot_xip(p_snapshot) as x (xip)
    where x.xip < p_cut
$$;
comment on function ladder.snapshot_below(pg_snapshot, xid8) is 'The same snapshot, without the transactions from an id on.';

-- tally_of: filters standings by board: p_boards, or all boards if it is null, without those of p_without. Board 0 stands for standings whose period was
-- deleted. With p_boards, rows of ladder.period are found by their board: a row of another board, which may raise an error, is not read.
create or replace function ladder.tally_of(p_periods bigint[], p_boards bigint[], p_without bigint[])
    returns setof bigint
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
declare
    v_period bigint;
begin
    if p_boards is null then
        return query
        select x
        from unnest(p_periods) x
        left join ladder.period p on p.id = x
        where coalesce(p.board_id, 0) <> all (p_without);
        return;
    end if;
    return query
    select p.id
    from ladder.period p
    where p_periods <> '{}'
      and p.board_id = any (p_boards)
      and p.board_id <> all (p_without)
      and p.id = any (p_periods);
    if 0 = any (p_boards) and 0 <> all (p_without) then
        foreach v_period in array p_periods loop
            begin
                if not exists (select from ladder.period p where p.id = v_period) then
                    return next v_period;
                end if;
            exception when others then -- the row exists, and cannot be read
                if ladder.submit_is_passing(sqlstate) then
                    raise;
                end if;
            end;
        end loop;
    end if;
end
$$;
comment on function ladder.tally_of(bigint[], bigint[], bigint[]) is 'The standings among these that belong to these boards.';

-- tally_add: adds a piece, the events behind a cursor and below a transaction id: of some boards, or (null) of all but p_without. In the last piece,
-- standings that are due are counted.
create or replace function ladder.tally_add(c ladder.tally_cursor, p_cut xid8, p_is_last boolean, p_boards bigint[], p_without bigint[],
                                            out events bigint, out counted bigint,
                                            out days bigint[], out standings bigint[], out erased bigint[])
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
#variable_conflict use_column
declare
    v_xip constant xid8[] := array(select pg_snapshot_xip(c.snapshot));
    v_xmax constant xid8 := pg_snapshot_xmax(c.snapshot);
    v_since constant timestamptz := c.at - interval '1 hour'; -- a transaction may have begun, and stamped its events, well before it became visible
    v_recount bigint[] := '{}';
    v_number constant bigint := ladder.refresh_next(); -- of this fold
    s record;
begin
    counted := 0;
    if p_is_last then
        v_recount := array(select ladder.tally_of(array(select distinct r.period_id from ladder.tally_recount r), p_boards, p_without));
    end if;

    with event as materialized (
        select v.board_id, v.kind, v.player, v.submitted_at, v.achieved_at, v.score, v.period_ids, v.moves, v.facets
        from ladder.tally_events(v_since, v_xip, v_xmax, p_cut, p_boards) v
        where v.board_id <> all (p_without)
    ),
    known as materialized (
        select e.*, b.ordering, b.windows, b.time_zone, ladder.local_time(e.achieved_at, b.time_zone)::date as day
        from event e
        join ladder.board b on b.id = e.board_id and b.id = any (array(select distinct q.board_id from event q)) -- by its index, however many boards there are
    ),
    change as materialized (
        select e.kind, e.board_id, e.player, e.submitted_at, e.ordering, p.id as period_id, p.state, e.moves is null as is_unknown,
               e.moves[u.nth][1] as old_k1, e.moves[u.nth][2] as old_k2, e.moves[u.nth][3] as old_k3,
               e.moves[u.nth][4] as k1, e.moves[u.nth][5] as k2, e.moves[u.nth][6] as k3
        from known e
        cross join lateral unnest(e.period_ids) with ordinality as u (period_id, nth)
        join ladder.period p on p.id = u.period_id and (p_boards is null or p.board_id = any (p_boards))
    ),
    -- The standings.
    summed as (
        insert into ladder.tally as t (period_id, entries, total, squares)
        select x.period_id, count(x.score) - count(x.old_score),
               coalesce(sum(x.score), 0) - coalesce(sum(x.old_score), 0),
               coalesce(sum(x.score::numeric * x.score), 0) - coalesce(sum(x.old_score::numeric * x.old_score), 0)
        from (select h.period_id, case h.ordering when 'desc' then ~h.k1 else h.k1 end as score,
                     case h.ordering when 'desc' then ~h.old_k1 else h.old_k1 end as old_score
              from change h) x
        group by x.period_id
        order by x.period_id
        on conflict (period_id) do update
            set entries = t.entries + excluded.entries, total = t.total + excluded.total, squares = t.squares + excluded.squares
        returning t.period_id, t.entries
    ),
    stepped as (
        update ladder.tally_rung t
        set entries = t.entries + x.entries
        from (select r.period_id, r.k1, r.k2, r.k3, r.player, sum(m.sign) as entries
              from (select h.period_id, h.old_k1 as k1, h.old_k2 as k2, h.old_k3 as k3, h.player, -1 as sign from change h where h.old_k1 is not null
                    union all
                    select h.period_id, h.k1, h.k2, h.k3, h.player, 1 from change h where h.k1 is not null) m
              cross join lateral (
                  select q.*
                  from ladder.tally_rung q
                  where q.period_id = m.period_id
                    and (q.k1, q.k2, q.k3, q.player) <= (m.k1, m.k2, m.k3, m.player)
                  order by q.k1 desc, q.k2 desc, q.k3 desc, q.player desc
                  limit 1) r
              group by r.period_id, r.k1, r.k2, r.k3, r.player
              having sum(m.sign) <> 0) x
        where t.period_id = x.period_id and t.k1 = x.k1 and t.k2 = x.k2 and t.k3 = x.k3 and t.player = x.player
        returning t.period_id, t.k1, t.k2, t.k3, t.player, t.entries
    ),
    -- The clock.
    slotted as (
        insert into ladder.tally_slot as t (period_id, width_s, at, submissions, changes, arrivals, departures)
        select x.period_id, w.width_s, date_bin(w.width_s * interval '1 second', x.submitted_at, 'epoch'),
               sum(x.submissions), sum(x.changes), sum(x.arrivals), sum(x.departures)
        from (select p.id as period_id, e.submitted_at, 1 as submissions, 0 as changes, 0 as arrivals, 0 as departures
              from known e
              cross join lateral unnest(e.windows) k
              cross join lateral ladder.period_of(e.board_id, k, e.achieved_at) p
              where e.kind = 'submit' and p.state <> 'pause'
              union all
              select f.id, e.submitted_at, 1, 0, 0, 0
              from known e
              cross join lateral unnest(e.windows) k
              cross join lateral ladder.period_of(e.board_id, k, e.achieved_at) p
              cross join lateral ladder.period_of_facets(p.id, e.facets) f
              where e.kind = 'submit'
                and e.facets is not null
              union all
              select h.period_id, h.submitted_at, 0, (h.kind = 'submit')::integer, (h.old_k1 is null and h.k1 is not null)::integer,
                     (h.old_k1 is not null and h.k1 is null)::integer
              from change h) x
        cross join (values (1), (60), (3600)) w (width_s)
        group by 1, 2, 3
        order by 1, 2, 3
        on conflict (period_id, width_s, at) do update
            set submissions = t.submissions + excluded.submissions, changes = t.changes + excluded.changes,
                arrivals = t.arrivals + excluded.arrivals, departures = t.departures + excluded.departures
    ),
    -- The calendar.
    seen as materialized (
        select x.*, t.player is null as is_new, ladder.local_time(t.last_at, x.time_zone)::date as last_day,
               lag(x.day) over (partition by x.board_id, x.player order by x.day) as before
        from (select e.board_id, e.player collate "C" as player, e.time_zone, e.day, count(*) as submissions, count(e.period_ids) as changes,
                     min(e.achieved_at) as first_at, max(e.achieved_at) as last_at, sum(e.score) as score_total,
                     min(e.score) as score_min, max(e.score) as score_max
              from known e
              where e.kind = 'submit'
              group by 1, 2, 3, 4) x
        left join ladder.tally_player t on t.player = x.player and t.board_id = x.board_id
    ),
    flagged as (
        select x.*,
               case when x.is_new or x.day > x.last_day then true
                    when x.day = x.last_day then false
                    else not ladder.tally_saw(x.board_id, x.player, x.time_zone, x.day, x.day, v_xip, v_xmax) end as is_of_day,
               case when date_trunc('week', x.before) = date_trunc('week', x.day) then false
                    when x.is_new or date_trunc('week', x.day) > date_trunc('week', x.last_day) then true
                    when date_trunc('week', x.day) = date_trunc('week', x.last_day) then false
                    else not ladder.tally_saw(x.board_id, x.player, x.time_zone, date_trunc('week', x.day)::date,
                                              date_trunc('week', x.day)::date + 6, v_xip, v_xmax) end as is_of_week,
               case when date_trunc('month', x.before) = date_trunc('month', x.day) then false
                    when x.is_new or date_trunc('month', x.day) > date_trunc('month', x.last_day) then true
                    when date_trunc('month', x.day) = date_trunc('month', x.last_day) then false
                    else not ladder.tally_saw(x.board_id, x.player, x.time_zone, date_trunc('month', x.day)::date,
                                              (date_trunc('month', x.day) + interval '1 month')::date - 1, v_xip, v_xmax) end as is_of_month
        from seen x
    ),
    dated as (
        insert into ladder.tally_day as t (board_id, day, submissions, changes, players, players_of_week, players_of_month, newcomers,
                                           score_total, score_min, score_max, changed_v)
        select x.board_id, x.day, sum(x.submissions), sum(x.changes), count(*) filter (where x.is_of_day),
               count(*) filter (where x.is_of_week), count(*) filter (where x.is_of_month),
               count(*) filter (where x.is_new and x.before is null), sum(x.score_total), min(x.score_min), max(x.score_max), v_number
        from flagged x
        group by x.board_id, x.day
        order by x.board_id, x.day
        on conflict (board_id, day) do update
            set submissions = t.submissions + excluded.submissions, changes = t.changes + excluded.changes,
                players = t.players + excluded.players, players_of_week = t.players_of_week + excluded.players_of_week,
                players_of_month = t.players_of_month + excluded.players_of_month, newcomers = t.newcomers + excluded.newcomers,
                score_total = t.score_total + excluded.score_total, score_min = least(t.score_min, excluded.score_min),
                score_max = greatest(t.score_max, excluded.score_max), changed_v = excluded.changed_v
    ),
    played as (
        insert into ladder.tally_player as t (board_id, player, submissions, changes, first_at, last_at)
        select x.board_id, x.player, sum(x.submissions), sum(x.changes), min(x.first_at), max(x.last_at)
        from seen x
        group by x.board_id, x.player
        order by x.board_id, x.player
        on conflict (board_id, player) do update
            set submissions = t.submissions + excluded.submissions, changes = t.changes + excluded.changes,
                first_at = least(t.first_at, excluded.first_at), last_at = greatest(t.last_at, excluded.last_at)
    )
    select (select count(*) from event) as events,
           array(select distinct x.board_id from seen x) as day_boards,
           array(select distinct h.board_id from change h) as standing_boards,
           array(select distinct h.board_id from change h where h.state <> 'open' and h.kind = 'remove') as erased_boards,
           array(select distinct h.period_id from change h where h.is_unknown) as unknown,
           array(select t.period_id from summed t where ladder.tally_step(t.entries) is not null) as large,
           array(select row(t.period_id, t.k1, t.k2, t.k3, t.player, t.entries)::ladder.tally_rung from stepped t where t.entries > 4 * 500) as wide,
           array(select row(m.period_id, m.k1, m.k2, sum(m.sign))::ladder.tally_pair
                 from (select h.period_id, h.old_k1 as k1, h.old_k2 as k2, -1 as sign from change h where h.old_k1 is not null
                       union all
                       select h.period_id, h.k1, h.k2, 1 from change h where h.k1 is not null) m
                 where m.period_id in (select t.period_id from ladder.tally_pair t where t.k1 = -9223372036854775808 and t.k2 = -9223372036854775808)
                 group by m.period_id, m.k1, m.k2
                 having sum(m.sign) <> 0) as pairs
    into s;
    events := s.events;
    days := s.day_boards;
    standings := s.standing_boards;
    erased := s.erased_boards;

    -- Who was erased while his last events were being added came back into tally_player.
    if s.events > 0 then
        delete from ladder.tally_player t
        using (select distinct v.board_id, v.player
               from ladder.score_event v
               where v.kind = 'remove' and v.submitted_at >= v_since and (v.xid = any (v_xip) or v.xid >= v_xmax) and v.xid < p_cut
                 and (p_boards is null or v.board_id = any (p_boards)) and v.board_id <> all (p_without)) g
        where t.board_id = g.board_id
          and t.player = g.player
          and not exists (select from ladder.score_event v where v.board_id = g.board_id and v.player = g.player and v.kind = 'submit');
    end if;

    if cardinality(s.pairs) > 0 then
        perform ladder.tally_pair_add(s.pairs, p_is_last);
    end if;
    v_recount := v_recount || s.unknown;
    if p_is_last then
        counted := ladder.tally_mend(v_recount, s.large, s.wide, p_boards, p_without);
    else
        insert into ladder.tally_recount (period_id) select unnest(s.unknown);
        insert into ladder.tally_due (period_id) select unnest(s.large) on conflict do nothing;
    end if;
    standings := standings || array(select distinct p.board_id from ladder.period p where p.id = any (v_recount));
end
$$;
comment on function ladder.tally_add(ladder.tally_cursor, xid8, boolean, bigint[], bigint[])
    is 'Adds what is behind a cursor; returns how many events that were, how many standings were counted anew, and which boards changed.';

-- tally_closed: when the last period was closed, and which boards closed one since the last call. Where the row of such a period raises an error,
-- the mark stays until another one was closed after it: whoever reads the hall of fame finds meanwhile what the view lacks (fame_changed).
create or replace function ladder.tally_closed()
    returns bigint[]
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set enable_seqscan = off
    set jit = off
as $$
declare
    v_before constant text := (select r.mark from ladder.refresh_source r where r.view = 'hall_of_fame');
    v_last text;
    v_boards bigint[] := '{}';
begin
    v_last := coalesce((select p.closed_at::text from ladder.period p where p.closed_at is not null order by p.closed_at desc limit 1), '');
    if v_before <> v_last then
        v_boards := array(select distinct p.board_id
                          from ladder.period p
                          where p.closed_at > coalesce(nullif(v_before, '')::timestamptz, '-infinity'));
        update ladder.refresh_source r set mark = v_last where r.view = 'hall_of_fame';
    end if;
    return v_boards;
exception when others then
    if ladder.submit_is_passing(sqlstate) then
        raise;
    end if;
    return '{}';
end
$$;
comment on function ladder.tally_closed() is 'Which boards closed a period since the last call.';

create or replace function ladder.tally_fold(p_retention interval, p_limit integer default 10000,
                                             out events bigint, out counted bigint, out has_more boolean)
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
#variable_conflict use_column
declare
    v_snapshot constant pg_snapshot := pg_current_snapshot();
    v_xmax xid8;
    v_cut xid8 := '18446744073709551615'; -- of transactions below it the piece has all
    c ladder.tally_cursor;
    s record;
    v_again record;
    v_has_ended boolean := false;
    v_is_left boolean := false; -- of boards that were set aside
    v_piece record;
    v_aside constant bigint[] := array(select a.board_id from ladder.tally_aside a);
begin
    events := 0;
    counted := 0;
    has_more := false;
    select * into c from ladder.tally_cursor t;
    if c.incarnation is distinct from ladder.tally_incarnation() or c.at < now() - p_retention then
        counted := ladder.tally_start(v_snapshot);
        return;
    end if;
    v_xmax := pg_snapshot_xmax(c.snapshot);
    v_piece := ladder.tally_cut(c.at - interval '1 hour', v_xmax, p_limit);
    if v_piece.cut is not null then
        has_more := true;
        v_cut := v_piece.cut;
    end if;
    begin
        select x.* into s from ladder.tally_add(c, v_cut, not has_more, null, v_aside) x;
    exception when others then
        if ladder.submit_is_passing(sqlstate) then
            raise;
        end if;
        select x.* into s from ladder.tally_apart(c, v_cut, not has_more, v_aside) x;
    end;
    if not has_more then
        select x.* into v_again from ladder.tally_retry(p_retention, p_limit) x;
        v_has_ended := v_again.has_ended;
        v_is_left := v_again.has_more;
        s.counted := s.counted + v_again.counted;
        s.days := s.days || v_again.days;
        s.standings := s.standings || v_again.standings;
        s.erased := s.erased || v_again.erased;
        perform ladder.tally_pair_make();
    end if;
    events := s.events;
    counted := s.counted;

    -- Which boards the views show otherwise now.
    perform ladder.refresh_note(s.standings, s.days, s.erased || ladder.tally_closed());

    if events > 0 or counted > 0 or has_more or v_has_ended or c.at < now() - interval '1 minute'
       or v_aside <> '{}' and ladder.tally_is_behind(0) then -- events of those boards alone
        update ladder.tally_cursor t
        set snapshot = case when has_more then ladder.snapshot_below(v_snapshot, v_cut) else v_snapshot end,
            at = case when has_more then greatest(c.at, v_piece.at) else now() end,
            last_event = case when has_more then v_piece.last_event else (select q.last_value from ladder.score_event_id q) end;
        delete from ladder.tally_slot t where t.width_s = 1 and t.at < now() - interval '5 minutes';
        delete from ladder.tally_slot t where t.width_s = 60 and t.at < now() - interval '2 days';
    end if;
    has_more := has_more or v_is_left;
end
$$;
comment on function ladder.tally_fold(interval, integer)
    is 'Adds up the next piece of the events behind the cursor and moves it; returns how many events it had, how many standings were counted anew, and whether more are left.';

-- tally_mend: counts what can't be added up, gives a ladder to what grew large, and divides stretches that became too long. Only when
-- the tally is as of the caller's snapshot. Returns how many standings were counted.
create or replace function ladder.tally_mend(p_recount bigint[], p_large bigint[], p_wide ladder.tally_rung[], p_boards bigint[], p_without bigint[])
    returns bigint
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
declare
    v_due bigint[] := array(select ladder.tally_of(array(select d.period_id from ladder.tally_due d), p_boards, p_without));
    v_recount bigint[];
    v_rung record;
begin
    v_recount := array(select distinct x
                       from (select unnest(p_recount)
                             union all
                             select t.period_id
                             from ladder.tally t
                             where t.period_id = any (p_large || v_due)
                               and ladder.tally_step(t.entries) is not null
                               and not exists (select from ladder.tally_rung r where r.period_id = t.period_id)) q (x));
    perform ladder.tally_count(x) from unnest(v_recount) x;
    delete from ladder.tally_recount r where r.period_id = any (v_recount);
    -- Where scores are spread evenly, all stretches from rung to rung become too long at once: what is beyond so many entries is left to
    -- the calls in which it grows on.
    for v_rung in
        select x.period, x.rung, x.step
        from (select p as period, row(w.period_id, w.k1, w.k2, w.k3, w.player, w.entries)::ladder.tally_rung as rung, ladder.tally_step(greatest(10000, t.entries)) as step,
                     sum(w.entries) over (order by w.entries desc, w.k1, w.k2, w.k3, w.player) - w.entries as before
              from (select n.*
                    from unnest(p_wide) n
                    where n.period_id <> all (v_due)
                    union all
                    select r.*
                    from ladder.tally_rung r
                    where r.period_id = any (v_due) and r.entries > 4 * 500) w
              join ladder.period p on p.id = w.period_id and (p_boards is null or p.board_id = any (p_boards))
              join ladder.tally t on t.period_id = w.period_id
              where w.period_id <> all (v_recount)
                and w.entries > 4 * ladder.tally_step(greatest(10000, t.entries))) x
        where x.before < 100000
    loop
        perform ladder.tally_raise(v_rung.period, v_rung.step, v_rung.rung,
                                   (select r from ladder.tally_rung r
                                    where r.period_id = (v_rung.rung).period_id
                                      and (r.k1, r.k2, r.k3, r.player)
                                          > ((v_rung.rung).k1, (v_rung.rung).k2, (v_rung.rung).k3, (v_rung.rung).player)
                                    order by r.k1, r.k2, r.k3, r.player
                                    limit 1));
    end loop;
    delete from ladder.tally_due d
    where d.period_id = any (v_due)
      and not exists (select
                      from ladder.tally_rung r
                      join ladder.tally t on t.period_id = r.period_id
                      where r.period_id = d.period_id
                        and r.entries > 4 * ladder.tally_step(greatest(10000, t.entries)));
    return cardinality(v_recount);
end
$$;
comment on function ladder.tally_mend(bigint[], bigint[], ladder.tally_rung[], bigint[], bigint[]) is 'Counts standings, and makes and divides rungs, after the last piece of a backlog was added.';

create or replace function ladder.tally_saw(p_board bigint, p_player text, p_zone text, p_first date, p_last date, p_xip xid8[], p_xmax xid8)
    returns boolean
    language sql
    stable
    set search_path = pg_catalog
as $$
    select exists (select
                   from ladder.score_event v
                   where v.board_id = p_board
                     and v.player = p_player collate "C"
                     and v.kind = 'submit'
                     and ladder.local_time(v.achieved_at, p_zone)::date between p_first and p_last
                     and not (v.xid = any (p_xip) or v.xid >= p_xmax))
$$;
comment on function ladder.tally_saw(bigint, text, text, date, date, xid8[], xid8) is 'Did the player submit to the board in these days, as far as the cursor knows?';
