-- A batch of an import: how many changed an entry, and which were refused: their items, from 1, and their outcomes.
-- $1 board, $2 players, $3 scores, $4 subscores, $5 microseconds, $6 whether to lock the entries first,
-- $7 facets, or none, $8 metadata, or none
select changed, refused, array_to_string(refused_items, ','), array_to_string(refused_outcomes, ',')
from ladder.submit_history($1::bigint, $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean, $7::text[], $8::text[])
