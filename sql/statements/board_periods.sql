-- The standings of a board that Redis may hold.
-- $1 board id
select p.id
from ladder.period p
where p.board_id = $1::bigint
