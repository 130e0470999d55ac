-- The standings of a board whose changes can't be read.
-- $1 board
select p.id, p.state <> 'open' as is_final
from ladder.period p
where p.board_id = $1::bigint
