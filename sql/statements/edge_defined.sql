-- The boards whose definition changed, and the edges were not told yet.
select p.id, p.game, p.board
from ladder.edge_purge p
order by p.id
limit 1000
