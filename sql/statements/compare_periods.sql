-- The best of a standing, with where they were in another.
-- $1 window, $2 period start, $3 period, $4 limit, $5 start of the other, $6 the other
with ladder as materialized (
    select exists (select from ladder.tally_rung r where r.period_id = $6::bigint) as is_there
),
page as (
    select e.player, e.k1, e.k2, e.k3, row_number() over (order by e.k1, e.k2, e.k3, e.player) as rank
    from ladder.entry e
    where e.window_kind = $1::ladder.window_kind
      and e.period_start = $2::timestamptz
      and e.period_id = $3::bigint
      and not e.removed
    order by e.k1, e.k2, e.k3, e.player
    limit $4::int
)
select page.player, page.k1, page.k2, page.k3, page.rank,
       case when was.k1 is null then null
            when p.final_count is not null then ladder.final_rank_of($6::bigint, page.player)
            when (select is_there from ladder)
                then ladder.standing_before($1::ladder.window_kind, $5::timestamptz, $6::bigint, was.k1, was.k2, was.k3, page.player) + 1
            else (select count(*)
                  from ladder.entry e
                  where e.window_kind = $1::ladder.window_kind and e.period_start = $5::timestamptz
                    and e.period_id = $6::bigint and not e.removed
                    and (e.k1, e.k2, e.k3, e.player) < (was.k1, was.k2, was.k3, page.player)) + 1
       end as was_rank, was.k1 as was_k1, was.k2 as was_k2, null::bigint as at_us
from page
left join ladder.period p on p.id = $6::bigint
left join lateral (select q.k1, q.k2, q.k3
                   from ladder.entry q
                   where q.window_kind = $1::ladder.window_kind and q.period_start = $5::timestamptz
                     and q.period_id = $6::bigint and q.player = page.player and not q.removed
                   offset 0) was on true
order by page.rank
