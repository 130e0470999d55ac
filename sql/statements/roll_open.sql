-- Makes the current and the coming period of every window of some boards.
-- $1 boards, $2 how far ahead, in seconds
select ladder.roll_open($1::bigint[], $2::int) as id
