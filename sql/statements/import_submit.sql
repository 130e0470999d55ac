-- A batch of an import: how many changed an entry, how many were refused.
-- $1 board, $2 players, $3 scores, $4 subscores, $5 microseconds, $6 rounds
select count(*) filter (where r.has_changed) as changed, count(*) filter (where r.worst > 1) as refused
from (select s.item, bool_or(s.outcome = 1) as has_changed, max(s.outcome) as worst
      from ladder.submit(array_fill($1::bigint, array[cardinality($2::text[])]), $2::text[], $3::bigint[], $4::bigint[],
                         $5::bigint[], array_fill(null::text, array[cardinality($2::text[])]), $6::int[],
                         array_fill(0, array[cardinality($2::text[])]), '{}', '{}', '{}') s
      group by s.item) r
