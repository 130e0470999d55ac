-- tally_rest: what tally_day lacks of a board yet, by day, week or month: the events behind the cursor. Of a player who was seen in a bucket
-- before, it counts no second time.
create or replace function ladder.tally_rest(p_board bigint, p_bucket text)
    returns table (bucket date, submissions bigint, changes bigint, players bigint, newcomers bigint, score_total numeric, score_min bigint, score_max bigint)
    language plpgsql
    stable
    set search_path = pg_catalog
    set plan_cache_mode = force_custom_plan
    set jit = off
as $$
#variable_conflict use_column
declare
    c constant ladder.tally_cursor := ladder.tally_cursor_of(p_board);
    v_zone constant text := (select b.time_zone from ladder.board b where b.id = p_board);
    v_xip constant xid8[] := array(select pg_snapshot_xip(c.snapshot));
    v_xmax constant xid8 := pg_snapshot_xmax(c.snapshot);
begin
    return query
    select x.bucket, sum(x.submissions)::bigint, sum(x.changes)::bigint,
           count(*) filter (where not ladder.tally_saw(p_board, x.player, v_zone, x.bucket,
                                                       (x.bucket + ('1 ' || p_bucket)::interval)::date - 1, v_xip, v_xmax)),
           count(*) filter (where x.nth = 1
                              and not exists (select from ladder.tally_player t where t.board_id = p_board and t.player = x.player)),
           sum(x.score_total), min(x.score_min), max(x.score_max)
    from (select y.*, row_number() over (partition by y.player order by y.bucket) as nth
          from (select v.player, date_trunc(p_bucket, ladder.local_time(v.achieved_at, v_zone))::date as bucket, count(*) as submissions,
                       count(v.period_ids) as changes, sum(v.score) as score_total, min(v.score) as score_min, max(v.score) as score_max
                from ladder.score_event v
                where v.board_id = p_board
                  and v.kind = 'submit'
                  and v.submitted_at >= c.at - interval '1 hour'
                  and (v.xid = any (v_xip) or v.xid >= v_xmax)
                group by 1, 2) y) x
    group by x.bucket;
end
$$;
comment on function ladder.tally_rest(bigint, text) is 'What was submitted to a board since the cursor, by day, week or month.';
