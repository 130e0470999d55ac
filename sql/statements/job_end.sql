-- The end of a run. Of those that found nothing to do, only the last is kept.
-- $1 id, $2 rows, $3 error
with ended as (
    update ladder.job_run r
    set ended_at = now(), rows = $2::bigint, error = $3::text
    where r.id = $1::bigint
    returning r.job, r.rows, r.error
)
delete from ladder.job_run r
using ended e
where e.rows = 0
  and e.error is null
  and r.job = e.job
  and r.rows = 0
  and r.error is null
  and r.id < $1::bigint
