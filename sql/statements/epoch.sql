-- The history that this primary is of.
select epoch, timeline
from ladder.epoch_current()
