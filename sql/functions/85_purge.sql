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
