-- The neighbours of a player, in one snapshot: above and below it, filled up from the other side near an end.
-- $8: of a player without an entry nothing (0), or the page of that length at the top (1) or the last (2).
-- A standing with a ladder is read by it, in functions; a small one is counted here: what is planned once, for all calls, is quicker.
-- $1 window, $2 period start, $3 period, $4 player, $5 above, $6 below, $7 ranking, $8 absent
with ladder as materialized (
    select exists (select from ladder.tally_rung r where r.period_id = $3::bigint) as is_there
),
me as (
    select e.k1, e.k2, e.k3, e.player
    from ladder.entry e
    where e.window_kind = $1::ladder.window_kind
      and e.period_start = $2::timestamptz
      and e.period_id = $3::bigint
      and e.player = $4::text
      and not e.removed
),
place as (
    select (select ladder.standing_before($1::ladder.window_kind, $2::timestamptz, $3::bigint, me.k1, me.k2, me.k3, me.player)
            from me) as better,
           ladder.standing_total($1::ladder.window_kind, $2::timestamptz, $3::bigint) as total
    where (select is_there from ladder)
    union all
    select x.better, x.total
    from (select count(*) filter (where (e.k1, e.k2, e.k3, e.player) < (me.k1, me.k2, me.k3, me.player)) as better, count(*) as total
          from ladder.entry e
          left join me on true
          where e.window_kind = $1::ladder.window_kind
            and e.period_start = $2::timestamptz
            and e.period_id = $3::bigint
            and not e.removed
            and not (select is_there from ladder)) x
    where not (select is_there from ladder)
),
start as (
    select case when exists (select from me) then greatest(0, least(better - $5::int, total - $5::int - $6::int - 1))
                when $8::int = 2 then greatest(0, total - $5::int - $6::int - 1)
                else 0
           end as offset_,
           better,
           total
    from place
),
seek as materialized (
    select s.*
    from start
    cross join me
    cross join lateral ladder.entry_back($1::ladder.window_kind, $2::timestamptz, $3::bigint, me.k1, me.k2, me.k3, me.player,
                                         start.better - start.offset_) s
    union all
    select s.*
    from ladder.standing_seek($3::bigint, (select offset_ from start)) s
    where (select is_there from ladder)
      and not exists (select from me)
      and $8::int > 0
    union all
    select -9223372036854775808, -9223372036854775808, -9223372036854775808, '', (select offset_ from start)
    where not (select is_there from ladder)
      and not exists (select from me)
      and $8::int > 0
),
page as (
    select e.player collate "C" as player, e.k1, e.k2, e.k3, e.metadata
    from seek
    cross join lateral ladder.entry_page($1::ladder.window_kind, $2::timestamptz, $3::bigint, seek.k1, seek.k2, seek.k3, seek.player,
                                         seek.rest, $5::int + $6::int + 1) e
),
head as (
    select k1, k2, k3, player from page order by k1, k2, k3, player limit 1
)
select page.player, page.k1, page.k2, page.k3, page.metadata, start.offset_ + 1 as first_rank,
       case $7::int
           when 1 then (select ladder.standing_group($1::ladder.window_kind, $2::timestamptz, $3::bigint,
                                                     head.k1, head.k2, head.k3, head.player, start.offset_) from head)
           when 2 then (select ladder.standing_dense($1::ladder.window_kind, $2::timestamptz, $3::bigint, head.k1, head.k2) from head)
           else 0
       end as groups,
       start.total
from page
cross join start
order by page.k1, page.k2, page.k3, page.player
