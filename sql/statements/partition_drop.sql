-- $1 a detached partition of score_event
select ladder.partition_drop($1::text)
