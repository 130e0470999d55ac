-- The standings that Redis should hold, the ones used last first.
-- $1 game or null, $2 board or null, $3 limit
select p.id
from ladder.period p
join ladder.board b on b.id = p.board_id
join ladder.game g on g.id = b.game_id
where b.deleted_at is null
  and p.state = 'open'
  and ($1::text is null or g.name = $1::text)
  and ($2::text is null or b.name = $2::text)
order by p.starts_at desc, p.id desc
limit $3::int
