do $$
declare
    v_view name;
begin
    for v_view in
        select c.relname from pg_class c where c.relnamespace = 'ladder'::regnamespace and c.relkind = 'm'
    loop
        execute format('drop materialized view ladder.%I', v_view);
    end loop;
end
$$;
drop procedure if exists ladder.refresh_due(integer);
drop function if exists ladder.tally_raise(ladder.period, bigint, ladder.tally_rung, ladder.tally_rung);
drop function if exists ladder.tally_lowest(bigint);
drop function if exists ladder.entry_count(ladder.window_kind, timestamptz, bigint, ladder.tally_rung, ladder.tally_rung);
drop function if exists ladder.entry_find(ladder.window_kind, timestamptz, bigint, ladder.tally_rung[]);
drop function if exists ladder.standing_below(ladder.window_kind, timestamptz, bigint, ladder.tally_rung[], bigint[]);
drop table ladder.refresh_run, ladder.refresh_state, ladder.refresh_source, ladder.tally_recount, ladder.tally_player, ladder.tally_day,
    ladder.tally_slot, ladder.tally_rung, ladder.tally, ladder.tally_cursor;
drop index ladder.period_closed_at_idx;
drop index ladder.score_event_xid_board_id_idx;
alter table ladder.score_event drop column moves;
