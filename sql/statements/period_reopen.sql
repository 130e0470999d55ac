-- Opens a closed period again; null: there is none that is closed. No row: the board never had such a window.
-- $1 board id, $2 window, $3 first instant, $4 for how many seconds, $5 who, $6 why
select ladder.period_reopen($1::bigint, w.kind, $3::timestamptz, $4::bigint * interval '1 second', $5::text, $6::text) as standings
from ladder.board b
cross join lateral (select ladder.window_named($2::text, b.schedules) as kind) w
where b.id = $1::bigint
  and w.kind is not null
