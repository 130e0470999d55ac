-- From here on an ordinary board, with the entries that it has.
-- $1 board
delete from ladder.combination c
where c.board_id = $1::bigint
returning c.board_id
