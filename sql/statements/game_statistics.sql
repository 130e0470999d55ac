-- What was submitted to the boards of a game by day, week or month: the newest first. Always one row at least, for its first column.
-- $1 game, $2 board ('': all), $3 bucket, $4 first day, $5 last day, $6 limit
select one.as_of_us, x.starts_on::text, x.board, x.submissions, x.improvements, x.players, x.newcomers, x.is_behind
from (select ladder.read_as_of() as as_of_us offset 0) one
left join ladder.game_activity($1::bigint, nullif($2::text, ''), $3::text, $4::date, $5::date, $6::int) x on true
order by x.starts_on desc, x.board
