-- purge_of_board: some of what a deleted board left in a table, a row for each that went.
--
-- What goes is found in the order of an index that begins with the board, so that the search ends with the last of them, and deleted
-- by its place in its partition, which p_at, the partition's key, tells. The planner would rather read partitions from end to end, if
-- they are small, each time.
create or replace function ladder.purge_of_board(p_table regclass, p_at name, p_board bigint, p_limit integer)
    returns setof boolean
    language plpgsql
    set search_path = pg_catalog
    set enable_hashjoin = off
    set enable_mergejoin = off
    set enable_seqscan = off
as $$
begin
    return query execute format(
        'with going as materialized (
             select q.%2$I as at, q.ctid as place
             from %1$s q
             where q.board_id = $1
             order by q.board_id, q.player
             limit $2
         )
         delete from %1$s t
         using going x
         where t.%2$I = x.at
           and t.ctid = x.place
         returning true', p_table, p_at)
    using p_board, p_limit;
end
$$;
comment on function ladder.purge_of_board(regclass, name, bigint, integer) is 'Deletes some of what a board has in a partitioned table, for the purge job; a row for each.';

-- purge_periods: periods of a board whose entries are gone, and what the tally has of them: of one facet, or (null) all of the board. It
-- waits for a fold of the tally that is under way, which does not see that they are deleted: nobody would find again what it adds.
create or replace function ladder.purge_periods(p_board bigint, p_facet bigint)
    returns void
    language plpgsql
    set search_path = pg_catalog
as $$
declare
    v_ids bigint[];
begin
    perform pg_advisory_xact_lock(hashtext('ladder.job'), hashtext('tally'));
    with gone as (
        delete from ladder.period p
        where p.board_id = p_board
          and (p_facet is null or p.facet >= p_facet || ':' collate "C" and p.facet < p_facet || ';' collate "C")
        returning p.id
    )
    select array_agg(g.id) into v_ids from gone g;
    delete from ladder.tally t where t.period_id = any (v_ids);
    delete from ladder.tally_rung t where t.period_id = any (v_ids);
    delete from ladder.tally_pair t where t.period_id = any (v_ids);
    delete from ladder.tally_slot t where t.period_id = any (v_ids);
    delete from ladder.facet_value v
    where v.board_id = p_board
      and (p_facet is null or v.facet >= p_facet || ':' collate "C" and v.facet < p_facet || ';' collate "C");
end
$$;
comment on function ladder.purge_periods(bigint, bigint) is 'Deletes periods of a board whose entries are gone, with their tally.';

create or replace function ladder.purge_board(p_board bigint)
    returns void
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    perform ladder.purge_periods(p_board, null);
    delete from ladder.tally_day t where t.board_id = p_board;
    delete from ladder.tally_player t where t.board_id = p_board;
    delete from ladder.snapshot_run r where r.board_id = p_board;
    delete from ladder.player_facet f where f.board_id = p_board;
    delete from ladder.facet_drop d where d.board_id = p_board;
    delete from ladder.job_item j where j.item_id = p_board and j.job <> 'purge-game';
    delete from ladder.tally_aside a where a.board_id = p_board;
    delete from ladder.refresh_aside a where a.board_id = p_board;
    delete from ladder.import_run i where i.board_id = p_board;
    delete from ladder.board b where b.id = p_board;
end
$$;
comment on function ladder.purge_board(bigint) is 'Deletes a board whose events and entries are gone, and all else that there is of it.';
