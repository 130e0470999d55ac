-- Adds up the next piece of what is new. In a REPEATABLE READ transaction, with the lock of the job `tally`.
-- $1 days that events are kept
select f.events, f.counted, f.has_more
from ladder.tally_fold($1::int * interval '1 day') f
