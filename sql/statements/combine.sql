-- $1 board
select ladder.combine($1::bigint) as changed
