-- Standings, less those of other boards: the period of each is looked up by its id.
-- $1 standings, $2 board
select h.id
from unnest($1::bigint[]) as h (id)
where not exists (select from ladder.period p where p.id = h.id and p.board_id <> $2::bigint)
