-- refresh_register: at the end of each file of sql/views. The worker owns the view, since only an owner may refresh it; it is filled
-- by the first refresh.
create or replace function ladder.refresh_register(p_view text, p_interval_ms bigint)
    returns void
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    grant create on schema ladder to ladder_worker;
    execute format('alter materialized view ladder.%I owner to ladder_worker', p_view);
    revoke create on schema ladder from ladder_worker;
    execute format('grant select on ladder.%I to ladder_app', p_view);
    insert into ladder.refresh_source (view, source_v)
    select p_view, coalesce(max(s.source_v), 1)
    from ladder.refresh_source s
    on conflict (view) do update set source_v = refresh_source.source_v + 1;
    insert into ladder.refresh_state (view, interval_ms)
    values (p_view, p_interval_ms)
    on conflict (view) do update
        set interval_ms = excluded.interval_ms, done_v = 0, refreshed_at = '-infinity', not_before = '-infinity', fails = 0, rows = 0, took_ms = 0;
end
$$;
comment on function ladder.refresh_register(text, bigint) is 'Hands a new materialized view to the worker, to be refreshed at most so often.';

-- Marks: which boards changed, by what of them did.
--
--     tally_fold  --(refresh_note)-->  refresh_mark (input, board_id, changed_v)  --(refresh_changed)-->  is a view dirty? of how many boards?
--     board_delete  --(changed_v null)-->
--
-- Numbers are given by the fold alone, of which there is one at a time: whoever sees a number sees every smaller one. So a refresh that
-- remembers the greatest that it saw before it read anything has seen all changes up to there, and what is marked later has more.

-- refresh_inputs: what a view is made of; one that is not told of here, of everything.
create or replace function ladder.refresh_inputs(p_view text)
    returns text[]
    language sql
    immutable
as $$
    select case
               when p_view = 'player_total' then array['standings', 'days', 'deleted']
               when p_view = 'daily_activity' then array['days', 'deleted']
               when p_view = 'hall_of_fame' then array['closed', 'deleted']
               else array['standings', 'days', 'closed', 'deleted']
           end
$$;
comment on function ladder.refresh_inputs(text) is 'What a materialized view is made of: values of refresh_mark.input.';

create or replace function ladder.refresh_changed(p_view text, p_done_v bigint)
    returns setof bigint
    language sql
    stable
as $$
    select m.board_id
    from ladder.refresh_mark m
    where m.input = any (ladder.refresh_inputs(p_view))
      and m.changed_v > p_done_v
$$;
comment on function ladder.refresh_changed(text, bigint) is 'Boards that a view shows otherwise than they are, if it was refreshed up to this number; one may come more than once.';

-- refresh_seen: what a refresh remembers, to be asked before it reads anything.
create or replace function ladder.refresh_seen(p_view text)
    returns bigint
    language sql
    stable
as $$
    select greatest(s.source_v, (select max(m.changed_v) from ladder.refresh_mark m where m.input = any (ladder.refresh_inputs(p_view))))
    from ladder.refresh_source s
    where s.view = p_view
$$;
comment on function ladder.refresh_seen(text) is 'The greatest number that a board is marked with for a view.';

-- refresh_next: the number of a fold, in its transaction, until refresh_note has written it.
create or replace function ladder.refresh_next()
    returns bigint
    language sql
    stable
    set search_path = pg_catalog
as $$
    select coalesce(max(s.source_v), 0) + 1
    from ladder.refresh_source s
$$;
comment on function ladder.refresh_next() is 'The number of the fold that is under way.';

-- refresh_note: by the fold. Nothing changed: nothing is written.
create or replace function ladder.refresh_note(p_standings bigint[], p_days bigint[], p_closed bigint[])
    returns void
    language sql
    set search_path = pg_catalog
as $$
    with next as (
        select ladder.refresh_next() as v
    ),
    marked as (
        insert into ladder.refresh_mark as m (input, board_id, changed_v)
        select x.input, x.board_id, n.v
        from (select 'standings' as input, unnest(p_standings) as board_id
              union
              select 'days', unnest(p_days)
              union
              select 'closed', unnest(p_closed)
              union
              select q.input, q.board_id
              from ladder.refresh_mark q
              where q.input in ('standings', 'days', 'closed', 'deleted')
                and q.changed_v is null) x
        cross join next n
        order by x.input, x.board_id
        on conflict (input, board_id) do update set changed_v = excluded.changed_v
        returning m.input
    )
    update ladder.refresh_source s
    set source_v = n.v
    from next n
    where ladder.refresh_inputs(s.view) && array(select distinct m.input from marked m)
