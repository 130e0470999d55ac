-- $1 game
select g.id
from ladder.game g
where g.name = $1::text
