-- Every game: what an edge is told when it must forget everything.
select g.name
from ladder.game g
order by g.name
