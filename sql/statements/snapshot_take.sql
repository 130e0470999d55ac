-- $1 board, $2 midnight, $3 revision, $4 how many of the best
select ladder.snapshot_take($1::bigint, $2::timestamptz, $3::bigint, $4::int) as rows
