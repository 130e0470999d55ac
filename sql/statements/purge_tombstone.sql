-- $1 period, $2 player, $3 window, $4 period start, $5 revision
delete from ladder.entry e
where e.period_id = $1::bigint
  and e.player = $2::text
  and e.window_kind = $3::ladder.window_kind
  and e.period_start = $4::timestamptz
  and e.revision = $5::bigint
  and e.removed
