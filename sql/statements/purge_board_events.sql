-- Some of the events of a board.
-- $1 board, $2 limit
delete from ladder.score_event v
where (v.id, v.submitted_at) in (select q.id, q.submitted_at
                                 from ladder.score_event q
                                 where q.board_id = $1::bigint
                                 limit $2::int)
