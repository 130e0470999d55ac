-- $1 board id, $2 player
select period_id, revision
from ladder.player_remove($1::bigint, $2::text)
