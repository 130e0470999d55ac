-- Queues a purge of a board for the edges that cache it.
-- $1 board
insert into ladder.edge_purge (game, board)
select g.name, b.name
from ladder.board b
join ladder.game g on g.id = b.game_id
where b.id = $1::bigint
  and b.edge_max_age_s > 0
  and b.is_public
