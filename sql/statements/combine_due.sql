-- The combined boards whose sources have changed.
-- $1 limit
select b.board_id
from ladder.combine_due($1::int) b (board_id)