$$;
comment on function ladder.refresh_note(bigint[], bigint[], bigint[]) is 'Marks boards whose standings, submissions or closed periods changed, and those that were deleted.';

-- refresh_pause: what the views ask every so many rows while they are read: sleeps, so that from one sleep to the next a refresh uses no
-- more than ladder.refresh_percent percent of the time, and who submits has the rest of that processor too (the idea of
-- vacuum_cost_delay). Ten seconds at most in one transaction: it keeps its snapshot for as long as it lasts, and what is updated often
-- (tally, tally_rung) piles up dead rows behind that. Not set: no sleep. Returns true. Parallel unsafe, because each process of several
-- would take a share.
create or replace function ladder.refresh_pause()
    returns boolean
    language plpgsql
    volatile
    parallel unsafe
    set search_path = pg_catalog
as $$
declare
    v_percent double precision := nullif(current_setting('ladder.refresh_percent', true), '');
    v_since timestamptz := nullif(current_setting('ladder.refresh_since', true), '');
    v_worked double precision := coalesce(extract(epoch from clock_timestamp() - v_since), 0);
    v_slept double precision := coalesce(nullif(current_setting('ladder.refresh_slept', true), ''), '0');
    v_sleep double precision := least(v_worked * (100 / v_percent - 1), 10 - v_slept);
begin
    if v_percent is null or v_percent >= 100 or v_slept >= 10 or (v_since is not null and v_worked < 0.01) then
        return true;
    end if;
    if v_sleep > 0 then
        perform pg_sleep(v_sleep);
        perform set_config('ladder.refresh_slept', (v_slept + v_sleep)::text, true);
    end if;
    perform set_config('ladder.refresh_since', clock_timestamp()::text, true);
    return true;
end
$$;
comment on function ladder.refresh_pause() is 'Sleeps, so that a refresh takes no more than its share of a processor; true.';

-- refresh_gather: what comes before the refresh of a view that has a rollup, in transactions of its own; of others, nothing. By the one
-- who holds the view's lock.
create or replace procedure ladder.refresh_gather(p_view text)
    language plpgsql
as $$
begin
    if p_view = 'player_total' then
        call ladder.player_gather();
    end if;
end
$$;
comment on procedure ladder.refresh_gather(text) is 'Brings the rollup of a view up to date.';

-- refresh_pending: is a view dirty, and may it be refreshed again? At most every interval_ms, and it takes no more than a twentieth of the
-- time, however large it grows; but one that shows nothing yet is refreshed as soon as there is something.
create or replace function ladder.refresh_pending(p_state ladder.refresh_state, out is_dirty boolean, out is_due boolean)
    language plpgsql
    stable
    set search_path = pg_catalog
as $$
begin
    is_dirty := p_state.done_v = 0
                or exists (select from ladder.refresh_changed(p_state.view, p_state.done_v))
                or exists (select from ladder.refresh_aside a where a.view = p_state.view and not ladder.job_waits('refresh', a.board_id));
    is_due := is_dirty
              and p_state.refreshed_at <= now() - greatest(case when p_state.rows = 0 then 0 else p_state.interval_ms end, 20 * p_state.took_ms)
                                                  * interval '1 millisecond'
              and p_state.not_before <= now();
end
$$;
comment on function ladder.refresh_pending(ladder.refresh_state) is 'Is a view dirty, and is it to be refreshed now?';

-- Boards that a view lacks (ladder.refresh_aside). A view is filled by one statement, which an error in the rows of one board makes fail. Then
-- the view's query is run for some boards at a time, in halves, until those that raise are found; they are left out, and the view is refreshed without
-- them. They are read again when ladder.job_item (job refresh) says so. What the view lacks, its readers read from what it is made of
-- (78_views_read.sql). player_total has the same by game (76_player_gather.sql).

