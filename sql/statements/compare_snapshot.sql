-- The best of the standing that never ends, with where they were at the last midnight that was noted. Not noted: null.
-- $1 window, $2 period start, $3 period, $4 limit, $5 board
with page as (
    select e.player, e.k1, e.k2, e.k3, row_number() over (order by e.k1, e.k2, e.k3, e.player) as rank
    from ladder.entry e
    where e.window_kind = $1::ladder.window_kind
      and e.period_start = $2::timestamptz
      and e.period_id = $3::bigint
      and not e.removed
    order by e.k1, e.k2, e.k3, e.player
    limit $4::int
),
last as (
    select max(r.at) as at
    from ladder.snapshot_run r
    where r.board_id = $5::bigint
)
select page.player, page.k1, page.k2, page.k3, page.rank, was.rank as was_rank, was.k1 as was_k1, was.k2 as was_k2, ladder.us_of(last.at) as at_us
from page
cross join last
left join ladder.standing_snapshot was on was.board_id = $5::bigint and was.player = page.player and was.at = last.at
order by page.rank
