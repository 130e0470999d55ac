-- Boards that are set aside by the tally (ladder.tally_aside): how they are found, and how they are brought up to the others (70_tally.sql).
--
--     all boards: an error --> halves, each in a subtransaction --> the board at fault: set aside, with the cursor of before
--     its next attempt is due (ladder.job_item, job tally) --> a piece of what is behind its own cursor, and the next one in the next call --> none is left
--
-- Functions that work on some boards read by indexes only (no sequential scans, hash joins or merge joins), so that a row of another board that
-- cannot be read raises no error in them.

-- tally_cut_of: where the next piece of one board's backlog ends: behind p_limit of its events, or behind 20 times as many events of all boards,
-- whichever comes first. Null: the rest is no more than a piece.
create or replace function ladder.tally_cut_of(p_board bigint, p_since timestamptz, p_xmax xid8, p_limit integer,
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
declare
    v_all record := ladder.tally_cut(p_since, p_xmax, 20 * p_limit);
    v_end xid8 := coalesce(v_all.cut, '18446744073709551615');
begin
    select (v.xid::text::bigint + 1)::text::xid8, v.submitted_at, v.id
    into cut, at, last_event
    from ladder.score_event v
    where v.submitted_at >= p_since and v.xid >= p_xmax and v.xid < v_end and v.board_id = p_board
    order by v.xid
    offset p_limit - 1
    limit 1;
    if not found then
        cut := v_all.cut;
        at := v_all.at;
        last_event := v_all.last_event;
    end if;
end
$$;
comment on function ladder.tally_cut_of(bigint, timestamptz, xid8, integer) is 'Where the next piece of a board''s backlog ends.';

-- tally_set_aside: a board keeps this cursor for itself.
create or replace function ladder.tally_set_aside(c ladder.tally_cursor, p_board bigint, p_error text)
    returns void
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    insert into ladder.tally_aside (board_id, snapshot, at, last_event) values (p_board, c.snapshot, c.at, c.last_event) on conflict do nothing;
    perform ladder.job_failed('tally', p_board, p_error);
end
$$;
comment on function ladder.tally_set_aside(ladder.tally_cursor, bigint, text) is 'Leaves a board out of the tally, as it is.';

-- tally_halves: what the search for the board at fault tries next, as texts: the second half, then the first, which is at the end of its stack.
create or replace function ladder.tally_halves(p_boards bigint[])
    returns text[]
    language sql
    immutable
    set search_path = pg_catalog
as $$
    select array[p_boards[cardinality(p_boards) / 2 + 1:]::text, p_boards[:cardinality(p_boards) / 2]::text]
$$;
comment on function ladder.tally_halves(bigint[]) is 'Some boards in two halves.';

-- tally_apart: tally_add without the boards that raise an error in it. All of them together were tried by the caller. The rows of a board are found by an
-- index, so that no row of another board is read. Board 0 stands for standings that are due and whose period was deleted.
create or replace function ladder.tally_apart(c ladder.tally_cursor, p_cut xid8, p_is_last boolean, p_without bigint[],
                                              out events bigint, out counted bigint,
                                              out days bigint[], out standings bigint[], out erased bigint[])
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set enable_seqscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set jit = off
as $$
declare
    v_boards bigint[] := array(select v.board_id
                               from ladder.tally_events(c.at - interval '1 hour', array(select pg_snapshot_xip(c.snapshot)), pg_snapshot_xmax(c.snapshot), p_cut, null) v
                               where v.board_id <> all (p_without)
                               union
                               select b.id
                               from (select q.id from ladder.board q union all select 0) b
                               where p_is_last
                                 and (exists (select from ladder.tally_recount) or exists (select from ladder.tally_due))
                                 and b.id <> all (p_without)
                               order by 1);
    v_stack text[] := ladder.tally_halves(v_boards);
    s record;
begin
    events := 0;
    counted := 0;
    days := '{}';
    standings := '{}';
    erased := '{}';
    while cardinality(v_stack) > 0 loop
        v_boards := v_stack[cardinality(v_stack)]::bigint[];
        v_stack := v_stack[:cardinality(v_stack) - 1];
        continue when v_boards = '{}';
        begin
            select x.* into s from ladder.tally_add(c, p_cut, p_is_last, v_boards, p_without) x;
            events := events + s.events;
            counted := counted + s.counted;
            days := days || s.days;
            standings := standings || s.standings;
            erased := erased || s.erased;
        exception when others then
            if ladder.submit_is_passing(sqlstate) then
                raise;
            end if;
            if cardinality(v_boards) = 1 then
                perform ladder.tally_set_aside(c, v_boards[1], sqlerrm);
            else
                v_stack := v_stack || ladder.tally_halves(v_boards);
            end if;
        end;
    end loop;
end
$$;
comment on function ladder.tally_apart(ladder.tally_cursor, xid8, boolean, bigint[]) is 'Adds a piece without the boards that raise an error, and sets those aside.';

-- tally_retry: adds the events behind the cursors of boards that were set aside and are due, about a piece in one call. The last piece of a board
-- reaches up to the caller's snapshot; after it the board is no longer set aside. If events that a board needs were deleted, its standings are counted
-- from its entries. A board that the first count set aside is counted as a whole.
drop function if exists ladder.tally_retry(interval);
create or replace function ladder.tally_retry(p_retention interval, p_limit integer, out counted bigint, out has_ended boolean, out has_more boolean,
                                              out days bigint[], out standings bigint[], out erased bigint[])
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set enable_seqscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set jit = off
as $$
#variable_conflict use_column
declare
    a ladder.tally_aside;
    s record;
    v_piece record;
    v_events bigint := 0;
begin
    counted := 0;
    has_ended := false;
    has_more := false;
    days := '{}';
    standings := '{}';
    erased := '{}';
    for a in select q.* from ladder.tally_aside q where not ladder.job_waits('tally', q.board_id) order by q.board_id loop
        has_more := v_events >= p_limit;
        exit when has_more;
        begin
            if a.at = 'epoch' then
                counted := counted + ladder.tally_start_of(array[a.board_id]);
                days := days || a.board_id;
                standings := standings || a.board_id;
            else
                if a.at < now() - p_retention then
                    insert into ladder.tally_recount (period_id) select p.id from ladder.period p where p.board_id = a.board_id;
                end if;
                v_piece := ladder.tally_cut_of(a.board_id, a.at - interval '1 hour', pg_snapshot_xmax(a.snapshot), p_limit);
                has_more := v_piece.cut is not null;
                select x.*
                into s
                from ladder.tally_add(ladder.tally_cursor_of(a.board_id), coalesce(v_piece.cut, '18446744073709551615'), not has_more, array[a.board_id], '{}') x;
                v_events := v_events + s.events;
                counted := counted + s.counted;
                days := days || s.days;
                standings := standings || s.standings;
                erased := erased || s.erased;
            end if;
            if has_more then
                update ladder.tally_aside q
                set snapshot = ladder.snapshot_below(pg_current_snapshot(), v_piece.cut), at = greatest(a.at, v_piece.at), last_event = v_piece.last_event
                where q.board_id = a.board_id;
            else
                delete from ladder.tally_aside q where q.board_id = a.board_id;
                delete from ladder.job_item j where j.job = 'tally' and j.item_id = a.board_id;
                has_ended := true;
            end if;
        exception when others then
            if ladder.submit_is_passing(sqlstate) then
                raise;
            end if;
            has_more := false;
            perform ladder.job_failed('tally', a.board_id, sqlerrm);
        end;
        exit when has_more;
    end loop;
end
$$;
comment on function ladder.tally_retry(interval, integer) is 'Adds the next piece of boards that were set aside, where that raises no error any more; returns whether more are left.';

-- tally_start_apart: tally_start_of without the boards that raise an error in it. All of them together were tried by the caller. The cursor of a board
-- that is set aside here sees no event, so readers add all of its events. The rows of a board are found by an index, so that no row of another board is read.
create or replace function ladder.tally_start_apart()
    returns bigint
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set enable_seqscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
    set jit = off
as $$
declare
    v_boards bigint[] := array(select b.id from ladder.board b order by b.id);
    v_stack text[] := ladder.tally_halves(v_boards);
    v_counted bigint := 0;
    c ladder.tally_cursor;
begin
    c.snapshot := '3:3:'; -- a cluster's first transaction id
    c.at := 'epoch';
    c.last_event := 0;
    while cardinality(v_stack) > 0 loop
        v_boards := v_stack[cardinality(v_stack)]::bigint[];
        v_stack := v_stack[:cardinality(v_stack) - 1];
        continue when v_boards = '{}';
        begin
            v_counted := v_counted + ladder.tally_start_of(v_boards);
        exception when others then
            if ladder.submit_is_passing(sqlstate) then
                raise;
            end if;
            if cardinality(v_boards) = 1 then
                perform ladder.tally_set_aside(c, v_boards[1], sqlerrm);
            else
                v_stack := v_stack || ladder.tally_halves(v_boards);
            end if;
        end;
    end loop;
    return v_counted;
end
$$;
comment on function ladder.tally_start_apart() is 'Counts the boards that can be counted, and sets the others aside.';
