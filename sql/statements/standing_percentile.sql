-- A page from the last entry that has at least a percentile (percentile_rank of board/board.h), in one snapshot with the size.
-- A standing with a ladder is read by it, in functions; a small one is counted here: what is planned once, for all calls, is quicker.
-- $1 window, $2 period start, $3 period, $4 percentile, $5 limit, $6 ranking
with ladder as materialized (
    select exists (select from ladder.tally_rung r where r.period_id = $3::bigint) as is_there
),
size as (
    select case when (select is_there from ladder) then ladder.standing_total($1::ladder.window_kind, $2::timestamptz, $3::bigint)
                else (select count(*) from ladder.entry e
                      where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                        and e.period_id = $3::bigint and not e.removed) end as total
),
start as (
    select greatest(0, total - ceil($4::float8 * (total - 1) / 100::float8 - 1e-6::float8)::bigint - 1) as offset_, total
    from size
),
seek as materialized (
    select s.* from ladder.standing_seek($3::bigint, (select offset_ from start)) s where (select is_there from ladder)
    union all
    select -9223372036854775808, -9223372036854775808, -9223372036854775808, '', (select offset_ from start) where not (select is_there from ladder)
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
select page.player, page.k1, page.k2, page.k3, page.metadata, start.offset_ + 1 as first_rank,
       case $6::int
           when 1 then (select ladder.standing_group($1::ladder.window_kind, $2::timestamptz, $3::bigint,
                                                     head.k1, head.k2, head.k3, head.player, start.offset_) from head)
           when 2 then (select ladder.standing_dense($1::ladder.window_kind, $2::timestamptz, $3::bigint, head.k1, head.k2) from head)
           else 0
       end as groups,
       start.total
from page
cross join start
order by page.k1, page.k2, page.k3, page.player
