-- Adds up what is new. In a REPEATABLE READ transaction, with the lock of the job `tally`.
-- $1 days that events are kept
select f.events, f.counted
from ladder.tally_fold($1::int * interval '1 day') f
