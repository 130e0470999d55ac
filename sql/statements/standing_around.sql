-- The neighbours of a player, in one snapshot: above and below it, filled up from the other side near an end.
-- $8: of a player without an entry nothing (0), or the page of that length at the top (1) or the last (2).
-- $1 window, $2 period start, $3 period, $4 player, $5 above, $6 below, $7 ranking, $8 absent
with me as (
    select e.k1, e.k2, e.k3, e.player
    from ladder.entry e
    where e.window_kind = $1::ladder.window_kind
      and e.period_start = $2::timestamptz
      and e.period_id = $3::bigint
      and e.player = $4::text
      and not e.removed
),
place as (
    select count(*) filter (where (e.k1, e.k2, e.k3, e.player) < (me.k1, me.k2, me.k3, me.player)) as better,
           count(*) as total
    from ladder.entry e
    left join me on true
    where e.window_kind = $1::ladder.window_kind
      and e.period_start = $2::timestamptz
      and e.period_id = $3::bigint
      and not e.removed
),
start as (
    select case when exists (select from me) then greatest(0, least(better - $5::int, total - $5::int - $6::int - 1))
                when $8::int = 2 then greatest(0, total - $5::int - $6::int - 1)
                else 0
           end as offset_,
           total
    from place
),
page as (
    select e.player, e.k1, e.k2, e.k3, e.metadata
    from ladder.entry e
    where e.window_kind = $1::ladder.window_kind
      and e.period_start = $2::timestamptz
      and e.period_id = $3::bigint
      and not e.removed
      and (exists (select from me) or $8::int > 0)
    order by e.k1, e.k2, e.k3, e.player
    offset (select offset_ from start)
    limit $5::int + $6::int + 1
),
head as (
    select k1, k2 from page order by k1, k2 limit 1
)
select page.player, page.k1, page.k2, page.k3, page.metadata, start.offset_ + 1 as first_rank,
       case $7::int
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
