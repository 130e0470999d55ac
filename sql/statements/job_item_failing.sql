-- The jobs that fail for some boards, and for how many. What has not failed for longer than a job waits between two attempts is over;
-- the tail makes none by itself.
with over as (
    delete from ladder.job_item j
    where j.failures > 0
      and j.job not in ('roll', 'snapshot', 'combine')
      and j.failed_at < now() - case j.job when 'tail' then interval '1 min' else interval '15 min' end
    returning j.job, j.item_id
)
select coalesce(string_agg(x.job || ': ' || x.count, ', ' order by x.job), '') as failing
from (select j.job, count(*) as count
      from ladder.job_item j
      where j.failures > 0
        and not exists (select from over o where o.job = j.job and o.item_id = j.item_id)
      group by j.job) x
