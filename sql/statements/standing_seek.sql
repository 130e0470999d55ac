-- How many entries are better than a key, and how many there are.
-- $1 window, $2 period start, $3 period, $4 k1, $5 k2, $6 k3, $7 player
select count(*) filter (where (e.k1, e.k2, e.k3, e.player) < ($4::bigint, $5::bigint, $6::bigint, $7::text collate "C")) as better,
       count(*) as total
from ladder.entry e
where e.window_kind = $1::ladder.window_kind
  and e.period_start = $2::timestamptz
  and e.period_id = $3::bigint
  and not e.removed
