-- Some of the entries of one period.
-- $1 period, $2 window, $3 period start, $4 limit
delete from ladder.entry e
where e.period_id = $1::bigint
  and e.window_kind = $2::ladder.window_kind
  and e.period_start = $3::timestamptz
  and e.player in (select q.player
                   from ladder.entry q
                   where q.period_id = $1::bigint
                     and q.window_kind = $2::ladder.window_kind
                     and q.period_start = $3::timestamptz
                   limit $4::int)
