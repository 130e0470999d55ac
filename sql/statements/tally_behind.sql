-- Are more events than so many not added up yet?
-- $1 events
select ladder.tally_is_behind($1::int) as is_behind
