-- Forgets the facets, their standings and who is in which.
drop function if exists ladder.submit(bigint[], text[], bigint[], bigint[], bigint[], text[], integer[], integer[], bigint[], bytea[], bytea[], text[]);
drop function if exists ladder.submit_history(bigint, text[], bigint[], bigint[], bigint[], boolean, text[]);
drop function if exists ladder.facet_mirror(integer[], bigint[], text[], text[], integer[], integer[], bigint[]);
drop type ladder.facet_row;
-- The views know of facets: the next migrate up makes them again.
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
delete from ladder.tally t using ladder.period p where p.facet <> '' and t.period_id = p.id;
delete from ladder.tally_rung t using ladder.period p where p.facet <> '' and t.period_id = p.id;
delete from ladder.tally_slot t using ladder.period p where p.facet <> '' and t.period_id = p.id;
delete from ladder.final_rank f using ladder.period p where p.facet <> '' and f.period_id = p.id;
delete from ladder.final_gap f using ladder.period p where p.facet <> '' and f.period_id = p.id;
delete from ladder.entry e
using ladder.period p
where p.facet <> '' and e.period_id = p.id and e.window_kind = p.window_kind and e.period_start = p.starts_at;
delete from ladder.period where facet <> '';
drop table ladder.facet_drop, ladder.player_facet, ladder.facet_value;
alter table ladder.period
    add constraint period_board_id_window_kind_starts_at_uq unique (board_id, window_kind, starts_at),
    drop column facet;
alter table ladder.board
    drop column facets,
    drop column facet_ids,
    drop column facet_values_max;
drop sequence ladder.facet_id;
