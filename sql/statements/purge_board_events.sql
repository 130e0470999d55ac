-- Some of the events of a board: found in the order of score_event_board_id_player_idx, so that the search ends with the last
-- of them, and deleted by their place. (By id, each time would read every event there is.)
-- $1 board, $2 limit
delete from ladder.score_event v
using (select q.tableoid as part, q.ctid as place
       from ladder.score_event q
       where q.board_id = $1::bigint
       order by q.board_id, q.player
       limit $2::int) x
where v.tableoid = x.part
  and v.ctid = x.place
