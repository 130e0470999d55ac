-- $1 days
select ladder.snapshot_expire($1::int) as dropped
