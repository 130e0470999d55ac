-- A batch of an import: how many changed an entry, how many were refused.
-- $1 board, $2 players, $3 scores, $4 subscores, $5 microseconds, $6 whether to lock the entries first,
-- $7 facets, or none
select changed, refused
from ladder.submit_history($1::bigint, $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean, $7::text[])
