-- Some of the snapshots of a board; a row for each that went.
-- $1 board, $2 limit
select from ladder.purge_of_board('ladder.standing_snapshot', 'at', $1::bigint, $2::int)