-- refresh_boards: what a view is made of; ladder.refresh_boards, an array, where it is set: those. The views read nothing else: whatever is left out
-- raises no error.
create or replace function ladder.refresh_boards(p_view text)
    returns setof bigint
    language plpgsql
    stable
    set search_path = pg_catalog
as $$
declare
    v_some constant bigint[] := nullif(current_setting('ladder.refresh_boards', true), '')::bigint[];
begin
    return query
    select b.id
    from ladder.board b
    where b.deleted_at is null
      and (v_some is null or b.id = any (v_some))
      and not exists (select from ladder.refresh_aside a where a.view = p_view and a.board_id = b.id)
    order by b.id;
end
$$;
comment on function ladder.refresh_boards(text) is 'The boards that a view is made of.';

-- refresh_try: null, or the error that the rows of some boards raise. An error that speaks of the server goes to the caller.
create or replace function ladder.refresh_try(p_view text, p_boards bigint[])
    returns text
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
declare
    v_count bigint;
begin
    perform set_config('ladder.refresh_boards', p_boards::text, true);
    execute format('select count(v) from (%s) v',
                   rtrim(pg_get_viewdef((select c.oid from pg_class c where c.relnamespace = 'ladder'::regnamespace and c.relname = p_view)), ';'))
        into v_count;
    perform set_config('ladder.refresh_boards', '', true);
    return null;
exception when others then
    if ladder.submit_is_passing(sqlstate) then
        raise;
    end if;
    return sqlerrm;
end
$$;
comment on function ladder.refresh_try(text, bigint[]) is 'Reads what a view is made of, of some boards; returns the error that this raises.';

-- refresh_set_aside: as_of is that of the view, as it is shown.
create or replace function ladder.refresh_set_aside(p_view text, p_board bigint, p_error text)
    returns void
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    insert into ladder.refresh_aside (view, board_id, as_of)
    select p_view, p_board, (select r.as_of from ladder.refresh_state r where r.view = p_view and r.rows > 0)
    on conflict (view, board_id) do update set is_over = false;
    perform ladder.job_failed('refresh', p_board, p_error);
end
$$;
comment on function ladder.refresh_set_aside(text, bigint, text) is 'Leaves a board out of a view.';

-- refresh_find: sets those of some boards aside whose rows raise an error; returns how many there were.
create or replace function ladder.refresh_find(p_view text, p_boards bigint[])
    returns integer
    language plpgsql
    set search_path = pg_catalog
as $$
declare
    v_stack text[] := array[p_boards::text];
    v_boards bigint[];
    v_half integer;
    v_error text;
    v_found integer := 0;
begin
    while cardinality(v_stack) > 0 loop
        v_boards := v_stack[cardinality(v_stack)]::bigint[];
        v_stack := v_stack[:cardinality(v_stack) - 1];
        v_half := cardinality(v_boards) / 2;
        v_error := ladder.refresh_try(p_view, v_boards);
        continue when v_error is null;
        if v_half = 0 then
            perform ladder.refresh_set_aside(p_view, v_boards[1], v_error);
            v_found := v_found + 1;
        else
            v_stack := v_stack || v_boards[v_half + 1:]::text || v_boards[:v_half]::text;
        end if;
    end loop;
    return v_found;
end
$$;
comment on function ladder.refresh_find(text, bigint[]) is 'Finds the boards whose rows make the refresh of a view fail.';

-- refresh_retry: reads the boards that are due again, and takes those in that raise no error.
create or replace function ladder.refresh_retry(p_view text)
    returns void
    language plpgsql
    set search_path = pg_catalog
as $$
declare
    v_due bigint[];
begin
    with due as (
        delete from ladder.refresh_aside a
        where a.view = p_view
          and not ladder.job_waits('refresh', a.board_id)
        returning a.board_id
    )
    select array_agg(d.board_id order by d.board_id) into v_due from due d;
    if v_due is null then
        return;
    end if;
    perform ladder.refresh_find(p_view, v_due);
    delete from ladder.job_item j
    where j.job = 'refresh'
      and j.item_id = any (v_due)
      and not exists (select from ladder.refresh_aside a where a.board_id = j.item_id);
