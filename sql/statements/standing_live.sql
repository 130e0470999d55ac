-- The standings that Redis should hold: those that were read most lately first, then the youngest.
-- $1 game or null, $2 board or null, $3 limit
select p.id
from ladder.period p
join ladder.board b on b.id = p.board_id
join ladder.game g on g.id = b.game_id
left join ladder.popularity w on w.period_id = p.id
where b.deleted_at is null
  and p.state = 'open'
  and ($1::text is null or g.name = $1::text)
  and ($2::text is null or b.name = $2::text)
order by w.weight desc nulls last, p.starts_at desc, p.id desc
limit $3::int
