-- Some of the events of a board; a row for each that went.
-- $1 board, $2 limit
select from ladder.purge_of_board('ladder.score_event', 'submitted_at', $1::bigint, $2::int)
