-- $1 days ahead
select ladder.partition_ensure($1::int) as made
