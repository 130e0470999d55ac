-- Some of a game's boards.
-- $1 game id, $2 limit
select b.id
from ladder.board b
where b.game_id = $1::bigint
  and b.deleted_at is null
order by b.id
limit $2::int
