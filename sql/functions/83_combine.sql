-- Boards made of others: a player's score is the weighted sum, the greatest or the least of his scores on the sources.
--
-- A combined board is an ordinary board to everybody who reads: entries, revisions, events, Redis. It takes no submissions;
-- the worker writes it, in transactions like a submission's. What it has to look at comes from the events of the sources, by
-- the difference of snapshots, as in the tail. What it writes depends on nothing but the sources' entries as they are: so it may be
-- done again at any time, and anew from the beginning, with the same result.
--
-- Only the window `all` is combined. Numbers that leave 64 bits stop at their ends.

-- combination_put: makes or changes one. The outcome: what is wrong, or ok, or, where there is so little to combine that it is combined
-- at once, combined and the number of the standing. The worker combines the others; until then one that is new cannot be read
-- (src/api/reading.c), and one that was changed has the entries that it had.
create or replace function ladder.combination_put(p_game bigint, p_board bigint, p_rule text, p_names text[], p_weights bigint[])
    returns text
    language plpgsql
    set search_path = pg_catalog
as $$
declare
    c_at_once constant integer := 5000; -- entries: some tenths of a second
    v_source bigint;
    v_entries bigint;
    v_is_free boolean := false;
begin
    perform ladder.write_begin();
    -- Two that would make each other their source do so one after the other.
    perform pg_advisory_xact_lock(hashtextextended('ladder.combination', p_game));
    if not exists (select from ladder.board b where b.id = p_board and b.deleted_at is null) then
        return 'gone';
    end if;
    if exists (select from ladder.board b where b.id = p_board and b.windows <> '{all}') then
        return 'windows';
    end if;
    if exists (select from ladder.combination_source s join ladder.combination c on c.board_id = s.board_id
               join ladder.board b on b.id = c.board_id and b.deleted_at is null where s.source_id = p_board) then
        return 'is a source';
    end if;
    if not exists (select from ladder.combination c where c.board_id = p_board)
       and exists (select from ladder.score_event v where v.board_id = p_board) then
        return 'has scores';
    end if;
    for i in 1..cardinality(p_names) loop
        select b.id into v_source from ladder.board b where b.game_id = p_game and b.name = p_names[i] and b.deleted_at is null;
        if not found or v_source = p_board or exists (select from ladder.combination c where c.board_id = v_source)
           or not exists (select from ladder.board b where b.id = v_source and b.windows @> '{all}') then
            return 'source ' || i - 1;
        end if;
    end loop;
    -- Before the row, as the worker does, who has it for milliseconds; or for longer, if it is at a large one.
    for i in 1..100 loop
        v_is_free := pg_try_advisory_xact_lock(hashtextextended('ladder.combine', p_board));
        exit when v_is_free;
        perform pg_sleep(0.02);
    end loop;
    insert into ladder.combination as c (board_id, rule)
    values (p_board, p_rule::ladder.combination_rule)
    on conflict (board_id) do update set rule = excluded.rule, snapshot = null;
    delete from ladder.combination_source s where s.board_id = p_board;
    insert into ladder.combination_source (board_id, source_id, weight)
    select p_board, b.id, n.weight
    from unnest(p_names, p_weights) as n (name, weight)
    join ladder.board b on b.game_id = p_game and b.name = n.name collate "C" and b.deleted_at is null;

    select count(*) into v_entries
    from (select 1
          from ladder.period p
          join ladder.entry e on e.period_id = p.id and e.window_kind = 'all' and e.period_start = '-infinity' and not e.removed
          where p.window_kind = 'all'
            and p.facet = ''
            and (p.board_id = p_board or p.board_id in (select s.source_id from ladder.combination_source s where s.board_id = p_board))
          limit c_at_once + 1) x;
    -- The job looks at it in any case: what it took for done may have been done before the sources were changed last.
    insert into ladder.job_item (job, item_id)
    values ('combine', p_board)
    on conflict (job, item_id) do update set due_at = excluded.due_at;
    if v_entries > c_at_once or not v_is_free then
        return 'ok';
    end if;
    perform ladder.combine(p_board);
    return (select 'combined ' || p.id
            from ladder.period p
            where p.board_id = p_board and p.window_kind = 'all' and p.facet = '');
end
$$;
comment on function ladder.combination_put(bigint, bigint, text, text[], bigint[]) is 'Makes a board a combination of others; says what is wrong.';

-- combine_due: the combined boards that the job must look at, which have a row in job_item. Events that became visible since the cursor
-- are read once for all boards, so that a run costs what was submitted since the last one and not what exists.
--
--     score_event  --(since combine_cursor)-->  job_item 'combine'  --(combine_run)-->  no row
--     combination_put, board_due (a source is deleted)  -->  the same; also where combination.snapshot is null
--
-- A board without a row has everything in it that the cursor's snapshot sees. So when it gets one, it goes on from there, and not from when
-- it was made last.
create or replace function ladder.combine_due(p_limit integer)
    returns setof bigint
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set enable_seqscan = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
#variable_conflict use_column
declare
    c ladder.combine_cursor;
    -- Before anything is read.
    v_snapshot pg_snapshot := pg_current_snapshot();
    v_now timestamptz := clock_timestamp();
    v_epoch integer := (select max(e.epoch) from ladder.epoch e);
    v_boards bigint[] := '{}';
