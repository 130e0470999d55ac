-- A page from a key on: the entries after (k1, k2, k3, player), no worse than k1_max. An empty page is one row without a player.
-- A standing with a ladder is read by it, in functions; a small one is counted here: what is planned once, for all calls, is quicker.
-- $1 window, $2 period start, $3 period, $4 k1, $5 k2, $6 k3, $7 player, $8 k1_max, $9 limit, $10 ranking,
-- $11 with the total
with ladder as materialized (
    select exists (select from ladder.tally_rung r where r.period_id = $3::bigint) as is_there
),
page as (
    select e.player collate "C" as player, e.k1, e.k2, e.k3, e.metadata
    from ladder.entry_page($1::ladder.window_kind, $2::timestamptz, $3::bigint, $4::bigint, $5::bigint, $6::bigint, $7::text, 0, $9::int + 1) e
    where (e.k1, e.k2, e.k3, e.player collate "C") > ($4::bigint, $5::bigint, $6::bigint, $7::text collate "C")
      and e.k1 <= $8::bigint
    order by e.k1, e.k2, e.k3, e.player collate "C"
    limit $9::int
),
head as (
    select k1, k2, k3, player from page order by k1, k2, k3, player limit 1
),
place as (
    select case when (select is_there from ladder)
                then ladder.standing_before($1::ladder.window_kind, $2::timestamptz, $3::bigint, head.k1, head.k2, head.k3, head.player)
                else (select count(*) from ladder.entry e
                      where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                        and e.period_id = $3::bigint and not e.removed
                        and (e.k1, e.k2, e.k3, e.player) <= ($4::bigint, $5::bigint, $6::bigint, $7::text collate "C")) end as before
    from head
)
select page.player, page.k1, page.k2, page.k3, page.metadata,
       place.before + 1 as first_rank,
       case $10::int
           when 1 then (select ladder.standing_group($1::ladder.window_kind, $2::timestamptz, $3::bigint,
                                                     head.k1, head.k2, head.k3, head.player, place.before) from head)
           when 2 then (select ladder.standing_dense($1::ladder.window_kind, $2::timestamptz, $3::bigint, head.k1, head.k2) from head)
           else 0
       end as groups,
       size.total
from (select case when $11::boolean then
           case when (select is_there from ladder) then ladder.standing_total($1::ladder.window_kind, $2::timestamptz, $3::bigint)
                else (select count(*) from ladder.entry e
                      where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                        and e.period_id = $3::bigint and not e.removed) end
       end as total) size
left join page on true
left join place on true
order by page.k1, page.k2, page.k3, page.player
