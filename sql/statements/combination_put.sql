-- $1 game, $2 board, $3 rule, $4 names of the sources, $5 weights
select ladder.combination_put($1::bigint, $2::bigint, $3::text, $4::text[], $5::bigint[]) as outcome
