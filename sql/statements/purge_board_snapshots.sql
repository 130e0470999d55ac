-- Some of the snapshots of a board.
-- $1 board, $2 limit
delete from ladder.standing_snapshot s
using (select q.tableoid as part, q.ctid as place
       from ladder.standing_snapshot q
       where q.board_id = $1::bigint
       order by q.board_id, q.player
       limit $2::int) x
where s.tableoid = x.part
  and s.ctid = x.place
