-- A player's places in the standing that never ends, at the midnights at which they were noted, newest first.
-- $1 board, $2 player, $3 before microseconds, $4 limit
select null::bigint as starts_us, ladder.us_of(s.at) as at_us, s.rank, s.k1, s.k2, null::bigint as entries, null::bigint as more_us
from ladder.standing_snapshot s
where s.board_id = $1::bigint
  and s.player = $2::text
  and s.at < ladder.time_of($3::bigint)
order by s.at desc
limit $4::int
