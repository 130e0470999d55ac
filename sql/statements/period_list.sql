-- The periods of a window, newest first.
-- $1 board id, $2 window, $3 before microseconds, $4 limit
select p.id, p.window_kind, ladder.us_of(p.starts_at) as starts_us, ladder.us_of(p.ends_at) as ends_us, p.state,
       p.final_count - (select count(*) from ladder.final_gap g where g.period_id = p.id) as entries, ladder.us_of(p.closed_at) as closed_us
from ladder.period p
where p.board_id = $1::bigint
  and p.facet = ''
  and p.window_kind = $2::ladder.window_kind
  and p.state <> 'pause'
  and p.starts_at < ladder.time_of($3::bigint)
order by p.starts_at desc
limit $4::int
