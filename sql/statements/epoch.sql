-- The history that this primary is of, and its clock.
select epoch, timeline, ladder.us_of(clock_timestamp()) as at_us
from ladder.epoch_current()
