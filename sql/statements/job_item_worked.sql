-- What a job does not fail for any more: it was due when its last run began, and that did not fail for it.
-- $1 jobs, $2 the job whose run it was
delete from ladder.job_item j
where j.job = any ($1::text[])
  and j.job not in ('roll', 'snapshot', 'combine')
  and j.failures > 0
  and greatest(j.due_at, j.failed_at) <= (select max(r.started_at) from ladder.job_run r where r.job = $2::text)
