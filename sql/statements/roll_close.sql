-- Fourth step: final.
-- $1 period
select ladder.period_close($1::bigint) as entries
