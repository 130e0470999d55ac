-- A page by rank. `groups` is how many entries (ranking 1: competition) or how many different pairs (2: dense) are
-- better than the first pair of the page. An empty page is one row without a player.
-- A standing with a ladder is read by it, in functions; a small one is counted here: what is planned once, for all calls, is quicker.
-- $1 window, $2 period start, $3 period, $4 offset, $5 limit, $6 ranking, $7 with the total
with ladder as materialized (
    select exists (select from ladder.tally_rung r where r.period_id = $3::bigint) as is_there
),
seek as materialized (
    select s.* from ladder.standing_seek($3::bigint, $4::bigint) s where (select is_there from ladder)
    union all
    select -9223372036854775808, -9223372036854775808, -9223372036854775808, '', $4::bigint where not (select is_there from ladder)
),
page as (
    select e.player collate "C" as player, e.k1, e.k2, e.k3, e.metadata
    from seek
    cross join lateral ladder.entry_page($1::ladder.window_kind, $2::timestamptz, $3::bigint, seek.k1, seek.k2, seek.k3, seek.player,
                                         seek.rest, $5::int) e
),
head as (
    select k1, k2, k3, player from page order by k1, k2, k3, player limit 1
)
select page.player, page.k1, page.k2, page.k3, page.metadata, $4::bigint + 1 as first_rank,
       case $6::int
           when 1 then (select ladder.standing_group($1::ladder.window_kind, $2::timestamptz, $3::bigint,
                                                     head.k1, head.k2, head.k3, head.player, $4::bigint) from head)
           when 2 then (select ladder.standing_dense($1::ladder.window_kind, $2::timestamptz, $3::bigint, head.k1, head.k2) from head)
           else 0
       end as groups,
       size.total
from (select case when $7::boolean then
           case when (select is_there from ladder) then ladder.standing_total($1::ladder.window_kind, $2::timestamptz, $3::bigint)
                else (select count(*) from ladder.entry e
                      where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                        and e.period_id = $3::bigint and not e.removed) end
       end as total) size
left join page on true
order by page.k1, page.k2, page.k3, page.player