begin
    select * into c from ladder.combine_cursor q for update;
    if c.snapshot is null or c.epoch is distinct from v_epoch or pg_snapshot_xmax(c.snapshot) > pg_snapshot_xmax(v_snapshot) then
        insert into ladder.job_item (job, item_id)
        select 'combine', q.board_id
        from ladder.combination q
        on conflict (job, item_id) do nothing;
        delete from ladder.combine_cursor;
        insert into ladder.combine_cursor (snapshot, at, epoch) values (v_snapshot, v_now, v_epoch);
    else
        if exists (select from ladder.combination q) then
            v_boards := array(select distinct v.board_id
                              from ladder.score_event v
                              where v.period_ids is not null
                                and v.submitted_at >= c.at - interval '1 hour'
                                and v.submitted_at < greatest(c.at, v_now) + interval '1 hour' -- greatest: a clock may be put back
                                and (v.xid = any (array(select pg_snapshot_xip(c.snapshot))) or v.xid >= pg_snapshot_xmax(c.snapshot)));
        end if;
        with changed as (
            insert into ladder.job_item (job, item_id)
            select 'combine', x.board_id
            from (select s.board_id from ladder.combination_source s where s.source_id = any (v_boards)
                  union
                  select q.board_id from ladder.combination q where q.board_id = any (v_boards)
                  union
                  select q.board_id from ladder.combination q where q.snapshot is null) x
            order by x.board_id
            on conflict (job, item_id) do nothing
            returning item_id
        )
        update ladder.combination q
        set snapshot = c.snapshot, caught_up_at = c.at
        from changed
        where q.board_id = changed.item_id
          and q.epoch = c.epoch
          and pg_snapshot_xmax(q.snapshot) < pg_snapshot_xmax(c.snapshot);
        if v_boards <> '{}' or c.at < v_now - interval '1 minute' then
            update ladder.combine_cursor q set snapshot = v_snapshot, at = v_now;
        end if;
    end if;
    return query
    select j.item_id
    from ladder.job_item j
    where j.job = 'combine'
      and j.due_at <= clock_timestamp()
    order by j.due_at, j.item_id
    limit p_limit;
end
$$;
comment on function ladder.combine_due(integer) is 'Finds the combined boards whose sources have changed; returns those that the job combine must look at.';

-- combine_run: combines one that is due, by the job. One whose definition changed meanwhile stays due.
create or replace function ladder.combine_run(p_board bigint)
    returns bigint
    language plpgsql
    set search_path = pg_catalog
as $$
declare
    v_version xid := (select j.xmin from ladder.job_item j where j.job = 'combine' and j.item_id = p_board);
    v_changed bigint := ladder.combine(p_board);
begin
    delete from ladder.job_item j
    where j.job = 'combine'
      and j.item_id = p_board
      and j.xmin = v_version;
    return v_changed;
end
$$;
comment on function ladder.combine_run(bigint) is 'Combines a board that is due; returns the entries it changed.';

-- combine: brings a combined board up to date. Returns how many entries changed.
create or replace function ladder.combine(p_board bigint)
    returns bigint
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
#variable_conflict use_column
declare
    c ladder.combination;
    v_version xid;
    b ladder.board;
    -- Before anything is read: what commits in between is in this pass and, again, in the next.
    v_snapshot pg_snapshot := pg_current_snapshot();
    v_now timestamptz := clock_timestamp();
    v_epoch integer := (select max(e.epoch) from ladder.epoch e);
    v_period bigint;
    v_players text[];
    v_is_whole boolean;
    v_lost integer;
    v_changed bigint;
