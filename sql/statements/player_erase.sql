-- $1 game id, $2 player
select period_id, revision
from ladder.player_erase($1::bigint, $2::text)
