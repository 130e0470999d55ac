-- What a board would lose.
-- $1 board id, $2 windows, $3 facets, $4 count no further
select l.field, l.name, l.entries
from ladder.board_loss($1::bigint, $2::ladder.window_kind[], $3::text[], $4::bigint) l
