-- $1 game id, $2 player
select e.period_id, e.revision, p.state <> 'open' as is_final
from ladder.player_erase($1::bigint, $2::text) e
join ladder.period p on p.id = e.period_id
