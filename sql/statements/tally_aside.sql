-- The boards that this transaction could not add up.
select j.item_id as board_id, j.error
from ladder.job_item j
where j.job = 'tally'
  and j.failures > 0
  and j.failed_at >= now()
order by j.item_id
