-- A page from the last entry that has at least a percentile (percentile_rank of board/board.h), in one snapshot with the size.
-- $1 window, $2 period start, $3 period, $4 percentile, $5 limit, $6 ranking
with size as (
    select count(*) as total
    from ladder.entry e
    where e.window_kind = $1::ladder.window_kind
      and e.period_start = $2::timestamptz
      and e.period_id = $3::bigint
      and not e.removed
),
start as (
    select greatest(0, total - ceil($4::float8 * (total - 1) / 100::float8 - 1e-6::float8)::bigint - 1) as offset_, total
    from size
),
page as (
    select e.player, e.k1, e.k2, e.k3, e.metadata
    from ladder.entry e
    where e.window_kind = $1::ladder.window_kind
      and e.period_start = $2::timestamptz
      and e.period_id = $3::bigint
      and not e.removed
    order by e.k1, e.k2, e.k3, e.player
    offset (select offset_ from start)
    limit $5::int
),
head as (
    select k1, k2 from page order by k1, k2 limit 1
)
select page.player, page.k1, page.k2, page.k3, page.metadata, start.offset_ + 1 as first_rank,
       case $6::int
           when 1 then (select count(*) from ladder.entry e, head
                        where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                          and e.period_id = $3::bigint and not e.removed and (e.k1, e.k2) < (head.k1, head.k2))
           when 2 then (select count(*) from (select distinct e.k1, e.k2 from ladder.entry e, head
                        where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                          and e.period_id = $3::bigint and not e.removed and (e.k1, e.k2) < (head.k1, head.k2)) d)
           else 0
       end as groups,
       start.total
from page
cross join start
order by page.k1, page.k2, page.k3, page.player
