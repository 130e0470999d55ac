-- The period of a window at an instant: its row if it has one (id null otherwise), its bounds in any case; and what time it is
-- here. No row at all: the board is gone.
-- $1 board id, $2 window, $3 microseconds
select p.id, $2::ladder.window_kind as window_kind, ladder.us_of(coalesce(p.starts_at, x.starts_at)) as starts_us,
       ladder.us_of(coalesce(p.ends_at, x.ends_at)) as ends_us, coalesce(p.state, 'open') as state,
       ladder.us_of(clock_timestamp()) as at_us
from ladder.board b
cross join lateral ladder.period_bounds($2::ladder.window_kind, b.time_zone, ladder.time_of($3::bigint)) x
left join lateral ladder.period_of(b.id, $2::ladder.window_kind, ladder.time_of($3::bigint)) p on true
where b.id = $1::bigint
  and b.deleted_at is null
