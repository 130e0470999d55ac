-- A page by rank. `groups` is how many entries (ranking 1: competition) or how many different pairs (2: dense) are
-- better than the first pair of the page. An empty page is one row without a player.
-- $1 window, $2 period start, $3 period, $4 offset, $5 limit, $6 ranking, $7 with the total
with page as (
    select e.player, e.k1, e.k2, e.k3, e.metadata
    from ladder.entry e
    where e.window_kind = $1::ladder.window_kind
      and e.period_start = $2::timestamptz
      and e.period_id = $3::bigint
      and not e.removed
    order by e.k1, e.k2, e.k3, e.player
    offset $4::bigint
    limit $5::int
),
head as (
    select k1, k2 from page order by k1, k2 limit 1
)
select page.player, page.k1, page.k2, page.k3, page.metadata, $4::bigint + 1 as first_rank,
       case $6::int
           when 1 then (select count(*) from ladder.entry e, head
                        where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                          and e.period_id = $3::bigint and not e.removed and (e.k1, e.k2) < (head.k1, head.k2))
           when 2 then (select count(*) from (select distinct e.k1, e.k2 from ladder.entry e, head
                        where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                          and e.period_id = $3::bigint and not e.removed and (e.k1, e.k2) < (head.k1, head.k2)) d)
           else 0
       end as groups,
       size.total
from (select case when $7::boolean then
           (select count(*) from ladder.entry e
            where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
              and e.period_id = $3::bigint and not e.removed)
       end as total) size
left join page on true
order by page.k1, page.k2, page.k3, page.player