end
$$;
comment on function ladder.refresh_retry(text) is 'Reads the boards again that a view lacks.';

-- refresh_view: refreshes one in the transaction of the caller, who holds its lock; returns how many rows it has. Readers go on
-- reading the old rows, on standbys too; only a view that was never filled is filled the other way. What it shows is what there is, or
-- what was gathered.
create or replace function ladder.refresh_view(p_view text)
    returns bigint
    language plpgsql
    set search_path = pg_catalog
as $$
declare
    v_source bigint := ladder.refresh_seen(p_view);
    v_is_filled boolean := (select c.relispopulated from pg_class c where c.relnamespace = 'ladder'::regnamespace and c.relname = p_view and c.relkind = 'm');
    v_as_of timestamptz := (select c.at from ladder.tally_cursor c);
    v_refresh constant text := format('refresh materialized view %s ladder.%I', case when v_is_filled then 'concurrently' else '' end, p_view);
    v_rows bigint;
begin
    if p_view = 'player_total' then
        delete from ladder.refresh_aside a where a.view = p_view and a.is_over;
        execute v_refresh;
    else
        perform ladder.refresh_retry(p_view);
        begin
            execute v_refresh;
        exception when others then
            if ladder.submit_is_passing(sqlstate)
               or ladder.refresh_find(p_view, array(select b.id from ladder.board b where b.deleted_at is null order by b.id)) = 0 then
                raise;
            end if;
            execute v_refresh;
        end;
    end if;
    execute format('select count(*) from ladder.%I', p_view) into v_rows;
    update ladder.refresh_state r
    set done_v = coalesce(r.gathered_v, v_source), refreshed_at = now(), rows = v_rows, as_of = coalesce(r.gathered_at, v_as_of), fails = 0, not_before = '-infinity'
    where r.view = p_view;
    return v_rows;
end
$$;
comment on function ladder.refresh_view(text) is 'Refreshes a materialized view and notes up to where; returns its rows.';

-- refresh_due: the same from SQL, for pg_cron: adds up what is new, then refreshes what is due, under the same locks as the worker.
create or replace procedure ladder.refresh_due(p_retention_days integer default 400)
    language plpgsql
as $$
declare
    v_view record;
    v_id bigint;
    v_rows bigint;
    v_start timestamptz;
begin
    commit;
    if pg_try_advisory_lock(hashtext('ladder.job'), hashtext('tally')) then
        commit;
        set transaction isolation level repeatable read;
        perform ladder.tally_fold(p_retention_days * interval '1 day');
        commit;
        perform pg_advisory_unlock(hashtext('ladder.job'), hashtext('tally'));
    end if;
    for v_view in select r.view from ladder.refresh_state r order by r.view loop
        continue when not pg_try_advisory_lock(hashtext('ladder.job'), hashtext('refresh ' || v_view.view));
        commit;
        if (select (ladder.refresh_pending(r)).is_due from ladder.refresh_state r where r.view = v_view.view) then
            update ladder.refresh_run r set ended_at = now(), error = 'the runner died' where r.view = v_view.view and r.ended_at is null;
            insert into ladder.refresh_run (view, reason, runner, boards)
            select v_view.view, 'refresh_due', 'backend ' || pg_backend_pid(), count(distinct c.board)
            from ladder.refresh_state r
            cross join lateral ladder.refresh_changed(r.view, r.done_v) c (board)
            where r.view = v_view.view
            returning id into v_id;
            commit;
            v_start := clock_timestamp();
            call ladder.refresh_gather(v_view.view);
            v_rows := ladder.refresh_view(v_view.view);
            update ladder.refresh_run r
            set ended_at = clock_timestamp(), rows = v_rows, took_ms = extract(epoch from clock_timestamp() - v_start) * 1000
            where r.id = v_id;
            update ladder.refresh_state s
            set took_ms = extract(epoch from clock_timestamp() - v_start) * 1000
            where s.view = v_view.view;
            commit;
        end if;
        perform pg_advisory_unlock(hashtext('ladder.job'), hashtext('refresh ' || v_view.view));
    end loop;
end
$$;
comment on procedure ladder.refresh_due(integer) is 'Adds up what is new and refreshes the views that are due, for pg_cron.';
