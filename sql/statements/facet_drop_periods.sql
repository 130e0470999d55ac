-- The standings of a facet's values.
-- $1 board, $2 facet's number
select p.id
from ladder.period p
where p.board_id = $1::bigint
  and p.facet >= $2::text || ':' collate "C"
  and p.facet < $2::text || ';' collate "C"
