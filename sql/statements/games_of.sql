-- The games that standings belong to.
-- $1 period ids
select distinct b.game_id
from ladder.period p
join ladder.board b on b.id = p.board_id
where p.id = any ($1::bigint[])