begin
    perform ladder.write_begin();
    perform pg_advisory_xact_lock(hashtextextended('ladder.combine', p_board));
    select q.xmin into v_version from ladder.combination q where q.board_id = p_board;
    select * into c from ladder.combination q where q.board_id = p_board;
    select * into b from ladder.board q where q.id = p_board and q.deleted_at is null;
    if c.board_id is null or b.id is null then
        return 0;
    end if;
    delete from ladder.combination_source s
    where s.board_id = p_board
      and not exists (select from ladder.board q where q.id = s.source_id and q.deleted_at is null);
    get diagnostics v_lost = row_count;
    v_is_whole := v_lost > 0 or c.snapshot is null or c.epoch is distinct from v_epoch or pg_snapshot_xmax(c.snapshot) > pg_snapshot_xmax(v_snapshot);
    if not v_is_whole then
        -- Of its own events, too: what somebody did to it by hand is put right.
        select coalesce(array_agg(distinct v.player), '{}') into v_players
        from ladder.score_event v
        where v.period_ids is not null
          and v.submitted_at >= c.caught_up_at - interval '1 hour'
          and v.submitted_at < greatest(c.caught_up_at, v_now) + interval '1 hour' -- greatest: a clock may be put back
          and (v.xid = any (array(select pg_snapshot_xip(c.snapshot))) or v.xid >= pg_snapshot_xmax(c.snapshot))
          and (v.board_id = p_board or v.board_id in (select s.source_id from ladder.combination_source s where s.board_id = p_board));
    end if;

    if v_is_whole or v_players <> '{}' then
        perform ladder.period_ensure(array[p_board], array[v_now]);
        select p.id into v_period from ladder.period p where p.board_id = p_board and p.window_kind = 'all' and p.facet = '';
        with part as (
            select e.player,
                   (case s.ordering when 'desc' then ~e.k1 else e.k1 end)::numeric * s.weight as score,
                   (case s.ordering when 'desc' then ~e.k2 else e.k2 end)::numeric * s.weight as subscore,
                   case s.tie when 'last' then ~e.k3 else e.k3 end as at_us
            from (select q.weight, o.ordering, o.tie, p.id as period_id
                  from ladder.combination_source q
                  join ladder.board o on o.id = q.source_id
                  join ladder.period p on p.board_id = o.id and p.window_kind = 'all' and p.facet = ''
                  where q.board_id = p_board) s
            join ladder.entry e on e.period_id = s.period_id and e.window_kind = 'all' and e.period_start = '-infinity' and not e.removed
            where v_is_whole or e.player = any (v_players)
        ),
        total as (
            select t.player, sum(t.score) as score, sum(t.subscore) as subscore, max(t.at_us) as at_us
            from part t
            where c.rule = 'sum'
            group by t.player
            union all
            (select distinct on (t.player) t.player, t.score, t.subscore, t.at_us
             from part t
             where c.rule <> 'sum'
             order by t.player, case c.rule when 'max' then -t.score else t.score end, case c.rule when 'max' then -t.subscore else t.subscore end, t.at_us)
        ),
        bounded as (
            select t.player, greatest(-9223372036854775808, least(9223372036854775807, t.score))::bigint as score,
                   greatest(-9223372036854775808, least(9223372036854775807, t.subscore))::bigint as subscore, t.at_us
            from total t
        ),
        keyed as (
            select t.*, case b.ordering when 'desc' then ~t.score else t.score end as k1,
                   case b.ordering when 'desc' then ~t.subscore else t.subscore end as k2,
                   case b.tie when 'last' then ~t.at_us else t.at_us end as k3
            from bounded t
        ),
        written as (
            insert into ladder.entry as e (period_id, player, window_kind, period_start, k1, k2, k3, revision, removed)
            select v_period, t.player, 'all', '-infinity', t.k1, t.k2, t.k3, nextval('ladder.revision'), false
            from keyed t
            left join ladder.entry o on o.period_id = v_period and o.player = t.player and o.window_kind = 'all' and o.period_start = '-infinity'
            where o.player is null or o.removed or (o.k1, o.k2, o.k3) <> (t.k1, t.k2, t.k3)
            order by t.player
            on conflict (period_id, player, window_kind, period_start) do update
                set k1 = excluded.k1, k2 = excluded.k2, k3 = excluded.k3, revision = nextval('ladder.revision'), removed = false, metadata = null
            returning e.player, e.k1, e.k2, e.k3
        ),
        gone as (
            update ladder.entry e
            set removed = true, metadata = null, revision = nextval('ladder.revision')
            where e.period_id = v_period and e.window_kind = 'all' and e.period_start = '-infinity' and not e.removed
              and (v_is_whole or e.player = any (v_players))
              and e.player not in (select t.player from total t) -- hashed, however few the planner expects
            returning e.player
        ),
        event as (
            insert into ladder.score_event (board_id, kind, player, score, subscore, achieved_at, period_ids)
            select p_board, 'submit'::ladder.event_kind, w.player, case b.ordering when 'desc' then ~w.k1 else w.k1 end,
                   case b.ordering when 'desc' then ~w.k2 else w.k2 end,
                   ladder.time_of(case b.tie when 'last' then ~w.k3 else w.k3 end), array[v_period]
            from written w
            union all
            select p_board, 'remove', g.player, null, null, null, array[v_period]
            from gone g
        )
        select (select count(*) from written) + (select count(*) from gone) into v_changed;
        -- Its events say nothing of moves: until the tally has counted it again, readers count for themselves.
        if v_changed > 0 then
            insert into ladder.tally_recount (period_id) values (v_period);
        end if;
    end if;
    -- One that was changed meanwhile is made anew by the next run.
    update ladder.combination q
    set snapshot = v_snapshot, caught_up_at = v_now, epoch = v_epoch
    where q.board_id = p_board and q.xmin = v_version;
    return coalesce(v_changed, 0);
end
$$;
comment on function ladder.combine(bigint) is 'Brings a combined board up to date with its sources; returns the entries it changed.';
