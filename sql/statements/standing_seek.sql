-- How many entries (ranking 2, dense: how many different pairs) are better than a key, and how many entries there are.
-- $1 window, $2 period start, $3 period, $4 k1, $5 k2, $6 k3, $7 player, $8 ranking
select case $8::int
           when 2 then (select count(*) from (select distinct d.k1, d.k2 from ladder.entry d
                        where d.window_kind = $1::ladder.window_kind and d.period_start = $2::timestamptz
                          and d.period_id = $3::bigint and not d.removed and (d.k1, d.k2) < ($4::bigint, $5::bigint)) p)
           else count(*) filter (where (e.k1, e.k2, e.k3, e.player) < ($4::bigint, $5::bigint, $6::bigint, $7::text collate "C"))
       end as better,
       count(*) as total
from ladder.entry e
where e.window_kind = $1::ladder.window_kind
  and e.period_start = $2::timestamptz
  and e.period_id = $3::bigint
  and not e.removed
