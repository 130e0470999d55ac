-- Opens a closed period again; null: there is none that is closed.
-- $1 board id, $2 window, $3 first instant, $4 for how many seconds, $5 who, $6 why
select ladder.period_reopen($1::bigint, $2::ladder.window_kind, $3::timestamptz, $4::bigint * interval '1 second', $5::text, $6::text) as standings
