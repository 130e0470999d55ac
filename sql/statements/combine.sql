-- $1 board
select ladder.combine_run($1::bigint) as changed
