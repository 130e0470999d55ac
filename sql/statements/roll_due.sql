-- The boards whose periods the job must look at.
-- $1 limit
select j.item_id as board_id
from ladder.job_item j
where j.job = 'roll'
  and j.due_at <= now()
order by j.due_at
limit $1::int
